import jax
import jax.numpy as jnp
import numpy as np
import pytest

from twolayer.theory.kernels import angles


@pytest.mark.parametrize("dtype, tolerance", [(jnp.float64, 0.0), (jnp.float32, 3e-7)])
def test_arcsine_matches_numpy_over_its_range(dtype, tolerance):
    cosine = jnp.linspace(-1, 1, 20001, dtype=dtype)
    exact = np.arcsin(np.asarray(cosine, dtype=np.float64))
    result = angles.arcsine(cosine)
    assert result.dtype == dtype
    assert np.max(np.abs(np.asarray(result, np.float64) - exact)) <= tolerance + 5e-16


def test_arcsine_of_a_cosine_that_rounding_pushed_out_is_clipped():
    np.testing.assert_array_equal(
        angles.arcsine(jnp.array([-1.5, -1.0, 0.0, 1.0, 1 + 1e-12])),
        np.array([-np.pi / 2, -np.pi / 2, 0.0, np.pi / 2, np.pi / 2]),
    )


def test_derivatives_of_the_profiles():
    cosine = jnp.array([-1.2, -1.0, -0.5, 0.0, 0.8, 1.0, 1.2])
    slope = jax.vmap(jax.grad(angles.arcsine))(cosine)
    expected = [0, 0, 1 / np.sqrt(0.75), 1, 1 / 0.6, 0, 0]
    np.testing.assert_allclose(slope, expected, rtol=1e-14)
    slope = jax.vmap(jax.grad(angles.order_one))(cosine)
    expected = np.pi - np.arccos(np.clip(cosine, -1, 1))
    np.testing.assert_allclose(slope, expected, atol=1e-15)
    # The slope of order_one is differentiable in its turn.
    second = jax.grad(jax.grad(angles.order_one))(jnp.array(0.6))
    np.testing.assert_allclose(second, 1 / 0.8, rtol=1e-14)


def test_order_one_hand_values():
    values = angles.order_one(jnp.array([-1.0, 0.0, 1.0, 0.5]))
    third = np.sqrt(0.75) + np.pi / 3
    np.testing.assert_allclose(values, [0, 1, np.pi, third], atol=1e-15)


def test_angle_is_exact_for_nearly_parallel_vectors():
    for theta in (1e-12, 1e-8, 1e-3, 1.0, np.pi - 1e-9):
        x, z = jnp.array([3.0, 0.0]), 7 * jnp.array([np.cos(theta), np.sin(theta)])
        np.testing.assert_allclose(angles.angle(x, z), theta, rtol=1e-7, atol=1e-15)
        np.testing.assert_allclose(angles.angle(x, z), theta, atol=1e-15)


def test_angle_at_the_edges():
    x, zero = jnp.array([1.0, 2.0]), jnp.zeros(2)
    assert angles.angle(x, x) == 0
    np.testing.assert_allclose(angles.angle(x, -x), np.pi, atol=1e-15)
    assert angles.angle(x, zero) == angles.angle(zero, zero) == np.pi / 2
    for first, second in [(x, x), (x, -x), (x, zero), (zero, x), (zero, zero)]:
        gradients = jax.grad(angles.angle, argnums=(0, 1))(first, second)
        assert all(np.all(np.isfinite(gradient)) for gradient in gradients)


def test_angle_of_vectors_of_any_size():
    x, z = np.array([1.0, 2.0]), np.array([2.0, -0.5])
    exact = np.arccos(x @ z / np.sqrt((x @ x) * (z @ z)))
    for dtype, size in [(jnp.float32, 1e30), (jnp.float64, 1e200)]:
        for a, b in [(size, size), (1 / size, 1 / size), (size, 1 / size), (1.0, size)]:
            first, second = jnp.asarray(a * x, dtype), jnp.asarray(b * z, dtype)
            np.testing.assert_allclose(angles.angle(first, second), exact, rtol=1e-6)
            assert np.all(np.isfinite(jax.grad(angles.angle)(first, second)))


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_powers_of_two_change_no_digit(dtype):
    size = jnp.asarray([0.0, 1.0, 1.5, 2.0, 0.3, 1e30, 1e-30], dtype)
    unit = angles.power_of_two(size)
    assert unit.dtype == dtype
    np.testing.assert_array_equal(unit[:5], [1, 1, 1, 2, 0.25])
    np.testing.assert_array_equal(size / unit * unit, size)
    assert np.all((size / unit >= 1) & (size / unit < 2) | (size == 0))
    assert jax.grad(angles.power_of_two)(size[2]) == 0


def test_a_corrected_value_has_the_derivatives_of_its_carrier():
    def cube(x):
        return angles.valued(jnp.round(x**3), x**3)

    at = jnp.array(1.1)
    assert cube(at) == 1
    np.testing.assert_allclose(jax.grad(cube)(at), 3 * 1.1**2)
    np.testing.assert_allclose(jax.grad(jax.grad(cube))(at), 6 * 1.1)
    np.testing.assert_allclose(jax.jacrev(jax.jacfwd(jax.grad(cube)))(at), 6)
    # A cosine of 1 up to rounding has a maximum there, whatever it is snapped to.
    assert jax.grad(lambda t: angles.snap(jnp.cos(t)))(1e-9) == -1e-9
    np.testing.assert_allclose(jax.grad(jax.grad(lambda t: angles.snap(jnp.cos(t))))(1e-9), -1)


def test_an_angle_that_is_known_serves_the_values_alone():
    cosine = jnp.array([0.6, -0.3])
    for profile in (angles.arcsine, angles.order_one):
        for order in range(3):

            def plain(c, f=profile):
                return f(c)

            def told(c, f=profile):
                return f(c, jnp.arccos(jax.lax.stop_gradient(c)))

            for _ in range(order):
                plain, told = jax.grad(plain), jax.grad(told)
            np.testing.assert_allclose(jax.vmap(told)(cosine), jax.vmap(plain)(cosine), rtol=1e-13)


def test_snap_moves_only_the_last_digits():
    eps = np.finfo(np.float64).eps
    cosine = jnp.array([1 - 60 * eps, 1 + 3 * eps, -1 + 60 * eps, 1 - 70 * eps, 0.5])
    np.testing.assert_array_equal(
        angles.snap(cosine), np.array([1.0, 1.0, -1.0, 1 - 70 * eps, 0.5])
    )
    # What that costs a gate kernel, whose slope in the angle is at most 1 / 2 pi.
    assert np.arccos(1 - 64 * eps) / (2 * np.pi) < 3e-8
