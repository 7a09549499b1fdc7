r"""Targeted projected gradient descent in an L2, Linf or L0 budget, as one loop.

Every step uses the direction of the gradient alone, and the best point is found by comparison, so
that an objective and an increasing function of it give the same attack, whatever their scale. Pass
the one that keeps its resolution: the margin instead of its exponential loss, :func:`logit_gap`
instead of cross-entropy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from twolayer.sims.components.attacks import checks
from twolayer.sims.components.attacks import steps as attack_steps
from twolayer.theory import precision, validation

NORMS, LINF_STYLES = checks.NORMS, checks.LINF_STYLES


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
    skip_bound: bool = True,
    random_start: Array | None = None,
    restarts: int = 1,
) -> tuple[Array, Array]:
    r"""The points with the smallest objective on a projected descent from x.

    Per sample the first point with the smallest objective is returned, x itself if nothing was
    better. With g the gradient of a sample, :math:`\delta` its perturbation, each step is followed
    by a clamp to ``[low, high]``:

    - ``"l2"``: a step of length eps / 5 along -g; if :math:`|\delta|_2` exceeds eps,
      :math:`\delta` is rescaled to it;
    - ``"linf"``, style ``"rescale"``: the same with maximum norms. The step is a multiple of g, not
      of its signs, and the whole of :math:`\delta` is rescaled: nearly an L2 attack of length
      :math:`\varepsilon |g|_2 / |g|_\infty` [code];
    - ``"linf"``, style ``"sign"``: a step of eps / 5 against the sign of every coordinate, and a
      clip of every coordinate: the textbook's attack;
    - ``"l0"``: the changed coordinates are joined by the unchanged one with the largest
      :math:`|g_i|` (the lowest index of several), and all of them move by
      :math:`-0.3\, g_i / \max |g_i|`, the maximum over those that move. A coordinate that the
      clamp moved back counts as unchanged. At most ``steps`` coordinates change; only the clamp
      limits how far.

    A sample whose gradient is 0 does not move. Example, the textbook's attack on a classifier of
    images in [0, 1], the best of five random starts::

        moved, gap = attacks.pgd(
            lambda x: -attacks.logit_gap(logits(params, x), y), x, norm="linf", linf_style="sign",
            eps=8 / 255, steps=40, low=0.0, high=1.0, random_start=key, restarts=5)

    Args:
      objective: maps points of the shape and dtype of x to one value each, shape ``(n,)``,
        independently. Without random starts it is evaluated ``steps + 1`` times, else
        ``1 + restarts (steps + 1)`` times.
      x: clean points in ``[low, high]``, shape ``(n, ...)``.
      norm: one of :data:`NORMS`; or an index into it, which may be traced, so that one program
        serves all three (eps must then be given, and goes unused for ``"l0"``).
      steps: number of steps, 100 in the published L2 and Linf attacks; may be traced.
      eps: radius for ``"l2"`` and ``"linf"``, or one for each sample, shape ``(n,)``; may be
        traced. None for ``"l0"``.
      low: smallest value of a coordinate, or of each, of a shape that broadcasts to that of x; may
        be traced. Rounded to the dtype of x.
      high: largest value of a coordinate, likewise.
      linf_style: one of :data:`LINF_STYLES`.
      skip_bound: under ``"l0"``, leave out coordinates at a bound which a step would lead out of
        the box. False is the published rule [code], which chooses such a coordinate again at
        every step, and then stands still.
      random_start: a key: descents start at random points within both the budget and the box, and
        not at x. Points are uniform in the ball of radius eps, then clamped. Not for ``"l0"``,
        which has no ball (by index it starts at x).
      restarts: number of random starts, of which the best result counts; static.

    Returns:
      The attacked points, of the shape and dtype of x, and the objective there, shape ``(n,)``, in
      its own dtype. Computed in float32 where x is shorter; the budget then holds up to the
      rounding of x. A point at which the objective is NaN is never better.

    Raises:
      ValueError: for an unknown norm or style, steps below 0, eps negative, missing, of another
        shape or, for ``"l0"``, given, low not below high, points outside of the box, values of the
        objective that are no floats or not ``(n,)``, random starts of ``"l0"``, and restarts
        without them. What is traced is not checked; an index beyond the norms is then the nearest.

    Source: [code]; ``"sign"``, ``skip_bound`` and random starts are common forms of the attack.
    """
    checks.check_options(norm, eps, linf_style, random_start, restarts)
    steps = checks.number_of_steps(steps)
    dtype, x = jnp.asarray(x).dtype, validation.array("x", x)
    if x.ndim < 1 or x.size == 0:
        raise ValueError(f"x must hold at least one point; got shape {x.shape}.")
    # Integers have become floats. Of short floats none but the objective sees the short form.
    dtype = dtype if jnp.issubdtype(dtype, jnp.floating) else x.dtype
    x = x.astype(precision.wider(dtype))
    clean = x.reshape(x.shape[0], -1)
    low, high = checks.box(x, low, high, dtype)
    radius = checks.radius(eps, clean)

    def evaluate(rows: Array) -> tuple[Array, Array]:
        values = objective(rows.astype(dtype).reshape(x.shape))
        return jnp.sum(values), values

    def l2(rows: Array, gradient: Array) -> Array:
        return attack_steps.rescaled(rows, clean, gradient, radius, 2)

    def linf(rows: Array, gradient: Array) -> Array:
        if linf_style == "rescale":
            return attack_steps.rescaled(rows, clean, gradient, radius, jnp.inf)
        return attack_steps.signed(rows, clean, gradient, radius)

    def l0(rows: Array, gradient: Array) -> Array:
        if skip_bound:
            leaving = attack_steps.leaving(rows, gradient, low, high)
            gradient = jnp.where(leaving, 0, gradient)
        return attack_steps.one_more(rows, clean, gradient)

    def step(_: Any, carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        rows, best, best_value = carry
        gradient, values = jax.grad(evaluate, has_aux=True)(rows)
        better = (values < best_value) | (jnp.isnan(best_value) & ~jnp.isnan(values))
        best = jnp.where(better[:, None], rows, best)
        best_value = jnp.where(better, values, best_value)
        rows = _chosen(norm, (l2, linf, l0), rows, gradient)
        return jnp.clip(rows, low, high), best, best_value

    def descend(start: Array, best: Array, best_value: Array) -> tuple[Array, Array]:
        # One step more than asked for: its move is thrown away, and the evaluation before it is the
        # last. A separate evaluation would be compiled on top of the gradient's.
        return jax.lax.fori_loop(0, steps + 1, step, (start, best, best_value))[1:]

    def restart(best: tuple[Array, Array], key: Array) -> tuple[tuple[Array, Array], None]:
        starts = [
            lambda: attack_steps.in_ball(key, clean, radius),
            lambda: attack_steps.in_cube(key, clean, radius),
            lambda: clean,
        ]
        return descend(jnp.clip(_chosen(norm, starts), low, high), *best), None

    kind = checks.values_dtype(objective, x.shape, dtype)
    if random_start is None:
        # Of numpy: an eager NaN of JAX would be an error where a user looks for them.
        unseen: Any = np.full(x.shape[0], np.nan, kind)
        best, best_value = descend(clean, clean, unseen)
    else:
        keys = jax.random.split(random_start, restarts)
        (best, best_value), _ = jax.lax.scan(restart, (clean, evaluate(clean)[1]), keys)
    return best.astype(dtype).reshape(x.shape), best_value


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
      ValueError: for shapes that do not fit, and for targets that are no classes (NaN where they
        are traced).
    """
    logits = validation.shaped("logits", logits, (None, None))
    logits = logits.astype(precision.wider(logits.dtype))
    targets = validation.integers("targets", targets, shape=logits.shape[:1])
    classes = logits.shape[1]
    if not validation.holds(lambda known: (known >= 0) & (known < classes), targets):
        low, high = int(jnp.min(targets)), int(jnp.max(targets))
        raise ValueError(f"targets must be in 0 .. {classes - 1}; got {low} .. {high}.")
    is_target = jax.nn.one_hot(targets, classes, dtype=bool)
    target = jnp.sum(jnp.where(is_target, logits, 0), axis=1)
    gap = jax.nn.logsumexp(logits, axis=1, where=~is_target) - target
    return jnp.where(jnp.any(is_target, axis=1), gap, jnp.nan)


def _chosen(norm: str | Array, branches: Sequence[Callable[..., Array]], *args: Array) -> Array:
    """The branch of a norm, which may be known while tracing or not."""
    if isinstance(norm, str):
        return branches[NORMS.index(norm)](*args)
    return jax.lax.switch(norm, branches, *args)
