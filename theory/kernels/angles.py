"""Angles and their cosines: inverse functions that are safe to differentiate, and exact angles.

Every arc-cosine kernel is a function of the angle between two inputs. The inverse cosine has an
infinite slope at parallel inputs and loses half of the digits there; this module says once what
is done about both. Where a value is corrected (``snap``, an exact ``angle``), derivatives of all
orders stay those of the uncorrected expression (``valued``).
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from twolayer.theory import precision

# arccos(t) = sqrt(1 - t) * polynomial(t) on [0, 1], absolute error 2e-8: Abramowitz and Stegun
# (1964), formula 4.4.46. Highest power first.
_ARCCOSINE = (
    -0.0012624911,
    0.0066700901,
    -0.0170881256,
    0.0308918810,
    -0.0501743046,
    0.0889789874,
    -0.2145988016,
    1.5707963050,
)


@jax.custom_jvp
def valued(value: Float[Array, "..."], carrier: Float[Array, "..."]) -> Float[Array, "..."]:
    """A number that is known better than by the expression that its derivatives are taken of.

    Args:
      value: what the result is.
      carrier: the same up to rounding, of the same shape and dtype; has the derivatives.
    """
    return precision.long(value)


@valued.defjvp
def _valued_jvp(primals: tuple[Array, Array], tangents: tuple[Array, Array]) -> tuple[Array, Array]:
    return valued(*primals), precision.long(tangents[1])


@jax.custom_jvp
def arcsine(
    cosine: Float[Array, "..."], angle: Float[Array, "..."] | None = None
) -> Float[Array, "..."]:
    """``arcsin`` of a number clipped to [-1, 1], with a finite derivative everywhere.

    In float64 the exact function. In narrower types a polynomial form (absolute error 3e-7 in
    float32, rounding included [measured]) which, unlike the library's, fuses with the
    arithmetic around it.

    The derivative ``(1 - cosine**2) ** -0.5`` is put to 0 where it is infinite, at +-1 and
    beyond: as a function of two directions ``arcsin`` of their cosine has a symmetric cone
    where they meet, and 0 is the mean of its gradients.

    Args:
      cosine: any shape; derivatives are those of a function of it.
      angle: ``arccos(cosine)`` where it is known better than its cosine tells.

    Returns:
      The angle's complement, in [-pi/2, pi/2], same shape and dtype.
    """
    if angle is not None:
        return jnp.pi / 2 - precision.long(angle)
    clipped = jnp.clip(precision.long(cosine), -1, 1)
    if clipped.dtype == jnp.float64:
        return jnp.arcsin(clipped)
    size = jnp.abs(clipped)
    polynomial = jnp.full_like(size, _ARCCOSINE[0])
    for coefficient in _ARCCOSINE[1:]:
        polynomial = polynomial * size + coefficient
    magnitude = jnp.pi / 2 - jnp.sqrt(1 - size) * polynomial
    return jnp.where(clipped < 0, -magnitude, magnitude)


@arcsine.defjvp
def _arcsine_jvp(
    primals: tuple[Array, Array | None], tangents: tuple[Array, Any]
) -> tuple[Array, Array]:
    cosine, angle, tangent = (precision.long(value) for value in (*primals, tangents[0]))
    squared_sine = (1 - cosine) * (1 + cosine)
    inside = squared_sine > 0
    if angle is not None:
        sine = jnp.sin(angle)
        # The derivative is one of the cosine alone, so that it can be taken again.
        squared_sine = valued(sine * sine, squared_sine)
        inside = sine > _rounding(angle)
    rate = jnp.where(inside, jax.lax.rsqrt(jnp.where(inside, squared_sine, 1)), 0)
    return arcsine(cosine, angle), rate * tangent


@jax.custom_jvp
def order_one(
    cosine: Float[Array, "..."], angle: Float[Array, "..."] | None = None
) -> Float[Array, "..."]:
    r"""Profile of the arc-cosine kernel of order one.

    .. math:: J(\rho) = \sqrt{1 - \rho^2} + (\pi - \arccos\rho)\,\rho,
              \qquad J'(\rho) = \pi - \arccos\rho,

    for a number clipped to [-1, 1]; the derivative is used in this form, so that the two infinite
    terms of the naive one never meet.

    Args:
      cosine: any shape.
      angle: as for :func:`arcsine`.

    Returns:
      Values in [0, pi], same shape and dtype.

    Source: Cho and Saul (2009), order n = 1 (without their factor 1/pi).
    """
    if angle is not None:
        angle = precision.long(angle)
        return jnp.sin(angle) + (jnp.pi - angle) * jnp.cos(angle)
    clipped = jnp.clip(precision.long(cosine), -1, 1)
    return jnp.sqrt((1 - clipped) * (1 + clipped)) + (jnp.pi / 2 + arcsine(clipped)) * clipped


@order_one.defjvp
def _order_one_jvp(
    primals: tuple[Array, Array | None], tangents: tuple[Array, Any]
) -> tuple[Array, Array]:
    cosine, angle, tangent = (precision.long(value) for value in (*primals, tangents[0]))
    return order_one(cosine, angle), (jnp.pi / 2 + arcsine(cosine, angle)) * tangent


def snap(cosine: Float[Array, "..."]) -> Float[Array, "..."]:
    """A computed cosine within 64 rounding errors of +-1, or beyond, becomes +-1 exactly.

    Parallel inputs give a cosine of 1 up to rounding only, which their angle would magnify to
    its square root. Snapping makes it exact, at the price that angles below 1.7e-7 (float64) or
    4e-3 (float32) are read as 0. Derivatives are those of the cosine as it came: at parallel inputs
    the first one is 0 within rounding, the second ones are not.
    """
    cosine = precision.long(cosine)
    threshold = 1 - 64 * float(jnp.finfo(cosine.dtype).eps)
    snapped = jnp.where(cosine >= threshold, 1, jnp.where(cosine <= -threshold, -1, cosine))
    return valued(snapped, cosine)


def safe_sqrt(value: Float[Array, "..."]) -> Float[Array, "..."]:
    """Square root of a non-negative number whose derivative at 0 is put to 0."""
    value = precision.long(value)
    positive = value > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, value, 1)), 0)


def power_of_two(size: Float[Array, "..."]) -> Float[Array, "..."]:
    """The largest power of two up to a size, a unit in which rounding changes nothing; 1 at 0.

    Args:
      size: non-negative, any shape.

    Returns:
      The same shape and dtype, without derivatives.
    """
    size = jax.lax.stop_gradient(precision.long(size))
    _, exponent = jnp.frexp(size)
    return jnp.where(size > 0, jnp.ldexp(jnp.ones_like(size), exponent - 1), 1)


def angle(x: Float[Array, "d"], z: Float[Array, "d"]) -> Float[Array, ""]:
    r"""Angle between two vectors, to rounding at every angle.

    Kahan's half-angle form :math:`2\,\mathrm{atan2}(|a - b|, |a + b|)` with
    :math:`a = |z| x`, :math:`b = |x| z`: no inverse cosine, so no digits are lost for nearly
    parallel vectors.

    Args:
      x: one vector, shape ``(d,)``.
      z: the other, of the same shape.

    Returns:
      The angle, shape ``()``, in [0, pi]; pi/2 (cosine 0) where either vector is zero. Gradients
      are finite; 0 where the vectors are parallel (the symmetric gradient) or zero.
    """
    x, z = precision.long(x), precision.long(z)
    # Squares of squares of the lengths are taken below.
    x, z = (v / power_of_two(jnp.max(jnp.abs(v), initial=0)) for v in (x, z))
    norm_x, norm_z = safe_sqrt(jnp.sum(x * x)), safe_sqrt(jnp.sum(z * z))
    a, b = norm_z * x, norm_x * z
    difference = safe_sqrt(jnp.sum((a - b) ** 2))
    total = safe_sqrt(jnp.sum((a + b) ** 2))
    # A distance of rounding size has no direction: its gradient would be noise of unit length.
    rounding = _rounding(difference)
    parallel, opposite = difference <= rounding * total, total <= rounding * difference
    difference, total = jnp.where(parallel, 0, difference), jnp.where(opposite, 0, total)
    degenerate = (norm_x == 0) | (norm_z == 0)
    return 2 * jnp.arctan2(jnp.where(degenerate, 1, difference), jnp.where(degenerate, 1, total))


def _rounding(number: Array) -> float:
    """Angles up to about this are rounding."""
    return 8 * float(jnp.finfo(number.dtype).eps)
