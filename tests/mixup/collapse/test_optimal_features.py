"""Optimal unconstrained features: measured values, and solvers of other kinds."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize, special

from tests import dtypes
from twolayer.theory.mixup.collapse import dual as collapse_dual
from twolayer.theory.mixup.collapse import free_classifier, optimal_features

# (K, d, m, mu), kappa, same-class coefficient, deviation from linear and z_i - z_j at lam = .1.
MEASURED = [
    ((4, 7, 1.0, 0.1), 13.333333, 2.0871368173457, (0.140, 0.277, 0.319), -1.9224),
    ((10, 20, 2.0, 0.01), 444.44444, 1.46529521127308, (0.531, 0.621, 0.634), -2.2491),
    ((3, 2, 1.0, 1e-3), 1500.0, 4.35478928519451, (0.555, 0.635, 0.637), -2.1988),
    ((10, 9, 3.0, 1e-4), 1e5, 1.1383263905118, (0.724, 0.772, 0.777), -2.1978),
]
LAMS = np.array([0.1, 0.3, 0.5, 1.0])


@functools.partial(jax.jit, static_argnums=(0, 1))
def solved(k, d, scale, decay, lams):
    w = optimal_features.simplex_etf(jax.random.key(0), k, d, scale)
    rows = jnp.eye(k)
    targets = lams[:, None] * rows[:1] + (1 - lams)[:, None] * rows[1:2]
    h = optimal_features.ufm_features(w, targets, decay)
    gradient = jax.vmap(jax.grad(optimal_features.ufm_objective), in_axes=(0, None, 0, None))
    parts = optimal_features.ufm_coefficients(lams, k, scale, decay)
    squared = optimal_features.ufm_mse_features(w, targets, decay)
    return w, targets, h, gradient(h, w, targets, decay), parts, squared


def objective(h, w, t, decay):
    z = w @ h
    return special.logsumexp(z) - t @ z + decay / 2 * h @ h


def gradient(h, w, t, decay):
    return w.T @ (special.softmax(w @ h) - t) + decay * h


@pytest.mark.parametrize("dtype", dtypes.SHORT)
def test_frames_and_targets_of_short_floats(dtype):
    w = optimal_features.simplex_etf(jax.random.key(0), 4, 7, 1.0)
    targets = jnp.array([[0.7, 0.3, 0, 0], [0.1, 0.2, 0.3, 0.4]])
    rounding = float(jnp.finfo(dtype).eps)
    for features in (optimal_features.ufm_features, optimal_features.ufm_mse_features):
        found = features(w.astype(dtype), targets.astype(dtype), 0.1)
        assert found.dtype == jnp.float32
        np.testing.assert_allclose(found, features(w, targets, 0.1), atol=20 * rounding)
    found = collapse_dual.ufm_logits(targets.astype(dtype), 13.0)
    np.testing.assert_allclose(jnp.sum(found, axis=1), 0, atol=1e-5)


# The scalar root ---------------------------------------------------------------------------------

omega = jax.jit(collapse_dual.omega_log)
probs = jax.jit(collapse_dual.ufm_probs)


def test_omega_is_lamberts_function_of_an_exponential():
    x = np.concatenate([np.linspace(-60, 60, 5001), -np.geomspace(60, 700, 50)])
    w = np.asarray(omega(x))
    np.testing.assert_allclose(w, special.wrightomega(x), rtol=2e-14)
    moderate = np.abs(x) < 50
    by_lambert = special.lambertw(np.exp(x[moderate])).real
    np.testing.assert_allclose(w[moderate], by_lambert, rtol=2e-14)
    huge = np.asarray(omega(np.array([1e3, 1e100, 1e308, -800.0] * 1263 + [0.0])[:5051]))[:4]
    np.testing.assert_allclose(huge, special.wrightomega([1e3, 1e100, 1e308, -800.0]), rtol=1e-14)


@pytest.mark.parametrize("kappa", [1e-30, 1e-3, 1.0, 700.0, 1e5, 1e12])
def test_probabilities_solve_their_equation_at_every_kappa(kappa):
    t = np.array([[0.3, 0.7, 0, 0, 0], [1, 0, 0, 0, 0], [0.2] * 5, [0.5, 0, 0.5, 0, 0]])
    p = np.asarray(probs(t, kappa))
    assert np.isfinite(p).all() and (p > 0).all()
    np.testing.assert_allclose(p.sum(1), 1, rtol=1e-13)
    constant = np.log(p) + kappa * (p - t)
    # Differences of t and p carry the rounding of p, times kappa.
    assert np.ptp(constant, axis=1).max() <= 1e-15 * (10 + kappa)
    if kappa >= 1e5:
        # The equations' other form, and precise where probabilities are small.
        others = np.log(p) + kappa * p * (t == 0)
        assert np.ptp(others[1, 1:]) <= 1e-13
        np.testing.assert_allclose(p, t, atol=np.log(kappa) / kappa)
    if kappa < 1e-20:
        np.testing.assert_allclose(p, 0.2, rtol=1e-13)


def test_probabilities_minimise_the_dual():
    """Against Brent's root of the sum of Lambert functions, and a general minimiser."""
    t, kappa = np.array([0.6, 0.3, 0.1, 0, 0]), 30.0

    def total(nu):
        return special.lambertw(kappa * np.exp(nu + kappa * t)).real.sum() / kappa - 1

    nu = optimize.brentq(total, -40, 0, xtol=1e-15)
    p = np.asarray(probs(np.tile(t, (4, 1)), kappa))[0]
    np.testing.assert_allclose(p, special.lambertw(kappa * np.exp(nu + kappa * t)).real / kappa)

    def dual(s):
        q = special.softmax(s)
        return special.xlogy(q, q).sum() + kappa / 2 * ((q - t) ** 2).sum()

    found = optimize.minimize(dual, np.zeros(5), tol=1e-12)
    np.testing.assert_allclose(special.softmax(found.x), p, atol=1e-6)


def test_derivatives_are_those_of_the_root():
    t, along = jnp.array([0.6, 0.3, 0.1, 0, 0]), jnp.array([0.5, -0.3, -0.2, 0, 0])

    @jax.jit
    def value(s):
        return collapse_dual.ufm_probs(t + s * along, 30.0 + s)

    first, second = jax.jit(jax.jacfwd(value)), jax.jit(jax.jacfwd(jax.jacfwd(value)))
    step = 1e-3
    low, middle, high = (value(s) for s in (-step, 0.0, step))
    np.testing.assert_allclose(first(0.0), (high - low) / (2 * step), atol=1e-6)
    np.testing.assert_allclose(second(0.0), (high - 2 * middle + low) / step**2, atol=1e-5)


# Features ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("setting, kappa, same, deviation, logit", MEASURED)
def test_measured_features(setting, kappa, same, deviation, logit):
    k, _, scale, decay = setting
    *arrays, parts, squared = solved(*setting, LAMS)
    w, targets, h, slope, squared = map(np.asarray, (*arrays, squared))
    np.testing.assert_allclose(scale**2 * k / (k - 1) / decay, kappa, rtol=1e-6)
    assert np.abs(slope).max() <= 1e-14 * scale
    np.testing.assert_allclose(h[3], same * w[0], atol=1e-12 * same * scale)
    linear = same * targets @ w
    gap = np.linalg.norm(h - linear, axis=1) / np.linalg.norm(linear, axis=1)
    np.testing.assert_allclose(gap[:3], deviation, atol=6e-4)
    assert (gap[:3] >= 0.1).all()
    straight = LAMS[:, None] * squared[3] + (1 - LAMS)[:, None] * (
        squared[3] @ w[0] / scale**2 * w[1]
    )
    np.testing.assert_allclose(squared, straight, atol=1e-14 * np.abs(squared).max())
    z = h @ w.T
    np.testing.assert_allclose(z[0, 0] - z[0, 1], logit, atol=6e-5)
    np.testing.assert_allclose(np.log(parts.p_i / parts.p_j), z[:, 0] - z[:, 1], atol=1e-12)
    combined = np.outer(parts.coef_i, w[0]) + np.outer(parts.coef_j, w[1])
    np.testing.assert_allclose(h, combined, atol=1e-13 * same * scale)
    np.testing.assert_allclose(parts.coef_i[2], parts.coef_j[2], rtol=1e-12)


@pytest.mark.parametrize("setting, accuracy", [(MEASURED[0][0], 1e-8), (MEASURED[1][0], 1e-6)])
def test_a_general_minimiser_finds_the_same_features(setting, accuracy):
    w, targets, h, *_ = map(np.asarray, solved(*setting, LAMS)[:3])
    decay = setting[3]
    for target, feature in zip(targets, h, strict=True):
        found = optimize.minimize(
            objective,
            np.zeros_like(feature),
            (w, target, decay),
            jac=gradient,
            method="BFGS",
            options={"gtol": 1e-12},
        )
        np.testing.assert_allclose(found.x, feature, atol=accuracy * np.abs(feature).max())
        assert objective(feature, w, target, decay) <= found.fun + 1e-14


def test_the_logit_tends_to_that_of_the_target():
    """At the rate log kappa / kappa, while the others fall behind by log kappa."""
    decays = 10.0 ** -np.arange(2, 9)
    parts = jax.jit(
        jax.vmap(lambda decay: optimal_features.ufm_coefficients(0.1, 5, 1.0, decay)),
    )(decays)
    error = np.abs(np.log(parts.p_i / parts.p_j) - np.log(0.1 / 0.9))
    slopes = np.diff(np.log10(error))
    assert (np.diff(slopes) < 0).all() and -1 < slopes[-1] < -0.9 and error[-1] < 1e-6
    floor = np.log(0.1 * 1.25 / decays / special.wrightomega(np.log(1.25 / decays)))
    behind = np.log(parts.p_i / parts.p_o) - floor
    assert (behind > 0).all() and (behind < 1).all() and np.ptp(behind[-3:]) < 0.05


def test_two_classes():
    parts = jax.jit(optimal_features.ufm_coefficients, static_argnums=1)(LAMS, 2, 1.0, 0.1)
    assert not np.any(parts.p_o)
    np.testing.assert_allclose(parts.p_i + parts.p_j, 1, rtol=1e-14)
    np.testing.assert_allclose(parts.coef_i, (LAMS - parts.p_i) / 0.1, atol=1e-13)
    np.testing.assert_allclose(parts.coef_i[2] - parts.coef_j[2], 0, atol=1e-14)
    # Both rows are opposite, so the feature is 0 at the middle.
    _, _, h, *_ = solved(2, 2, 1.0, 0.1, LAMS)
    np.testing.assert_allclose(h[2], 0, atol=1e-14)


@pytest.mark.parametrize("k, d", [(2, 1), (3, 2), (5, 9)])
def test_frames(k, d):
    frames = [optimal_features.simplex_etf(key, k, d, 1.7) for key in (None, jax.random.key(3))]
    for w in frames:
        gram = 1.7**2 * (k * np.eye(k) - 1) / (k - 1)
        np.testing.assert_allclose(w @ w.T, gram, atol=1e-14)
        np.testing.assert_allclose(np.sum(w, axis=0), 0, atol=1e-14)
    assert k == 2 or np.abs(frames[0] - frames[1]).max() > 0.1


# Free classifiers --------------------------------------------------------------------------------

GRID = jnp.linspace(0, 1, 6)
SETTING = (4, 6, 0.02, 0.02)


@jax.jit
def on_the_ray(scale):
    w = optimal_features.simplex_etf(None, *SETTING[:2], scale)
    return free_classifier.ufm_free_loss(w, GRID, *SETTING[2:])


def test_the_best_frame_and_its_balance():
    best = optimize.minimize_scalar(lambda m: float(on_the_ray(m)[0]), bracket=(1.0, 1.5))
    assert best.fun == pytest.approx(0.452153704, abs=1e-9)
    assert best.x == pytest.approx(1.257910, abs=1e-6)
    # mu = omega: mean |h|^2 = |W|^2 = K m^2.
    assert float(on_the_ray(best.x)[1]) == pytest.approx(4 * best.x**2, abs=1e-5)


def test_training_everything_finds_the_frame():
    """L-BFGS over classifier and features from a random start: a measurement, not a theorem."""
    k, d, *decays = SETTING
    targets = free_classifier.pair_targets(k, GRID)
    assert targets.shape == (96, 4)
    loss = jax.jit(
        jax.value_and_grad(
            lambda flat: free_classifier.free_loss(
                flat[: k * d].reshape(k, d), flat[k * d :].reshape(-1, d), targets, *decays
            )
        )
    )
    start = np.random.default_rng(0).normal(size=(k + 96) * d)
    found = optimize.minimize(
        lambda flat: tuple(np.asarray(part, float) for part in loss(flat)),
        start,
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": 5000, "ftol": 1e-16, "gtol": 1e-10, "maxcor": 30},
    )
    assert found.fun == pytest.approx(0.452153704, abs=1e-9)
    w, h = found.x[: k * d].reshape(k, d), found.x[k * d :].reshape(-1, d)
    strength = np.trace(w @ w.T) / (k - 1)
    np.testing.assert_allclose(w @ w.T, strength * (np.eye(k) - 1 / k), atol=1e-4)
    assert np.sum(w**2) == pytest.approx(np.mean(np.sum(h**2, axis=1)), abs=1e-6)
    exact = collapse_dual.ufm_logits(targets, strength / decays[0]) @ w / strength
    np.testing.assert_allclose(h, exact, atol=1e-3)


def test_a_classifier_may_be_a_list(unannotated):
    rows, target = FRAME.tolist(), EVEN.tolist()
    for features in (optimal_features.ufm_features, optimal_features.ufm_mse_features):
        np.testing.assert_array_equal(features(rows, target, 0.1), features(FRAME, EVEN, 0.1))
    given = (jnp.array([0.5]), 0.1, 0.1)
    np.testing.assert_array_equal(
        free_classifier.ufm_free_loss(rows, *given), free_classifier.ufm_free_loss(FRAME, *given)
    )


# Errors ------------------------------------------------------------------------------------------

FRAME = optimal_features.simplex_etf(None, 3, 2, 1.0)
EVEN = jnp.full(3, 1 / 3)


@pytest.mark.parametrize(
    "call, words",
    [
        (
            lambda: optimal_features.simplex_etf(None, 1, 2, 1.0),
            "num_classes must be at least 2; got 1.",
        ),
        (
            lambda: optimal_features.simplex_etf(None, 4, 2, 1.0),
            "dim must be at least num_classes - 1, 3",
        ),
        (lambda: optimal_features.simplex_etf(None, 3, 2, 0.0), "scale must be in (0, inf)"),
        (
            lambda: optimal_features.ufm_features(FRAME + 1e-6, EVEN, 0.1),
            "w must be a simplex frame",
        ),
        (lambda: optimal_features.ufm_features(0 * FRAME, EVEN, 0.1), "w must be a simplex frame"),
        (
            lambda: optimal_features.ufm_features(FRAME, EVEN, 0.0),
            "feature_decay must be in (0, inf)",
        ),
        (lambda: optimal_features.ufm_features(FRAME, EVEN + 1, 0.1), "target must sum to 1"),
        (
            lambda: optimal_features.ufm_features(FRAME, jnp.array([1.5, -0.5, 0]), 0.1),
            "target must not be negative; got -0.5",
        ),
        (
            lambda: optimal_features.ufm_features(FRAME, jnp.full(2, 0.5), 0.1),
            "target must have 3 classes on its last axis; got shape (2,)",
        ),
        (lambda: collapse_dual.ufm_probs(jnp.ones(1), 1.0), "target must have at least 2 classes"),
        (lambda: collapse_dual.ufm_probs(EVEN, -1.0), "kappa must be in (0, inf)"),
        (lambda: collapse_dual.omega_log(jnp.array([np.nan])), "x must be finite"),
        (
            lambda: optimal_features.ufm_coefficients(1.1, 3, 1.0, 0.1),
            "lam must be in [0, 1]; got 1.1.",
        ),
        (
            lambda: optimal_features.ufm_objective(FRAME[0], FRAME, EVEN[None], 0.1),
            "target must be a non-empty vector; got shape (1, 3)",
        ),
        (
            lambda: optimal_features.ufm_objective(EVEN, FRAME, EVEN, 0.1),
            "h must have length 2; got 3.",
        ),
        (
            lambda: free_classifier.ufm_free_loss(FRAME, jnp.array([2.0]), 0.1, 0.1),
            "lams must be in [0, 1]",
        ),
        (
            lambda: free_classifier.ufm_free_loss(FRAME, jnp.array([0.5]), 0.1, 0.0),
            "weight_decay must be in (0, inf)",
        ),
    ],
)
def test_bad_input_is_named(call, words, rejects):
    with rejects(words):
        call()


def test_frames_under_strict_promotion():
    with jax.numpy_dtype_promotion("strict"):
        frame = optimal_features.simplex_etf(None, 3, 4, np.float64(1.0))
    np.testing.assert_array_equal(frame, optimal_features.simplex_etf(None, 3, 4, 1.0))
