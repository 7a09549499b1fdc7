"""Mixing: against sums written out, laws of its weights, and its edges."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy import stats

from sims import mixing, models

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


def test_samples_and_targets_go_together(rejects):
    with rejects("same number of samples, at least one; got shapes (7, 2, 2) and (2, 3)."):
        mixing.mix(jax.random.key(0), X, TARGETS[:2])
