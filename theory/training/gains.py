r"""What a kernel's flow has learned after a time: functions of its matrix, and their derivatives.

Under squared loss residuals decay by :math:`\dot r = -K r`, and the outputs at z move by

.. math:: K(z, X)\, g_t(K)\, r_0, \qquad g_t(\lambda) = (1 - e^{-\lambda t})/\lambda,
          \quad g_t(0) = t.

The rows K(z, X) of a positive semi-definite kernel have no part in the null space of K(X, X): what
they show there is rounding, which a late time would multiply without end. So a null direction
counts while no mode has been learned yet, where rounding is small, and not when all have been:
with the weight :math:`e^{-(t \lambda_{min})^2}`, :math:`\lambda_{min}` the smallest eigenvalue that
is not 0, in :func:`response`.

Eigenvectors have no derivative where eigenvalues are equal, but functions of a matrix do: by
divided differences,

.. math:: V^T\, \mathrm d g(K)\, V = G \circ (V^T\, \mathrm dK\, V), \qquad
          G_{ij} = \frac{g(\lambda_i) - g(\lambda_j)}{\lambda_i - \lambda_j}

(the theorem of Daleckii and Krein), here without cancellation for close eigenvalues.

Source: [derived].
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.custom_derivatives import SymbolicZero

# Eigenvalues closer than so many units of rounding of the largest are equal.
_CLOSE = 1000
# Where the larger exponent is smaller, divided differences are summed as a series; so many terms
# leave less than rounding in float64.
_SMALL = 0.5
_TERMS = 14


def spectrum(kernel: Array) -> tuple[Array, Array]:
    """Eigenvalues, ascending, and eigenvectors of a symmetric positive semi-definite matrix.

    Eigenvalues below ``n eps max`` are rounding and become 0, in value; derivatives know them.
    """
    values, vectors = _eigh(kernel)
    floor = kernel.shape[0] * jnp.finfo(kernel.dtype).eps * jnp.max(jnp.abs(values))
    rounding = jax.lax.stop_gradient(jnp.where(values > floor, 0, values))
    return values - rounding, vectors


@jax.custom_jvp
def _eigh(kernel: Array) -> tuple[Array, Array]:
    values, vectors = jnp.linalg.eigh(kernel)
    return values, vectors


@_eigh.defjvp
def _eigh_jvp(primals: tuple[Array], tangents: tuple[Array]) -> Any:
    """Eigenvectors turn without bound, not by rounding, where eigenvalues are equal up to it."""
    values, vectors = _eigh(*primals)
    turned = vectors.T @ ((tangents[0] + tangents[0].T) / 2) @ vectors
    gaps = values[None, :] - values[:, None]
    close = jnp.abs(gaps) <= _CLOSE * jnp.finfo(values.dtype).eps * jnp.max(jnp.abs(values))
    speed = jnp.where(close, jnp.inf, 1 / jnp.where(close, 1, gaps))
    speed = jnp.where(jnp.eye(values.shape[0], dtype=bool), 0, speed)
    return (values, vectors), (jnp.diagonal(turned), vectors @ (speed * turned))


def gain(values: Array, times: Array) -> Array:
    r""":math:`(1 - e^{-\lambda t})/\lambda`; at :math:`\lambda = 0` t, and 0 at infinite time."""
    return _gain(*jnp.broadcast_arrays(values, times))


@jax.custom_jvp
def _gain(values: Array, times: Array) -> Array:
    ended = jnp.isinf(times)
    exponent = -jnp.where(ended, 0, times) * values
    # The quotient of much larger ones is no normal number.
    late = ended | (-exponent > jnp.finfo(values.dtype).max ** 0.5)
    exponent = jnp.where(late, 0, exponent)
    none = exponent == 0
    share = jnp.where(none, 1, jnp.expm1(exponent) / jnp.where(none, 1, exponent))
    limit = jnp.where(values > 0, 1 / jnp.where(values > 0, values, 1), 0)
    return jnp.where(late, limit, jnp.where(late, 0, times) * share)


@_gain.defjvp
def _gain_jvp(primals: Any, tangents: Any) -> Any:
    (values, times), (moved, later) = primals, tangents
    slope = divided_gain(values, values, times) * moved + decay(values, times) * later
    return _gain(values, times), slope


def decay(values: Array, times: Array) -> Array:
    r""":math:`e^{-\lambda t}`; 1 at :math:`\lambda = 0`, at infinite time too."""
    late = jnp.isinf(times)
    left = jnp.exp(-values * jnp.where(late, 0, times))
    return jnp.where(late & (values > 0), 0, left)


def divided_gain(first: Array, second: Array, times: Array) -> Array:
    """Divided difference of :func:`gain` at two eigenvalues; its derivative where they are equal.

    At infinite time, where the gain is that of the pseudo-inverse, between eigenvalues of 0 it is
    0: the derivative is that along matrices of one rank.
    """
    low, high = jnp.minimum(first, second), jnp.maximum(first, second)
    late = jnp.isinf(times)
    # No float holds the square of a time beyond.
    time = jnp.minimum(jnp.where(late, 0, times), jnp.finfo(high.dtype).max ** 0.5 / 2)
    small = high * time < jnp.where(high > 0, _SMALL, 1) * jnp.where(late, 0, 1)
    x, y = (jnp.where(small, value * time, 0) for value in (low, high))
    # Of sum_k (-x)^k / (k + 1)!, term by term: sums of all products of k - 1 factors x and y.
    products, power, term = jnp.ones_like(x), x, -0.5
    series = term * products
    for k in range(2, _TERMS):
        products, power = power + y * products, power * x
        term /= -(k + 1)
        series = series + term * products
    above = jnp.where(small | (high == 0), 1, high)
    low = jnp.where(small, 0, low)
    wide = -(gain(low, times) - decay(low, times) * gain(above - low, times)) / above
    return jnp.where(small, time * series * time, jnp.where(high > 0, wide, 0))


@jax.custom_jvp
def response(
    kernel: Array, values: Array, vectors: Array, kernel_test: Array, residual: Array, times: Array
) -> Array:
    r"""Outputs learned, :math:`K(z, X)\, g_t(K)\, r_0`, with derivatives by all but the spectrum.

    Args:
      kernel: K(X, X), shape ``(n, n)``: known by its spectrum, here for its derivative.
      values: its eigenvalues, rounding made 0, shape ``(n,)``, or ``(T, n)`` for each time's own.
      vectors: its eigenvectors, in columns.
      kernel_test: K(z, X), shape ``(k, n)``, of the same positive semi-definite kernel.
      residual: targets minus initial outputs, shape ``(n,)``.
      times: shape ``(T,)``, not negative; infinity is allowed.

    Returns:
      Shape ``(T, k)``. First derivatives by the kernel are those of the exact flow, at equal
      eigenvalues too; second ones are so where all eigenvalues differ, else NaN.
    """
    gains, held = _gains(values, times)
    return (held * gains * (vectors.T @ residual)[None, :]) @ (kernel_test @ vectors).T


@functools.partial(response.defjvp, symbolic_zeros=True)
def _response_jvp(primals: Any, tangents: Any) -> tuple[Array, Array]:
    kernel, values, vectors, kernel_test, residual, times = primals
    by_kernel, _, _, by_test, by_residual, by_times = tangents
    gains, held = _gains(values, times)
    modes, seen = vectors.T @ residual, kernel_test @ vectors
    moved, found = jnp.zeros_like(gains), jnp.zeros((times.shape[0], seen.shape[0]), gains.dtype)
    if not isinstance(by_kernel, SymbolicZero):
        turned = vectors.T @ ((by_kernel + by_kernel.T) / 2) @ vectors
        spread = jnp.broadcast_to(values, gains.shape)
        slopes = divided_gain(spread[:, :, None], spread[:, None, :], times[:, None, None])
        moved += jnp.einsum("tij,ij,j->ti", slopes, turned, modes)
    if not isinstance(by_residual, SymbolicZero):
        moved += gains * (vectors.T @ by_residual)[None, :]
    if not isinstance(by_times, SymbolicZero):
        rates = decay(jnp.broadcast_to(values, gains.shape), times[:, None])
        moved += jnp.where(jnp.isinf(times), 0, by_times)[:, None] * rates * modes[None, :]
    if not isinstance(by_test, SymbolicZero):
        found += (gains * modes[None, :]) @ (by_test @ vectors).T
    # What is held back is rounding, in value; of how it changes nothing is.
    rounding = jax.lax.stop_gradient((1 - held)[:, None, :] * seen[None, :, :])
    found += jnp.einsum("tn,tkn->tk", moved, seen[None, :, :] - rounding)
    return response(*primals), found


def _gains(values: Array, times: Array) -> tuple[Array, Array]:
    """Gains, and what of each direction is held to be no rounding, both of shape (T, n)."""
    values = jnp.broadcast_to(values, (times.shape[0], values.shape[-1]))
    learnt = jnp.any(values > 0, axis=1, keepdims=True)
    kept = jnp.where(values > 0, values, jnp.finfo(values.dtype).max)
    least = jnp.where(learnt, jnp.min(kept, axis=1, keepdims=True), 0)
    # At infinite time nothing is gained there; much later exponents than 100 need no square.
    late = jnp.isinf(times)[:, None]
    exponent = jnp.minimum(least * jnp.where(late, 0, times[:, None]), 100)
    weight = jnp.exp(-(exponent**2))
    return gain(values, times[:, None]), jnp.where(values > 0, 1, weight)
