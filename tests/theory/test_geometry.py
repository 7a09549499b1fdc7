import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import dtypes
from twolayer.theory import geometry

unit_rows = jax.jit(geometry.unit_rows, static_argnames="zero")
row_cosines = jax.jit(geometry.row_cosines)
row_sines = jax.jit(geometry.row_sines)


def normal(seed, *shape):
    return jax.random.normal(jax.random.key(seed), shape)


@given(seed=st.integers(0, 2**31 - 1), exponent=st.integers(-300, 300))
def test_rows_have_length_one_at_every_scale(seed, exponent):
    v = normal(seed, 4, 7)
    unit = unit_rows(v * 10.0**exponent)
    np.testing.assert_allclose(jnp.linalg.norm(unit, axis=1), 1, rtol=1e-15 * 7)
    np.testing.assert_allclose(unit, v / jnp.linalg.norm(v, axis=1)[:, None], atol=1e-15)


@given(seed=st.integers(0, 2**31 - 1), exponent=st.integers(-300, 300))
def test_norms_at_every_scale(seed, exponent):
    v = normal(seed, 4, 7)
    for axis in (-1, 0, (0, 1)):
        wanted = jnp.linalg.norm(v, axis=axis) * 10.0**exponent
        np.testing.assert_allclose(geometry.norms(v * 10.0**exponent, axis), wanted, rtol=1e-14)


def test_norms_of_nothing_and_of_infinity():
    found = geometry.norms(jnp.array([[0.0, 0.0], [jnp.inf, 1.0], [3e200, -4e200]]))
    np.testing.assert_allclose(found, [0, jnp.inf, 5e200], rtol=1e-15)
    slope = jax.grad(lambda t: geometry.norms(t * jnp.array([3e200, 4e200])))(2.0)
    np.testing.assert_allclose(slope, 5e200, rtol=1e-15)


@pytest.mark.parametrize("dtype", dtypes.SHORT)
def test_long_rows_of_short_floats(dtype):
    image = jnp.ones((1, 150_528), dtype)  # 224 x 224 x 3: the sum of squares is beyond float16
    np.testing.assert_allclose(row_cosines(image, image), 1, rtol=1e-4)
    np.testing.assert_allclose(row_sines(image, image), 0, atol=1e-4)
    unit = unit_rows(image)
    assert unit.dtype == jnp.float32
    np.testing.assert_allclose(jnp.linalg.norm(unit), 1, rtol=1e-4)


def test_zero_rows(rejects):
    v = jnp.array([[3.0, 4.0], [0.0, 0.0]])
    np.testing.assert_allclose(unit_rows(v, zero="keep"), [[0.6, 0.8], [0, 0]], rtol=1e-15)
    assert jnp.isnan(unit_rows(v)[1]).all() and jnp.isfinite(unit_rows(v)[0]).all()
    with rejects("v must have no zero row, which has no direction; row 1 is zero."):
        geometry.unit_rows(v)
    with rejects("zero must be one of error, keep; got 'drop'."):
        geometry.unit_rows(v, zero="drop")


def test_angles_by_hand():
    u = jnp.array([[1.0, 0.0], [1.0, 0.0], [2.0, 0.0], [0.0, -3.0]])
    v = jnp.array([[0.0, 5.0], [3.0, 4.0], [-1.0, 0.0], [0.0, -1.0]])
    np.testing.assert_allclose(row_cosines(u, v), [0, 0.6, -1, 1], atol=1e-15)
    np.testing.assert_allclose(row_sines(u, v), [1, 0.8, 0, 0], atol=1e-15)


@given(seed=st.integers(0, 2**31 - 1))
def test_sine_and_cosine_belong_together(seed):
    u, v = normal(seed, 2, 5, 6)
    cosine, sine = row_cosines(u, v), row_sines(u, v)
    np.testing.assert_allclose(cosine**2 + sine**2, 1, rtol=1e-14)
    np.testing.assert_allclose(row_cosines(-2 * u, v), -cosine, atol=1e-15)
    np.testing.assert_allclose(row_sines(v, -u), sine, rtol=1e-13)


def test_sines_of_small_angles_keep_their_digits():
    """1 - cosine**2 has no digit left at 1e-9."""
    angle = 10.0 ** -jnp.arange(1.0, 13.0)
    u = jnp.stack([jnp.cos(angle), jnp.sin(angle)], axis=1)
    v = jnp.broadcast_to(jnp.array([1.0, 0.0]), u.shape)
    np.testing.assert_allclose(row_sines(u, v), np.sin(angle), rtol=1e-14)
    np.testing.assert_allclose(row_sines(v, u), np.sin(angle), rtol=1e-10)
    assert jnp.all(row_cosines(u, v) <= 1)


def test_plane_axes_are_unit_class_means():
    x, y = normal(1, 9, 4) + 1.0, jnp.array([1.0, -1, 1, 1, -1, 1, 1, -1, 1])
    axes = geometry.plane_axes(x, y)
    for axis, label in zip(axes, (1, -1), strict=True):
        mean = np.mean(np.asarray(x)[np.asarray(y) == label], axis=0)
        np.testing.assert_allclose(axis, mean / np.linalg.norm(mean), rtol=1e-14)
    np.testing.assert_allclose(jax.jit(geometry.plane_axes)(x, y), axes, rtol=1e-14)


def test_plane_axes_need_both_classes(rejects):
    with rejects("y must hold both classes; -1 is missing."):
        geometry.plane_axes(normal(1, 3, 2), jnp.ones(3))
    with rejects("y must hold both classes; +1 is missing."):
        geometry.plane_axes(normal(1, 3, 2), -jnp.ones(3))
    with rejects("row 0 is zero"):
        geometry.plane_axes(jnp.array([[1.0], [-1.0], [1.0]]), jnp.array([1.0, 1.0, -1.0]))


def test_plane_grid_and_points():
    grid = geometry.plane_grid((-1.0, 2.0), 4)
    np.testing.assert_allclose(grid, [-1, 0, 1, 2], atol=1e-15)
    axes = normal(2, 2, 5)
    points = geometry.plane_points(axes, grid, grid[::-1])
    np.testing.assert_allclose(points[1], 0 * axes[0] + 1 * axes[1], atol=1e-14)
    np.testing.assert_allclose(points[3], 2 * axes[0] - axes[1], atol=1e-14)


@pytest.mark.parametrize(
    "limits, resolution, words",
    [
        ((1.0, 1.0), 3, "limits must be (low, high) with low < high; got (1.0, 1.0)."),
        ((0.0, np.inf), 3, "limits must be in (-inf, inf); got inf."),
        ((0.0, 1.0), 1, "resolution must be at least 2; got 1."),
    ],
)
def test_grids_that_are_none(limits, resolution, words, rejects):
    with rejects(words):
        geometry.plane_grid(limits, resolution)


def test_shapes_that_do_not_fit(rejects):
    with rejects("v must have 3 rows; got shape (2, 2)."):
        geometry.row_cosines(jnp.ones((3, 2)), jnp.ones((2, 2)))
    with rejects("v must have 2 columns; got shape (3, 1)."):
        geometry.row_sines(jnp.ones((3, 2)), jnp.ones((3, 1)))
    with rejects("axes must have 2 rows; got shape (3, 2)."):
        geometry.plane_points(jnp.ones((3, 2)), jnp.ones(2), jnp.ones(2))


@pytest.mark.parametrize("axis", ["words", 2, (0, 0), 1.5, None])
def test_an_axis_of_norms_that_is_not_there(axis, rejects):
    with rejects("axis must be one or several of -2 .. 1, each once; got "):
        geometry.norms(jnp.ones((2, 3)), axis=axis)
