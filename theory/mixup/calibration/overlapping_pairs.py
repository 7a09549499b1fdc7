r"""Classes that overlap in pairs: the law, its posterior, and what a temperature can do about it.

The k classes (k even) come in pairs on disjoint pieces of the line. Y is uniform, the pair is
:math:`r = \lfloor Y/2 \rfloor` with base :math:`r (k + 2)`, and

.. math:: X = r (k + 2) + \alpha\, (Y \bmod 2) + U, \qquad U \sim U[0, 1],

so that two classes of a pair are shifted by :math:`\alpha \in [0, 1]` and overlap with mass
:math:`o = 1 - \alpha`. An interpolating classifier is sure of one class in the overlap; temperature
scaling spreads its doubt over all k classes, at a cost of order :math:`\log k`.

Source: the law [paper] of Chidambaram, Ge, ICLR 2024 (arXiv 2306.00740); the statements are finite
versions [derived], as the paper's constants are [not recovered].
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float, Int, Key

from twolayer.theory import precision, validation
from twolayer.theory.mixup.calibration import scores


def sample_paired(
    key: Key[Array, ""], number: int, k: int, alpha: float | Float[Array, ""]
) -> tuple[Float[Array, "n"], Int[Array, "n"]]:
    """Independent points and labels of the paired law.

    Args:
      key: random key.
      number: n >= 1.
      k: number of classes, even.
      alpha: shift inside a pair, in [0, 1].

    Returns:
      x and y, each of shape ``(n,)``.

    Raises:
      ValueError: for an odd k, or alpha outside [0, 1].
    """
    k = even_classes(k)
    alpha = validation.scalar("alpha", alpha, low=0.0, high=1.0)
    key_y, key_u = jax.random.split(validation.key("key", key))
    y = jax.random.randint(key_y, (validation.integer("number", number),), 0, k)
    u = jax.random.uniform(key_u, y.shape)
    pair, right = (y // 2).astype(u.dtype), (y % 2).astype(u.dtype)
    return pair * (k + 2) + jnp.asarray(alpha, u.dtype) * right + u, y


def paired_posterior(
    x: Float[Array, "n"], k: int, alpha: float | Float[Array, ""]
) -> Float[Array, "n k"]:
    """Class probabilities given X = x under the paired law.

    With u = x - base: (1, 0) for the two classes of the pair on [0, alpha), (1/2, 1/2) on
    [alpha, 1], (0, 1) on (1, 1 + alpha], and 0 for all others.

    Args:
      x: points that the law can give, shape ``(n,)``.
      k: number of classes, even.
      alpha: shift in [0, 1].

    Returns:
      Shape ``(n, k)``.

    Raises:
      ValueError: as for :func:`sample_paired`, or for a point where the law has no mass.
    """
    k = even_classes(k)
    alpha = validation.scalar("alpha", alpha, low=0.0, high=1.0)
    given, x = x, validation.vector("x", x)
    pair = jnp.floor(x / (k + 2)).astype(int)
    u = x - pair.astype(x.dtype) * (k + 2)
    rounding = 4 * precision.rounding(given, x) * jnp.abs(x)
    if not validation.holds(
        lambda pair, u, last: (pair >= 0) & (pair < k // 2) & (u <= last),
        pair,
        u,
        1 + alpha + rounding,
    ):
        raise ValueError("x must be where the law has mass: in [0, 1 + alpha] from a pair's base.")
    left = jnp.where(u < alpha, 1.0, jnp.where(u <= 1, 0.5, 0.0)).astype(x.dtype)
    first = jax.nn.one_hot(2 * pair, k, dtype=x.dtype)
    second = jax.nn.one_hot(2 * pair + 1, k, dtype=x.dtype)
    return left[:, None] * first + (1 - left)[:, None] * second


def nn_logits(
    z: Float[Array, "q"],
    x: Float[Array, "n"],
    y: Int[Array, "n"],
    k: int,
    gap: float | Float[Array, ""],
) -> Float[Array, "q k"]:
    """Logits of the nearest neighbour: ``gap`` on the label of the nearest point, else 0.

    Args:
      z: queries, shape ``(q,)``.
      x: training points, shape ``(n,)``; of several nearest the first counts.
      y: their labels in 0 .. k-1.
      k: number of classes.
      gap: Z > 0.

    Raises:
      ValueError: for shapes that do not fit, labels or a gap out of range.
    """
    z, x = validation.alike(validation.vector("z", z), validation.vector("x", x))
    k = validation.integer("k", k, low=2)
    y = scores.class_labels("y", y, number=k, length=x.shape[0])
    gap = validation.scalar("gap", gap, low=0.0, open_low=True)
    nearest = jnp.argmin(jnp.abs(z[:, None] - x[None, :]), axis=1)
    return gap * jax.nn.one_hot(y[nearest], k, dtype=x.dtype)


def oracle_ts_optimum(overlap: ArrayLike, k: ArrayLike) -> tuple[Array, Array]:
    r"""Least expected KL of temperature scaling that knows the truth, for one logit above all.

    For logits :math:`g = Z e_{winner}`, Z > log k, whose winner has positive probability everywhere
    (either class in the overlap, the true class off it), the temperature tunes the winner's
    probability p in (1/k, 1), and :math:`E\,\mathrm{KL}` is least at :math:`p = 1 - o/2`:

    .. math:: F^*(o, k) = h(o/2) - o \log 2 + \tfrac{o}{2} \log(k - 1),
              \qquad h(q) = -q \log q - (1 - q) \log(1 - q).

    The uniform prediction costs :math:`\log k - o \log 2`.

    Args:
      overlap: o in [0, 1], mass of the overlap; a number or an array.
      k: number of classes, at least 2; a number or an array that broadcasts.

    Returns:
      F* and p. An infimum at o = 0 (T to 0), and at k = 2, o = 1 (T to infinity): 0 in both.

    Raises:
      ValueError: for arguments outside their ranges.

    Source: [derived] Theorem C2.
    """
    overlap = validation.number("overlap", overlap, low=0.0, high=1.0)
    k = validation.number("k", k, low=2.0)
    overlap, k = validation.array("overlap", overlap), jnp.asarray(k)
    half = overlap / 2
    entropy = _surprise(half) + _surprise(1 - half)
    return entropy - overlap * jnp.log(2.0) + half * jnp.log(k - 1.0), 1 - half


def _surprise(share: Array) -> Array:
    """``-q log q``, 0 at 0 without an infinity on the way there."""
    return -(share * jnp.log(jnp.where(share > 0, share, 1)))


def ts_lower_bound(
    k: ArrayLike, spread: ArrayLike, overlap: ArrayLike, fraction: ArrayLike
) -> Array:
    r"""Least expected KL of any temperature, for interpolators that are sure in the overlap.

    .. math:: f\, o\, \big[\tfrac12 (\log k - c) - \log 2\big]_+

    where on a fraction f of the overlap the winner is a class of the pair, exceeds every other
    logit by at least log k, and the other logits are within c of each other.

    Args:
      k: number of classes, at least 2.
      spread: c >= 0.
      overlap: o in [0, 1].
      fraction: f in [0, 1].

    Returns:
      The bound, of the arguments' common shape.

    Raises:
      ValueError: for arguments outside their ranges.

    Source: [derived] Theorem C1. The condition on c is needed: without it a second logit between
    the winner and the rest lets a large T calibrate perfectly.
    """
    k = validation.number("k", k, low=2.0)
    spread = validation.number("spread", spread, low=0.0)
    overlap = validation.number("overlap", overlap, low=0.0, high=1.0)
    fraction = validation.number("fraction", fraction, low=0.0, high=1.0)
    cost = (jnp.log(validation.array("k", k)) - spread) / 2 - jnp.log(2.0)
    return jnp.asarray(fraction) * jnp.asarray(overlap) * jnp.maximum(cost, 0)


def gaussian_posterior(x: Float[Array, "n d"], mu: float | Float[Array, ""]) -> Float[Array, "n"]:
    r"""P(Y = 1 | x) of two balanced Gaussians of unit variance with means 0 and :math:`\mu 1`.

    .. math:: \mathrm{sigmoid}\big(\mu \textstyle\sum_i x_i - d \mu^2 / 2\big)

    Args:
      x: points, shape ``(n, d)``.
      mu: :math:`\mu > 0`.

    Raises:
      ValueError: for mu not positive.
    """
    x = validation.matrix("x", x)
    mu = validation.scalar("mu", mu, low=0.0, high=1e150, open_low=True)  # its square is a number
    return jax.nn.sigmoid(mu * jnp.sum(x, axis=1) - x.shape[1] * mu**2 / 2)


def even_classes(value: int) -> int:
    """A number of classes of at least 2 that is even: they come in pairs."""
    k = validation.integer("k", value, low=2)
    if k % 2:
        raise ValueError(f"k must be even, for classes in pairs; got {k}.")
    return k
