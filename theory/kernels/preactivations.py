"""The law of a wide network's pre-activations: their standard deviation and their correlation.

Hidden units are w.x + b with w ~ N(0, I/d) and b ~ N(0, init_bias**2).
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from twolayer.theory import validation
from twolayer.theory.kernels import angles
from twolayer.theory.kernels.activations import Scalar
from twolayer.theory.kernels.gaussian_pairs import augmented, correlation, inner


def aug_norm(x: Float[Array, "n d"], *, init_bias: Scalar = 1.0) -> Float[Array, "n"]:
    r"""Standard deviation of the pre-activation, :math:`\sqrt{|x|^2 / d + \beta^2}`.

    Args:
      x: inputs as rows, shape ``(N, d)``.
      init_bias: beta, the standard deviation of the initial bias; 0 for no bias.

    Returns:
      Shape ``(N,)``; the gradient at a zero row without bias is put to 0.

    Raises:
      ValueError: if x is not a finite non-empty matrix, or init_bias is negative.
    """
    x = validation.matrix("x", x)
    rows = augmented(x, checked_bias(init_bias, x.dtype))
    return rows.norm * rows.unit


def aug_cosine(
    x: Float[Array, "n d"], z: Float[Array, "m d"], *, init_bias: Scalar = 1.0
) -> Float[Array, "n m"]:
    r"""Correlation of the pre-activations at two inputs.

    .. math:: \rho(x, z) = (x \cdot z / d + \beta^2) / (\sigma_x \sigma_z)

    with :math:`\sigma` = ``aug_norm``. Snapped to +-1 within 64 rounding errors, so that equal
    rows give exactly 1; 0 where a row is zero and there is no bias.

    Args:
      x: inputs as rows, shape ``(N, d)``.
      z: inputs as rows, shape ``(M, d)``.
      init_bias: beta, the standard deviation of the initial bias.

    Raises:
      ValueError: if x and z are not finite non-empty matrices with d columns alike.
    """
    x, z = validation.pair(x, z)
    bias = checked_bias(init_bias, x.dtype)
    first, second = augmented(x, bias), augmented(z, bias)
    covariance = inner(first, second) / x.shape[1] + first.bias[:, None] * second.bias[None, :]
    return correlation(covariance, first.norm[:, None], second.norm[None, :])


def cosine_from_products(
    products: Float[Array, "n m"],
    aug_norm_x: Float[Array, "n"],
    aug_norm_z: Float[Array, "m"],
    *,
    init_bias: Scalar = 1.0,
) -> Float[Array, "n m"]:
    """``aug_cosine`` from inner products that are already known (or of low rank).

    Args:
      products: x.z / d, shape ``(N, M)``.
      aug_norm_x: ``aug_norm`` of the rows of x, shape ``(N,)``.
      aug_norm_z: ``aug_norm`` of the rows of z, shape ``(M,)``.
      init_bias: beta, as in ``aug_cosine``.

    Returns:
      The correlations, shape ``(N, M)``, snapped as in ``aug_cosine``.

    Raises:
      ValueError: if the three shapes do not match.
    """
    products, aug_norm_x, aug_norm_z = validation.alike(
        validation.real("products", products),
        validation.real("aug_norm_x", aug_norm_x),
        validation.real("aug_norm_z", aug_norm_z),
    )
    if products.ndim != 2 or products.shape != aug_norm_x.shape + aug_norm_z.shape:
        raise ValueError(
            f"products must have shape (N, M) for norms (N,) and (M,); got {products.shape} for "
            f"{aug_norm_x.shape} and {aug_norm_z.shape}."
        )
    unit_x, unit_z = (angles.power_of_two(norm) for norm in (aug_norm_x, aug_norm_z))
    beta = checked_bias(init_bias, products.dtype)
    covariance = products / unit_x[:, None] / unit_z[None, :]
    covariance = covariance + (beta / unit_x)[:, None] * (beta / unit_z)[None, :]
    return correlation(covariance, (aug_norm_x / unit_x)[:, None], (aug_norm_z / unit_z)[None, :])


def checked_bias(init_bias: Scalar, dtype: Any) -> Array:
    """The standard deviation of the initial bias, which is not negative, in a dtype."""
    return jnp.asarray(validation.scalar("init_bias", init_bias, low=0.0)).astype(dtype)
