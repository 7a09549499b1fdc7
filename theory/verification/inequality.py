"""Represent inequalities with both sides kept.

A bound ``lhs <= rhs`` is elementwise and exact but for rounding; statements of equality, of signs
and strict hypotheses are put in the same form.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import struct
from jax import Array

# Both sides are sums of rounded terms: what differs by less than this share of the larger side is
# rounding. Statements of equality carry their own tolerance in their right side.
ROUNDING = 1e-12


@struct.dataclass
class Bound:
    """Both sides of an inequality ``lhs <= rhs``, elementwise."""

    lhs: Array
    rhs: Array

    @property
    def slack(self) -> Array:
        """Non-negative, up to rounding, where the inequality holds."""
        return self.rhs - self.lhs

    @property
    def relative_slack(self) -> Array:
        """Slack over the larger side's magnitude, in [-2, 2].

        It is 0 where both sides are 0, and its limit 1 or -1 where one side is infinite.
        """
        scale = jnp.maximum(jnp.abs(self.lhs), jnp.abs(self.rhs))
        share = self.slack / jnp.where(scale == 0, 1, scale)
        return jnp.where(jnp.isinf(self.slack), jnp.sign(self.slack), share)

    @property
    def holds(self) -> Array:
        """Elementwise truth up to rounding; NaN on either side does not hold."""
        return self.relative_slack >= -ROUNDING


def equal(first: Array, second: Array, tolerance: Array | float) -> Bound:
    """``|first - second| <= tolerance`` as a bound, for statements of equality."""
    return Bound(lhs=jnp.abs(first - second), rhs=jnp.broadcast_to(tolerance, jnp.shape(first)))


def within_rounding(lhs: Array, rhs: Array, scale: Array) -> Bound:
    """``lhs <= rhs`` for a difference lhs of terms of size ``scale``, whose rounding counts."""
    return Bound(lhs=lhs, rhs=rhs + 1e-12 * scale)


def same_sign(first: Array, second: Array) -> Bound:
    """``sign first == sign second`` as a bound: 0 or 1 or 2 against 0.

    Signs have no slope. The bound's derivative is that of minus the product of both arguments, each
    relative to its size, so that a search knows which way they come apart.
    """
    lhs = _signs_apart(first, second)
    return Bound(lhs=lhs, rhs=jnp.zeros_like(lhs))


@jax.custom_jvp
def _signs_apart(first: Array, second: Array) -> Array:
    return jnp.abs(jnp.sign(first) - jnp.sign(second))


@_signs_apart.defjvp
def _signs_apart_jvp(
    primals: tuple[Array, Array], tangents: tuple[Array, Array]
) -> tuple[Array, Array]:
    first, second = primals
    share_first, share_second = (
        tangent / jnp.where(value == 0, 1, jnp.abs(value))
        for value, tangent in zip(primals, tangents, strict=True)
    )
    together = jnp.sign(second) * share_first + jnp.sign(first) * share_second
    return _signs_apart(first, second), -together


def strictly_less(lhs: Array, rhs: Array) -> Bound:
    """A strict hypothesis ``lhs < rhs``: one that rounding alone could decide is not taken."""
    return Bound(lhs=lhs * (1 + 2 * ROUNDING) + jnp.finfo(jnp.result_type(lhs)).tiny, rhs=rhs)


Bounds = dict[str, Bound]
