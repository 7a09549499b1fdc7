"""Inequalities: what holds, up to rounding and at the edges."""

import jax.numpy as jnp
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from twolayer.theory.verification.inequality import (
    Bound,
    equal,
    same_sign,
    strictly_less,
    within_rounding,
)


def test_bounds_by_hand():
    bound = Bound(
        lhs=jnp.array([1.0, 2.0, 0.0, 1.0, -1.0, jnp.nan, 1.0]),
        rhs=jnp.array([2.0, 1.0, 0.0, 1.0 - 1e-13, -2.0, 1.0, jnp.nan]),
    )
    np.testing.assert_array_equal(bound.slack[:3], [1, -1, 0])
    np.testing.assert_allclose(bound.relative_slack[:5], [0.5, -0.5, 0, -1e-13, -0.5], rtol=1e-3)
    np.testing.assert_array_equal(bound.holds, [1, 0, 1, 1, 0, 0, 0])


def test_infinite_right_side_holds_and_left_side_does_not():
    """A ratio with denominator 0 bounds anything; nothing finite bounds an infinite number."""
    bound = Bound(lhs=jnp.array([1.0, jnp.inf]), rhs=jnp.array([jnp.inf, 1.0]))
    np.testing.assert_array_equal(bound.holds, [True, False])


@given(
    lhs=st.floats(-1e3, 1e3, allow_subnormal=False), rhs=st.floats(-1e3, 1e3, allow_subnormal=False)
)
def test_strict_hypotheses_leave_no_doubt(lhs, rhs):
    """What is taken as strictly less is so without rounding, if lhs is non-negative."""
    lhs = abs(lhs)
    if strictly_less(jnp.asarray(lhs), jnp.asarray(rhs)).holds:
        assert lhs < rhs


def test_strictly_less_at_equality():
    for value in (0.0, 1e-200, 1.0, 1e200):
        assert not strictly_less(jnp.asarray(value), jnp.asarray(value)).holds
    assert strictly_less(jnp.asarray(1.0), jnp.asarray(1.0 + 1e-11)).holds


def test_equalities_and_signs():
    first, second = jnp.array([1.0, -2.0, 0.0]), jnp.array([1.0 + 1e-9, 2.0, 1.0])
    np.testing.assert_array_equal(equal(first, second, 1e-8).holds, [1, 0, 0])
    np.testing.assert_array_equal(equal(first, second, 1e-10).holds, [0, 0, 0])
    np.testing.assert_array_equal(same_sign(first, second).holds, [1, 0, 0])
    off = within_rounding(jnp.asarray(1e-13), jnp.asarray(0.0), jnp.asarray(1.0))
    assert off.holds
    assert not within_rounding(jnp.asarray(1e-11), jnp.asarray(0.0), jnp.asarray(1.0)).holds
