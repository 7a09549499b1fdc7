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

Unlike in ``twolayer.theory.kernels.shallow`` the inner product is not divided by d, and the last
layer is trained. Cosines are snapped as there; what is said there of the range and of derivatives
holds here too, S being a kernel as the NNGP kernel, and T one with the gate in it, so that T of a
leaky ReLU has no second derivatives at parallel rows. The range is narrower for erf and tanh:
``|x||z|`` has to be a number of the dtype for T, and without bias ``|x|**2`` and ``|z|**2`` too for
several hidden layers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from twolayer.theory import validation
from twolayer.theory.kernels import activations, angles, gaussian_pairs
from twolayer.theory.kernels.activations import Activation, ActivationLike, Scalar
from twolayer.theory.kernels.gaussian_pairs import Rows

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
    x, z = validation.pair(x, z)
    beta = jnp.asarray(validation.scalar("bias", bias, low=0.0)).astype(x.dtype)
    first, second = gaussian_pairs.augmented(x, beta), gaussian_pairs.augmented(z, beta)
    return (
        gaussian_pairs.inner(first, second) * first.unit[:, None] * second.unit[None, :] + beta**2
    )


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
    x, z = validation.pair(x, z)
    phi = activations.resolve(activation, "activation")
    depth = validation.integer("depth", depth)
    gain = phi.gain**2
    beta = jnp.asarray(validation.scalar("bias", bias, low=0.0)).astype(x.dtype)
    first, second = (gaussian_pairs.augmented(points, beta, terms=1) for points in (x, z))
    products = gaussian_pairs.inner(first, second)
    first, second = first.column(), second.row()
    covariance = tangent = products + first.bias * second.bias
    for layer in range(1, depth + 1):
        if layer > 1:
            covariance = covariance + first.bias * second.bias
            tangent = tangent + first.bias * second.bias
        at = phi, first, second, covariance
        covariance = gain * gaussian_pairs.moment("value", *at)
        tangent = gain * gaussian_pairs.moment("derivative", *at) * tangent
        if phi.degree != 1:
            # Values have no units any more.
            tangent = tangent * first.unit * second.unit
        tangent = tangent + covariance
        if layer < depth:
            first, second = (_hidden(rows, phi, gain, beta) for rows in (first, second))
    if phi.degree == 1:
        covariance, tangent = (
            kernel * first.unit * second.unit for kernel in (covariance, tangent)
        )
    return covariance, tangent


def _hidden(rows: Rows, phi: Activation, gain: float, beta: Array) -> Rows:
    """Variances of the next layer, in the rows' units where the activation keeps them."""
    if phi.degree == 1:
        unit, bias = rows.unit, rows.bias
    else:
        unit, bias = jnp.ones_like(rows.unit), jnp.broadcast_to(beta, rows.unit.shape)
    variance = gain * gaussian_pairs.moment("value", phi, rows, rows, rows.variance) + bias**2
    return Rows(rows.points, unit, bias, variance, angles.safe_sqrt(variance))
