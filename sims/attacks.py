r"""Targeted projected gradient descent in an L2, Linf or L0 budget, as one loop.

Every step uses the direction of the gradient alone, and the best point is found by comparison, so
that an objective and an increasing function of it give the same attack. Pass the one that keeps its
resolution: the margin instead of its exponential loss, :func:`logit_gap` instead of cross-entropy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from theory import arguments

NORMS = ("l2", "linf", "l0")
LINF_STYLES = ("rescale", "sign")

# The published attacks: step as a share of eps, step on L0's coordinates, floors of divisions.
_STEP_SHARE, _L0_STEP, _GRADIENT_FLOOR, _NORM_FLOOR = 0.2, 0.3, 1e-12, 1e-7


def pgd(
    objective: Callable[[Array], Array],
    x: Array,
    *,
    norm: str | Array,
    steps: int | Array,
    eps: Any = None,
    low: Any = -jnp.inf,
    high: Any = jnp.inf,
    linf_style: str = "rescale",
) -> tuple[Array, Array]:
    r"""The points with the smallest objective on a projected descent from x.

    The descent starts at x itself; the objective is evaluated ``steps + 1`` times, and per sample
    the first point with the smallest value is returned, x itself if nothing was better. With g the
    gradient of a sample, :math:`\delta` its perturbation, each step is followed by a clamp to
    ``[low, high]``:

    - ``"l2"``: a step of length eps / 5 along -g; if :math:`|\delta|_2` exceeds eps,
      :math:`\delta` is rescaled to it;
    - ``"linf"``, style ``"rescale"``: the same with maximum norms. The step is a multiple of g, not
      of its signs, and the whole of :math:`\delta` is rescaled: nearly an L2 attack of length
      :math:`\varepsilon |g|_2 / |g|_\infty` [code];
    - ``"linf"``, style ``"sign"``: a step of eps / 5 against the sign of every coordinate, and a
      clip of every coordinate: the textbook's attack;
    - ``"l0"``: the changed coordinates are joined by the unchanged one with the largest
      :math:`|g_i|` (the lowest index of several), and all of them move by
      :math:`-0.3\, g_i / \max |g_i|`. A coordinate that the clamp moved back counts as unchanged.
      At most ``steps`` coordinates change; only the clamp limits how far.

    Args:
      objective: maps points of the shape of x to one value each, shape ``(n,)``, independently.
      x: clean points in ``[low, high]``, shape ``(n, ...)``.
      norm: one of :data:`NORMS`; or an index into it, which may be traced, so that one program
        serves all three (eps must then be given, and goes unused for ``"l0"``).
      steps: number of steps, 100 in the published L2 and Linf attacks; may be traced.
      eps: radius for ``"l2"`` and ``"linf"``; may be traced. None for ``"l0"``.
      low: smallest value of a coordinate; may be traced.
      high: largest value of a coordinate.
      linf_style: one of :data:`LINF_STYLES`.

    Returns:
      The attacked points, of the shape of x, and the objective there, shape ``(n,)``.

    Raises:
      ValueError: for an unknown norm or style, steps below 0, eps negative, missing or, for
        ``"l0"``, given, and low not below high.

    Source: [code]; ``"sign"`` is the common form of the attack.
    """
    arguments.choice("linf_style", linf_style, LINF_STYLES)
    if arguments.is_known(steps):
        arguments.integer("steps", steps, low=0)
    if isinstance(norm, str):
        arguments.choice("norm", norm, NORMS)
    else:
        arguments.integers("norm", norm, shape=())
    if (eps is None) != (isinstance(norm, str) and norm == "l0"):
        raise ValueError(f"eps must be a radius for l2 and linf, None for l0; got {eps} ({norm}).")
    if eps is not None:
        arguments.scalar("eps", eps, low=0.0)
    if not arguments.holds(lambda low, high: low < high, low, high):
        raise ValueError(f"low must be below high; got {low} and {high}.")
    x = arguments.array("x", x)
    if x.ndim < 1 or x.size == 0:
        raise ValueError(f"x must hold at least one point; got shape {x.shape}.")
    clean = x.reshape(x.shape[0], -1)

    def total(rows: Array) -> tuple[Array, Array]:
        values = objective(rows.reshape(x.shape))
        return jnp.sum(values), values

    def l2(rows: Array, gradient: Array) -> Array:
        return _norm_step(rows, clean, gradient, eps, 2)

    def linf(rows: Array, gradient: Array) -> Array:
        if linf_style == "rescale":
            return _norm_step(rows, clean, gradient, eps, jnp.inf)
        moved = rows - clean - _STEP_SHARE * eps * jnp.sign(gradient)
        return clean + jnp.clip(moved, -eps, eps)

    def l0(rows: Array, gradient: Array) -> Array:
        return _l0_step(rows, clean, gradient)

    moves = (l2, linf, l0)

    def step(_: Any, carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        rows, best, best_value = carry
        gradient, values = jax.grad(total, has_aux=True)(rows)
        better = values < best_value
        best = jnp.where(better[:, None], rows, best)
        best_value = jnp.where(better, values, best_value)
        if isinstance(norm, str):
            rows = moves[NORMS.index(norm)](rows, gradient)
        else:
            rows = jax.lax.switch(norm, moves, rows, gradient)
        return jnp.clip(rows, low, high), best, best_value

    # One step more than asked for: its move is thrown away, and the evaluation before it is the
    # last. A separate evaluation would be compiled on top of the gradient's.
    start = (clean, clean, jnp.full(x.shape[0], jnp.inf, x.dtype))
    _, best, best_value = jax.lax.fori_loop(0, steps + 1, step, start)
    return best.reshape(x.shape), best_value


def logit_gap(logits: Array, targets: Array) -> Array:
    r"""How far the target class is from winning: :math:`\log\sum_{j \ne t} e^{z_j} - z_t`.

    The cross-entropy of the target is softplus of it, which float32 computes as 0 where the gap is
    below -17. The gap itself keeps its resolution, and its gradient has the same direction.

    Args:
      logits: shape ``(n, classes)``.
      targets: integer classes, shape ``(n,)``.

    Returns:
      The gaps, shape ``(n,)``; negative where the target has more than half of the probability,
      -inf where it is the only class.

    Raises:
      ValueError: for shapes that do not fit.
    """
    logits = arguments.shaped("logits", logits, (None, None))
    targets = arguments.integers("targets", targets, shape=logits.shape[:1])
    is_target = jax.nn.one_hot(targets, logits.shape[1], dtype=bool)
    others = jnp.where(is_target, -jnp.inf, logits)
    target = jnp.sum(jnp.where(is_target, logits, 0), axis=1)
    return jax.nn.logsumexp(others, axis=1) - target


def _norm_step(rows: Array, clean: Array, gradient: Array, eps: Any, order: Any) -> Array:
    """A normalised step, then the perturbation rescaled into the ball."""
    length = jnp.linalg.norm(gradient, order, axis=1, keepdims=True)
    step = _STEP_SHARE * eps * gradient / jnp.maximum(length, _GRADIENT_FLOOR)
    delta = rows - step - clean
    reached = jnp.linalg.norm(delta, order, axis=1, keepdims=True)
    return clean + delta * jnp.where(reached > eps, eps / (reached + _NORM_FLOOR), 1)


def _l0_step(rows: Array, clean: Array, gradient: Array) -> Array:
    """One coordinate more, and a step on all that have changed."""
    changed = rows != clean
    joining = jnp.argmax(jnp.where(changed, 0, jnp.abs(gradient)), axis=1)
    moving = changed | jax.nn.one_hot(joining, rows.shape[1], dtype=bool)
    force = jnp.where(moving, gradient, 0)
    largest = jnp.max(jnp.abs(force), axis=1, keepdims=True)
    return rows - _L0_STEP * force / jnp.maximum(largest, _GRADIENT_FLOOR)
