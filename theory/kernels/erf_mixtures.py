"""Gaussian moments of mixtures of error functions, of which the hyperbolic tangent is one."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from twolayer.theory import precision
from twolayer.theory.kernels import angles


class Law(NamedTuple):
    """Second moments of (u, v), differentiable where standard deviations and correlation are not.

    They are in units of ``unit_x**2``, ``unit_z**2`` and ``unit_x * unit_z``, powers of two that
    are not below 1, so that squares of large numbers do not overflow.
    """

    variance_x: Array
    variance_z: Array
    covariance: Array
    unit_x: Array
    unit_z: Array


def kolmogorov_rule(step: float = 0.16) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights of the mean over Kolmogorov's law: the trapezoid rule in log K."""
    nodes = np.exp(np.arange(math.log(0.18), math.log(4.2), step))
    order = np.arange(1, 41)[:, None]
    terms = (-1.0) ** (order - 1) * order**2 * np.exp(-2 * (order * nodes) ** 2)
    density = 8 * nodes * terms.sum(axis=0)
    weights = density * nodes
    return nodes, weights / weights.sum()


def erf_mixture(scales: Sequence[float] | np.ndarray, weights: Sequence[float] | np.ndarray):
    r"""Moments of :math:`\sum_i w_i\, \mathrm{erf}(s / \sqrt 2 k_i)`.

    For one pair (k, k') of scales, with
    :math:`q = k^2k'^2 + k^2s'^2 + k'^2s^2 + s^2s'^2(1-\rho^2)`, the moments are
    :math:`(2/\pi)\,\mathrm{atan2}(s s'\rho, \sqrt q)` and :math:`(2/\pi)\, q^{-1/2}`. The sum over
    pairs is a loop, so that memory does not grow with their number, backwards included.
    """
    table = np.asarray(
        [
            (k * k, m * m, 2 / math.pi * v * w)
            for k, v in zip(scales, weights, strict=True)
            for m, w in zip(scales, weights, strict=True)
            if v * w > 1e-15 * k * m  # the others are below rounding in both moments
        ]
    )

    def mean(one_pair: Callable[..., Array], dtype: Any, shape: tuple[int, ...]) -> Array:
        @jax.checkpoint
        def add(total: Array, row: Array) -> tuple[Array, None]:
            return total + row[2] * one_pair(row[0], row[1]), None

        rows = jnp.asarray(table, dtype=dtype)
        return jax.lax.scan(add, jnp.zeros(shape, dtype), rows)[0]

    def setting(norm_x: Array, norm_z: Array, cosine: Array, law: Law | None):
        """Covariance and q, without their units, 1 / units, dtype and shape."""
        norm_x, norm_z, cosine = (precision.long(each) for each in (norm_x, norm_z, cosine))
        shape = jnp.broadcast_shapes(jnp.shape(norm_x), jnp.shape(norm_z), jnp.shape(cosine))
        if law is None:
            unit_x, unit_z = (
                jnp.maximum(angles.power_of_two(norm), 1) for norm in (norm_x, norm_z)
            )
        else:
            unit_x, unit_z = law.unit_x, law.unit_z
        norm_x, norm_z, least_x, least_z = norm_x / unit_x, norm_z / unit_z, 1 / unit_x, 1 / unit_z
        square_x, square_z = norm_x * norm_x, norm_z * norm_z
        last = square_x * square_z * ((1 - cosine) * (1 + cosine))
        covariance = norm_x * norm_z * cosine
        if law is not None:
            determinant = law.variance_x * law.variance_z - law.covariance * law.covariance
            covariance = angles.valued(covariance, law.covariance)
            square_x = angles.valued(square_x, law.variance_x)
            square_z = angles.valued(square_z, law.variance_z)
            last = angles.valued(last, determinant)
        one = (least_x * least_z) ** 2
        square_x, square_z = square_x * least_z**2, square_z * least_x**2
        # Below this a square root is 0 in all that matters, and its inverse is still a number.
        least = float(jnp.finfo(cosine.dtype).tiny)

        def q(k: Array, m: Array) -> Array:
            return jnp.maximum(k * m * one + k * square_z + m * square_x + last, least)

        return q, covariance, least_x * least_z, cosine.dtype, shape

    def value_moment(
        norm_x: Array,
        norm_z: Array,
        cosine: Array,
        angle: Array | None = None,
        law: Law | None = None,
    ) -> Array:
        q, covariance, _, dtype, shape = setting(norm_x, norm_z, cosine, law)
        return mean(lambda k, m: jnp.arctan2(covariance, jnp.sqrt(q(k, m))), dtype, shape)

    def derivative_moment(
        norm_x: Array,
        norm_z: Array,
        cosine: Array,
        angle: Array | None = None,
        law: Law | None = None,
    ) -> Array:
        q, _, least, dtype, shape = setting(norm_x, norm_z, cosine, law)
        return mean(lambda k, m: jax.lax.rsqrt(q(k, m)), dtype, shape) * least

    return value_moment, derivative_moment
