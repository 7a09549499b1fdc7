"""Learning from adversarial perturbations with a wide two-layer network: the input gradient.

Its direction at infinite width, and its parts in a trained network of any width. Perturbations are
steps along it. Every formula is [derived].
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from twolayer.theory import geometry, networks, validation
from twolayer.theory.kernels import shallow
from twolayer.theory.kernels.activations import ActivationLike
from twolayer.theory.networks import TwoLayer
from twolayer.theory.training.momentum import TrainTrace

# Rows handled together where an (N, M, d) array would else arise.
_BLOCK = 64


def representer_direction(
    x: Float[Array, "n d"], y: Float[Array, "n"], at: Float[Array, "k d"], gamma: ActivationLike
) -> Float[Array, "k d"]:
    r"""Weighted sum of samples that the input gradient tends to, unnormalised.

    .. math:: P(z) = \frac1N \sum_k y_k\, \Phi(z, x_k)\, x_k

    Args:
      x: samples, shape ``(n, d)``.
      y: labels, shape ``(n,)``.
      at: points z, shape ``(k, d)``.
      gamma: slope or activation.

    Returns:
      Directions, shape ``(k, d)``. Memory ``n k``.
    """
    at, x = validation.pair(at, x, ("at", "x"))
    y = validation.labels("y", y, length=x.shape[0]).astype(x.dtype)
    return shallow.gate_kernel(at, x, gamma) @ (y[:, None] * x) / x.shape[0]


def gate_kernel_gradient(
    at: Float[Array, "d"], x: Float[Array, "d"], gamma: float | Float[Array, ""]
) -> Float[Array, "d"]:
    r"""Gradient of the gate kernel :math:`\Phi(\cdot, x)` at a point.

    .. math:: \frac{(1-\gamma)^2}{2\pi}\, (1-\rho^2)^{-1/2}\, \frac{1}{d\,\sigma_{at}}
              \left(\frac{x}{\sigma_x} - \rho\, \frac{at}{\sigma_{at}}\right)

    Its norm stays below :math:`(1-\gamma)^2 / (2\pi \sigma_{at} \sqrt d)`. The bracket over
    :math:`(1-\rho^2)^{1/2}` is the direction across the augmented ``at`` of the step to the
    augmented ``x``: from ``at`` where that is shorter, else from 0. So it keeps its digits at close
    points and far ones, and is 0 exactly at ``at = x``, the tip of a symmetric cone, where the
    symmetric gradient is 0.

    Args:
      at: the point, shape ``(d,)``; batch by ``jax.vmap``.
      x: the other argument, shape ``(d,)``.
      gamma: slope of the leaky ReLU.
    """
    at = validation.vector("at", at)
    x = validation.vector("x", x, length=at.shape[0])
    gamma = jnp.asarray(validation.slope(gamma), at.dtype)
    scale = float(at.shape[0]) ** 0.5
    here = jnp.append(at / scale, 1)
    norm_here = geometry.norms(here)
    here = here / norm_here
    there, step = jnp.append(x / scale, 1), jnp.append((x - at) / scale, 0)
    step = jnp.where(geometry.norms(step) < geometry.norms(there), step, there)
    # Only its direction matters; squares of its size may leave the dtype's range.
    size = jax.lax.stop_gradient(jnp.max(jnp.abs(step)))
    step = step / jnp.where(size > 0, size, 1)
    across = step - (step @ here) * here
    squared = jnp.sum(across**2)
    apart = squared > 0
    factor = (1 - gamma) ** 2 / (2 * jnp.pi * scale * norm_here)
    return jnp.where(apart, factor * across[:-1] / jnp.sqrt(jnp.where(apart, squared, 1)), 0)


def kernel_gradient_direction(
    x: Float[Array, "n d"],
    y: Float[Array, "n"],
    at: Float[Array, "k d"],
    gamma: float | Float[Array, ""],
) -> Float[Array, "k d"]:
    r"""What the input gradient has besides the representer direction at infinite width.

    .. math:: G_2(z) = \frac1N \sum_k y_k\, (z \cdot x_k + 1)\, \nabla_z \Phi(z, x_k)

    so that :math:`\nabla F = P + G_2`. Terms with :math:`x_k = z` exactly are 0. Shapes as in
    :func:`representer_direction`; memory a block of points times ``n d``.
    """
    at, x = validation.pair(at, x, ("at", "x"))
    y = validation.labels("y", y, length=x.shape[0]).astype(x.dtype)

    def one(point: Array) -> Array:
        gradients = jax.vmap(gate_kernel_gradient, in_axes=(None, 0, None))(point, x, gamma)
        return (y * (x @ point + 1)) @ gradients / x.shape[0]

    return jax.lax.map(one, at, batch_size=min(_BLOCK, at.shape[0]))


def direction_cosine(
    pert: Float[Array, "n d"], x: Float[Array, "n d"], y: Float[Array, "n"], gamma: ActivationLike
) -> Float[Array, "n"]:
    r"""How close perturbations are to the representer direction: :math:`|\cos(r_n, P(x_n))|`.

    A zero perturbation is an error outside ``jit`` and NaN inside.
    """
    x = validation.matrix("x", x)
    pert = validation.matrix("pert", pert, rows=x.shape[0], columns=x.shape[1])
    return jnp.abs(geometry.row_cosines(pert, representer_direction(x, y, x, gamma)))


def representer_coefficients(
    p: TwoLayer, trace: TrainTrace, at: Float[Array, "k d"], gamma: ActivationLike
) -> Float[Array, "k n"]:
    r"""Coefficients of the samples in the input gradient of a trained network, exactly.

    .. math:: c_k(z) = \sum_i a_i^2\, g_i(z)\, \bar A_{ik} \ge 0, \qquad
              \nabla f_S(z) = \sum_i a_i g_i(z) w_i(0) + \frac1N \sum_k y_k\, c_k(z)\, x_k

    with the gates g of the trained network p at z and the trace's gate averages (Theorem A1). They
    are positive for gamma > 0; for gamma = 0 they vanish where no unit is open at both points.
    """
    p = networks.checked("p", p)
    trace = validation.record("trace", trace, TrainTrace, gate_average=f"{p.a.shape[0]} n")
    at = validation.matrix("at", at, columns=p.w.shape[1])
    gates = networks.gates(p, at, gamma)
    return (p.a[:, None] ** 2 * gates).T @ trace.gate_average


def initial_direction(
    p0: TwoLayer, p: TwoLayer, at: Float[Array, "k d"], gamma: ActivationLike
) -> Float[Array, "k d"]:
    r"""The part of the input gradient that stems from the initial weights.

    .. math:: H(z) = \sum_i a_i\, g_i(z)\, w_i(0)

    with the gates of the trained network p and the weights of the initial one.
    """
    p = networks.checked("p", p)
    p0 = networks.checked("p0", p0, m=p.w.shape[0], d=p.w.shape[1])
    at = validation.matrix("at", at, columns=p.w.shape[1])
    return (p.a[:, None] * networks.gates(p, at, gamma)).T @ p0.w
