"""Calibration under mixing: posteriors of mixed inputs, predictions, midpoints."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, special

from twolayer.theory.mixup.calibration import midpoint as calibration_midpoint
from twolayer.theory.mixup.calibration import mixup_posterior, overlapping_pairs, scores

# Mixed posteriors --------------------------------------------------------------------------------

TABLE = {0: 0, 0.1: 0.01699, 0.25: 0.03160, 0.5: 0.05262, 0.75: 0.08058, 0.9: 0.10789, 1: 0.13776}
SUPREMUM = {0.1: 0.352, 0.25: 0.247, 0.5: 0.282, 0.75: 0.383, 0.9: 0.497, 1.0: np.log(2)}
posterior = jax.jit(mixup_posterior.mixup_posterior_pair)
mixed = jax.jit(mixup_posterior.mixed_posterior)
expected_kl = jax.jit(mixup_posterior.mixup_expected_kl, static_argnames="nodes")


def by_quadrature(z, alpha, lam):
    """m(z) for one lambda, integrating over the first point."""

    def density(x, left=False):
        return (float(0 <= x <= 1) + (not left) * float(alpha <= x <= 1 + alpha)) / 2

    def total(x):
        return density(x) * density((z - lam * x) / (1 - lam))

    def left(x):
        other = (z - lam * x) / (1 - lam)
        return lam * density(x, True) * density(other) + (1 - lam) * density(x) * density(
            other, True
        )

    ends = np.array([0, alpha, 1, 1 + alpha])
    ends = np.unique(np.clip([*ends, *(z - (1 - lam) * ends) / lam], 0, 1 + alpha))
    sums = [
        sum(integrate.quad(f, a, b)[0] for a, b in zip(ends[:-1], ends[1:], strict=True))
        for f in (left, total)
    ]
    return sums[0] / sums[1]


def test_the_posterior_of_a_discrete_law_by_quadrature():
    z = np.array([0.05, 0.2, 0.45, 0.6, 0.9, 1.2])
    for alpha, lam in ((0.3, 0.2), (0.7, 0.55), (0.0, 0.9)):
        inside = z[z < 1 + alpha]
        found = mixed(jnp.asarray(z), alpha, jnp.array([lam]), jnp.ones(1))[: len(inside)]
        np.testing.assert_allclose(
            found, [by_quadrature(at, alpha, lam) for at in inside], atol=1e-9
        )


def test_the_closed_form_is_the_limit_of_quadratures():
    z, errors = jnp.asarray([0.05, 0.2, 0.45, 0.6, 0.9, 1.2]), []
    exact = posterior(z, 0.3)
    for nodes in (100, 1000, 10000):
        lam = (jnp.arange(nodes) + 0.5) / nodes
        errors.append(np.abs(mixed(z, 0.3, lam, jnp.ones(nodes)) - exact).max())
    # The densities have kinks in lambda: second order.
    assert errors[0] < 1e-3 and errors[1] < 1e-5 and errors[2] < 1e-7


def test_expected_kl_of_mixup_and_of_the_best_temperature():
    for alpha, value in TABLE.items():
        found = float(expected_kl(float(alpha)))
        assert found == pytest.approx(value, abs=1e-5)
        assert found == pytest.approx(float(expected_kl(float(alpha), nodes=128)), abs=1e-9)
        scaled = [
            float(overlapping_pairs.oracle_ts_optimum(1.0 - alpha, k)[0]) for k in (2, 4, 100)
        ]
        if alpha == 1:
            assert max(scaled) == 0 < found
        else:
            assert min(scaled[1:]) > found
        assert (scaled[0] > found) == (alpha not in (0, 1))


def test_expected_kl_by_adaptive_quadrature():
    alpha = 0.5
    point = jax.jit(lambda z: mixup_posterior.mixup_posterior_pair(z[None], alpha)[0])

    def cost(z):
        m = float(point(z))
        return -np.log(m) / 2 if z < alpha else -np.log(4 * m * (1 - m)) / 2

    total = 2 * sum(integrate.quad(cost, *ends, epsabs=1e-8)[0] for ends in ((0, 0.5), (0.5, 0.75)))
    assert float(expected_kl(alpha)) == pytest.approx(total, abs=1e-8)


def test_pointwise_supremum_and_where_there_is_none():
    for alpha, value in SUPREMUM.items():
        z = jnp.array([min(alpha, 1 - 1e-9), alpha + 1e-9])
        m = np.asarray(posterior(z, alpha))
        found = -np.log(m[0]) if alpha > 0.4 else -np.log(4 * m[1] * (1 - m[1])) / 2
        assert found == pytest.approx(value, abs=1e-3)
    # No bound on the overlap for every law of lambda: the limit z to alpha has m by hand.
    for lam, alpha, value in ((1e-3, 0.1, 0.8493), (1e-4, 0.01, 1.9561)):
        by_hand = (1 + lam * alpha + (1 - lam)) / (2 + alpha)
        z = jnp.array([alpha * (1 + 1e-12)])
        m = float(mixed(z, alpha, jnp.array([lam]), jnp.ones(1))[0])
        assert m == pytest.approx(by_hand, abs=1e-8)
        assert -np.log(4 * m * (1 - m)) / 2 == pytest.approx(value, abs=5e-4)


predict = jax.jit(mixup_posterior.mixup_predict_1d, static_argnames=("k", "per_pair"))


def test_predictions_by_loops():
    k = 4
    x = np.array([0.1, 0.4, 0.9, 1.2, 6.3, 6.5, 0.7])
    y = np.array([0, 0, 1, 1, 2, 3, 0])
    z = np.array([0.05, 0.3, 0.75, 1.25, 6.4, 6.9])
    found = np.asarray(predict(jnp.asarray(z), jnp.asarray(x), jnp.asarray(y), k=k))
    # A bound on the points in a pair, which 5 is, changes nothing.
    np.testing.assert_allclose(
        predict(jnp.asarray(z), jnp.asarray(x), jnp.asarray(y), k=k, per_pair=5), found, rtol=1e-14
    )
    expected = np.zeros((6, k))
    for row, at in enumerate(z):
        for a in range(7):
            for b in range(7):
                if y[a] // 2 == y[b] // 2 == at // 6 and x[a] <= at < x[b]:
                    expected[row, y[a]] += (x[b] - at) / (x[b] - x[a]) ** 2
                    expected[row, y[b]] += (at - x[a]) / (x[b] - x[a]) ** 2
    expected[0, :2], expected[3, :2], expected[5, 2:] = (
        (0.999, 0.001),
        (0.001, 0.999),
        (0.001, 0.999),
    )
    np.testing.assert_allclose(found, expected / expected.sum(1, keepdims=True), atol=1e-14)
    # A pair without points.
    empty = predict(jnp.asarray(z), jnp.asarray(x), jnp.asarray(y % 2), k=k)
    np.testing.assert_array_equal(empty[4:, 2:], 0.5)


@functools.partial(jax.jit, static_argnums=1)
def finite_sample(key, k, alpha):
    key_train, key_test = jax.random.split(key)
    x, y = overlapping_pairs.sample_paired(key_train, 40 * k, k, alpha)
    z, _ = overlapping_pairs.sample_paired(key_test, 1000, k, alpha)
    truth = overlapping_pairs.paired_posterior(z, k, alpha)
    logits = overlapping_pairs.nn_logits(z, x, y, k, 50.0)
    scaled = scores.fit_temperature(logits, truth) * logits
    phi = mixup_posterior.mixup_predict_1d(z, x, y, k, per_pair=130)
    smoothed = jnp.log(jnp.maximum(phi, 1e-300))
    return jnp.stack([scores.expected_kl(truth, scaled), scores.expected_kl(truth, smoothed)])


def test_dtypes_of_queries_points_and_classes_may_differ(unannotated):
    z, x, y = jnp.array([0.25, 0.5]), jnp.array([0.125, 0.375, 0.75]), jnp.array([0, 1, 1])
    for k in (2, 400):
        expected = mixup_posterior.mixup_predict_1d(z, x, y, k)
        nearest = overlapping_pairs.nn_logits(z, x, y, k, 2.0)
        for dtype in (jnp.int8, jnp.uint8, jnp.int32):
            with jax.numpy_dtype_promotion("strict"):
                mixed = z.astype(jnp.float32), x, y.astype(dtype), k
                found = mixup_posterior.mixup_predict_1d(*mixed)
                np.testing.assert_allclose(found, expected, rtol=1e-12)
                np.testing.assert_array_equal(overlapping_pairs.nn_logits(*mixed, 2.0), nearest)


def test_finite_samples():
    for alpha in (0.0, 0.5, 1.0):
        keys = [jax.random.key(seed) for seed in range(5)]
        scaled, smoothed = np.mean([finite_sample(key, 10, alpha) for key in keys], axis=0)
        least, _ = overlapping_pairs.oracle_ts_optimum(1 - alpha, 10)
        assert abs(scaled - float(least)) <= 0.10
        assert 0.04 <= smoothed <= 0.20


# Midpoints ---------------------------------------------------------------------------------------

midpoint = jax.jit(calibration_midpoint.midpoint_losses, static_argnames=("k", "nodes"))


@pytest.mark.parametrize(
    "first, second, loss, single",
    [
        (40.0, 40.0, 0.5198604, 1e-17),
        (40.0, 80.0, 1.360, 3e-23),
        (80.0, 8.0, 2.314, 4e-13),
        (-40.0, -40.0, 25.8, 41.0986),
    ],
)
def test_midpoint_losses(first, second, loss, single):
    found = [float(part) for part in midpoint(first, second, k=4)]
    assert found[0] == pytest.approx(loss, rel=5e-4)
    assert found[1] == pytest.approx(single, rel=0.5)
    assert found[0] >= 0.75 * np.log(2) - 1e-15


def test_midpoint_losses_by_adaptive_quadrature():
    first, second, k = 3.0, 7.0, 3

    def score(share):
        return share * first + (1 - share) * second

    def apart(one, two):
        logits = np.array([score(one) / 2, score(two) / 2, 0.0])
        return special.logsumexp(logits) - (logits[0] + logits[1]) / 2

    def alike(one, two):
        logits = np.array([(score(one) + score(two)) / 2, 0.0, 0.0])
        return special.logsumexp(logits) - logits[0]

    ends = calibration_midpoint.SHARES
    means = [4 * integrate.dblquad(f, *ends, *ends, epsabs=1e-9)[0] for f in (apart, alike)]
    single = 2 * integrate.quad(lambda s: np.log1p(2 * np.exp(-score(s))), *ends)[0]
    found = midpoint(first, second, k=k)
    np.testing.assert_allclose(found, (2 / 3 * means[0] + means[1] / 3, single), rtol=1e-9)


# Errors ------------------------------------------------------------------------------------------

X = jnp.array([0.5, 0.6])
Y = jnp.array([0, 1])


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: mixup_posterior.mixup_posterior_pair(X, -0.1), "alpha must be in [0, 1]"),
        (lambda: mixup_posterior.mixed_posterior(X, 0.5, X + 1, X), "lam must be in (0, 1)"),
        (lambda: mixup_posterior.mixed_posterior(X, 0.5, X, -X), "weights must be in [0, inf)"),
        (lambda: mixup_posterior.mixup_predict_1d(X, X, Y, 3), "k must be even"),
        (lambda: mixup_posterior.mixup_predict_1d(X + 6, X, Y, 2), "z must be in [0, 4)"),
        (lambda: mixup_posterior.mixup_expected_kl(0.5, nodes=0), "nodes must be at least 1"),
        (lambda: calibration_midpoint.midpoint_losses(1.0, 1.0, 1), "k must be at least 2; got 1."),
        (lambda: calibration_midpoint.midpoint_losses(np.nan, 1.0, 2), "a1 must be in (-inf, inf)"),
    ],
)
def test_bad_input_is_named(call, words, rejects):
    with rejects(words):
        call()
