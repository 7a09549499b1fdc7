r"""Kernels of wide networks of any depth, in the parameterisation of the tangent-kernel literature.

Every weight and bias is standard normal, hidden layer l computes
:math:`m^{-1/2} c\,\varphi(W h + \beta b)` with c the activation's ``gain``, all layers are trained,
and the read-out has no bias. With the augmented input :math:`\tilde x = (x, \beta)`,
:math:`S_0 = T_0 = \tilde x \cdot \tilde z`, and for l = 1, ..., depth

.. math:: S_l = c^2 V(s, s', \rho), \qquad T_l = c^2 D(s, s', \rho)\, T_{l-1} + S_l,

where :math:`s = S_{l-1}(x,x)^{1/2}`, :math:`s' = S_{l-1}(z,z)^{1/2}`,
:math:`\rho = S_{l-1}(x,z) / s s'`, and V and D are the activation's Gaussian moments;
:math:`\beta^2` is added to S and T after each hidden layer but the last. S is the covariance at
initialisation (NNGP), T the neural tangent kernel.

Unlike in ``theory.kernels`` the inner product is not divided by d, and the last layer is trained.
Cosines are snapped as there. Values at zero rows are exact; without bias, derivatives of the norm
and the cosine of a zero row are put to 0, so that gradients there are finite but, for a smooth
activation, incomplete: give a small bias if they matter.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from theory import activations, angles, arguments, kernels
from theory.activations import ActivationLike, Scalar

Kernel: TypeAlias = Callable[[Array, Array], Array]


def deep_nngp_kernel(
    x: Float[Array, "n d"],
    z: Float[Array, "m d"],
    activation: ActivationLike,
    *,
    depth: int = 1,
    bias: Scalar = 0.0,
) -> Float[Array, "n m"]:
    """Covariance S of the output of a wide network at initialisation.

    Args:
      x: inputs as rows, shape ``(N, d)``.
      z: inputs as rows, shape ``(M, d)``.
      activation: an ``Activation``, or a number for the leaky ReLU of that slope.
      depth: number of hidden layers, at least 1.
      bias: beta, the standard deviation of the biases; 0 for none.

    Returns:
      S, shape ``(N, M)``.

    Raises:
      ValueError: on shapes that do not match, ``depth < 1``, a negative bias.

    Source: shortcut bias specification, kernel conventions of A.3 [derived]; for ReLU Cho and Saul
      (2009).
    """
    return _recursion(x, z, activation, depth=depth, bias=bias)[0]


def neural_tangent_kernel(
    x: Float[Array, "n d"],
    z: Float[Array, "m d"],
    activation: ActivationLike,
    *,
    depth: int = 1,
    bias: Scalar = 0.0,
) -> Float[Array, "n m"]:
    """Tangent kernel T of a wide network, all layers trained.

    For ReLU, one hidden layer and no bias, with t the angle between x and z, this is
    ``|x||z| (sin t + 2 (pi - t) cos t) / pi``, whose odd part is exactly x.z.

    Arguments and errors as in ``deep_nngp_kernel``.

    Returns:
      T, shape ``(N, M)``.

    Source: Jacot, Gabriel and Hongler (2018) [derived in this normalisation].
    """
    return _recursion(x, z, activation, depth=depth, bias=bias)[1]


def linear_kernel(
    x: Float[Array, "n d"], z: Float[Array, "m d"], *, bias: Scalar = 0.0
) -> Float[Array, "n m"]:
    """Kernel of a linear model, ``x.z + bias**2``.

    Args:
      x: inputs as rows, shape ``(N, d)``.
      z: inputs as rows, shape ``(M, d)``.
      bias: scale of the constant feature.

    Raises:
      ValueError: on shapes that do not match or a negative bias.
    """
    x, z = arguments.pair(x, z)
    beta = arguments.scalar("bias", bias, low=0.0)
    product = jnp.matmul(x, z.T, precision="highest")
    return product + jnp.asarray(beta).astype(product.dtype) ** 2


def odd_part(kernel: Kernel) -> Kernel:
    """The kernel ``(x, z) -> (K(x, z) - K(x, -z)) / 2`` of the odd functions.

    Args:
      kernel: K, from x ``(N, d)`` and z ``(M, d)`` to ``(N, M)``, with K(-x, -z) = K(x, z).
    """

    def odd(x: Array, z: Array) -> Array:
        return (kernel(x, z) - kernel(x, -z)) / 2

    return odd


def _recursion(
    x: Array, z: Array, activation: ActivationLike, *, depth: int, bias: Scalar
) -> tuple[Array, Array]:
    x, z = arguments.pair(x, z)
    phi = activations.resolve(activation, "activation")
    depth = arguments.integer("depth", depth)
    gain = phi.gain**2
    covariance = linear_kernel(x, z, bias=bias)
    offset = jnp.asarray(bias).astype(covariance.dtype) ** 2
    variance_x = jnp.sum(x * x, axis=1) + offset
    variance_z = jnp.sum(z * z, axis=1) + offset
    tangent = covariance
    for layer in range(1, depth + 1):
        if layer > 1:
            covariance, tangent = covariance + offset, tangent + offset
            variance_x, variance_z = variance_x + offset, variance_z + offset
        norm_x, norm_z = angles.safe_sqrt(variance_x), angles.safe_sqrt(variance_z)
        cosine = kernels.cosine_from_products(covariance, norm_x, norm_z, init_bias=0.0)
        at = norm_x[:, None], norm_z[None, :], cosine
        covariance = gain * phi.value_moment(*at)
        tangent = gain * phi.derivative_moment(*at) * tangent + covariance
        if layer < depth:
            variance_x = gain * phi.value_moment(norm_x, norm_x, jnp.ones_like(norm_x))
            variance_z = gain * phi.value_moment(norm_z, norm_z, jnp.ones_like(norm_z))
    return covariance, tangent
