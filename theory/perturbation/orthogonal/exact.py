r"""Learning from perturbations with orthogonal data: the cases that can be solved exactly.

Samples are orthogonal and of one norm R, or base points are noise orthogonal to them; perturbations
are ``l2`` steps of length :math:`\varepsilon`. Then the second network's Gram matrix is a multiple
of the identity plus a matrix of rank one, all its multipliers are equal, and everything is a
formula: whether its boundary is that of the first network, the exact opposite, or at which angle.

Source: [derived] for the setting of :mod:`twolayer.theory.perturbation.orthogonal.agreement`.
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from flax import struct
from jax import Array
from jaxtyping import Float

from twolayer.theory import validation

Scalar = int | float | Float[Array, ""]


@struct.dataclass
class FlippedOrthogonal:
    """What is learned from orthogonal samples perturbed towards the opposite labels, scalars.

    Attributes:
      lam_adv: the multiplier of every perturbed sample.
      sign: 1 where the second boundary is the first, -1 where it is its negative, 0 where the
        perturbed samples leave no boundary.
      certificate: whether the closed form is a KKT point on the perturbed samples.
      paper: whether the paper's hypothesis holds on them.
    """

    lam_adv: Array
    sign: Array
    certificate: Array
    paper: Array


@struct.dataclass
class OrthogonalNoise:
    """What is learned from perturbed noise that is orthogonal to the samples, scalars.

    Attributes:
      lam_adv: the multiplier of every perturbed point.
      angle: angle between both boundaries' normals, in (0, pi/2].
      agreement: probability that both classify an isotropic point alike.
      paper: whether the paper's hypothesis holds on the perturbed points.
    """

    lam_adv: Array
    angle: Array
    agreement: Array
    paper: Array


def flipped_orthogonal(tau: Scalar, n: int, r: Scalar, gamma: Scalar) -> FlippedOrthogonal:
    r"""Orthogonal samples of norm R, balanced, perturbed towards the opposite of their labels.

    For :math:`y^a = -y` and :math:`\varepsilon = \tau R/\sqrt N`,

    .. math:: G^a = R^2 I + \frac{R^2 q}{N}\, y y^T, \qquad q = \tau^2 - 2\tau, \qquad
              \lambda^a = \frac{2}{R^2\,[(1+\gamma^2) + (1+\gamma)^2 q/2]}, \qquad
              w^a = \lambda^a (\tau - 1) \sum_n y_n x_n

    The second boundary is the first one for every point if :math:`\tau > 1`, which is when every
    perturbed sample is classified as its target, and its negative if :math:`\tau < 1`. The
    certificate holds if and only if :math:`|\tau - 1| > \sqrt{(1-\gamma)/(1+\gamma)}`; the paper's
    hypothesis if and only if :math:`|q| \le (\gamma^3/3)(1 + q/N)`. At :math:`\tau = 2` the
    perturbed samples are the reflections at the boundary, and :math:`G^a = G`.

    Args:
      tau: scaled length of the perturbations, non-negative.
      n: number of samples N, even.
      r: norm R of every sample, positive.
      gamma: slope in (0, 1).

    Returns:
      The record; ``lam_adv`` is positive for every tau.

    Raises:
      ValueError: for numbers outside their ranges or odd n.

    Source: [derived] A3.
    """
    tau = validation.scalar("tau", tau, low=0.0)
    n = _even("n", n)
    r = validation.scalar("r", r, low=0.0, open_low=True)
    tau, r, gamma = jnp.asarray(tau, float), jnp.asarray(r, float), _slope(gamma)
    rank_one = tau * (tau - 2)
    return FlippedOrthogonal(
        lam_adv=2 / (r**2 * (1 + gamma**2 + (1 + gamma) ** 2 * rank_one / 2)),
        sign=jnp.sign(tau - 1),
        certificate=(1 + gamma) * (tau - 1) ** 2 > 1 - gamma,
        paper=jnp.abs(rank_one) <= gamma**3 / 3 * (1 + rank_one / n),
    )


def orthogonal_noise_limit(
    eps: Scalar, n_adv: int, r_base: Scalar, gamma: Scalar
) -> OrthogonalNoise:
    r"""Noise of norm :math:`R_b`, orthogonal to itself and to the samples, balanced targets.

    .. math:: \lambda^a = \frac{2}{(1+\gamma^2) R_b^2 + (1+\gamma)^2 \varepsilon^2 N^a/2}, \qquad
              \tan\angle(w, w^a) = \frac{R_b}{\varepsilon \sqrt{N^a}}

    In the span of the samples the noise term vanishes: there both boundaries agree for every
    :math:`\varepsilon > 0`. The certificate always holds; the paper's hypothesis if and only if
    :math:`\varepsilon \le R_b \sqrt{\gamma^3/(3 N^a - \gamma^3)}`.

    Args:
      eps: Euclidean length of the perturbations, non-negative; at 0 the angle is pi/2.
      n_adv: number of base points :math:`N^a`, even.
      r_base: norm :math:`R_b` of every base point, positive.
      gamma: slope in (0, 1).

    Raises:
      ValueError: for numbers outside their ranges or odd n_adv.

    Source: [derived] A4.
    """
    eps = validation.scalar("eps", eps, low=0.0)
    n_adv = _even("n_adv", n_adv)
    r_base = validation.scalar("r_base", r_base, low=0.0, open_low=True)
    eps, r_base, gamma = jnp.asarray(eps, float), jnp.asarray(r_base, float), _slope(gamma)
    angle = jnp.arctan2(r_base, eps * jnp.sqrt(float(n_adv)))
    return OrthogonalNoise(
        lam_adv=2 / ((1 + gamma**2) * r_base**2 + (1 + gamma) ** 2 * eps**2 * n_adv / 2),
        angle=angle,
        agreement=1 - angle / jnp.pi,
        paper=eps <= r_base * jnp.sqrt(gamma**3 / (3 * n_adv - gamma**3)),
    )


def targeted_gram(
    y: Float[Array, "n"], targets: Float[Array, "n"], tau: Scalar, r: Scalar
) -> Float[Array, "n n"]:
    r"""Gram matrix of orthogonal samples of norm R perturbed towards any targets.

    .. math:: G^a_{nk} = R^2 \delta_{nk}
              + \frac{R^2}{N}\, y_n y_k\, [\tau (s_n + s_k) + \tau^2 s_n s_k],
              \qquad s_n = y_n y^a_n, \quad \varepsilon = \tau R / \sqrt N

    Args:
      y: labels of the samples, shape ``(n,)``; the classes need not be balanced.
      targets: labels :math:`y^a`, shape ``(n,)``.
      tau: scaled length of the perturbations, non-negative.
      r: norm R of every sample, positive.

    Raises:
      ValueError: for shapes that differ, labels other than -1 and +1, or numbers outside their
        ranges.

    Source: [derived] A5.
    """
    y = validation.labels("y", y)
    n = y.shape[0]
    targets = validation.labels("targets", targets, length=n).astype(y.dtype)
    tau = validation.scalar("tau", tau, low=0.0)
    r = validation.scalar("r", r, low=0.0, open_low=True)
    tau = jnp.asarray(tau, y.dtype)
    # (1 + tau s_n)(1 + tau s_k) - 1 is the bracket.
    scaled = y + tau * targets
    cross = scaled[:, None] * scaled[None, :] - y[:, None] * y[None, :]
    return jnp.asarray(r, y.dtype) ** 2 * (jnp.eye(n, dtype=y.dtype) + cross / n)


def largest_random_tau(n: int, gamma: Scalar) -> Float[Array, ""]:
    r"""Largest tau at which the paper's hypothesis can hold for random targets.

    Where two targets equal their labels, it forces
    :math:`q = \tau^2 + 2\tau \le (\gamma^3/3)(1 + q/N)`, so at most

    .. math:: \tau = \sqrt{1 + \gamma^3 / (3 - \gamma^3/N)} - 1 \approx \gamma^3/6,

    far from :math:`\tau > 1`, where perturbed samples look like their targets.

    Args:
      n: number of samples N, at least 2.
      gamma: slope in (0, 1).

    Source: [derived] A5, with the growth of the perturbed norms.
    """
    n = validation.integer("n", n, low=2)
    gamma = _slope(gamma)
    square = gamma**3 / (3 - gamma**3 / n)
    # As sqrt(1 + s) - 1, without what cancels there.
    return square / (jnp.sqrt(1 + square) + 1)


def gradient_cosine(gamma: Scalar) -> Float[Array, ""]:
    r"""Cosine between the boundary's normal and the network's gradient between two regions.

    Where exactly one of :math:`\langle v, z\rangle, \langle u, z\rangle` is positive, the gradient
    is parallel to :math:`v - \gamma u` or :math:`\gamma v - u` instead of :math:`v - u`; for
    balanced orthogonal samples of one norm the cosine of either with it is

    .. math:: \frac{(1+\gamma)^2}{\sqrt{2\,[(1+\gamma^2)^2 + 4\gamma^2]}},
              \qquad 1/\sqrt2 \text{ to } 1 \text{ for } \gamma \text{ from 0 to 1.}

    Elsewhere the gradient is parallel to the normal.

    Args:
      gamma: slope in (0, 1).

    Source: [derived].
    """
    gamma = _slope(gamma)
    return (1 + gamma) ** 2 / jnp.sqrt(2 * ((1 + gamma**2) ** 2 + 4 * gamma**2))


def _even(name: str, value: Any) -> int:
    value = validation.integer(name, value, low=2)
    if value % 2:
        raise ValueError(f"{name} must be even, for balanced labels; got {value}.")
    return value


def _slope(gamma: Any) -> Array:
    gamma = validation.scalar("gamma", gamma, low=0.0, high=1.0, open_low=True, open_high=True)
    return jnp.asarray(gamma, float)
