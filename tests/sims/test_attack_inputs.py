"""What attacks are given: scales, dtypes, radii, objectives, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import dtypes
from tests.sims.test_attacks import STEPS, WORDS, bowl
from twolayer.sims.components.attacks import pgd

N = 4
CLEAN = np.random.default_rng(1).uniform(0.0, 1.0, (N, 9))


@pytest.mark.parametrize(("norm", "style"), WORDS)
def test_neither_the_scale_of_the_objective_nor_that_of_the_points_matters(norm, style):
    slope = jnp.array([3.0, -4.0, 0.5], jnp.float32)
    bend = jnp.array([0.3, 0.1, -0.2], jnp.float32)

    @jax.jit
    def run(scale, unit, eps):
        def objective(x):
            x = x / unit
            return scale * (x @ slope + x**2 @ bend)

        x = unit * jnp.array([[0.1, 0.2, -0.4]], jnp.float32)
        eps = None if norm == "l0" else unit * eps
        return pgd.pgd(objective, x, norm=norm, linf_style=style, steps=12, eps=eps)[0] / unit

    # The step of L0 has a unit of its own.
    units = (1.0,) if norm == "l0" else (1e-20, 1e-8, 1.0, 1e15)
    for eps in (1.0, 0.01):
        plain = run(1.0, 1.0, eps)
        assert np.all(plain[0, :2] != jnp.array([0.1, 0.2], jnp.float32))
        for unit in units:
            for scale in (1e-15, 1e-5, 1.0, 1e10, 1e20):
                # Gradients from 1e-30 to 1e40 / 10: scales times slopes over units.
                if 1e-31 < scale / unit < 1e36:
                    found = run(jnp.float32(scale), jnp.float32(unit), eps)
                    np.testing.assert_allclose(found, plain, rtol=3e-5, atol=1e-6 * eps)


@pytest.mark.parametrize(("norm", "style"), WORDS)
def test_dtypes_meet(norm, style):
    """NumPy's scalars, bounds as arrays, long networks and short images, under strict promotion."""
    x = jnp.full((2, 3), 0.5, jnp.float32)
    slope = np.array([3.0, -4.0, 0.5])
    eps = None if norm == "l0" else 0.1

    def run(x, dtype, eps=eps, low=0.0, high=1.0):
        return pgd.pgd(
            lambda x: x.astype(dtype) @ jnp.asarray(slope, dtype),
            x,
            norm=norm,
            linf_style=style,
            steps=3,
            eps=eps,
            low=low,
            high=high,
        )

    expected, best = run(x.astype(jnp.float64), jnp.float64)
    with jax.numpy_dtype_promotion("strict"):
        for kind in (jnp.float32, jnp.float64):
            found, values = run(
                x,
                kind,
                None if eps is None else np.float64(eps),
                np.zeros(3),
                np.ones((2, 1), np.float32),
            )
            assert found.dtype == jnp.float32 and values.dtype == kind
            np.testing.assert_allclose(found, expected, rtol=1e-6)
            np.testing.assert_allclose(values, best, rtol=1e-6)
        for short in dtypes.SHORT:
            found, values = run(x.astype(short), jnp.float32)
            assert found.dtype == short and values.dtype == jnp.float32
            np.testing.assert_allclose(found.astype(float), expected, atol=2.0**-9)
            # The value is that of the point that is returned, not of one with more digits.
            np.testing.assert_allclose(values, found.astype(float) @ slope, rtol=1e-5)


def test_a_radius_for_each_sample():
    radii = np.linspace(0.0, 0.8, N)
    for norm, style in WORDS[:3]:
        run = jax.jit(
            lambda x, eps, norm=norm, style=style: pgd.pgd(
                bowl, x, norm=norm, linf_style=style, steps=STEPS, eps=eps, low=0.0, high=1.0
            )
        )
        found, values = run(CLEAN, radii)
        for i in range(N):
            point, value = run(CLEAN[i : i + 1], radii[i])
            np.testing.assert_allclose(found[i], point[0], atol=1e-12)
            np.testing.assert_allclose(values[i], value[0], atol=1e-12)


def test_a_point_without_a_value_is_never_better():
    def objective(x):
        return jnp.where(x[:, 0] > 2, jnp.nan, jnp.log(x[:, 0]))

    x = jnp.array([[0.5], [-0.5], [3.0]])
    found, values = pgd.pgd(objective, x, norm="linf", steps=10, eps=1.0)
    # Steps of 0.2: the next point has no logarithm; the second sample comes to where there is one.
    np.testing.assert_allclose(found, [[0.1], [0.1], [3.0]], atol=1e-12)
    np.testing.assert_allclose(values, [np.log(0.1)] * 2 + [np.nan], atol=1e-12)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"norm": "l1"}, "norm must be one of l2, linf, l0; got 'l1'"),
        ({"linf_style": "clip"}, "linf_style must be one of rescale, sign"),
        ({"steps": -1}, "steps must be at least 0; got -1"),
        ({"eps": -0.1}, "eps must be in [0"),
        ({"eps": None}, "eps must be a radius for l2 and linf, None for l0; got None (l2)"),
        ({"norm": "l0"}, "eps must be a radius for l2 and linf, None for l0; got 0.5 (l0)"),
        ({"low": 1.0, "high": 1.0}, "low must be below high; got 1.0 and 1.0"),
        ({"low": 0.0, "high": 0.9}, "x must be in the box from low to high, 0.0 to 0.9; got"),
        ({"low": [0.0, 2.0, 0.0]}, "x must be in the box from low to high, [0.0, 2.0, 0.0] to"),
        ({"low": np.zeros(2)}, "low must be a number or of a shape that broadcasts to that of x"),
        ({"norm": 7}, "norm must be one of l2, linf, l0, or its index; got 7"),
        ({"norm": -1}, "norm must be one of l2, linf, l0, or its index; got -1"),
        ({"eps": np.ones(3)}, "eps must be a number or of shape (2,); got shape (3,)"),
        ({"eps": np.array([0.1, -0.1])}, "eps must be in [0"),
        ({"restarts": 3}, "restarts must be 1 without a key random_start; got 3"),
        ({"restarts": 0}, "restarts must be at least 1; got 0"),
        ({"random_start": 3}, "random_start must be a random key; got 3"),
        (
            {"norm": "l0", "eps": None, "random_start": jax.random.key(0)},
            "random_start must be None for l0, which has no ball to start in",
        ),
    ],
)
def test_arguments_are_checked(changes, words, rejects):
    with rejects(words):
        pgd.pgd(bowl, jnp.ones((2, 3)), **{"norm": "l2", "eps": 0.5, "steps": 2, **changes})


def test_an_objective_has_one_value_for_each_point(rejects):
    for objective in (jnp.sum, lambda x: x, lambda x: (bowl(x), 1)):
        with rejects("objective must give one value for each point, shape (2,); got"):
            pgd.pgd(objective, jnp.ones((2, 3)), norm="l2", eps=0.5, steps=2)


@pytest.mark.parametrize("steps", [np.int8(127), np.uint8(255), jnp.uint8(255), np.array(127)])
def test_steps_in_any_integer(steps):
    """One more than the largest of a short integer is no number of it."""
    x = jnp.full((1, 3), 0.5)

    def run(steps):
        return pgd.pgd(lambda x: jnp.sum(x, axis=1), x, norm="l2", eps=0.1, steps=steps)

    expected = run(127)
    for found in (run(steps), jax.jit(run)(steps)):
        np.testing.assert_allclose(found[0], expected[0], rtol=1e-12)
        np.testing.assert_allclose(found[1], expected[1], rtol=1e-12)


@pytest.mark.parametrize("kind", [int, bool, complex])
def test_an_objective_gives_floats(kind, rejects):
    with rejects("objective must give floats; got values of dtype"):
        pgd.pgd(lambda x: bowl(x).astype(kind), jnp.ones((2, 3)), norm="l0", steps=1)
