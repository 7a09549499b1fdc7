r"""What mixup predicts where classes overlap: the population's answer, and a sample's.

Mixing two points of one pair of classes with weights :math:`\lambda, 1 - \lambda` and cross-entropy
splits the loss over where the mixed point falls. Its minimiser there is the expected mixed label

.. math:: m(z) = E[\lambda \eta(X_1) + (1 - \lambda) \eta(X_2) \mid
                   \lambda X_1 + (1 - \lambda) X_2 = z],

with :math:`\eta` the probability of the left class. Points are measured from the pair's base:
the left class is uniform on [0, 1], the right one on :math:`[\alpha, 1 + \alpha]`. Only the pair
matters: nothing depends on the number of classes.

Source: that a closed form exists [paper] of Chidambaram, Ge, ICLR 2024 (arXiv 2306.00740); the
formulas [derived].
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float, Int

from twolayer.theory import validation
from twolayer.theory.mixup.calibration import scores
from twolayer.theory.mixup.calibration.overlapping_pairs import even_classes

# Outside the hull of its pair's points a query gets the nearest point's class and, for a little,
# its mate: a finite price where the guess is wrong.
SURE = 0.999


def mixed_posterior(
    z: Float[Array, "q"],
    alpha: float | Float[Array, ""],
    lam: Float[Array, "v"],
    weights: Float[Array, "v"],
) -> Float[Array, "q"]:
    r"""Expected mixed label m(z) for weights lambda of a discrete law.

    For each lambda the mixed point of two uniform classes has a trapezoid for a density, so that
    the sum is exact. Nodes of a quadrature stand for a continuous law.

    Args:
      z: where the mixed point falls, shape ``(q,)``, in (0, 1 + alpha).
      alpha: shift of the right class, in [0, 1].
      lam: values of lambda in (0, 1), shape ``(v,)``.
      weights: their probabilities, or any multiple, not negative, shape ``(v,)``.

    Returns:
      Probability of the left class, shape ``(q,)``; NaN where no mixed point falls, as for alpha
      and lambda that leave a gap.

    Raises:
      ValueError: for arguments outside their ranges.

    Source: [derived] Theorem C4.
    """
    z = validation.vector("z", z)
    alpha = validation.scalar("alpha", alpha, low=0.0, high=1.0)
    lam = validation.vector("lam", lam)
    validation.number("lam", lam, low=0.0, high=1.0, open_low=True, open_high=True)
    weights = validation.vector("weights", weights, length=lam.shape[0])
    validation.number("weights", weights, low=0.0)
    z, lam, weights = z[:, None], lam[None, :], weights[None, :]

    def density(first: Any, second: Any) -> Array:
        """Density at z of the mix of uniform points that begin at ``first`` and ``second``."""
        start, other = lam * first, (1 - lam) * second
        high = jnp.minimum(start + lam, z - other)
        low = jnp.maximum(start, z - other - (1 - lam))
        return weights * jnp.maximum(high - low, 0) / (lam * (1 - lam))

    pure, apart = density(0.0, 0.0), density(alpha, alpha)
    left_first, left_second = density(0.0, alpha), density(alpha, 0.0)
    left = jnp.sum(pure + lam * left_first + (1 - lam) * left_second, axis=1)
    return left / jnp.sum(pure + left_first + left_second + apart, axis=1)


def mixup_posterior_pair(
    z: Float[Array, "q"], alpha: float | Float[Array, ""]
) -> Float[Array, "q"]:
    r"""Expected mixed label m(z) for :math:`\lambda \sim U(0, 1)`, in closed form.

    The mixed point of a < z < b has density 1/(b - a) there and the label weighs a with
    (b - z)/(b - a). With s = z - a and t = b - z, integrals of :math:`t / (s + t)^2` and
    :math:`s / (s + t)^2` over rectangles are sums of :math:`s \log(s + t)` and
    :math:`t \log(s + t)` at the corners.

    Args:
      z: where the mixed point falls, shape ``(q,)``, in (0, 1 + alpha).
      alpha: shift of the right class, in [0, 1].

    Returns:
      Probability of the left class, shape ``(q,)``; NaN at 0, 1 + alpha and outside, where no
      mixed point falls.

    Raises:
      ValueError: for alpha outside [0, 1].

    Source: [derived] Theorem C4 for uniform weights.
    """
    z = validation.vector("z", z)
    alpha = validation.scalar("alpha", alpha, low=0.0, high=1.0)
    begins = (0.0, alpha)  # of the left and the right class

    left, total = jnp.zeros_like(z), jnp.zeros_like(z)
    for below, start in enumerate(begins):
        # Points a < z of this class have s = z - a in an interval; so have t = b - z.
        s = jnp.maximum(z - start, 0), jnp.maximum(z - start - 1, 0)
        for above, other in enumerate(begins):
            t = jnp.maximum(other + 1 - z, 0), jnp.maximum(other - z, 0)
            weigh_below, weigh_above = _corners(s, t)
            total += weigh_below + weigh_above
            left += float(below == 0) * weigh_below + float(above == 0) * weigh_above
    return left / total


def mixup_expected_kl(alpha: float | Float[Array, ""], *, nodes: int = 64) -> Float[Array, ""]:
    r"""Expected KL of the truth from :func:`mixup_posterior_pair` over the paired law.

    The KL is :math:`-\log m` off the overlap and :math:`-\tfrac12 \log(4 m (1 - m))` on it.

    Args:
      alpha: shift in [0, 1].
      nodes: Gauss-Legendre nodes on either smooth piece; 64 give ten digits.

    Raises:
      ValueError: for alpha outside [0, 1], or fewer than one node.

    Source: [derived] Theorem C4.
    """
    alpha = validation.scalar("alpha", alpha, low=0.0, high=1.0)
    x, weights = gauss_legendre(nodes)
    # The posterior has s log s at the ends of the pieces; this substitution smooths them.
    share, weights = x**3 * (10 - 15 * x + 6 * x**2), weights * 30 * (x * (1 - x)) ** 2
    middle = (1 + alpha) / 2
    # At alpha = 0 the first piece is a point, which weighs nothing whatever its posterior.
    shift = jnp.where(alpha > 0, alpha, 1.0)
    off = mixup_posterior_pair(shift * share, shift)
    on = mixup_posterior_pair(alpha + (middle - alpha) * share, alpha)
    # By symmetry twice the left half; the density is 1/2 off the overlap and 1 on it.
    costs_off = -alpha * jnp.log(off)
    costs_on = -(middle - alpha) * jnp.log(4 * on * (1 - on))
    return weights @ (costs_off + costs_on)


def mixup_predict_1d(
    z: Float[Array, "q"],
    x: Float[Array, "n"],
    y: Int[Array, "n"],
    k: int,
    *,
    per_pair: int | None = None,
) -> Float[Array, "q k"]:
    r"""Minimiser of a sample's mixup loss, :math:`\lambda \sim U(0, 1)`, mixing inside pairs.

    .. math:: \phi_s(z) \propto \sum_{x_a \le z < x_b}
              \frac{(x_b - z)\, 1[y_a = s] + (z - x_a)\, 1[y_b = s]}{(x_b - x_a)^2}

    over the training points of the pair in which z lies. Where one side has no points the nearest
    one's class gets 0.999 and its mate 0.001; in a pair without points both get 1/2.

    Args:
      z: queries, shape ``(q,)``, in the pairs' pieces: ``0 <= z < (k + 2) k / 2``.
      x: training points, shape ``(n,)``.
      y: their labels in 0 .. k-1.
      k: number of classes, even.
      per_pair: most training points in a pair. Counted where y is known; under ``jit`` a bound
        below n saves work, and points beyond it are left out.

    Returns:
      Probabilities, shape ``(q, k)``, at a cost of ``q * per_pair**2``.

    Raises:
      ValueError: for an odd k, labels out of range, or queries in no pair.

    Source: [derived] Lemma C3 for uniform weights in one dimension.
    """
    k = even_classes(k)
    z, x = validation.alike(validation.vector("z", z), validation.vector("x", x))
    y = scores.class_labels("y", y, number=k, length=x.shape[0])
    pair = jnp.floor(z / (k + 2)).astype(int)
    if not validation.holds(lambda pair: (pair >= 0) & (pair < k // 2), pair):
        raise ValueError(f"z must be in [0, {(k + 2) * k // 2}), where the pairs are.")
    if per_pair is None and validation.is_known(y):
        per_pair = int(np.max(np.bincount(np.asarray(y) // 2)))
    size = min(validation.integer("per_pair", x.shape[0] if per_pair is None else per_pair), len(x))

    # Each pair's points in a row of their own.
    order = jnp.argsort(y // 2)
    first = jnp.searchsorted((y // 2)[order], jnp.arange(k // 2))
    count = jnp.bincount(y // 2, length=k // 2)
    places = first[:, None] + jnp.arange(size, dtype=first.dtype)[None, :]
    members = order[jnp.minimum(places, len(x) - 1)]
    there = jnp.arange(size)[None, :] < count[:, None]

    def predict(query: Array, row: Array) -> Array:
        left = _predict_left(query, x[members[row]], y[members[row]] % 2 == 0, there[row])
        both = jnp.stack([left, 1 - left])
        return jnp.zeros(k, x.dtype).at[2 * row + jnp.arange(2)].set(both)

    return jax.lax.map(lambda one: predict(*one), (z, pair), batch_size=16)


def gauss_legendre(nodes: int) -> tuple[Array, Array]:
    """Gauss-Legendre nodes and weights on [0, 1]."""
    x, weights = np.polynomial.legendre.leggauss(validation.integer("nodes", nodes))
    return jnp.asarray((x + 1) / 2), jnp.asarray(weights / 2)


def _corners(s: tuple[Array, Array], t: tuple[Array, Array]) -> tuple[Array, Array]:
    """Integrals of t/(s+t)^2 and s/(s+t)^2 over a rectangle, given by upper and lower ends."""
    first, second = jnp.zeros_like(s[0]), jnp.zeros_like(s[0])
    for sign_s, end_s in zip((1, -1), s, strict=True):
        for sign_t, end_t in zip((1, -1), t, strict=True):
            both = end_s + end_t
            # s log(s + t) is 0 at the corner s = t = 0.
            log = jnp.log(jnp.where(both > 0, both, 1))
            first += sign_s * sign_t * end_s * log
            second += sign_s * sign_t * end_t * log
    return first, second


def _predict_left(query: Array, points: Array, is_left: Array, there: Array) -> Array:
    """Probability of a pair's left class from its points; those not ``there`` are padding."""
    below, above = there & (points <= query), there & (points > query)
    between = below[:, None] & above[None, :]
    length = jnp.where(between, points[None, :] - points[:, None], 1)
    s, t = query - points, points - query
    weigh_below = jnp.where(between, t[None, :] / length**2, 0)
    weigh_above = jnp.where(between, s[:, None] / length**2, 0)
    shares = is_left.astype(length.dtype)
    left = jnp.sum(weigh_below * shares[:, None] + weigh_above * shares[None, :])
    total = jnp.sum(weigh_below + weigh_above)
    inside = jnp.any(below) & jnp.any(above)
    far = jnp.finfo(points.dtype).max
    nearest = is_left[jnp.argmin(jnp.where(there, jnp.abs(points - query), far))]
    outside = jnp.where(jnp.any(there), jnp.where(nearest, SURE, 1 - SURE), 0.5)
    return jnp.where(inside, left / jnp.where(inside, total, 1), outside)
