"""Calibration: scores and the temperature fit, overlapping pairs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize, special

from tests import dtypes
from twolayer.theory.mixup.calibration import overlapping_pairs, scores

RNG = np.random.default_rng(0)
LOGITS = jnp.asarray(RNG.normal(size=(300, 5)))
LABELS = jnp.asarray(np.where(RNG.random(300) < 0.7, np.argmax(LOGITS, 1), RNG.integers(0, 5, 300)))
fit = jax.jit(scores.fit_temperature)
nll = jax.jit(scores.nll)
ece = jax.jit(scores.ece, static_argnames="bins")
kl = jax.jit(scores.expected_kl)


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


@pytest.mark.parametrize("dtype", dtypes.SHORT)
def test_errors_of_many_short_logits(dtype):
    """Sixty thousand rows, more than short floats can count."""
    labels = jax.random.randint(jax.random.key(0), (60_000,), 0, 10)
    logits = jax.random.normal(jax.random.key(1), (60_000, 10)) + 2 * jax.nn.one_hot(labels, 10)
    short = logits.astype(dtype)
    found, exact = ece(short, labels), ece(short.astype(jnp.float64), labels)
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, exact, rtol=1e-4)
    assert exact > 0.2


@pytest.mark.parametrize("dtype", [jnp.float32, *dtypes.SHORT])
def test_targets_sum_to_one_within_the_rounding_in_which_they_came(dtype):
    truth = jax.random.dirichlet(jax.random.key(2), jnp.full(3, 0.5), (50,))
    logits = jax.random.normal(jax.random.key(3), (50, 3))
    np.testing.assert_allclose(
        scores.nll(logits, truth.astype(dtype)), nll(logits, truth), rtol=jnp.finfo(dtype).eps
    )


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
    slope = jax.jit(jax.grad(lambda scale: scores.fit_temperature(scale * LOGITS, LABELS)))
    assert float(slope(2.0)) == pytest.approx(-float(fit(LOGITS, LABELS)) / 4, rel=1e-9)
    # beta(s) = beta / s; and, where logits change otherwise, by differences of the first one.
    assert float(jax.grad(slope)(2.0)) == pytest.approx(float(fit(LOGITS, LABELS)) / 4, rel=1e-9)
    move = jnp.outer(jnp.linspace(0, 1, 300), jnp.array([1.0, -1.0, 0.5, 0.0, 0.0]))
    first = jax.jit(jax.grad(lambda s: scores.fit_temperature(LOGITS + s * move, LABELS)))
    change = (first(1e-4) - first(-1e-4)) / 2e-4
    assert float(jax.grad(first)(0.0)) == pytest.approx(float(change), rel=1e-6)


def test_edges_of_the_fit():
    spread = np.ptp(LOGITS, axis=1).max()
    best, worst = jnp.argmax(LOGITS, axis=1), jnp.argmin(LOGITS, axis=1)
    assert float(fit(LOGITS, best)) == pytest.approx(scores.CAP / spread, rel=1e-14)
    assert float(fit(LOGITS, worst)) == 0
    assert float(fit(0 * LOGITS, LABELS)) == 0
    # One row in 300 is wrong, by almost nothing: a finite minimiser, far away.
    near = LOGITS.at[0].set(jnp.array([1.0, 1.0 + 1e-3, 0, 0, 0]))
    best = best.at[0].set(0)
    beta = float(fit(near, best))
    assert 10 < beta < scores.CAP / spread
    assert abs(jax.grad(lambda beta: nll(beta * near, best))(beta)) <= 1e-10 * spread


def test_the_weak_fit_stops_on_its_way():
    # Overconfident: the minimiser is at T = 4.
    logits = 4 * float(fit(LOGITS, LABELS)) * LOGITS
    weak = jax.jit(scores.ts_weak, static_argnames=("steps", "rate"))
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
    least, p = map(float, overlapping_pairs.oracle_ts_optimum(overlap, k))
    assert least == pytest.approx(value, abs=5e-8) and p == 1 - overlap / 2
    # A scan of 1/T, from the definition of KL.
    q = 1 / (1 + (k - 1) * np.exp(-np.linspace(0, 40, 200001)))
    rest = np.log1p(-q, where=q < 1, out=np.full_like(q, -50)) - np.log(k - 1)
    cost = -overlap * np.log(2) - (1 - overlap / 2) * np.log(q) - overlap / 2 * rest
    assert cost.min() == pytest.approx(value, abs=1e-7)
    assert float(overlapping_pairs.ts_lower_bound(k, 0.0, overlap, 1.0)) <= least + 1e-15


def test_growth_with_the_number_of_classes():
    ks = np.geomspace(1e2, 1e4, 9)
    for overlap in (0.1, 0.5, 1.0):
        cost, _ = overlapping_pairs.oracle_ts_optimum(overlap, jnp.asarray(ks))
        assert np.polyfit(np.log(ks), cost, 1)[0] == pytest.approx(overlap / 2, rel=0.01)


def test_the_wrong_mate_off_the_overlap_costs_more():
    """k = 10, o = 1/2: a winner inside the pair is not enough for the optimum's formula."""
    shared, alone = np.eye(10)[:2].mean(0), np.eye(10)[0]
    probs, logits = jnp.asarray(np.stack([shared, alone])), jnp.asarray(5 * np.eye(10)[:2])
    cost = float(kl(probs, fit(logits, probs) * logits))
    assert cost == pytest.approx(1.8637, abs=5e-5)


def test_the_law_and_its_posterior():
    k, alpha, n = 6, 0.3, 40000
    x, y = jax.jit(overlapping_pairs.sample_paired, static_argnums=(1, 2))(
        jax.random.key(1), n, k, alpha
    )
    probs = np.asarray(overlapping_pairs.paired_posterior(x, k, alpha))
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
        overlapping_pairs.gaussian_posterior(x, mu), one / (one + zero), rtol=1e-12
    )


# Errors ------------------------------------------------------------------------------------------

X = jnp.array([0.5, 0.6])
Y = jnp.array([0, 1])
WIDE = jnp.zeros((2, 3))


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: scores.nll(WIDE, jnp.array([0, 3])), "target must be in 0 .. 2; got 0 .. 3."),
        (lambda: scores.nll(WIDE, jnp.zeros(2)), "target must be integers of shape (2)"),
        (lambda: scores.nll(WIDE, WIDE + 0.5), "target must have rows that are not negative"),
        (lambda: scores.nll(WIDE, jnp.zeros((2, 2))), "target must have 3 columns"),
        (lambda: scores.nll(jnp.zeros((2, 1)), Y), "logits must have at least 2 columns"),
        (lambda: scores.fit_temperature(WIDE + jnp.nan, Y), "logits must be finite"),
        (lambda: scores.ece(WIDE, Y, bins=0), "bins must be at least 1; got 0."),
        (lambda: scores.ts_weak(WIDE, Y, steps=0, rate=0.1), "steps must be at least 1"),
        (lambda: scores.ts_weak(WIDE, Y, steps=1, rate=2.0), "rate must be in (0, 1]"),
        (lambda: overlapping_pairs.paired_posterior(X, 3, 0.5), "k must be even"),
        (lambda: overlapping_pairs.paired_posterior(X, 4, 1.5), "alpha must be in [0, 1]"),
        (lambda: overlapping_pairs.paired_posterior(X + 1, 4, 0.2), "x must be where the law has"),
        (lambda: overlapping_pairs.sample_paired(jax.random.key(0), 0, 2, 0.5), "number must be"),
        (lambda: overlapping_pairs.nn_logits(X, X, Y, 2, 0.0), "gap must be in (0, inf)"),
        (lambda: overlapping_pairs.nn_logits(X, X, Y + 1, 2, 1.0), "y must be in 0 .. 1; got 1 .."),
        (lambda: overlapping_pairs.oracle_ts_optimum(1.1, 4), "overlap must be in [0, 1]"),
        (lambda: overlapping_pairs.ts_lower_bound(4, -1.0, 0.5, 1.0), "spread must be in [0, inf)"),
        (lambda: overlapping_pairs.gaussian_posterior(WIDE, 0.0), "mu must be in (0, 1e+150]"),
    ],
)
def test_bad_input_is_named(call, words, rejects):
    with rejects(words):
        call()


def test_a_fit_that_stops_early_takes_rates_of_any_dtype():
    logits, labels = jax.random.normal(jax.random.key(0), (8, 3), jnp.float32), jnp.arange(8) % 3
    for rate in (0.5, np.float64(0.5), jnp.asarray(0.5)):
        fit = jax.jit(lambda rate: scores.ts_weak(logits, labels, steps=3, rate=rate))
        alone = scores.ts_weak(logits, labels, steps=3, rate=rate)
        assert alone.dtype == fit(rate).dtype == jnp.float32
        np.testing.assert_allclose(fit(rate), alone, rtol=1e-6)
