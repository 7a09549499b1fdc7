"""Angles and their cosines: inverse functions that are safe to differentiate, and exact angles.

Every arc-cosine kernel is a function of the angle between two inputs. The inverse cosine has an
infinite slope at parallel inputs and loses half of the digits there; this module says once what
is done about both.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from theory import arguments

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
def arcsine(cosine: Float[Array, "..."]) -> Float[Array, "..."]:
    """``arcsin`` of a number clipped to [-1, 1], with a finite derivative everywhere.

    In float64 the exact function. In narrower types a polynomial form (absolute error 3e-7 in
    float32, rounding included [measured]) which, unlike the library's, fuses with the
    arithmetic around it.

    The derivative ``(1 - cosine**2) ** -0.5`` is put to 0 where it is infinite, at +-1 and
    beyond: as a function of two directions ``arcsin`` of their cosine has a symmetric cone
    where they meet, and 0 is the mean of its gradients.

    Args:
      cosine: any shape.

    Returns:
      The angle's complement, in [-pi/2, pi/2], same shape and dtype.
    """
    clipped = jnp.clip(arguments.long(cosine), -1, 1)
    if clipped.dtype == jnp.float64:
        return jnp.arcsin(clipped)
    size = jnp.abs(clipped)
    polynomial = jnp.full_like(size, _ARCCOSINE[0])
    for coefficient in _ARCCOSINE[1:]:
        polynomial = polynomial * size + coefficient
    magnitude = jnp.pi / 2 - jnp.sqrt(1 - size) * polynomial
    return jnp.where(clipped < 0, -magnitude, magnitude)


@arcsine.defjvp
def _arcsine_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    cosine, tangent = (arguments.long(value) for (value,) in (primals, tangents))
    squared_sine = (1 - cosine) * (1 + cosine)
    inside = squared_sine > 0
    rate = jnp.where(inside, jax.lax.rsqrt(jnp.where(inside, squared_sine, 1)), 0)
    return arcsine(cosine), rate * tangent


@jax.custom_jvp
def order_one(cosine: Float[Array, "..."]) -> Float[Array, "..."]:
    r"""Profile of the arc-cosine kernel of order one.

    .. math:: J(\rho) = \sqrt{1 - \rho^2} + (\pi - \arccos\rho)\,\rho,
              \qquad J'(\rho) = \pi - \arccos\rho,

    for a number clipped to [-1, 1]; the derivative is used in this form, so that the two infinite
    terms of the naive one never meet.

    Args:
      cosine: any shape.

    Returns:
      Values in [0, pi], same shape and dtype.

    Source: Cho and Saul (2009), order n = 1 (without their factor 1/pi).
    """
    clipped = jnp.clip(arguments.long(cosine), -1, 1)
    return jnp.sqrt((1 - clipped) * (1 + clipped)) + (jnp.pi / 2 + arcsine(clipped)) * clipped


@order_one.defjvp
def _order_one_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    cosine, tangent = (arguments.long(value) for (value,) in (primals, tangents))
    return order_one(cosine), (jnp.pi / 2 + arcsine(cosine)) * tangent


def snap(cosine: Float[Array, "..."]) -> Float[Array, "..."]:
    """A computed cosine within 64 rounding errors of +-1, or beyond, becomes +-1 exactly.

    Parallel inputs give a cosine of 1 up to rounding only, which their angle would magnify to
    its square root. Snapping makes it exact, at the price that angles below 1.7e-7 (float64) or
    4e-3 (float32) are read as 0. Snapped entries have zero gradient, which is the derivative of
    a cosine at parallel inputs.
    """
    cosine = arguments.long(cosine)
    threshold = 1 - 64 * float(jnp.finfo(cosine.dtype).eps)
    return jnp.where(cosine >= threshold, 1, jnp.where(cosine <= -threshold, -1, cosine))


def safe_sqrt(value: Float[Array, "..."]) -> Float[Array, "..."]:
    """Square root of a non-negative number whose derivative at 0 is put to 0."""
    value = arguments.long(value)
    positive = value > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, value, 1)), 0)


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
    x, z = arguments.long(x), arguments.long(z)
    norm_x, norm_z = safe_sqrt(jnp.sum(x * x)), safe_sqrt(jnp.sum(z * z))
    a, b = norm_z * x, norm_x * z
    difference = safe_sqrt(jnp.sum((a - b) ** 2))
    total = safe_sqrt(jnp.sum((a + b) ** 2))
    # A distance of rounding size has no direction: its gradient would be noise of unit length.
    rounding = 8 * float(jnp.finfo(difference.dtype).eps)
    parallel, opposite = difference <= rounding * total, total <= rounding * difference
    difference, total = jnp.where(parallel, 0, difference), jnp.where(opposite, 0, total)
    degenerate = (norm_x == 0) | (norm_z == 0)
    return 2 * jnp.arctan2(jnp.where(degenerate, 1, difference), jnp.where(degenerate, 1, total))
