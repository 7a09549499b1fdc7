r"""Learning from adversarial perturbations with a wide two-layer network: radii and certificates.

How far the input gradient and the second network g can be from their main parts, and when the
predictions of f and g must agree. Every bound is [derived]; letters name the theorems of
:mod:`twolayer.theory.perturbation.wide.theorems.training`.
"""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool, Float

from twolayer.theory import geometry, validation
from twolayer.theory.kernels import preactivations, shallow
from twolayer.theory.kernels.activations import ActivationLike
from twolayer.theory.networks import TwoLayer
from twolayer.theory.perturbation.wide import directions
from twolayer.theory.training.momentum import TrainTrace


def direction_certificate(
    p0: TwoLayer,
    p: TwoLayer,
    trace: TrainTrace,
    x: Float[Array, "n d"],
    y: Float[Array, "n"],
    at: Float[Array, "k d"],
    gamma: ActivationLike,
) -> tuple[Float[Array, "k"], Float[Array, "k"]]:
    r"""How far the input gradient can be from the representer direction (Theorem A2).

    .. math:: |\nabla f_S(z) - P_q(z)| \le |H(z)|
              + \frac1N \sum_k |x_k|\, |c_k(z) - q_k \Phi(z, x_k)|

    with :math:`P_q(z) = \frac1N \sum_k y_k q_k \Phi(z, x_k) x_k` (tau times the representer
    direction under the identity loss), the coefficients c of
    :func:`twolayer.theory.perturbation.wide.directions.representer_coefficients` and H its
    ``initial_direction``.

    Args:
      p0: the initial network.
      p: the trained network.
      trace: of the training run from p0 to p.
      x: training samples.
      y: labels.
      at: points, shape ``(k, d)``.
      gamma: slope or activation.

    Returns:
      The right side, and that divided by :math:`|P_q|`, which bounds the sine of the angle between
      the input gradient and P_q wherever it is below 1 (infinite where P_q is 0); shapes ``(k,)``.
    """
    at, x = validation.pair(at, x, ("at", "x"))
    y = validation.labels("y", y, length=x.shape[0]).astype(x.dtype)
    n = x.shape[0]
    trace = validation.record(
        "trace", trace, TrainTrace, loss_factors=f"{n}", gate_average=f"m {n}"
    )
    limit = trace.loss_factors[None, :] * shallow.gate_kernel(at, x, gamma)
    gap = jnp.abs(directions.representer_coefficients(p, trace, at, gamma) - limit)
    radius = geometry.norms(directions.initial_direction(p0, p, at, gamma))
    radius = radius + gap @ geometry.norms(x) / x.shape[0]
    direction = (limit * y[None, :]) @ x / x.shape[0]
    return radius, radius / geometry.norms(direction)


def kernel_gradient_bound(
    x: Float[Array, "n d"], at: Float[Array, "k d"], gamma: float | Float[Array, ""]
) -> Float[Array, "k"]:
    r"""Bound on the second part of the input gradient at infinite width (Theorem A3).

    .. math:: |G_2(z)| \le \frac{(1-\gamma)^2}{2\pi\,\sigma_z \sqrt d}\,
              \frac1N \sum_k |z \cdot x_k + 1|
    """
    at, x = validation.pair(at, x, ("at", "x"))
    slope = (1 - validation.slope(gamma)) ** 2 / (2 * jnp.pi * float(x.shape[1]) ** 0.5)
    return slope / preactivations.aug_norm(at) * jnp.mean(jnp.abs(at @ x.T + 1), axis=1)


def label_noise_radius(
    e: Float[Array, "n k"], delta: float | Float[Array, ""], *, balanced: bool = False
) -> Float[Array, "k"]:
    r"""Radius of the noise that drawn labels bring into g (Theorems B1 and B3).

    .. math:: \frac1N \sqrt{2 \ln(2k/\delta) \textstyle\sum_n e_n(z)^2}
              \qquad\text{or}\qquad (\max_n e_n - \min_n e_n) \sqrt{\ln(2k/\delta)/N}

    for independent and for exactly balanced labels; holds at all k points at once with probability
    at least :math:`1 - \delta` over the labels.

    Args:
      e: even parts, shape ``(n, k)``, from
        :func:`twolayer.theory.perturbation.wide.surrogate.even_odd_split`.
      delta: failure probability in (0, 1).
      balanced: labels are a random order of n/2 of each sign.

    Raises:
      ValueError: for odd n with ``balanced``.
    """
    e = validation.matrix("e", e)
    n, points = e.shape
    delta = validation.scalar("delta", delta, low=0.0, high=1.0, open_low=True, open_high=True)
    log = jnp.log(2 * points / jnp.asarray(delta, e.dtype))
    if not balanced:
        return jnp.sqrt(2 * log) * geometry.norms(e, 0) / n
    if n % 2:
        raise ValueError(f"e must have an even number of rows for balanced labels; got {n}.")
    return (jnp.max(e, axis=0) - jnp.min(e, axis=0)) * jnp.sqrt(log / n)


def initial_output_radius(
    z: Float[Array, "k d"], gamma: float | Float[Array, ""], delta: float | Float[Array, ""]
) -> Float[Array, "k"]:
    r"""Tail of an infinitely wide network's initial outputs.

    .. math:: |g_0(z)| \le \sigma_z \sqrt{(1+\gamma^2) \ln(2k/\delta)}

    at all k points at once with probability at least :math:`1-\delta`.
    """
    z = validation.matrix("z", z)
    delta = validation.scalar("delta", delta, low=0.0, high=1.0, open_low=True, open_high=True)
    log = jnp.log(2 * z.shape[0] / jnp.asarray(delta, z.dtype))
    return preactivations.aug_norm(z) * jnp.sqrt((1 + validation.slope(gamma) ** 2) * log)


def threshold_surrogate_bound(
    r: Float[Array, "n d"], z: Float[Array, "k d"], gamma: float | Float[Array, ""]
) -> Float[Array, "k"]:
    r"""How far g is from a threshold on one direction in scenario a.

    .. math:: \Big| \frac1N \sum_n y'_n K(r_n, z)
                    - \Phi(0, z)\, \frac1N \sum_n y'_n (r_n \cdot z + 1) \Big|
              \le \frac{(1-\gamma)^2}{2\pi\sqrt d}\, \frac1N \sum_n |r_n|\, |r_n \cdot z + 1|

    by the mean value theorem and the bound on the gate kernel's gradient. The second sum is
    :math:`\varepsilon\,\bar u \cdot z + \bar y`: the threshold law B4 follows where it dominates.

    Args:
      r: perturbations, shape ``(n, d)``.
      z: points, shape ``(k, d)``.
      gamma: slope of the leaky ReLU.
    """
    r, z = validation.pair(r, z, ("r", "z"))
    slope = (1 - validation.slope(gamma)) ** 2 / (2 * jnp.pi * float(r.shape[1]) ** 0.5)
    return slope * jnp.abs(z @ r.T + 1) @ geometry.norms(r) / r.shape[0]


def agreement_certificate(
    F: Float[Array, "k"],
    f0: Float[Array, "k"],
    tau_f: float | Float[Array, ""],
    M: Float[Array, "k"],
    g0: Float[Array, "k"],
    tau_g: float | Float[Array, ""],
    radius: Float[Array, "k"],
    extra_f: float | Array = 0.0,
    extra_g: float | Array = 0.0,
) -> Bool[Array, "k"]:
    r"""Where the predictions of f and g must agree (agreement theorems a and b).

    All of: :math:`|F| > |f_0|/\tau_f + extra_f`, :math:`|M| > radius + |g_0|/\tau_g + extra_g`, and
    sgn M = sgn F, strictly. The shapes of the arrays are those of the points.

    Args:
      F: :func:`twolayer.theory.perturbation.wide.surrogate.lazy_predictor` at the points.
      f0: initial outputs of f, or a bound on them.
      tau_f: effective time of f, positive.
      M: :func:`twolayer.theory.perturbation.wide.surrogate.signal` at the points.
      g0: initial outputs of g, or a bound on them.
      tau_g: effective time of g, positive.
      radius: :func:`label_noise_radius`.
      extra_f: finite-width radii of f in units of F.
      extra_g: finite-width radii of g in units of M.
    """
    tau_f = validation.scalar("tau_f", tau_f, low=0.0, open_low=True)
    tau_g = validation.scalar("tau_g", tau_g, low=0.0, open_low=True)
    F = validation.shaped("F", F, (None,))
    f0, M, g0, radius = (
        validation.shaped(name, value, F.shape).astype(F.dtype)
        for name, value in (("f0", f0), ("M", M), ("g0", g0), ("radius", radius))
    )
    extra_f, extra_g = (
        validation.real(name, value).astype(F.dtype)
        for name, value in (("extra_f", extra_f), ("extra_g", extra_g))
    )
    sure_f = jnp.abs(F) > jnp.abs(f0) / tau_f + extra_f
    sure_g = jnp.abs(M) > radius + jnp.abs(g0) / tau_g + extra_g
    return sure_f & sure_g & (jnp.sign(M) == jnp.sign(F))
