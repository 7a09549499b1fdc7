r"""Optimal features under mixup, solved in the dual: one scalar root for a whole softmax.

For a simplex frame W of strength A and decay :math:`\mu` of the features, the class probabilities p
of the optimal feature depend on :math:`\kappa = A / \mu` and the mixed target t alone. They are
the unique solution of

.. math:: \log p_c + \kappa\, p_c = \nu + \kappa\, t_c, \qquad \sum_c p_c = 1,

that is :math:`p_c = \omega(\log \kappa + \nu + \kappa t_c) / \kappa` with the Wright omega function
of :func:`omega_log` and the root :math:`\nu` of one increasing scalar function. Equivalently p
minimises :math:`\sum_c p_c \log p_c + \tfrac{\kappa}{2} |p - t|^2` on the simplex.

Source: [derived].
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float

from twolayer.theory import precision, validation

# Below it omega(x) is e^x to the last digit of float64.
_TAIL = -40.0
_MAX_STEPS = 200
# Steps taken, the point, both ends of its bracket, and the last step.
_Search = tuple[Array, Array, Array, Array, Array]


def omega_log(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    r"""Wright's omega function: the solution w > 0 of :math:`w + \log w = x`.

    It is :math:`W(e^x)` with the principal branch of Lambert's function, without forming
    :math:`e^x`: exact to a few units of rounding from :math:`e^x` (x to minus infinity, where it
    underflows as :math:`e^x` does) to :math:`x - \log x` (x to infinity). Its derivative is
    :math:`w / (1 + w)`.

    Args:
      x: any real numbers.

    Raises:
      ValueError: for NaN or infinity.
    """
    return _omega(validation.array("x", x))


@jax.custom_jvp
def _omega(x: Array) -> Array:
    inside = jnp.maximum(x, _TAIL)
    # Within a quarter of the solution everywhere; each step of Fritsch, Shafer and Crowley then
    # takes the error to its fourth power.
    above = jnp.maximum(inside, 1)
    w = jnp.where(inside > 1, above - jnp.log(above), jax.nn.sigmoid(inside))
    for _ in range(2):
        error = inside - w - jnp.log(w)
        lift = 1 + w + 2 * error / 3
        share = error / (1 + w)
        w = w * (1 + share * (lift - share / 2) / (lift - share))
    return jnp.where(x > _TAIL, w, jnp.exp(x))


@_omega.defjvp
def _omega_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    w = _omega(*primals)
    return w, w / (1 + w) * tangents[0]


def ufm_probs(target: Float[Array, "*batch k"], kappa: ArrayLike) -> Float[Array, "*batch k"]:
    r"""Class probabilities :math:`p = \mathrm{softmax}(W h^*)` of the optimal features.

    Args:
      target: t, distributions over K >= 2 classes along the last axis.
      kappa: :math:`A / \mu > 0`, a number or of the batch's shape. The limits are the uniform
        distribution (to 0) and t (to infinity); neither overflows.

    Returns:
      p, of the target's shape, with relative precision also where it is small. Derivatives are
      those along the simplex.

    Raises:
      ValueError: for targets that are no distributions, or kappa not positive.

    Source: [derived] Theorem B1.
    """
    target = distribution("target", target)
    return solve(target, kappa, jnp.ones(target.shape[-1], target.dtype))[1]


def ufm_logits(target: Float[Array, "*batch k"], kappa: ArrayLike) -> Float[Array, "*batch k"]:
    r"""Logits :math:`z = W h^* = \kappa (t - p)` of the optimal features; their sum is 0.

    Arguments and errors as for :func:`ufm_probs`. Precise for every kappa: where t and p differ by
    little, the logits are taken from :math:`z_c = \log p_c - \nu`.
    """
    target = distribution("target", target)
    return solve(target, kappa, jnp.ones(target.shape[-1], target.dtype))[0]


def distribution(name: str, value: Any) -> Array:
    """Distributions over at least two classes along the last axis, up to 1e-10.

    Floats of fewer than 64 bits sum to 1 within their rounding; those of fewer than 32 bits, which
    are read in float32, are divided by their sum.
    """
    result = validation.array(name, value)
    if result.ndim < 1 or result.shape[-1] < 2:
        raise ValueError(
            f"{name} must have at least 2 classes on its last axis; got shape {result.shape}."
        )
    if not validation.holds(lambda known: known >= 0, result):
        raise ValueError(f"{name} must not be negative; got {float(jnp.min(result))}.")
    # A sum is as good as the rounding of its terms when they came.
    eps = precision.rounding(value, result)
    room = max(1e-10, 8 * eps)
    if not validation.holds(lambda known: jnp.abs(jnp.sum(known, axis=-1) - 1) <= room, result):
        raise ValueError(f"{name} must sum to 1 over the last axis; got other sums.")
    if eps > jnp.finfo(result.dtype).eps:
        return result / jnp.sum(result, axis=-1, keepdims=True)
    return result


def solve(target: Array, kappa: ArrayLike, counts: Array) -> tuple[Array, Array]:
    r"""Logits and probabilities for targets of which some values repeat.

    Args:
      target: the different values of the target along the last axis, shape ``(..., v)``.
      kappa: as in :func:`ufm_probs`.
      counts: how often each value occurs, shape ``(v,)``; K is their sum.

    Returns:
      z and p of each value, both of the target's shape.
    """
    kappa = validation.number("kappa", kappa, low=0.0, open_low=True)
    kappa = jnp.broadcast_to(jnp.asarray(kappa, target.dtype), target.shape[:-1])
    counts = jnp.broadcast_to(counts, target.shape)
    nu = _root(target, kappa, counts)
    return _at(nu, target, kappa)


def _at(nu: Array, target: Array, kappa: Array) -> tuple[Array, Array]:
    """Logits and probabilities that belong to nu, which is the root when the logits sum to 0."""
    nu, kappa = nu[..., None], kappa[..., None]
    w = _omega(jnp.log(kappa) + nu + kappa * target)
    # Both are the same number; the difference loses digits where kappa p is large.
    logits = jnp.where(
        w < 1, kappa * target - w, jnp.log(jnp.maximum(w, 1)) - (jnp.log(kappa) + nu)
    )
    return logits, w / kappa


@jax.custom_jvp
def _root(target: Array, kappa: Array, counts: Array) -> Array:
    """Newton's method on the logarithm of the probabilities' sum, kept in a bracket.

    nu = log p_c + kappa (p_c - t_c) is at most 0 for a class with p_c <= t_c, and at least
    -log K - kappa for the largest p_c.
    """
    # Steps square the error: one below this leaves no more than rounding behind.
    close = jnp.finfo(target.dtype).eps ** 0.5
    start = -jnp.log(jnp.sum(counts, axis=-1))

    def unfinished(state: _Search) -> Array:
        index, nu, _, _, step = state
        return (index < _MAX_STEPS) & jnp.any(jnp.abs(step) > close * (1 + jnp.abs(nu)))

    def improve(state: _Search) -> _Search:
        index, nu, low, high, _ = state
        logits, probs = _at(nu, target, kappa)
        excess = -jnp.sum(counts * logits, axis=-1)  # kappa (sum p - 1)
        w = kappa[..., None] * probs
        slope = jnp.sum(counts * w / (1 + w), axis=-1)
        low = jnp.where(excess < 0, nu, low)
        high = jnp.where(excess > 0, nu, high)
        new = nu - (kappa + excess) * jnp.log1p(excess / kappa) / slope
        new = jnp.where((new >= low) & (new <= high), new, (low + high) / 2)
        return index + 1, new, low, high, new - nu

    initial = (jnp.asarray(0), start, start - kappa, jnp.zeros_like(start), jnp.full_like(start, 1))
    return jax.lax.while_loop(unfinished, improve, initial)[1]


@_root.defjvp
def _root_jvp(
    primals: tuple[Array, Array, Array], tangents: tuple[Array, Array, Array]
) -> tuple[Array, Array]:
    """The root of sum_c omega(log kappa + nu + kappa t_c) = kappa moves with t and kappa."""
    target, kappa, counts = primals
    moved_target, moved_kappa, _ = tangents
    nu = _root(target, kappa, counts)
    w = kappa[..., None] * _at(nu, target, kappa)[1]
    share = counts * w / (1 + w)
    pull = (
        kappa[..., None] * moved_target + (target + 1 / kappa[..., None]) * moved_kappa[..., None]
    )
    moved = moved_kappa - jnp.sum(share * pull, axis=-1)
    return nu, moved / jnp.sum(share, axis=-1)
