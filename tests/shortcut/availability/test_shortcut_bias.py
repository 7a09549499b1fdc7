"""Predictivity and availability: measured values, definitions, and rules of other kinds."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize, special, stats
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from twolayer.theory.shortcut.availability import data, shortcut_bias

SIGMA = 0.6
# rho_s with rho_c = .9: class means, normal of LDA, reliance on box and grid, Bayes accuracy.
MEASURED = [
    (0.6, (0.25335, 1.28155), (-0.80560, 1.76491), -1.0, -1.0, 0.92428),
    (0.7, (0.52440, 1.28155), (-0.38208, 1.51080), -1.0, -1.0, 0.90616),
    (0.8, (0.84162, 1.28155), (0.11358, 1.21340), -0.938529, -0.937778, 0.90056),
    (0.85, (1.03643, 1.28155), (0.41797, 1.03077), -0.672062, -0.688889, 0.90732),
]


@jax.jit
def best(rho):
    mu = shortcut_bias.mu_from_rho(rho)
    v = shortcut_bias.lda_population(mu, SIGMA)
    probes = shortcut_bias.probe_grid(mu)
    yhat = shortcut_bias.decide(probes @ v)
    return mu, v, shortcut_bias.box_reliance(v, mu), shortcut_bias.reliance(yhat, probes)


@pytest.mark.parametrize("rho_s, mu, v, box, grid, accuracy", MEASURED)
def test_the_best_classifier(rho_s, mu, v, box, grid, accuracy):
    found = [np.asarray(part) for part in best(jnp.array([rho_s, 0.9]))]
    np.testing.assert_allclose(found[0], mu, atol=6e-6)
    np.testing.assert_allclose(found[0], stats.norm.ppf([rho_s, 0.9]), rtol=1e-13)
    np.testing.assert_allclose(found[1], v, atol=6e-6)
    covariance = [[1, SIGMA], [SIGMA, 1]]
    np.testing.assert_allclose(found[1], np.linalg.solve(covariance, found[0]), rtol=1e-13)
    assert found[2] == pytest.approx(box, abs=6e-7)
    assert found[3] == pytest.approx(grid, abs=6e-7)
    assert stats.norm.cdf(np.sqrt(found[0] @ found[1])) == pytest.approx(accuracy, abs=6e-6)


def test_the_shortcut_is_a_suppressor_below_a_predictivity():
    critical = stats.norm.cdf(SIGMA * stats.norm.ppf(0.9))
    assert critical == pytest.approx(0.7790, abs=5e-5)
    for rho_s, sign in ((critical - 1e-3, -1), (critical + 1e-3, 1)):
        assert np.sign(best(jnp.array([rho_s, 0.9]))[1][0]) == sign


@functools.partial(jax.jit, static_argnums=1)
def sampled(key, n, rho):
    return data.sample_latents(key, n, rho, SIGMA)


def test_latents_have_their_law():
    rho = (0.7, 0.9)
    z, y = map(np.asarray, sampled(jax.random.key(1), 40_000, jnp.array(rho)))
    assert not np.any(y[:100:2] + y[1:100:2]) and np.sum(y) == 0
    np.testing.assert_allclose(np.mean(np.sign(z) == y[:, None], axis=0), rho, atol=0.01)
    noise = z - y[:, None] * stats.norm.ppf(rho)
    np.testing.assert_allclose(np.cov(noise.T), [[1, SIGMA], [SIGMA, 1]], atol=0.03)
    # The mean label in bins of the log odds.
    mean = np.asarray(shortcut_bias.posterior_mean(jnp.asarray(z), stats.norm.ppf(rho), SIGMA))
    for low, high in ((-1, -0.8), (-0.3, 0.3), (0.5, 0.8)):
        inside = (mean > low) & (mean <= high)
        error = 5 / np.sqrt(inside.sum())
        assert np.mean(y[inside]) == pytest.approx(np.mean(mean[inside]), abs=error)


def test_embedding():
    key_w, key_z, key_g = jax.random.split(jax.random.key(2), 3)
    w = data.unit_embedding(key_w, 20)
    np.testing.assert_allclose(np.linalg.norm(w, axis=0), 1, rtol=1e-14)
    z = jax.random.normal(key_z, (7, 2))
    alpha = (3.0, 0.5)
    plain = data.embed(z, alpha, w)
    np.testing.assert_allclose(plain, np.asarray(z) * np.array(alpha) @ np.asarray(w).T, atol=1e-14)
    # One feature nested, layer by layer; the other is as before.
    nested = data.embed(z, alpha, w, (0, 2), key_g, 1.5)
    core = np.outer(0.5 * z[:, 1], w[:, 1])
    rest = nested - np.outer(3.0 * z[:, 0], w[:, 0])
    assert np.abs(rest - core).max() > 0.01 and np.abs(rest).max() < 1
    # Odd layers without bias; entries of variance g^2 / d, by what they make of a tiny input.
    mirrored = data.embed(-z, alpha, w, (0, 2), key_g, 1.5)
    np.testing.assert_allclose(mirrored, -nested, atol=1e-14)
    wide = data.unit_embedding(key_w, 400)
    tiny = jnp.array([[0.0, 1e-4]])
    once = data.embed(tiny, (1.0, 1.0), wide, (0, 1), key_g, 1.5)
    assert np.linalg.norm(once) == pytest.approx(1.5e-4, rel=0.15)


def test_lda_of_a_sample_is_that_of_others():
    rng = np.random.default_rng(0)
    y = np.where(np.arange(90) < 30, 1.0, -1.0)
    x = rng.normal(size=(90, 3)) @ rng.normal(size=(3, 3)) + 0.5 * np.outer(y, [1, 2, -1])
    w, b = data.lda_fit(jnp.asarray(x), jnp.asarray(y))
    other = LinearDiscriminantAnalysis(solver="lsqr").fit(x, y)
    np.testing.assert_allclose(2 * w, other.coef_[0], rtol=1e-10)
    assert 2 * b == pytest.approx(other.intercept_[0], rel=1e-10)
    for size in (1e200, 1e-200):
        found, same = data.lda_fit(jnp.asarray(size * x), jnp.asarray(y))
        np.testing.assert_allclose(size * found, w, rtol=1e-10)
        assert same == pytest.approx(float(b), rel=1e-10)


def test_lda_of_embedded_latents_is_that_of_latents():
    z, y = sampled(jax.random.key(3), 400, jnp.array([0.8, 0.9]))
    w = data.unit_embedding(jax.random.key(4), 100)
    x = data.embed(z, (64.0, 1.0), w)
    (plain, offset), (deep, shifted) = (
        data.lda_fit(z, y),
        data.lda_fit(x, y, allow_singular=True),
    )
    np.testing.assert_allclose(np.asarray(w.T @ deep) * np.array([64.0, 1.0]), plain, atol=1e-12)
    assert float(shifted) == pytest.approx(float(offset), abs=1e-13)
    traced = jax.jit(data.lda_fit)(x, y)
    np.testing.assert_allclose(traced[0], deep, atol=1e-12)
    # On many items it estimates the population's.
    rho = jnp.array([0.8, 0.9])
    found, _ = data.lda_fit(*sampled(jax.random.key(5), 10_000, rho))
    np.testing.assert_allclose(found, best(rho)[1], atol=0.08)


# Measures ----------------------------------------------------------------------------------------


def exact_box(v, mu):
    """Mean sign of s u - c u' over the quadrant in conflict, z_s = u mu_s and z_c = -u' mu_c."""
    s, c = np.asarray(v) * np.asarray(mu)
    u = (np.arange(1000) + 0.5) / 1000
    return np.mean(np.sign(s * u[:, None] - c * u[None, :]))


@pytest.mark.parametrize("n", [20, 371, 400])
def test_quadrature_of_any_number_of_nodes_has_the_moments_of_its_law(n):
    mu, sigma = np.array([1.0, 1.5]), 0.3
    nodes, weights = map(np.asarray, data.quadrature(tuple(mu), sigma, n))
    assert weights.sum() == pytest.approx(1, abs=1e-12) and weights.min() > 0
    np.testing.assert_allclose(weights @ nodes, mu, rtol=1e-11)
    centred = nodes - mu
    found = (weights[:, None] * centred).T @ centred
    np.testing.assert_allclose(found, [[1, sigma], [sigma, 1]], atol=1e-11)


@pytest.mark.parametrize("n", [30, 300])
def test_reliance_on_the_box_is_the_limit_of_grids(n):
    rng = np.random.default_rng(1)

    @jax.jit
    def both(v, mu):
        probes = shortcut_bias.probe_grid(mu, n)
        yhat = shortcut_bias.decide(probes @ v)
        return shortcut_bias.box_reliance(v, mu), shortcut_bias.reliance(yhat, probes)

    for v in [*rng.normal(size=(20, 2)), (1.0, 1.0), (0.0, -1.0), (1.0, 0.0), (-1.0, -2.0)]:
        mu = rng.uniform(0.1, 1.5, 2)
        box, grid = both(jnp.asarray(v), jnp.asarray(mu))
        assert abs(box - grid) <= 2 / n + 1e-12
        assert box == pytest.approx(exact_box(v, mu), abs=2e-3)


def test_reliance_of_pure_rules_and_both_conventions():
    probes = shortcut_bias.probe_grid((0.5, 1.2))
    sign = np.sign(probes)
    conflict = sign[:, 0] != sign[:, 1]
    assert conflict.mean() == 0.5 and np.all(sign != 0)
    signed, absolute = (
        functools.partial(shortcut_bias.reliance, z=probes, convention=convention)
        for convention in shortcut_bias.CONVENTIONS
    )
    for yhat, first, second in [
        (sign[:, 0], 1, 1),
        (-sign[:, 0], -1, 1),
        (sign[:, 1], -1, -1),
        (-sign[:, 1], 1, -1),
        (np.ones(900), 0, 0),
    ]:
        assert float(signed(jnp.asarray(yhat))) == pytest.approx(first, abs=1e-15)
        assert float(absolute(jnp.asarray(yhat))) == pytest.approx(second, abs=1e-15)
    any_rule = np.random.default_rng(2).choice([-1.0, 1.0], 900)
    followed = np.mean((any_rule * sign[:, 0])[conflict])
    assert float(signed(jnp.asarray(any_rule))) == pytest.approx(followed, abs=1e-14)
    # With an odd number of probes some have a coordinate 0, and the identity fails.
    line = np.linspace(-3, 3, 31)
    odd = np.stack(np.meshgrid(line, line, indexing="ij"), axis=-1).reshape(-1, 2)
    s = np.sign(odd)
    yhat = np.where(odd @ [1.0, -0.2] >= 0, 1.0, -1.0)
    apart = s[:, 0] != s[:, 1]
    assert (
        abs(
            float(shortcut_bias.reliance(jnp.asarray(yhat), jnp.asarray(odd)))
            - np.mean((yhat * s[:, 0])[apart])
        )
        > 0.01
    )


def test_bias_is_the_difference_and_may_be_halved():
    probes = shortcut_bias.probe_grid((0.5, 1.2))
    first, second = jnp.sign(probes[:, 0]), jnp.sign(probes[:, 1])
    assert shortcut_bias.shortcut_bias(first, second, probes) == 2
    assert shortcut_bias.shortcut_bias(first, second, probes, halve=True) == 1
    assert shortcut_bias.shortcut_bias(second, second, probes, convention="absolute") == 0
    decided = shortcut_bias.decide(jnp.array([0.0, -0.0, -1e-9, jnp.nan]))
    np.testing.assert_array_equal(decided, [1, 1, -1, jnp.nan])


def test_no_feature_is_ignored_by_the_accuracy_of_the_best_rule():
    """No linear rule is more accurate than LDA, whose accuracy is in closed form."""
    mu, v = (np.asarray(part) for part in best(jnp.array([0.8, 0.9]))[:2])
    covariance = np.array([[1, SIGMA], [SIGMA, 1]])

    def accuracy(angle):
        u = np.array([np.cos(angle), np.sin(angle)])
        return special.ndtr(u @ mu / np.sqrt(u @ covariance @ u))

    found = optimize.minimize_scalar(
        lambda angle: -accuracy(angle), bounds=(0, np.pi), method="bounded", options={"xatol": 1e-9}
    )
    assert np.tan(found.x) == pytest.approx(v[1] / v[0], rel=1e-5)
    assert -found.fun == pytest.approx(special.ndtr(np.sqrt(mu @ v)), abs=1e-12)


# Errors ------------------------------------------------------------------------------------------

KEY = jax.random.key(0)
Z, W = jnp.ones((4, 2)), jnp.eye(3, 2)
Y = jnp.array([1.0, -1.0, 1.0, -1.0])


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: shortcut_bias.mu_from_rho((0.5, 0.9)), "rho must be in (0.5, 1)"),
        (lambda: shortcut_bias.mu_from_rho(1.0), "rho must be in (0.5, 1)"),
        (lambda: data.sample_latents(KEY, 5, (0.8, 0.9), 0.6), "n must be even"),
        (lambda: data.sample_latents(KEY, 0, (0.8, 0.9), 0.6), "n must be at least 2"),
        (lambda: data.sample_latents(KEY, 4, (0.8, 0.9), 1.0), "sigma must be in"),
        (lambda: data.sample_latents(KEY, 4, (0.8,), 0.6), "rho must have length 2"),
        (lambda: data.embed(Z, (0.0, 1.0), W), "alpha must be in (0, inf)"),
        (lambda: data.embed(Z, (1.0, 1.0), 2 * W), "w must have columns of length 1"),
        (lambda: data.embed(Z, (1.0, 1.0), W, (0, 1)), "key must be given"),
        (lambda: data.embed(Z, (1.0, 1.0), W, (0, -1), KEY), "nesting must be at"),
        (lambda: data.embed(Z[:, :1], (1.0, 1.0), W), "z must have 2 columns"),
        (lambda: data.lda_fit(Z, Y), "rank 2; got rank 0"),
        (lambda: data.lda_fit(Z, jnp.ones(4)), "y must hold both classes"),
        (lambda: data.lda_fit(Z * jnp.nan, Y), "x must be finite"),
        (lambda: data.quadrature((1.0, 1.0), 0.6, 0), "n_quad must be at least 1"),
        (lambda: shortcut_bias.probe_grid((1.0, 1.0), 31), "n must be even"),
        (lambda: shortcut_bias.probe_grid((1.0, 0.0)), "mu must be in (0, inf)"),
        (lambda: shortcut_bias.box_reliance((0.0, 0.0), (1.0, 1.0)), "v must not be 0"),
        (lambda: shortcut_bias.reliance(0 * Y, Z), "yhat must hold only -1 and +1"),
        (lambda: shortcut_bias.reliance(Y, Z, "signum"), "convention must be one of signed"),
        (lambda: shortcut_bias.shortcut_bias(Y, 0 * Y, Z), "yhat_opt must hold only -1 and +1"),
        (lambda: shortcut_bias.lda_population((1.0,) * 3, 0.6), "mu must have length 2; got 3"),
    ],
)  # fmt: skip
def test_bad_input_is_named(call, words, rejects):
    with rejects(words):
        call()
