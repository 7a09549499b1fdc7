"""Gaussian laws of pairs of inputs: what the moments of an activation are asked at.

Rows are kept in units of their own sizes, so that no square overflows or vanishes, and a cosine is
corrected without touching its derivatives.
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

from twolayer.theory.kernels import angles
from twolayer.theory.kernels.activations import Activation
from twolayer.theory.kernels.erf_mixtures import Law


class Rows(NamedTuple):
    """Inputs in units of their own sizes, with their biases; N rows, or one.

    ``unit`` is the power of two under a row's largest entry, bias included, so that dividing by it
    changes no digit. The other fields are in that unit.
    """

    points: Array  # (N, d)
    unit: Array  # (N,)
    bias: Array  # (N,)
    variance: Array  # (N,), of the pre-activation
    norm: Array  # (N,), its root

    def column(self) -> Rows:
        """Numbers of shape ``(N, 1)``, for the rows of a kernel matrix."""
        return self._replace(**{name: getattr(self, name)[:, None] for name in _NUMBERS})

    def row(self) -> Rows:
        """Numbers of shape ``(1, N)``, for its columns."""
        return self._replace(**{name: getattr(self, name)[None, :] for name in _NUMBERS})


_NUMBERS = ("unit", "bias", "variance", "norm")


def augmented(x: Array, bias: Array, *, terms: int | None = None) -> Rows:
    """Rows with their bias; the variance is |x|^2 over ``terms``, d if not given, plus bias^2."""
    unit = angles.power_of_two(jnp.maximum(jnp.max(jnp.abs(x), axis=1), bias))
    points, offset = x / unit[:, None], bias / unit
    variance = jnp.sum(points * points, axis=1) / (terms or x.shape[1]) + offset**2
    return Rows(points, unit, offset, variance, angles.safe_sqrt(variance))


def inner(first: Rows, second: Rows) -> Array:
    """x.z in their units, in full precision where the default rounds to 10 bits (accelerators)."""
    return jnp.matmul(first.points, second.points.T, precision="highest")


def correlation(
    covariance: Array, norm_x: Array, norm_z: Array, angle: Array | None = None
) -> Array:
    """Cosine from a covariance and norms that broadcast to its shape, or from an angle if given.

    Its derivatives, of all orders, are those of covariance over norms; 0 where a norm is 0.
    """
    norms = norm_x * norm_z
    regular = norms > 0
    cosine = jnp.where(regular, covariance / jnp.where(regular, norms, 1), 0)
    return angles.snap(cosine) if angle is None else angles.valued(jnp.cos(angle), cosine)


def moment(
    kind: str,
    activation: Activation,
    first: Rows,
    second: Rows,
    covariance: Array,
    angle: Array | None = None,
) -> Array:
    """A moment, "value" or "derivative", of two sets of rows whose covariance is in their units.

    For an activation of degree one the value is in those units too.
    """
    function = activation.value_moment if kind == "value" else activation.derivative_moment
    cosine = correlation(covariance, first.norm, second.norm, angle)
    if activation.degree == 1:
        return function(first.norm, second.norm, cosine, angle)
    # Against 1, which has a meaning here, small rows are small.
    unit_x, unit_z = jnp.maximum(first.unit, 1), jnp.maximum(second.unit, 1)
    size_x, size_z = first.unit / unit_x, second.unit / unit_z
    variance_x, variance_z = first.variance * size_x**2, second.variance * size_z**2
    law = Law(variance_x, variance_z, covariance * size_x * size_z, unit_x, unit_z)
    return function(first.norm * first.unit, second.norm * second.unit, cosine, angle, law)
