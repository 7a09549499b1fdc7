"""Equally valid cues: cells, accuracies, the vote, intervals; flatness and paths."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from tests import dtypes
from twolayer.theory.shortcut.cues import accuracy, landscape

# Cells and accuracies ----------------------------------------------------------------------------


@pytest.mark.parametrize(("k", "size"), [(2, 2), (3, 3), (4, 3), (2, 5)])
def test_cells_are_all_combinations(k, size):
    diagonal, off = accuracy.wcst_cells(k, size)
    assert diagonal.shape == (size, k) and off.shape == (size**k - size, k)
    assert (diagonal == np.arange(size)[:, None]).all()
    assert (off.max(axis=1) > off.min(axis=1)).all()
    every = {tuple(cell) for cell in [*diagonal.tolist(), *off.tolist()]}
    assert every == set(itertools.product(range(size), repeat=k))


@pytest.mark.parametrize(
    ("k", "size", "baseline", "majority"),
    [(3, 3, 1 / 4, 7 / 4), (4, 3, 4 / 13, None), (2, 3, 0, 1), (3, 2, 1 / 3, 2)],
)
def test_baselines_are_what_counting_gives(k, size, baseline, majority):
    _, off = accuracy.wcst_cells(k, size)
    assert accuracy.cue_baseline(k, size) == pytest.approx(baseline, rel=1e-15)
    for cue in range(k):
        found = np.asarray(accuracy.cue_accuracy(jnp.asarray(off[:, cue]), jnp.asarray(off)))
        expected = np.full(k, baseline)
        expected[cue] = 1
        np.testing.assert_allclose(found, expected, rtol=1e-14)
        assert found.sum() == pytest.approx(1 + (k - 1) * baseline, rel=1e-14)
    counted = np.mean([max(cell.count(level) for level in cell) for cell in off.tolist()])
    assert accuracy.majority_baseline(k, size) == pytest.approx(counted, rel=1e-14)
    if majority is not None:
        assert accuracy.majority_baseline(k, size) == pytest.approx(majority, rel=1e-15)


def test_majority_of_many_levels():
    """Two cues never agree off the diagonal; of three, two do in 3 L (L-1) of L^3 - L cells."""
    assert accuracy.majority_baseline(2, 20) == 1
    for size in (16, 1000):
        both = 3 * size * (size - 1) / (size**3 - size)
        assert accuracy.majority_baseline(3, size) == pytest.approx(1 + both, rel=1e-15)
    cells = np.random.default_rng(0).integers(0, 100, (200_000, 10))
    most = [np.bincount(cell).max() for cell in cells]
    error = 5 * np.std(most) / len(most) ** 0.5
    assert accuracy.majority_baseline(10, 100) == pytest.approx(np.mean(most), abs=error)


def test_no_model_beats_the_majority_of_the_cues():
    """Over all 3^6 models of two cues, and the best model of three cues cell by cell."""
    _, off = accuracy.wcst_cells(2, 3)
    sums = [
        (np.array(pred)[:, None] == off).mean(axis=0).sum()
        for pred in itertools.product(range(3), repeat=6)
    ]
    assert max(sums) == pytest.approx(accuracy.majority_baseline(2, 3))
    assert min(sums) == 0


def test_predictions_of_no_level_are_wrong():
    levels = jnp.array([[0, 1], [2, 0]])
    np.testing.assert_array_equal(accuracy.cue_accuracy(jnp.array([-1, 0]), levels), [0, 0.5])


# The vote ----------------------------------------------------------------------------------------


def counted(alpha, levels):
    found = []
    for row in levels:
        votes = {}
        for weight, level in zip(alpha, row, strict=True):
            votes[level] = votes.get(level, 0) + weight**2
        best = max(votes.values())
        winners = [level for level, vote in votes.items() if abs(vote - best) < 1e-12]
        found.append(winners[0] if len(winners) == 1 else -1)
    return found


@pytest.mark.parametrize(
    "alpha",
    [(1.0, 1.3, 0.8), (1.0, 1.0, 1.0), (3.0, 4.0, 5.0), (1.0, 2**-0.5, 2**-0.5), (0.6, 1.0, 0.6)],
)
def test_votes_are_counted(alpha):
    _, off = accuracy.wcst_cells(3, 4)
    found = np.asarray(jax.jit(accuracy.cue_vote)(jnp.asarray(alpha), jnp.asarray(off)))
    np.testing.assert_array_equal(found, counted(alpha, off.tolist()))
    assert (found < 0).any() == (alpha not in ((1.0, 1.3, 0.8), (0.6, 1.0, 0.6)))


def test_votes_batch_by_vmap():
    alpha = jnp.array([[2.0, 1.0, 1.2], [1.0, 2.0, 1.2]])
    levels = jnp.array([[0, 1, 2], [0, 1, 1], [2, 2, 0]])
    found = jax.vmap(accuracy.cue_vote, in_axes=(0, None))(alpha, levels)
    np.testing.assert_array_equal(found, [[0, 0, 2], [1, 1, 2]])


def relu(x, z):
    """Tangent kernel of two-layer ReLU networks without biases, in numpy."""
    size = np.linalg.norm(x, axis=1)[:, None] * np.linalg.norm(z, axis=1)[None]
    angle = np.arccos(np.clip(x @ z.T / size, -1, 1))
    return size * (np.sin(angle) + 2 * (np.pi - angle) * np.cos(angle)) / np.pi


def erf(x, z):
    squares = [1 + 2 * np.sum(points**2, axis=1) for points in (x, z)]
    size, product = np.outer(*squares), x @ z.T
    return 2 / np.pi * np.arcsin(2 * product / np.sqrt(size)) + 4 / np.pi * product / np.sqrt(
        size - 4 * product**2
    )


@pytest.mark.parametrize("kernel", [relu, erf, lambda x, z: x @ z.T, lambda x, z: np.exp(x @ z.T)])
@pytest.mark.parametrize("time", [1e-3, 1.0, np.inf])
def test_kernel_machines_follow_the_vote(kernel, time):
    alpha = np.array([1, 1.3, 0.8])
    diagonal, off = accuracy.wcst_cells(3, 3)

    def items(levels):
        return (np.eye(3)[levels] * alpha[:, None]).reshape(len(levels), -1)

    gram = kernel(items(diagonal), items(diagonal))
    values, vectors = np.linalg.eigh(gram)
    weight = -np.expm1(-time * values) / values
    targets = np.eye(3) - 1 / 3
    scores = kernel(items(off), items(diagonal)) @ (vectors * weight) @ vectors.T @ targets
    vote = np.asarray(accuracy.cue_vote(jnp.asarray(alpha), jnp.asarray(off)))
    np.testing.assert_array_equal(scores.argmax(axis=1), vote)


# Intervals ---------------------------------------------------------------------------------------


def test_wilson_intervals():
    low, high = accuracy.wilson_interval(6, 6)
    z = stats.norm.ppf(0.975) ** 2
    assert low == pytest.approx(6 / (6 + z)) and high == 1
    assert accuracy.wilson_interval(0, 6)[0] == 0
    expected = stats.binomtest(7, 24).proportion_ci(method="wilson")
    np.testing.assert_allclose(accuracy.wilson_interval(7, 24), [expected.low, expected.high])
    both = accuracy.wilson_interval(np.array([0, 3, 9]), 9, level=0.9)
    assert both[0].shape == (3,) and (both[0] < both[1]).all()
    low, high = accuracy.wilson_interval(np.array([[5], [2]]), np.array([10, 100]))
    for (row, count), (column, trials) in itertools.product(
        enumerate((5, 2)), enumerate((10, 100))
    ):
        expected = stats.binomtest(count, trials).proportion_ci(method="wilson")
        np.testing.assert_allclose([low[row, column], high[row, column]], expected, rtol=1e-12)


# Around a solution -------------------------------------------------------------------------------


def test_flatness_of_a_quadratic_is_its_trace():
    key_root, key_at, key = jax.random.split(jax.random.key(0), 3)
    root = jax.random.normal(key_root, (5, 5))
    hessian, at = root @ root.T, jax.random.normal(key_at, (5,))
    radii = jnp.array([0.0, 0.5, 2.0])

    @functools.partial(jax.jit, static_argnums=1)
    def rises(key, number):
        return landscape.flatness(
            lambda x: (x - at) @ hessian @ (x - at) / 2, at, key, radii, number
        )

    found = np.asarray(rises(key, 4000))
    assert found.shape == (3, 4000) and (found[0] == 0).all()
    np.testing.assert_allclose(found[2], 16 * found[1], rtol=1e-9)
    expected = 2**2 * np.trace(hessian) / (2 * 5)
    error = found[2].std() / 4000**0.5
    assert abs(found[2].mean() - expected) < 5 * error < 0.1 * expected


def test_directions_are_unit_vectors_of_the_parameters_dtype():
    like = jnp.zeros(7, jnp.float32)
    found = landscape.unit_directions(jax.random.key(1), 3, like)
    assert found.shape == (3, 7) and found.dtype == like.dtype
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-6)


@pytest.mark.parametrize("dtype", dtypes.SHORT)
def test_directions_of_short_floats_are_unit_vectors_in_float32(dtype):
    # In 16 bits one number in 256 would be 0, and no direction; 70000 squares would be infinity.
    for p in (1, 70_000):
        found = landscape.unit_directions(jax.random.key(0), 64, jnp.zeros(p, dtype))
        assert found.dtype == jnp.float32
        np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-6)


@pytest.mark.parametrize("dtype", dtypes.SHORT)
def test_flatness_of_many_short_parameters(dtype):
    for number in (60_000, 70_000):
        found = landscape.flatness(
            lambda v: 1e4 * jnp.sum(v**2),
            jnp.zeros(number, dtype),
            jax.random.key(0),
            jnp.array([0.1, 1.0]),
            2,
        )
        assert found.dtype == jnp.float32
        np.testing.assert_allclose(found, [[100.0] * 2, [10_000.0] * 2], rtol=1e-4)


def test_curves_and_barriers():
    start, bend, end = jnp.array([0.0, 0.0]), jnp.array([1.0, 3.0]), jnp.array([2.0, 0.0])
    curve = jax.vmap(lambda t: landscape.bezier(start, bend, end, t))(jnp.linspace(0, 1, 5))
    np.testing.assert_allclose(curve[:, 0], np.linspace(0, 2, 5), atol=1e-15)
    np.testing.assert_allclose(curve[:, 1], 6 * np.linspace(0, 1, 5) * np.linspace(1, 0, 5))
    assert landscape.barrier(jnp.array([0.1, 0.7, 0.3])) == pytest.approx(0.4)
    assert landscape.barrier(jnp.array([0.1, 0.2, 0.3])) == 0


# Errors ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: accuracy.wcst_cells(1, 3), "num_cues must be at least 2; got 1"),
        (lambda: accuracy.cue_baseline(3, 1), "num_levels must be at least 2; got 1"),
        (lambda: accuracy.majority_baseline(2.5, 3), "num_cues must be an integer"),
        (
            lambda: accuracy.cue_accuracy(jnp.zeros(3), jnp.zeros((2, 2), int)),
            "pred must have length 2; got 3",
        ),
        (lambda: accuracy.cue_accuracy(jnp.zeros(2), jnp.zeros((2, 2))), "levels must be integers"),
        (
            lambda: accuracy.cue_vote(jnp.ones(2), -jnp.ones((1, 2), int)),
            "levels must be integers of at least 0",
        ),
        (
            lambda: accuracy.cue_vote(jnp.ones(2), jnp.zeros(2, int)),
            "levels must be integers of shape (any, any)",
        ),
        (
            lambda: accuracy.cue_vote(jnp.array([1.0, 0]), jnp.zeros((1, 2), int)),
            "alpha must be in (0",
        ),
        (
            lambda: accuracy.cue_vote(jnp.ones(3), jnp.zeros((1, 2), int)),
            "alpha must have length 2",
        ),
        (lambda: accuracy.wilson_interval(7, 6), "successes must be at most trials; got 7 of 6."),
        (
            lambda: accuracy.wilson_interval(np.array([5, 11]), np.array([10, 10])),
            "at most trials; got 11 of 10.",
        ),
        (
            lambda: accuracy.wilson_interval(np.array([5, 1]), np.array([1, 2, 3])),
            "successes must broadcast with trials",
        ),
        (lambda: accuracy.wilson_interval(-1, 6), "successes must be in [0, inf); got -1"),
        (lambda: accuracy.wilson_interval(0, 0), "trials must be in [1"),
        (lambda: accuracy.wilson_interval(1, 2, level=1.0), "level must be in (0, 1)"),
        (lambda: accuracy.wilson_interval(1, 2, level=[0.9, 0.95]), "level must be a scalar"),
        (
            lambda: landscape.flatness(
                jnp.sum, jnp.ones(2), jax.random.key(0), jnp.array([-1.0]), 2
            ),
            "radii must be in [0",
        ),
        (
            lambda: landscape.flatness(
                jnp.sum, jnp.ones(2), jax.random.key(0), jnp.array([1.0]), 0
            ),
            "num_directions must be at least 1; got 0",
        ),
        (lambda: landscape.barrier(jnp.ones(1)), "losses must have length 2 or more; got 1"),
    ],
)
def test_wrong_arguments_are_named(call, words, rejects):
    with rejects(words):
        call()
