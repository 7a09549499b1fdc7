import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from twolayer.theory import geometry, networks
from twolayer.theory.perturbation.wide import decision_map, surrogate

N, D, M = 14, 6, 9
LIMITS, RESOLUTION, BLOCK = (-3.0, 4.0), 7, 10  # 49 points: the last block is not full
MAPS = ("f", "g", "fh", "gh")
every_slope = pytest.mark.parametrize("gamma", [0.0, 0.3])


@functools.cache
def problem():
    """Overlapping classes of unequal sizes: their means are far from orthogonal."""
    key_x, key_r, key_f, key_g = jax.random.split(jax.random.key(5), 4)
    y = jnp.where(jnp.arange(N) < 5, 1.0, -1.0)
    x = jax.random.normal(key_x, (N, D)) + 0.7
    r = 0.3 * jax.random.normal(key_r, (N, D))
    f, g = (networks.init_two_layer(key, D, M) for key in (key_f, key_g))
    return f, g, x, y, r


@functools.cache
def compiled(block=BLOCK):
    return jax.jit(
        lambda f, g, x, y, r, gamma: decision_map.decision_map(
            f, g, x, y, r, gamma, LIMITS, RESOLUTION, block
        )
    )


def expected(gamma):
    """The maps from points in full dimension, the first axis along columns."""
    f, g, x, y, r = problem()
    line = geometry.plane_grid(LIMITS, RESOLUTION)
    beta, alpha = jnp.meshgrid(line, line, indexing="ij")
    z = geometry.plane_points(geometry.plane_axes(x, y), alpha.reshape(-1), beta.reshape(-1))
    values = {
        "f": networks.forward(f, z, gamma),
        "g": networks.forward(g, z, gamma),
        "fh": surrogate.surrogate_f(x, y, z, gamma),
        "gh": surrogate.surrogate_g(x, y, r, z, gamma),
    }
    return {name: value.reshape(RESOLUTION, RESOLUTION) for name, value in values.items()}


@every_slope
def test_maps_are_the_functions_at_the_points_of_the_plane(gamma):
    result = compiled()(*problem(), gamma)
    axes = np.asarray(result["axes"])
    assert abs(axes[0] @ axes[1]) > 0.3
    np.testing.assert_allclose(result["coordinates"], np.linspace(*LIMITS, RESOLUTION), atol=1e-15)
    for name, exact in expected(gamma).items():
        scale = np.max(np.abs(exact))
        np.testing.assert_allclose(result[name], exact, rtol=0, atol=1e-12 * scale, err_msg=name)


@pytest.mark.parametrize("block", [1, 49, 1000])
def test_block_does_not_matter(block):
    some, other = compiled()(*problem(), 0.3), compiled(block)(*problem(), 0.3)
    for name in MAPS:
        np.testing.assert_allclose(other[name], some[name], rtol=0, atol=1e-13, err_msg=name)


@every_slope
def test_float32_is_exact_to_rounding(gamma):
    rounded = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), problem())
    result = compiled()(*rounded, gamma)
    for name, exact in expected(gamma).items():
        assert result[name].dtype == jnp.float32
        scale = np.max(np.abs(exact))
        np.testing.assert_allclose(result[name], exact, rtol=0, atol=1e-5 * scale, err_msg=name)


def test_coordinates_of_the_samples_are_orthogonal_projections():
    x = problem()[2]
    result = compiled()(*problem(), 0.0)
    residual = x - result["samples"] @ result["axes"]
    np.testing.assert_allclose(residual @ result["axes"].T, 0, atol=1e-12)
    assert np.linalg.norm(residual) > 1  # the samples do leave the plane


def test_wrong_input_is_named(rejects):
    f, g, x, y, r = problem()

    def call(x=x, y=y, r=r, limits=LIMITS, resolution=RESOLUTION, block=BLOCK):
        return decision_map.decision_map(f, g, x, y, r, 0.3, limits, resolution, block)

    for words, wrong in [
        ("y must hold both classes; -1 is missing", dict(y=jnp.ones(N))),
        ("y must hold only -1 and +1", dict(y=jnp.zeros(N))),
        ("y must have length 14; got 13", dict(y=y[1:])),
        ("r must have 14 rows; got shape (13, 6)", dict(r=r[1:])),
        ("r must have 6 columns; got shape (14, 5)", dict(r=r[:, 1:])),
        ("x must be a non-empty matrix", dict(x=x[0])),
        (
            "x must have class means that are not parallel",
            dict(x=jnp.outer(jnp.arange(1.0, 15), r[0])),
        ),
        ("limits must be (low, high) with low < high", dict(limits=(1.0, -1.0))),
        ("limits must be (low, high) with low < high", dict(limits=(1.0, 1.0))),
        ("resolution must be at least 2; got 1", dict(resolution=1)),
        ("block must be at least 1; got 0", dict(block=0)),
    ]:
        with rejects(words):
            call(**wrong)
