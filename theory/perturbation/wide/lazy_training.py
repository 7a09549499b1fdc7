"""Learning from adversarial perturbations with a wide two-layer network: how lazy training is.

How far a network of width m, trained for an effective time tau, can be from its infinitely wide,
lazy counterpart. Every bound is [derived]; letters name the theorems of
:mod:`twolayer.theory.perturbation.wide.theorems.training`.
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from twolayer.theory import geometry, networks, validation
from twolayer.theory.kernels import preactivations
from twolayer.theory.kernels.activations import ActivationLike
from twolayer.theory.networks import TwoLayer


def width_radius(m: int, pairs: int, delta: float | Float[Array, ""]) -> Float[Array, ""]:
    r"""Deviation of the empirical gate kernel from its mean (Theorem W).

    .. math:: |\Phi_m - \Phi| \le \sqrt{4.5\,u/m} + 2u/m, \qquad u = \ln(2 P/\delta)

    for P pairs at once with probability at least :math:`1 - \delta` over the initialisation.

    Args:
      m: width.
      pairs: number P of pairs.
      delta: failure probability in (0, 1).
    """
    m, pairs = validation.integer("m", m), validation.integer("pairs", pairs)
    delta = validation.scalar("delta", delta, low=0.0, high=1.0, open_low=True, open_high=True)
    u = jnp.log(2 * pairs / jnp.asarray(delta))
    return jnp.sqrt(4.5 * u / m) + 2 * u / m


def mean_norm(x: Float[Array, "n d"]) -> Float[Array, ""]:
    r"""Mean length of the augmented samples, :math:`B = \frac1N \sum_k |\tilde x_k|`."""
    return jnp.mean(_lengths(validation.matrix("x", x)))


def flip_mass(
    p: TwoLayer,
    x: Float[Array, "n d"],
    tau: float | Float[Array, ""],
    B: float | Float[Array, ""],
) -> Float[Array, "n"]:
    r"""Mass of the units whose gate at x may flip during training (Theorem L).

    .. math:: S_\tau(x) = \sum_i a_i^2\,
              1[\,|\theta_i(0) \cdot \tilde x| \le \tau |a_i| B |\tilde x|\,]

    Args:
      p: the initial network.
      x: points, shape ``(n, d)``.
      tau: effective time, non-negative.
      B: :func:`mean_norm` of the training samples.
    """
    tau = validation.scalar("tau", tau, low=0.0)
    B = validation.scalar("B", B)
    p = networks.checked("p", p)
    x = validation.matrix("x", x)
    pre = networks.preactivations(p, x)
    reach = tau * jnp.abs(p.a)[:, None] * B * _lengths(x)[None, :]
    return p.a**2 @ (jnp.abs(pre) <= reach).astype(pre.dtype)


def expected_flip_mass(
    x: Float[Array, "n d"],
    tau: float | Float[Array, ""],
    B: float | Float[Array, ""],
    m: int,
) -> Float[Array, "n"]:
    r"""Bound on the mean of the flip mass over initialisations.

    .. math:: E\, S_\tau(x) \le \frac4\pi\, \frac{\tau B |\tilde x|}{\sigma_x \sqrt m}

    Arguments as in :func:`flip_mass`; m is the width.
    """
    x = validation.matrix("x", x)
    tau = validation.scalar("tau", tau, low=0.0)
    B = validation.scalar("B", B)
    m = validation.integer("m", m)
    return 4 / jnp.pi * tau * B * _lengths(x) / (preactivations.aug_norm(x) * float(m) ** 0.5)


def lazy_bound(
    p: TwoLayer,
    x: Float[Array, "n d"],
    z: Float[Array, "k d"],
    tau: float | Float[Array, ""],
    gamma: float | Float[Array, ""],
) -> Float[Array, "k"]:
    r"""Deviation of a trained network from its frozen-kernel prediction (Theorem L).

    .. math:: (1-\gamma)\,\tau \Big[ B |\tilde z|\, S_\tau(z)
              + \frac1N \sum_k |\tilde x_k \cdot \tilde z|\, S_\tau(x_k) \Big]

    Deterministic: any initialisation, any width, gradient descent with momentum at any rates,
    identity or logistic loss.

    Args:
      p: the initial network.
      x: training samples, shape ``(n, d)``.
      z: points, shape ``(k, d)``.
      tau: effective time.
      gamma: slope of the leaky ReLU.
    """
    x, z = validation.pair(x, z)
    B = mean_norm(x)
    return _lazy_bound(x, z, tau, gamma, flip_mass(p, x, tau, B), flip_mass(p, z, tau, B))


def expected_lazy_bound(
    x: Float[Array, "n d"],
    z: Float[Array, "k d"],
    tau: float | Float[Array, ""],
    gamma: float | Float[Array, ""],
    m: int,
) -> Float[Array, "k"]:
    r"""Bound on the mean of :func:`lazy_bound` over initialisations of width m.

    Of order :math:`\tau^2 / \sqrt m`; by Markov's inequality the deviation itself is below
    :math:`1/\delta` times it with probability :math:`1 - \delta`. Arguments as in
    :func:`lazy_bound`.
    """
    x, z = validation.pair(x, z)
    B = mean_norm(x)
    at_samples, at_points = (expected_flip_mass(points, tau, B, m) for points in (x, z))
    return _lazy_bound(x, z, tau, gamma, at_samples, at_points)


def lazy_drift(
    p: TwoLayer,
    x: Float[Array, "n d"],
    y: Float[Array, "n"],
    z: Float[Array, "k d"],
    factors: Float[Array, "n"],
    gamma: ActivationLike,
) -> Float[Array, "k"]:
    r"""Frozen-kernel prediction of what training adds, :math:`\frac1N \sum_k y_k q_k K_m(x_k, z)`.

    ``factors`` are the trace's loss factors q (the effective time under the identity loss).
    """
    kernel = networks.empirical_lazy_kernel(p, x, z, gamma)
    y = validation.labels("y", y, length=kernel.shape[0]).astype(kernel.dtype)
    factors = validation.vector("factors", factors, length=y.shape[0])
    return (y * factors) @ kernel / y.shape[0]


def _lazy_bound(
    x: Array, z: Array, tau: Any, gamma: Any, at_samples: Array, at_points: Array
) -> Array:
    tau = validation.scalar("tau", tau)
    moved = jnp.abs(z @ x.T + 1) @ at_samples / x.shape[0]
    return (1 - validation.slope(gamma)) * tau * (mean_norm(x) * _lengths(z) * at_points + moved)


def _lengths(x: Array) -> Array:
    """Lengths of the augmented rows (x, 1)."""
    return geometry.norms(jnp.concatenate([x, jnp.ones_like(x[:, :1])], axis=1))
