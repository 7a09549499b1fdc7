r"""Learning from perturbations with nearly orthogonal data: what the second network learns.

The first network's boundary is the plane of normal :math:`w = \sum_n \lambda_n y_n x_n`
(:mod:`twolayer.theory.perturbation.orthogonal.limit`). Base points :math:`b_n`, natural samples or
noise, are moved along one direction D made from w towards target labels :math:`y^a_n`,

.. math:: x^a_n = b_n + \varepsilon\, y^a_n D,

and a second network is trained on :math:`(x^a_n, y^a_n)`
(:mod:`twolayer.theory.perturbation.orthogonal.perturbed`). Its boundary is a noise term of the base
points plus a feature term that every sample contributes alike (:func:`decompose`); where the
feature term wins, both networks agree (:func:`agreement_certificate`). Cases that can be solved
exactly are in :mod:`twolayer.theory.perturbation.orthogonal.exact`, the statements in
:mod:`twolayer.theory.perturbation.orthogonal.theorems.agreement` and, where multipliers are those
of a training, :mod:`twolayer.theory.perturbation.orthogonal.theorems.guaranteed_agreement` and
:mod:`twolayer.theory.perturbation.orthogonal.theorems.noise`.

Source: setting [code] of Kumano, Kera, Yamasaki, ICLR 2024 (arXiv 2402.10470); every formula
[derived]: the paper's own theorem texts are [not recovered].
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool, Float

from twolayer.theory import geometry, validation

Scalar = int | float | Float[Array, ""]


def decompose(
    z: Float[Array, "k d"],
    base: Float[Array, "n d"],
    targets: Float[Array, "n"],
    lam_adv: Float[Array, "n"],
    direction: Float[Array, "d"],
    eps: Scalar,
) -> tuple[Float[Array, "k"], Float[Array, "k"]]:
    r"""Noise and feature term of the second network's boundary.

    .. math:: \frac1\Lambda \sum_n \lambda^a_n y^a_n \langle x^a_n, z\rangle
              = \underbrace{\sum_n \frac{\lambda^a_n}{\Lambda} y^a_n \langle b_n, z\rangle}_{T_1}
              + \underbrace{\varepsilon \langle D, z\rangle}_{T_2},
              \qquad \Lambda = \sum_n \lambda^a_n

    for any multipliers of non-zero sum. For ``l2`` the feature term is the first network's boundary
    function times :math:`\varepsilon/|w|`: where :math:`|T_1| < |T_2|` both boundaries agree.

    Args:
      z: points, shape ``(k, d)``.
      base: b, shape ``(n, d)``.
      targets: labels :math:`y^a`, shape ``(n,)``.
      lam_adv: multipliers of the second network, shape ``(n,)``.
      direction: D, shape ``(d,)``.
      eps: size of every perturbation in the norm of D, non-negative.

    Returns:
      (T1, T2), each of shape ``(k,)``.

    Raises:
      ValueError: for shapes that differ, labels other than -1 and +1, ``eps < 0``, or (outside
        ``jit``, where it gives NaN) multipliers that sum to 0.
    """
    base, z = validation.pair(base, z, ("base", "z"))
    n, d = base.shape
    targets = validation.labels("targets", targets, length=n).astype(base.dtype)
    lam_adv = validation.vector("lam_adv", lam_adv, length=n)
    direction = validation.vector("direction", direction, length=d)
    eps = validation.scalar("eps", eps, low=0.0)
    if not validation.holds(lambda known: jnp.sum(known) != 0, lam_adv):
        raise ValueError("lam_adv must not sum to 0.")
    normal = (lam_adv * targets) @ base / jnp.sum(lam_adv)
    return z @ normal, jnp.asarray(eps, base.dtype) * (z @ direction)


def correlations(
    z: Float[Array, "k d"], base: Float[Array, "n d"], targets: Float[Array, "n"]
) -> tuple[Float[Array, "k"], Float[Array, "k"]]:
    r"""How strongly points are correlated with the base points, with labels and without.

    .. math:: S(z) = \Bigl|\sum_n y^a_n \langle b_n, z\rangle\Bigr|, \qquad
              A(z) = \sum_n |\langle b_n, z\rangle|

    Args:
      z: points, shape ``(k, d)``.
      base: b, shape ``(n, d)``.
      targets: labels :math:`y^a`, shape ``(n,)``.

    Returns:
      (S, A), each of shape ``(k,)``, :math:`S \le A`.
    """
    base, z = validation.pair(base, z, ("base", "z"))
    targets = validation.labels("targets", targets, length=base.shape[0]).astype(base.dtype)
    products = z @ base.T
    return jnp.abs(products @ targets), jnp.sum(jnp.abs(products), axis=1)


def noise_reach(
    signed: Float[Array, "k"], absolute: Float[Array, "k"], lo: Scalar, hi: Scalar
) -> Float[Array, "k"]:
    r"""Largest noise that multipliers between two bounds can make of the base points.

    .. math:: \Bigl|\sum_n \lambda_n y^a_n \langle b_n, z\rangle\Bigr|
              \le \frac{lo + hi}{2}\, S(z) + \frac{hi - lo}{2}\, A(z)
              \quad\text{for } lo \le \lambda_n \le hi

    Args:
      signed: S or an upper bound of it, shape ``(k,)``.
      absolute: A or an upper bound of it, shape ``(k,)``.
      lo: lower bound of the multipliers.
      hi: their upper bound, at least lo.
    """
    signed = validation.vector("signed", signed)
    absolute = validation.vector("absolute", absolute, length=signed.shape[0])
    lo, hi = (
        validation.shaped(name, value, ()).astype(signed.dtype)
        for name, value in (("lo", lo), ("hi", hi))
    )
    return (lo + hi) / 2 * signed + (hi - lo) / 2 * absolute


def feature_floor(
    z: Float[Array, "k d"], unit_normal: Float[Array, "d"], eps: Scalar, n_adv: int, lo: Scalar
) -> Float[Array, "k"]:
    r"""Least size of the feature that multipliers of at least ``lo`` make.

    :math:`\varepsilon N^a\, lo\, |\langle \hat w, z\rangle|`, in the units of :func:`noise_reach`.

    Args:
      z: points, shape ``(k, d)``.
      unit_normal: the first network's normal over its length, shape ``(d,)``, the ``l2`` direction.
      eps: Euclidean length of every perturbation, non-negative.
      n_adv: number of base points :math:`N^a`, at least 1.
      lo: lower bound of the multipliers.
    """
    z = validation.matrix("z", z)
    unit_normal = validation.vector("unit_normal", unit_normal, length=z.shape[1])
    eps = validation.scalar("eps", eps, low=0.0)
    n_adv = validation.integer("n_adv", n_adv)
    lo = validation.shaped("lo", lo, ()).astype(z.dtype)
    return jnp.asarray(eps, z.dtype) * n_adv * lo * jnp.abs(z @ unit_normal)


def agreement_certificate(
    z: Float[Array, "k d"],
    base: Float[Array, "n d"],
    targets: Float[Array, "n"],
    unit_normal: Float[Array, "d"],
    eps: Scalar,
    lo: Scalar,
    hi: Scalar,
) -> Bool[Array, "k"]:
    r"""Where both boundaries must agree, known without the second network's multipliers.

    .. math:: \varepsilon N^a\, lo\, |\langle \hat w, z\rangle|
              > \frac{lo + hi}{2}\, S(z) + \frac{hi - lo}{2}\, A(z)

    with the sums of :func:`correlations` and :math:`lo \le \lambda^a_n \le hi`: z is neither
    strongly correlated with a few base points nor weakly with many.

    Args:
      z: points, shape ``(k, d)``.
      base: b, shape ``(n, d)``.
      targets: labels :math:`y^a`, shape ``(n,)``; any.
      unit_normal: the first network's normal over its length, shape ``(d,)``, the ``l2`` direction.
      eps: Euclidean length of every perturbation, non-negative.
      lo: lower bound of the multipliers; ``-inf`` where none is known.
      hi: their upper bound; ``inf`` where none is known.

    Returns:
      Shape ``(k,)``; strict, so False at ``eps = 0``; False everywhere for an infinite lo or hi.

    Raises:
      ValueError: for shapes that differ, labels other than -1 and +1, or ``eps < 0``.

    Source: [derived] A1.
    """
    base, z = validation.pair(base, z, ("base", "z"))
    noise = noise_reach(*correlations(z, base, targets), lo, hi)
    # Infinite bounds make a side infinite or NaN, which no comparison counts as smaller.
    return noise < feature_floor(z, unit_normal, eps, base.shape[0], lo)


def noise_bounds(
    z: Float[Array, "k d"], n_adv: int, scale: Scalar, delta: Scalar
) -> tuple[Float[Array, "k"], Float[Array, "k"]]:
    r"""Bounds of S and A for noise that knows neither the point nor the labels.

    .. math:: S(z) \le B |z| \sqrt{2 N^a \ln(4/\delta)}, \qquad
              A(z) \le N^a B |z| \sqrt{2 \ln(4 N^a/\delta)}

    Both hold at one point with probability at least :math:`1 - \delta` over base points with
    independent entries of mean zero in [-B, B], independent of z and of the labels (Hoeffding and
    a union bound); for k points at once put ``delta / k``.

    Args:
      z: points, shape ``(k, d)``.
      n_adv: number of base points :math:`N^a`, at least 1.
      scale: B, the largest size of an entry, positive; 1 for uniform noise in [-1, 1].
      delta: probability of failure at one point, in (0, 1).

    Returns:
      (bound of S, bound of A), each of shape ``(k,)``.

    Raises:
      ValueError: for numbers outside their ranges.

    Source: [derived] A2.
    """
    z = validation.matrix("z", z)
    n_adv = validation.integer("n_adv", n_adv)
    scale = validation.scalar("scale", scale, low=0.0, open_low=True)
    delta = validation.scalar("delta", delta, low=0.0, high=1.0, open_low=True, open_high=True)
    reach = jnp.asarray(scale, z.dtype) * geometry.norms(z)
    delta = jnp.asarray(delta, z.dtype)
    signed = reach * jnp.sqrt(2 * n_adv * jnp.log(4 / delta))
    return signed, n_adv * reach * jnp.sqrt(2 * jnp.log(4 * n_adv / delta))


def isotropic_agreement(w1: Float[Array, "d"], w2: Float[Array, "d"]) -> Float[Array, ""]:
    r"""Probability that two planes through 0 classify an isotropic point alike.

    :math:`1 - \angle(w_1, w_2)/\pi`, for any law of z that no rotation changes.

    Args:
      w1: normal of one plane, shape ``(d,)``, not zero.
      w2: normal of the other.

    Raises:
      ValueError: for shapes that differ, or a zero normal (outside ``jit``, where it gives NaN).
    """
    first = validation.vector("w1", w1)
    second = validation.vector("w2", w2, length=first.shape[0])
    for name, value in (("w1", first), ("w2", second)):
        if not validation.holds(lambda known: jnp.any(known != 0), value):
            raise ValueError(f"{name} must not be zero, which has no direction.")
    return 1 - geometry.row_angles(first[None], second[None])[0] / jnp.pi


def predicted_accuracy(
    d: Scalar, n: Scalar, n_adv: Scalar, eps: Scalar, var: Scalar
) -> Float[Array, ""]:
    r"""Accuracy of the second network on the clean training set, were all multipliers equal.

    .. math:: \Phi_N\left(\sqrt{d/N} \Big/ \sqrt{1 + \sigma^2 d / (N^a \varepsilon^2)}\right)

    for independent coordinates of variance :math:`\sigma^2` in samples and base noise alike and
    random labels; :math:`\Phi_N` is the normal distribution function. An average over data with
    the leading order of each term kept, not a bound.

    Args:
      d: dimension, positive.
      n: number of clean samples N, positive.
      n_adv: number of perturbed samples :math:`N^a`, positive.
      eps: Euclidean length of every perturbation, non-negative; at 0 the value is 1/2.
      var: variance of a coordinate, positive: 1/3 for uniform in [-1, 1], 1 for standard normal.

    Raises:
      ValueError: for numbers outside their ranges.

    Source: [derived] heuristic; within 0.06 of the published curves [measured].
    """
    for name, value in (("d", d), ("n", n), ("n_adv", n_adv), ("var", var)):
        validation.scalar(name, value, low=0.0, open_low=True)
    eps = validation.scalar("eps", eps, low=0.0)
    d, n, n_adv, eps, var = (jnp.asarray(value, float) for value in (d, n, n_adv, eps, var))
    # Multiplied by eps, so that eps = 0 needs no limit.
    share = eps / jnp.sqrt(eps**2 + var * d / n_adv)
    return jax.scipy.stats.norm.cdf(jnp.sqrt(d / n) * share)
