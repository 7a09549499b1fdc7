"""Mixing: against sums written out, laws of its weights, and its edges."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy import stats

from tests import dtypes
from twolayer.sims.components import mixing, models
from twolayer.theory.mixup.calibration import scores

N, K = 7, 3
X = np.random.default_rng(0).normal(size=(N, 2, 2))
TARGETS = np.eye(K)[np.arange(N) % K]


@functools.partial(jax.jit, static_argnames=("points", "per_batch", "concentration"))
def mix(key, x, targets, **options):
    return mixing.mix(key, x, targets, **options)


@pytest.mark.parametrize("points", [1, 2, 3, 5])
def test_fixed_weights_are_a_sum_over_shuffles(points):
    weights = np.arange(1.0, points + 1) / np.arange(1, points + 1).sum()
    labels = weights[::-1].copy()
    key = jax.random.key(1)
    x, targets = mix(key, X, TARGETS, points=points, weights=weights, label_weights=labels)
    rows = np.asarray(mixing.partners(jax.random.split(key)[0], N, points))
    assert rows.shape == (points, N)
    np.testing.assert_array_equal(rows[0], np.arange(N))
    for row in rows:
        np.testing.assert_array_equal(np.sort(row), np.arange(N))
    for i in range(N):
        expected = sum(weights[p] * X[rows[p, i]] for p in range(points))
        np.testing.assert_allclose(x[i], expected, rtol=1e-12)
        expected = sum(labels[p] * TARGETS[rows[p, i]] for p in range(points))
        np.testing.assert_allclose(targets[i], expected, rtol=1e-12)


def test_one_point_and_the_midpoint():
    key = jax.random.key(2)
    x, targets = mix(key, X, TARGETS, points=1)
    np.testing.assert_array_equal(x, X)
    np.testing.assert_array_equal(targets, TARGETS)
    x, targets = mix(key, X, TARGETS, weights=np.array([0.5, 0.5]))
    swapped = mix(key, X, TARGETS, weights=np.array([0.0, 1.0]))
    np.testing.assert_allclose(x, (X + swapped[0]) / 2, rtol=1e-12)
    np.testing.assert_allclose(targets, (TARGETS + swapped[1]) / 2, rtol=1e-12)


@pytest.mark.parametrize("points, concentration", [(2, 1.0), (2, 0.2), (3, 1.0), (5, 2.0)])
def test_drawn_weights_follow_the_dirichlet_law(points, concentration):
    # Of one-hot inputs the diagonal is the sample's own weight, but for a few it met itself.
    n = 600
    x, targets = mix(
        jax.random.key(3), jnp.eye(n), jnp.ones((n, 1)), points=points, concentration=concentration
    )
    np.testing.assert_allclose(targets, 1.0, atol=1e-12)
    law = stats.beta(concentration, (points - 1) * concentration)
    assert stats.kstest(np.diag(x), law.cdf).pvalue > 1e-3
    other = stats.beta(concentration, points * concentration)
    assert stats.kstest(np.diag(x), other.cdf).pvalue < 1e-3


def test_one_weight_for_the_batch():
    identity = jnp.eye(N)
    single = mix(jax.random.key(6), identity, identity, per_batch=True)[0]
    many = mix(jax.random.key(6), identity, identity)[0]
    assert len(np.unique(np.round(np.diag(single)[np.diag(single) < 1], 12))) == 1
    assert len(np.unique(np.round(np.diag(many)[np.diag(many) < 1], 12))) > 1
    np.testing.assert_allclose(np.sum(single, axis=1), 1.0, rtol=1e-12)


def test_all_pairs_with_different_weights():
    rows = mixing.all_pairs(3)
    assert [tuple(pair) for pair in np.asarray(rows).T] == [
        (i, j) for i in range(3) for j in range(3)
    ]
    signs = jnp.array([1, -1, 1])
    mixed = mixing.combine(signs, rows, jnp.array([[0.7], [0.3]]))
    expected = [[1, 0.4, 1], [-0.4, -1, -0.4], [1, 0.4, 1]]
    np.testing.assert_allclose(mixed.reshape(3, 3), expected, rtol=1e-6)


def test_no_row_is_lost_in_short_floats_and_one_point_is_the_batch():
    # In bfloat16 one draw in 256 would be 0, of which a row over its sum is NaN.
    n = 16384
    images, classes = jnp.ones((n, 1), jnp.bfloat16), jax.nn.one_hot(jnp.arange(n) % K, K)
    for seed in range(8):
        x, targets = mix(jax.random.key(seed), images, classes)
        np.testing.assert_array_equal(x, images)
        np.testing.assert_allclose(jnp.sum(targets, axis=1), 1.0, atol=1e-6)
    draws = jax.random.normal(jax.random.key(9), (n, 3), jnp.bfloat16)
    for concentration in (1.0, 0.01):
        x, targets = mix(jax.random.key(0), draws, classes, points=1, concentration=concentration)
        np.testing.assert_array_equal(x, draws)
        np.testing.assert_array_equal(targets, classes)


def test_a_draw_of_zero_is_a_share_too(monkeypatch):
    # [measured] In float32 one of eight million.
    monkeypatch.setattr(
        jax.random, "exponential", lambda key, shape, dtype: jnp.zeros(shape, dtype)
    )
    assert jnp.all(mixing.shares(jax.random.key(0), (3, 2), jnp.float32) == 2**-24)
    weights = mixing.dirichlet(jax.random.key(0), 3, 2, 1.0, jnp.float32)
    np.testing.assert_allclose(weights, 1 / 3, rtol=1e-6)


@pytest.mark.parametrize("short", dtypes.SHORT)
@pytest.mark.parametrize("long", ["float32", "float64"])
def test_labels_sum_to_one_in_their_own_dtype(short, long):
    n = 512
    images = jnp.ones((n, 2), short)
    classes = jax.nn.one_hot(jnp.arange(n) % K, K, dtype=long)
    for options in (
        {"points": 3},
        {"weights": np.array([0.3, 0.7], np.float32)},
        {"points": 3, "label_weights": np.full(3, 0.333333)},
    ):
        x, targets = mix(jax.random.key(1), images, classes, **options)
        assert (x.dtype, targets.dtype) == (short, long)
        off = 1e-15 if long == "float64" else 2e-7
        np.testing.assert_allclose(jnp.sum(targets, axis=1), 1.0, atol=off, rtol=0)
        assert jnp.all(targets >= 0)
        np.testing.assert_array_equal(x.astype(float), 1.0)
    # What the project's own scores ask of labels, also if logits are longer.
    np.testing.assert_allclose(scores.nll(jnp.zeros((n, K)), targets), np.log(K), rtol=1e-6)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_weights_at_the_ends_of_the_law(dtype):
    draw = jax.jit(lambda c: mixing.dirichlet(jax.random.key(1), 3, 900, c, dtype))
    for concentration in (1e-300, 1e-8, 1e-3, 1e6, 1e300):
        weights = draw(jnp.asarray(concentration))
        assert weights.dtype == dtype
        np.testing.assert_allclose(jnp.sum(weights, axis=0), 1.0, atol=2e-7)
        # One point has all the weight below, all have the same above.
        expected = 1.0 if concentration < 1 else 1 / 3
        np.testing.assert_allclose(jnp.mean(jnp.max(weights, axis=0)), expected, atol=3e-3)
        # Five standard errors of a share.
        np.testing.assert_allclose(jnp.mean(weights, axis=1), 1 / 3, atol=5 * (2 / 9 / 900) ** 0.5)
    assert (
        jax.eval_shape(lambda: mixing.dirichlet(jax.random.key(1), 3, 9, 1.0, jnp.bfloat16)).dtype
        == jnp.float32
    )


def test_dtypes_meet_under_strict_promotion():
    with jax.numpy_dtype_promotion("strict"):
        for x in (np.ones((N, 2), np.uint8), jnp.ones((N, 2), jnp.bfloat16)):
            mixed, targets = mixing.mix(
                jax.random.key(0), x, jnp.asarray(TARGETS), concentration=np.float32(2)
            )
            assert targets.dtype == jnp.float64
            assert mixed.dtype == (jnp.bfloat16 if x.dtype == jnp.bfloat16 else jnp.float32)


def test_trains_a_network_of_flax_with_optax():
    net = models.flatten(models.ConvNet(K, 0.02), (8, 8, 1))
    images = jax.random.normal(jax.random.key(7), (12, 8, 8, 1), jnp.float32)
    classes = jnp.arange(12) % K
    descent = optax.adam(1e-2)

    @jax.jit
    def step(params, moments, key):
        x, targets = mixing.mix(key, images, jax.nn.one_hot(classes, K), points=2)

        def loss(params):
            return optax.softmax_cross_entropy(net.apply(params, x), targets).mean()

        value, gradient = jax.value_and_grad(loss)(params)
        updates, moments = descent.update(gradient, moments, params)
        return optax.apply_updates(params, updates), moments, value

    params = net.initialise(jax.random.key(8))
    moments, values = descent.init(params), []
    for key in jax.random.split(jax.random.key(9), 150):
        params, moments, value = step(params, moments, key)
        values.append(float(value))
    # Mixed targets keep the loss above their entropy; it falls from log 3 nonetheless.
    assert np.mean(values[-20:]) < np.mean(values[:5]) - 0.1


@pytest.mark.parametrize(
    "options, words",
    [
        ({"points": 0}, "points must be at least 1; got 0."),
        ({"concentration": 0.0}, "concentration must be in (0, inf); got 0.0."),
        ({"weights": (0.5, 0.6)}, "weights must be non-negative and sum to 1; got (0.5, 0.6)."),
        ({"weights": (1.5, -0.5)}, "weights must be non-negative and sum to 1"),
        ({"label_weights": (1.0,)}, "label_weights must have length 2; got 1."),
        ({"points": 3, "weights": (0.5, 0.5)}, "weights must have length 3; got 2."),
    ],
)
def test_what_does_not_fit(options, words, rejects):
    with rejects(words):
        mixing.mix(jax.random.key(0), X, TARGETS, **options)


@pytest.mark.parametrize("targets", [np.arange(N) % 3, np.arange(N)[:, None] % 3, np.ones(N, bool)])
def test_classes_are_to_be_rows(targets, rejects):
    targets = targets & (targets != 1) if targets.dtype == bool else targets
    with rejects("targets must be labels -1 and +1, or classes as rows (one-hot"):
        mixing.mix(jax.random.key(0), X, targets)
    for allowed in (np.where(targets == 1, 1, -1), targets.astype(np.float32)):
        assert mixing.mix(jax.random.key(0), X, allowed)[1].shape == targets.shape


def test_rows_are_those_that_there_are(rejects):
    for row in (-1, 3):
        with rejects("rows must be in [0, 3), those of values; got others."):
            mixing.combine(np.ones(3), np.array([[0, row]]), np.ones((1, 1)))


def test_samples_and_targets_go_together(rejects):
    with rejects("same number of samples, at least one; got shapes (7, 2, 2) and (2, 3)."):
        mixing.mix(jax.random.key(0), X, TARGETS[:2])
