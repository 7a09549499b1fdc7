"""Calibration: scores and the temperature fit, overlapping pairs, mixed posteriors, midpoints."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, optimize, special

from theory.mixup import (
    calibration,
    calibration_midpoint,
    calibration_mixing,
    calibration_pairs,
)

RNG = np.random.default_rng(0)
LOGITS = jnp.asarray(RNG.normal(size=(300, 5)))
LABELS = jnp.asarray(np.where(RNG.random(300) < 0.7, np.argmax(LOGITS, 1), RNG.integers(0, 5, 300)))
fit = jax.jit(calibration.fit_temperature)
nll = jax.jit(calibration.nll)
ece = jax.jit(calibration.ece, static_argnames="bins")
kl = jax.jit(calibration.expected_kl)


# Scores ------------------------------------------------------------------------------------------


def test_scores_by_loops():
    probs = special.softmax(LOGITS, axis=1)
    rows = np.arange(300)
    by_hand = -np.log(probs[rows, LABELS]).mean()
    assert float(nll(LOGITS, LABELS)) == pytest.approx(by_hand, rel=1e-13)
    truth = special.softmax(RNG.normal(size=(300, 5)), axis=1)
    truth[:50, 0], truth[:50] = 0, truth[:50]
    truth /= truth.sum(1, keepdims=True)
    expected = special.rel_entr(truth, probs).sum(1).mean()
    assert float(kl(jnp.asarray(truth), LOGITS)) == pytest.approx(expected, rel=1e-12)
    entropy = special.entr(truth).sum(1).mean()
    assert float(nll(LOGITS, jnp.asarray(truth))) == pytest.approx(expected + entropy, rel=1e-12)

    confidence, right = probs.max(1), probs.argmax(1) == np.asarray(LABELS)
    total = 0.0
    for j in range(15):
        inside = (confidence > j / 15) & (confidence <= (j + 1) / 15)
        if inside.any():
            total += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    assert float(ece(LOGITS, LABELS)) == pytest.approx(total, rel=1e-12)


def test_bins_hold_their_upper_end():
    """Confidence 1/2 is in (0, 1/2] and 3/4 in (1/2, 1]: errors of both signs do not cancel."""
    logits = jnp.log(jnp.array([[0.5, 0.5], [0.25, 0.75]]))
    labels = jnp.array([0, 0])
    assert float(ece(logits, labels, bins=2)) == pytest.approx(0.25 + 0.375)
    assert float(ece(logits, labels, bins=1)) == pytest.approx(0.125)


# The temperature fit -----------------------------------------------------------------------------


def test_the_fit_is_the_minimiser_whatever_the_units():
    found = optimize.minimize_scalar(
        lambda beta: (
            -special.log_softmax(beta * np.asarray(LOGITS), axis=1)[np.arange(300), LABELS].mean()
        ),
        bounds=(0, 10),
        method="bounded",
        options={"xatol": 1e-10},
    )
    slope = jax.jit(jax.grad(lambda beta, logits: nll(beta * logits, LABELS)))
    spread = np.ptp(LOGITS, axis=1).max()
    first = float(fit(LOGITS, LABELS))
    assert first == pytest.approx(found.x, rel=1e-6)
    for scale in (1.0, 1e9, 1e-6):
        beta = float(fit(scale * LOGITS, LABELS))
        assert beta * scale == pytest.approx(first, rel=1e-10)
        assert abs(slope(beta, scale * LOGITS)) / (scale * spread) <= 1e-10
    grid = jnp.linspace(0, 10, 2001)
    values = jax.jit(jax.vmap(lambda beta: nll(beta * LOGITS, LABELS)))(grid)
    assert float(nll(first * LOGITS, LABELS)) <= float(jnp.min(values))


def test_the_fit_has_the_derivative_of_the_minimiser():
    slope = jax.jit(jax.grad(lambda scale: calibration.fit_temperature(scale * LOGITS, LABELS)))
    assert float(slope(2.0)) == pytest.approx(-float(fit(LOGITS, LABELS)) / 4, rel=1e-9)


def test_edges_of_the_fit():
    spread = np.ptp(LOGITS, axis=1).max()
    best, worst = jnp.argmax(LOGITS, axis=1), jnp.argmin(LOGITS, axis=1)
    assert float(fit(LOGITS, best)) == pytest.approx(calibration.CAP / spread, rel=1e-14)
    assert float(fit(LOGITS, worst)) == 0
    assert float(fit(0 * LOGITS, LABELS)) == 0
    # One row in 300 is wrong, by almost nothing: a finite minimiser, far away.
    near = LOGITS.at[0].set(jnp.array([1.0, 1.0 + 1e-3, 0, 0, 0]))
    best = best.at[0].set(0)
    beta = float(fit(near, best))
    assert 10 < beta < calibration.CAP / spread
    assert abs(jax.grad(lambda beta: nll(beta * near, best))(beta)) <= 1e-10 * spread


def test_the_weak_fit_stops_on_its_way():
    # Overconfident: the minimiser is at T = 4.
    logits = 4 * float(fit(LOGITS, LABELS)) * LOGITS
    weak = jax.jit(calibration.ts_weak, static_argnames=("steps", "rate"))
    stopped = 1 / float(weak(logits, LABELS, steps=20, rate=0.01))
    assert 1 < stopped < 1.5
    done = 1 / float(weak(logits, LABELS, steps=200, rate=1.0))
    assert done == pytest.approx(4, rel=1e-6)


# Pairs -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "overlap, k, value",
    [
        (1.0, 10, 1.0986123),
        (0.5, 10, 0.7650677),
        (0.2, 100, 0.6459655),
        (1.0, 1000, 3.4533774),
        (1.0, 2, 0.0),
        (0.0, 10, 0.0),
    ],
)
def test_the_best_temperature(overlap, k, value):
    least, p = map(float, calibration_pairs.oracle_ts_optimum(overlap, k))
    assert least == pytest.approx(value, abs=5e-8) and p == 1 - overlap / 2
    # A scan of 1/T, from the definition of KL.
    q = 1 / (1 + (k - 1) * np.exp(-np.linspace(0, 40, 200001)))
    rest = np.log1p(-q, where=q < 1, out=np.full_like(q, -50)) - np.log(k - 1)
    cost = -overlap * np.log(2) - (1 - overlap / 2) * np.log(q) - overlap / 2 * rest
    assert cost.min() == pytest.approx(value, abs=1e-7)
    assert float(calibration_pairs.ts_lower_bound(k, 0.0, overlap, 1.0)) <= least + 1e-15


def test_growth_with_the_number_of_classes():
    ks = np.geomspace(1e2, 1e4, 9)
    for overlap in (0.1, 0.5, 1.0):
        cost, _ = calibration_pairs.oracle_ts_optimum(overlap, jnp.asarray(ks))
        assert np.polyfit(np.log(ks), cost, 1)[0] == pytest.approx(overlap / 2, rel=0.01)


def test_the_wrong_mate_off_the_overlap_costs_more():
    """k = 10, o = 1/2: a winner inside the pair is not enough for the optimum's formula."""
    shared, alone = np.eye(10)[:2].mean(0), np.eye(10)[0]
    probs, logits = jnp.asarray(np.stack([shared, alone])), jnp.asarray(5 * np.eye(10)[:2])
    cost = float(kl(probs, fit(logits, probs) * logits))
    assert cost == pytest.approx(1.8637, abs=5e-5)


def test_the_law_and_its_posterior():
    k, alpha, n = 6, 0.3, 40000
    x, y = jax.jit(calibration_pairs.sample_paired, static_argnums=(1, 2))(
        jax.random.key(1), n, k, alpha
    )
    probs = np.asarray(calibration_pairs.paired_posterior(x, k, alpha))
    x, y = np.asarray(x), np.asarray(y)
    np.testing.assert_array_equal(np.floor(x / (k + 2)), y // 2)
    assert (probs[np.arange(n), y] > 0).all() and (probs.sum(1) == 1).all()
    u = x % (k + 2)
    overlap = (u >= alpha) & (u <= 1)
    assert abs(overlap.mean() - (1 - alpha)) < 5 * 0.5 / n**0.5
    share = (y[overlap] % 2 == 0).mean()
    assert abs(share - 0.5) < 5 * 0.5 / overlap.sum() ** 0.5
    np.testing.assert_array_equal(probs.max(1), np.where(overlap, 0.5, 1.0))


def test_gaussian_posterior_is_bayes_rule():
    x, mu = jnp.asarray(RNG.normal(size=(20, 7))), 0.25
    one, zero = (np.exp(-((x - m) ** 2).sum(1) / 2) for m in (mu, 0.0))
    np.testing.assert_allclose(
        calibration_pairs.gaussian_posterior(x, mu), one / (one + zero), rtol=1e-12
    )


# Mixed posteriors --------------------------------------------------------------------------------

TABLE = {0: 0, 0.1: 0.01699, 0.25: 0.03160, 0.5: 0.05262, 0.75: 0.08058, 0.9: 0.10789, 1: 0.13776}
SUPREMUM = {0.1: 0.352, 0.25: 0.247, 0.5: 0.282, 0.75: 0.383, 0.9: 0.497, 1.0: np.log(2)}
posterior = jax.jit(calibration_mixing.mixup_posterior_pair)
mixed = jax.jit(calibration_mixing.mixed_posterior)
expected_kl = jax.jit(calibration_mixing.mixup_expected_kl, static_argnames="nodes")


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
            float(calibration_pairs.oracle_ts_optimum(1.0 - alpha, k)[0]) for k in (2, 4, 100)
        ]
        if alpha == 1:
            assert max(scaled) == 0 < found
        else:
            assert min(scaled[1:]) > found
        assert (scaled[0] > found) == (alpha not in (0, 1))


def test_expected_kl_by_adaptive_quadrature():
    alpha = 0.5
    point = jax.jit(lambda z: calibration_mixing.mixup_posterior_pair(z[None], alpha)[0])

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


predict = jax.jit(calibration_mixing.mixup_predict_1d, static_argnames=("k", "per_pair"))


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
    x, y = calibration_pairs.sample_paired(key_train, 40 * k, k, alpha)
    z, _ = calibration_pairs.sample_paired(key_test, 1000, k, alpha)
    truth = calibration_pairs.paired_posterior(z, k, alpha)
    logits = calibration_pairs.nn_logits(z, x, y, k, 50.0)
    scaled = calibration.fit_temperature(logits, truth) * logits
    phi = calibration_mixing.mixup_predict_1d(z, x, y, k, per_pair=130)
    smoothed = jnp.log(jnp.maximum(phi, 1e-300))
    return jnp.stack(
        [calibration.expected_kl(truth, scaled), calibration.expected_kl(truth, smoothed)]
    )


def test_finite_samples():
    for alpha in (0.0, 0.5, 1.0):
        keys = [jax.random.key(seed) for seed in range(5)]
        scaled, smoothed = np.mean([finite_sample(key, 10, alpha) for key in keys], axis=0)
        least, _ = calibration_pairs.oracle_ts_optimum(1 - alpha, 10)
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
WIDE = jnp.zeros((2, 3))


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: calibration.nll(WIDE, jnp.array([0, 3])), "target must be in 0 .. 2; got 0 .. 3."),
        (lambda: calibration.nll(WIDE, jnp.zeros(2)), "target must be 2 integers; got dtype float"),
        (lambda: calibration.nll(WIDE, WIDE + 0.5), "target must have rows that are not negative"),
        (lambda: calibration.nll(WIDE, jnp.zeros((2, 2))), "target must have 3 columns"),
        (lambda: calibration.nll(jnp.zeros((2, 1)), Y), "logits must have at least 2 columns"),
        (lambda: calibration.fit_temperature(WIDE + jnp.nan, Y), "logits must be finite"),
        (lambda: calibration.ece(WIDE, Y, bins=0), "bins must be at least 1; got 0."),
        (lambda: calibration.ts_weak(WIDE, Y, steps=0, rate=0.1), "steps must be at least 1"),
        (lambda: calibration.ts_weak(WIDE, Y, steps=1, rate=2.0), "rate must be in (0, 1]"),
        (lambda: calibration_pairs.paired_posterior(X, 3, 0.5), "k must be even"),
        (lambda: calibration_pairs.paired_posterior(X, 4, 1.5), "alpha must be in [0, 1]"),
        (lambda: calibration_pairs.paired_posterior(X + 1, 4, 0.2), "x must be where the law has"),
        (lambda: calibration_pairs.sample_paired(jax.random.key(0), 0, 2, 0.5), "number must be"),
        (lambda: calibration_pairs.nn_logits(X, X, Y, 2, 0.0), "gap must be in (0, inf)"),
        (lambda: calibration_pairs.nn_logits(X, X, Y + 1, 2, 1.0), "y must be in 0 .. 1; got 1 .."),
        (lambda: calibration_pairs.oracle_ts_optimum(1.1, 4), "overlap must be in [0, 1]"),
        (lambda: calibration_pairs.ts_lower_bound(4, -1.0, 0.5, 1.0), "spread must be in [0, inf)"),
        (lambda: calibration_pairs.gaussian_posterior(WIDE, 0.0), "mu must be in (0, inf)"),
        (lambda: calibration_mixing.mixup_posterior_pair(X, -0.1), "alpha must be in [0, 1]"),
        (lambda: calibration_mixing.mixed_posterior(X, 0.5, X + 1, X), "lam must be in (0, 1)"),
        (lambda: calibration_mixing.mixed_posterior(X, 0.5, X, -X), "weights must be in [0, inf)"),
        (lambda: calibration_mixing.mixup_predict_1d(X, X, Y, 3), "k must be even"),
        (lambda: calibration_mixing.mixup_predict_1d(X + 6, X, Y, 2), "z must be in [0, 4)"),
        (lambda: calibration_mixing.mixup_expected_kl(0.5, nodes=0), "nodes must be at least 1"),
        (lambda: calibration_midpoint.midpoint_losses(1.0, 1.0, 1), "k must be at least 2; got 1."),
        (lambda: calibration_midpoint.midpoint_losses(np.nan, 1.0, 2), "a1 must be in (-inf, inf)"),
    ],
)
def test_bad_input_is_named(call, words, rejects):
    with rejects(words):
        call()
