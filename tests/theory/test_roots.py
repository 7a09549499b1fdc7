"""Roots with the derivatives of their equation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from twolayer.theory import roots


def cube_root(theta):
    found = jnp.cbrt(jax.lax.stop_gradient(theta))
    return roots.implicit(lambda x: x**3 - theta, found)


@pytest.mark.parametrize("theta", [0.3, 8.0])
def test_derivatives_of_every_order(theta):
    function, expected, factor, power = cube_root, theta ** (1 / 3), 1.0, 1 / 3
    for _ in range(4):
        np.testing.assert_allclose(jax.jit(function)(theta), expected, rtol=1e-13)
        function = jax.grad(function)
        factor, power = factor * power, power - 1
        expected = factor * theta**power


def test_value_is_the_one_that_was_found_also_in_a_batch():
    theta = jnp.array([0.5, 2.0])
    np.testing.assert_array_equal(jax.vmap(cube_root)(theta), jnp.cbrt(theta))
    found = jax.vmap(jax.grad(cube_root))(theta)
    np.testing.assert_allclose(found, theta ** (-2 / 3) / 3, rtol=1e-13)
