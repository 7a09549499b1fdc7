"""Attacks from random starts: their law, and the best of several."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from tests.sims.test_attacks import EPS, WORDS, bowl
from twolayer.sims.components.attacks import pgd

CLEAN = np.random.default_rng(1).uniform(0.0, 1.0, (4, 9))


@pytest.mark.parametrize(("norm", "style"), WORDS[:3])
def test_random_starts_are_within_ball_and_box(norm, style):
    def start(key, x=CLEAN, low=-jnp.inf, high=jnp.inf):
        seen = []

        def objective(x):
            jax.debug.callback(lambda x: seen.append(np.asarray(x)), x)
            return 0 * x[:, 0]

        pgd.pgd(
            objective,
            x,
            norm=norm,
            linf_style=style,
            steps=0,
            eps=EPS[norm],
            low=low,
            high=high,
            random_start=key,
        )
        jax.effects_barrier()
        assert len(seen) == 2 and np.all(seen[0] == x)
        return seen[1] - x

    many = np.zeros((2000, 3))
    moved = start(jax.random.key(0), many)
    sizes = np.linalg.norm(moved, 2 if norm == "l2" else np.inf, axis=1) / EPS[norm]
    # Uniform in a ball of three dimensions, in no direction more than in another.
    assert stats.kstest(sizes**3, "uniform").pvalue > 1e-3
    assert np.all(np.abs(np.mean(np.sign(moved), axis=0)) < 5 / 2000**0.5)
    np.testing.assert_array_equal(start(jax.random.key(0), many), moved)
    assert np.all(start(jax.random.key(1), many) != moved)
    boxed = CLEAN + start(jax.random.key(2), low=0.0, high=1.0)
    assert np.all((boxed >= 0) & (boxed <= 1))


def test_the_best_of_several_starts_counts():
    # No gradient at 0, where descent on both sides begins; one ends four times as deep.
    def ridge(x):
        return -(x[:, 0] ** 2) * (1 + x[:, 0] / 2)

    x = jnp.zeros((40, 1))

    @functools.partial(jax.jit, static_argnames="restarts")
    def run(key, restarts):
        return pgd.pgd(ridge, x, norm="l2", steps=30, eps=1.2, random_start=key, restarts=restarts)

    none, _ = pgd.pgd(ridge, x, norm="l2", steps=30, eps=1.2)
    np.testing.assert_array_equal(none, x)
    deep = -(1.2**2) * 1.6
    _, one = run(jax.random.key(0), 1)
    assert 10 < np.sum(one < 0.99 * deep) < 30
    found, values = run(jax.random.key(0), 12)
    np.testing.assert_allclose(values, deep, rtol=1e-6)
    np.testing.assert_allclose(values, ridge(found), rtol=1e-12)
    # A start somewhere else is worse than a clean point that is the best already.
    kept, _ = pgd.pgd(
        lambda x: -ridge(x),
        x,
        norm="l2",
        steps=0,
        eps=0.1,
        random_start=jax.random.key(1),
        restarts=3,
    )
    np.testing.assert_array_equal(kept, x)


def test_random_starts_by_the_index_of_a_norm():
    run = jax.jit(
        lambda x, norm: pgd.pgd(
            bowl, x, norm=norm, steps=4, eps=0.3, random_start=jax.random.key(3), restarts=2
        )
    )
    for index, norm in enumerate(pgd.NORMS):
        found, _ = run(CLEAN, index)
        options = {"eps": 0.3, "random_start": jax.random.key(3), "restarts": 2}
        options = {} if norm == "l0" else options
        alone, _ = pgd.pgd(bowl, jnp.asarray(CLEAN), norm=norm, steps=4, **options)
        np.testing.assert_allclose(found, alone, atol=1e-12)
