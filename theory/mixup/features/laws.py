r"""What can be said about the rare features without training: rates, conservation, test errors.

Of the dynamics in :mod:`twolayer.theory.mixup.features.dynamics`: how fast each direction grows at
initialisation, what standard training conserves while it trades memorisation against features, and
the error on fresh samples from the four numbers :math:`D_f` of
:func:`twolayer.theory.mixup.features.dynamics.signal_gap`.

Source: [derived], except where a function says otherwise.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from twolayer.theory import validation
from twolayer.theory.mixup.features import data as features_data
from twolayer.theory.mixup.features import filters
from twolayer.theory.mixup.features.data import PatchData, Scalar
from twolayer.theory.mixup.features.filters import State


class NoiseRates(NamedTuple):
    """Growth rates of noise at initialisation, in units of 1 / time."""

    within: Array  # on the n - 2 directions that sum to zero over each class
    mean: Array  # on both class means


def feature_rate(
    count: Scalar, n: Scalar, lam_x: Scalar = 1.0, lam_y: Scalar = 1.0
) -> Float[Array, ""]:
    r"""Rate at which filters of zero size learn a feature that some samples of one class carry.

    With :math:`g = \lambda_x^2 \lambda_y + (1-\lambda_x)^2 (1-\lambda_y)`,

    .. math:: \frac{g\, n_f}{n} + 2 \lambda_x (1-\lambda_x) \frac{n_f^2}{n^2}

    for filters of the carriers' class, and the negative for the other class. At weights 1, which
    is standard training, :math:`n_f / n`.

    Args:
      count: n_f, number of samples that carry it with coefficient 1, all in one patch.
      n: number of samples, half of them in each class.
      lam_x: weight of inputs, in [0, 1].
      lam_y: weight of labels, in [0, 1].

    Raises:
      ValueError: for numbers outside their ranges.

    Source: [derived] A1.
    """
    lam_x, growth = _growth(lam_x, lam_y)
    share = validation.number("count", count, low=0.0, high=1e150) / validation.number(
        "n", n, low=2.0
    )
    return growth * share + 2 * lam_x * (1 - lam_x) * share**2


def noise_rates(
    n: Scalar, noise_energy: Scalar, lam_x: Scalar = 1.0, lam_y: Scalar = 1.0
) -> NoiseRates:
    r"""Rates at which filters of zero size learn ideal noise of their class in one patch.

    :math:`s^2 g/n` on directions that sum to zero over each class, and
    :math:`s^2 (g + \lambda_x (1-\lambda_x))/n` on the class means: coherent directions gain, as
    features do.

    Args:
      n: number of samples, half of them in each class; each has noise in the patch.
      noise_energy: s^2, positive.
      lam_x: weight of inputs, in [0, 1].
      lam_y: weight of labels, in [0, 1].

    Raises:
      ValueError: for numbers outside their ranges.

    Source: [derived] A1.
    """
    lam_x, growth = _growth(lam_x, lam_y)
    noise_energy = validation.number("noise_energy", noise_energy, low=0.0, open_low=True)
    unit = noise_energy / validation.number("n", n, low=2.0)
    return NoiseRates(within=unit * growth, mean=unit * (growth + lam_x * (1 - lam_x)))


def initial_weights(target: Float[Array, "n"], lam_x: Scalar, lam_y: Scalar) -> Float[Array, "n n"]:
    r"""Weights S of :func:`~.dynamics.mixup_weights` for filters of zero size.

    .. math:: S = n g\, \mathrm{diag}(t - \tfrac12)
                  + \lambda_x (1-\lambda_x)\,[(t - \tfrac12) 1^T + 1 (t - \tfrac12)^T]

    Args:
      target: t, 1 for class 0 and 0 for class 1, balanced, shape ``(n,)``.
      lam_x: weight of inputs, in [0, 1].
      lam_y: weight of labels, in [0, 1].

    Source: [derived] A1.
    """
    target = validation.vector("target", target)
    lam_x, growth = (value.astype(target.dtype) for value in _growth(lam_x, lam_y))
    half = target - 0.5
    cross = lam_x * (1 - lam_x) * (half[:, None] + half[None, :])
    return target.shape[0] * growth * jnp.diag(half) + cross


def signal_matrix(data: PatchData, weights: Float[Array, "n n"]) -> Float[Array, "4 4"]:
    r"""Matrix of the features' own dynamics, :math:`M = (2/n^2) \sum_p C_p^T S C_p`, symmetric.

    In the fixed layout gradient flow is :math:`\dot a_k = \pm M a_k`, plus for class 0: noise
    enters through S alone. Off the diagonal,
    :math:`M_{v_0 u_0} = (2 \lambda_x (1-\lambda_x)/n^2) \sum_{i \in R_0, j \in C_0}
    (L_{ij} + L_{ji}) \ge 0`: under Mixup the common feature drives the rare one. Standard training
    has a diagonal S, hence a diagonal M.

    Args:
      data: the training set.
      weights: S of :func:`twolayer.theory.mixup.features.dynamics.mixup_weights`, shape ``(n, n)``.

    Source: [derived] A0.
    """
    data = features_data.checked("data", data)
    n = data.y.shape[0]
    weights = validation.matrix("weights", weights, rows=n, columns=n)
    return 2 / n**2 * jnp.einsum("ipf,ij,jpg->fg", data.coef, weights, data.coef)


def noise_growth(start: State, end: State, data: PatchData) -> Float[Array, "2 n"]:
    r"""Log growth of noise, :math:`G_{k,i}`: mean over filters and noise patches of a sample.

    Of :math:`\log|q(T)/q(0)|`, shape ``(2, n)``. Under standard training with ideal noise all of
    them are equal. A zero entry at a noise patch gives inf or NaN.
    """
    start, data = filters.checked("start", start, data)
    end, _ = filters.checked("end", end, data)
    mask = jnp.broadcast_to(data.noise_mask > 0, start.q.shape)
    first, last = (jnp.where(mask, jnp.abs(state.q), 1.0) for state in (start, end))
    total = jnp.sum(jnp.log(last) - jnp.log(first), axis=(1, 3))
    return total / (start.q.shape[1] * jnp.sum(data.noise_mask, axis=1)[None, :])


def conservation_residual(
    start: State, end: State, data: PatchData, noise_energy: Scalar
) -> Float[Array, "2 m 4"]:
    r"""How far training is from the conservation law of memorisation and features.

    .. math:: \log\frac{|a_{k,r,f}(T)|}{|a_{k,r,f}(0)|}
              - \frac{1}{s^2} \sum_i \nu_{i,f}\, G_{k,i}(T)

    is 0 for standard gradient flow with ideal noise, whatever the layout: noise and features
    integrate the same residuals. Finite steps leave a gap of first order in the rate, Mixup breaks
    the law.

    Args:
      start: state before, no entry zero (but q outside the noise).
      end: state after.
      data: the training set.
      noise_energy: s^2, positive.

    Returns:
      Shape ``(2, m, 4)``, in natural logarithms; a zero entry gives inf or NaN.

    Source: [derived] A2.
    """
    noise_energy = validation.scalar("noise_energy", noise_energy, low=0.0, open_low=True)
    start, data = filters.checked("start", start, data)
    end, _ = filters.checked("end", end, data)
    growth = jnp.log(jnp.abs(end.a)) - jnp.log(jnp.abs(start.a))
    memorised = noise_growth(start, end, data) @ data.power / noise_energy
    return growth - memorised[:, None, :]


def memorization_factor(lr: Scalar, noise_energy: Scalar, n: Scalar) -> Float[Array, ""]:
    r"""Slack of the conservation law for steps, :math:`\kappa = x/\log(1+x)`, x = 2 lr s^2 / n.

    Under standard descent the log growth of a rare feature is at most
    :math:`(\kappa/s^2) \sum_{i \in R_y} G_{y,i}`. At least 1, which it tends to for small steps.

    Source: [derived] A2.
    """
    lr = validation.scalar("lr", lr, low=0.0)
    noise_energy = validation.scalar("noise_energy", noise_energy, low=0.0, open_low=True)
    n = validation.scalar("n", n, low=0.0, open_low=True)
    x = jnp.asarray(2 * lr * noise_energy / n, float)
    safe = jnp.where(x > 0, x, 1)
    return jnp.where(x > 0, safe / jnp.log1p(safe), 1.0)


def rare_error(gap: Float[Array, "4"], alpha: Scalar, num_feature_noise: int) -> Float[Array, ""]:
    r"""Error on a fresh rare sample, the contribution of its fresh noise neglected.

    .. math:: \tfrac12 \sum_y 2^{-b} \sum_{j=0}^{b} \binom bj\, 1\big[\mathrm{sgn}_y\,
              (D_{u_y} + \alpha^2 (j D_{v_0} + (b-j) D_{v_1})) < 0\big]

    with the signs +1 and -1 of class 0 and 1; a tie counts as correct.

    Args:
      gap: D of :func:`twolayer.theory.mixup.features.dynamics.signal_gap`, order v0, v1, u0, u1,
        shape ``(4,)``.
      alpha: strength of feature noise, non-negative.
      num_feature_noise: b, static.

    Returns:
      A probability, shape ``()``; NaN gaps count as correct, as no comparison holds for them.

    Raises:
      ValueError: for numbers outside their ranges or another number of features.

    Source: [derived] A4.
    """
    gap = validation.vector("gap", gap, length=4)
    return _error(gap[2:], gap, alpha, num_feature_noise)


def common_error(gap: Float[Array, "4"], alpha: Scalar, num_feature_noise: int) -> Float[Array, ""]:
    """Error on a fresh common sample: :func:`rare_error` with the common features for the rare."""
    gap = validation.vector("gap", gap, length=4)
    return _error(gap[:2], gap, alpha, num_feature_noise)


def rare_ratio(gap: Float[Array, "4"], alpha: Scalar) -> Float[Array, ""]:
    r"""Margin of the rare features over feature noise, per patch of it.

    .. math:: \min\Big(\frac{D_{u_0}}{\alpha^2 |D_{v_1}|},
              \frac{-D_{u_1}}{\alpha^2 D_{v_0}}\Big), \qquad D_{v_0} > 0 > D_{v_1}

    The rare error is 0 if and only if the ratio is at least b.

    Args:
      gap: D, order v0, v1, u0, u1, shape ``(4,)``.
      alpha: strength of feature noise.

    Returns:
      Shape ``()``; NaN at alpha = 0 and where the common features do not have their signs.

    Raises:
      ValueError: for a negative alpha or another number of features.

    Source: [derived] A4.
    """
    gap = validation.vector("gap", gap, length=4)
    alpha = validation.scalar("alpha", alpha, low=0.0)
    strength = jnp.asarray(alpha, gap.dtype) ** 2
    defined = (gap[0] > 0) & (gap[1] < 0) & (strength > 0)
    common = jnp.where(defined, strength * jnp.stack([-gap[1], gap[0]]), 1.0)
    return jnp.where(defined, jnp.min(jnp.stack([gap[2], -gap[3]]) / common), jnp.nan)


def _error(own: Array, gap: Array, alpha: Scalar, num_feature_noise: int) -> Array:
    alpha = validation.scalar("alpha", alpha, low=0.0)
    b = validation.integer("num_feature_noise", num_feature_noise, low=0)
    j = jnp.arange(b + 1, dtype=gap.dtype)
    chance = jnp.asarray([math.comb(b, k) / 2**b for k in range(b + 1)], gap.dtype)
    disturbance = jnp.asarray(alpha, gap.dtype) ** 2 * (j * gap[0] + (b - j) * gap[1])
    wrong = jnp.stack([own[0] + disturbance < 0, own[1] + disturbance > 0])
    return jnp.sum(jnp.where(wrong, chance[None, :], 0)) / 2


def _growth(lam_x: Scalar, lam_y: Scalar) -> tuple[Array, Array]:
    """Input weight, and the factor g by which Mixup slows every rate."""
    lam_x = validation.number("lam_x", lam_x, low=0.0, high=1.0)
    lam_y = validation.number("lam_y", lam_y, low=0.0, high=1.0)
    lam_x, lam_y = jnp.asarray(lam_x, float), jnp.asarray(lam_y, float)
    return lam_x, lam_x**2 * lam_y + (1 - lam_x) ** 2 * (1 - lam_y)
