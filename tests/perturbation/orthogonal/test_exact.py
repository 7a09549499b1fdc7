import jax
import jax.numpy as jnp
import numpy as np
import pytest

from twolayer.theory import geometry
from twolayer.theory.perturbation.orthogonal import agreement as orthogonal_agreement
from twolayer.theory.perturbation.orthogonal import conditions, exact, multipliers, perturbed
from twolayer.theory.perturbation.orthogonal import limit as orthogonal

N, D, R, GAMMA = 12, 40, 3.0, 0.5
Y = np.repeat([1.0, -1.0], N // 2)


def orthonormal(seed, n, d):
    return np.linalg.qr(np.random.default_rng(seed).standard_normal((d, n)))[0].T


X = R * orthonormal(0, N, D)
POINTS = np.random.default_rng(1).standard_normal((4000, D))


def numpy_multipliers(gram, y, gamma):
    """Entry by entry, and a general solver."""
    n = len(y)
    matrix = np.empty((n, n))
    for i in range(n):
        for k in range(n):
            matrix[i, k] = gram[i, k] * ((1 + gamma**2) if y[i] == y[k] else -2 * gamma)
    return np.linalg.solve(matrix, np.full(n, 2.0))


@jax.jit
def train(x, y, base, targets, eps, z):
    """Both trainings: what the second is trained on, its multipliers, tiers, and all outputs."""
    lam = multipliers.solve_multipliers(x @ x.T, y, GAMMA)
    normal = orthogonal.boundary_normal(x, y, lam)
    unit = geometry.direction(normal, "l2")
    inputs = perturbed.perturb(base, targets, unit, eps)
    gram = inputs @ inputs.T
    lam_adv = multipliers.solve_multipliers(gram, targets, GAMMA)
    normal_adv = orthogonal.boundary_normal(inputs, targets, lam_adv)
    rows = orthogonal.limit_rows(x, y, lam, GAMMA, 4)
    rows_adv = orthogonal.limit_rows(inputs, targets, lam_adv, GAMMA, 4)
    return {
        "inputs": inputs,
        "gram": gram,
        "lam_adv": lam_adv,
        "normal_adv": normal_adv,
        "first": orthogonal.predict(z, *rows, GAMMA, 4),
        "second": orthogonal.predict(z, *rows_adv, GAMMA, 4),
        "isotropic": orthogonal_agreement.isotropic_agreement(normal, normal_adv),
        "certificate": conditions.certificate(gram, targets, lam_adv, GAMMA).holds,
        "paper": conditions.orthogonality(gram, GAMMA).paper,
    }


def flip(tau):
    return train(X, Y, X, -Y, tau * R / N**0.5, POINTS)


solve = jax.jit(exact.flipped_orthogonal, static_argnums=1)


def solve_flipped(tau):
    return solve(tau, N, R, GAMMA)


# Targets opposite to the labels ------------------------------------------------------------------


def test_flipped_labels_on_4000_points():
    """Agreement is 0 below tau = 1 and 1 above, to the last point; multipliers to 13 digits."""
    for tau in (0.05, 0.3, 0.9, 0.99, 1.01, 1.2, 1.58, 2.0, 3.0):
        found, solved = flip(tau), solve_flipped(tau)
        share = np.mean(np.sign(found["first"]) == np.sign(found["second"]))
        assert share == (tau > 1) and solved.sign == (1 if tau > 1 else -1)
        np.testing.assert_allclose(found["lam_adv"], solved.lam_adv, rtol=1e-13)
        by_numpy = numpy_multipliers(np.asarray(found["gram"]), -Y, GAMMA)
        np.testing.assert_allclose(by_numpy, solved.lam_adv, rtol=1e-12)
        normal = solved.lam_adv * (tau - 1) * (Y @ X)
        np.testing.assert_allclose(found["normal_adv"], normal, atol=1e-13)
        assert found["certificate"] == solved.certificate
        assert found["paper"] == solved.paper


@pytest.mark.parametrize("tau, holds", [(1.57, False), (1.58, True), (0.43, False), (0.42, True)])
def test_certificate_switches_at_a_root(tau, holds):
    """1 + sqrt(1/3) = 1.5774 and 1 - sqrt(1/3) = 0.4226 for slope 1/2."""
    assert solve_flipped(tau).certificate == holds
    assert flip(tau)["certificate"] == holds


def test_paper_window_about_two():
    """|q| <= (gamma^3/3)(1 + q/N) for q = tau^2 - 2 tau, solved for either sign of q."""
    edge = GAMMA**3 / 3
    for q in (edge / (1 - edge / N), -edge / (1 + edge / N)):
        for stretch in (1 - 1e-6, 1 + 1e-6):
            tau = 1 + np.sqrt(1 + stretch * q)
            assert solve_flipped(tau).paper == (stretch < 1)
            assert flip(tau)["paper"] == (stretch < 1)


def test_no_boundary_is_left_at_tau_one():
    solved = solve_flipped(1.0)
    assert solved.sign == 0 and not solved.certificate
    # 1 + gamma^2 - (1 + gamma)^2 / 2 = (1 - gamma)^2 / 2.
    np.testing.assert_allclose(solved.lam_adv, 4 / (R * (1 - GAMMA)) ** 2, rtol=1e-14)
    np.testing.assert_allclose(flip(1.0)["normal_adv"], 0, atol=1e-13)


def test_reflections_have_the_gram_matrix_of_the_samples():
    found, solved = flip(2.0), solve_flipped(2.0)
    unit = Y @ X / np.linalg.norm(Y @ X)
    np.testing.assert_allclose(found["inputs"], X - 2 * np.outer(X @ unit, unit), atol=1e-14)
    np.testing.assert_allclose(found["gram"], X @ X.T, atol=1e-13)
    np.testing.assert_allclose(solved.lam_adv, 2 / (1.25 * R**2), rtol=1e-15)
    assert solved.certificate and solved.paper


# Noise orthogonal to the samples -----------------------------------------------------------------


ROWS = orthonormal(2, 24, D)
LABELS = np.array([1.0, -1, -1, 1])
TARGETS = np.tile([1.0, -1.0], 10)
limit = jax.jit(exact.orthogonal_noise_limit, static_argnums=1)


@pytest.mark.parametrize("eps, agreement", [(0.1807, 0.5635), (1.0, 0.7677), (5.0, 0.9437)])
def test_orthogonal_noise(eps, agreement):
    solved = limit(eps, 20, 4.0, GAMMA)
    assert round(float(solved.agreement), 4) == agreement
    np.testing.assert_allclose(np.tan(solved.angle), 4 / (eps * 20**0.5), rtol=1e-14)
    x = np.arange(1.0, 5.0)[:, None] * ROWS[:4]
    found = train(x, LABELS, 4 * ROWS[4:], TARGETS, eps, x)
    np.testing.assert_allclose(found["lam_adv"], solved.lam_adv, rtol=1e-13)
    by_numpy = numpy_multipliers(np.asarray(found["gram"]), TARGETS, GAMMA)
    np.testing.assert_allclose(by_numpy, solved.lam_adv, rtol=1e-13)
    assert found["certificate"] and found["paper"] == solved.paper
    np.testing.assert_allclose(LABELS * found["first"], 1, rtol=1e-13)
    assert np.all(LABELS * found["second"] > 0)
    np.testing.assert_allclose(found["isotropic"], solved.agreement, rtol=1e-13)
    # The law itself, on points drawn: four standard deviations.
    normal = LABELS / np.arange(1.0, 5.0) @ ROWS[:4]
    z = np.random.default_rng(3).standard_normal((20000, D))
    share = np.mean((z @ normal > 0) == (z @ np.asarray(found["normal_adv"]) > 0))
    assert abs(share - agreement) < 0.014


@pytest.mark.parametrize("n_adv", [2, 8, 38])
def test_paper_switch_of_orthogonal_noise(n_adv):
    """All products are eps^2 and all squared norms R^2 + eps^2, which grow with eps."""
    rng = np.random.default_rng(4)
    gamma, r = rng.uniform(0.05, 0.99, 1000), 3.0
    eps = r * np.sqrt(gamma**3 / (3 * n_adv)) * rng.uniform(0.9, 1.1, 1000)
    direct = gamma**3 * (r**2 + eps**2) / (3 * n_adv) >= eps**2
    found = jax.vmap(limit, in_axes=(0, None, None, 0))(eps, n_adv, r, gamma)
    np.testing.assert_array_equal(found.paper, direct)
    assert np.any((eps <= r * np.sqrt(gamma**3 / (3 * n_adv))) != direct)


# Random targets and the gradient -----------------------------------------------------------------


def test_targeted_gram_entry_by_entry():
    y, targets = np.array([1.0, 1, 1, -1, 1]), np.array([1.0, -1, -1, -1, 1])
    x = 2 * orthonormal(5, 5, 7)
    unit = y @ x / (2 * 5**0.5)
    inputs = x + 0.3 * 2 / 5**0.5 * np.outer(targets, unit)
    found = exact.targeted_gram(jnp.asarray(y), jnp.asarray(targets), 0.3, 2.0)
    np.testing.assert_allclose(found, inputs @ inputs.T, atol=1e-14)
    s = y * targets
    for i in range(5):
        for k in range(5):
            bracket = 0.3 * (s[i] + s[k]) + 0.09 * s[i] * s[k]
            expected = 4 * (i == k) + 4 / 5 * y[i] * y[k] * bracket
            np.testing.assert_allclose(found[i, k], expected, atol=1e-14)


targeted_gram = jax.jit(exact.targeted_gram)
orthogonality = jax.jit(conditions.orthogonality)


def test_targeted_gram_of_reflections():
    np.testing.assert_allclose(targeted_gram(Y, -Y, 2.0, R), R**2 * np.eye(N), atol=1e-14)


@pytest.mark.parametrize("gamma", [0.3, 0.9])
def test_largest_random_tau_is_where_the_hypothesis_ends(gamma):
    """For targets that are the labels the bound is met."""
    tau = float(exact.largest_random_tau(N, gamma))
    q = tau**2 + 2 * tau
    np.testing.assert_allclose(q, gamma**3 / 3 * (1 + q / N), rtol=1e-12)
    for share in (1 - 1e-6, 1 + 1e-6):
        gram = targeted_gram(Y, Y, share * tau, R)
        assert orthogonality(gram, gamma).paper == (share < 1)
    np.testing.assert_allclose(tau, gamma**3 / 6, rtol=0.1)
    with jax.enable_x64(False):
        small = exact.largest_random_tau(N, gamma / 100)
    np.testing.assert_allclose(small, (gamma / 100) ** 3 / 6, rtol=1e-4)


def test_gradient_cosine():
    assert round(float(exact.gradient_cosine(0.5)), 5) == 0.99388
    np.testing.assert_allclose(exact.gradient_cosine(1e-9), 2**-0.5, rtol=1e-8)
    # Orthogonal samples of one norm: equal multipliers, and v, u by their definition.
    positive, negative = X[Y > 0].sum(axis=0), X[Y < 0].sum(axis=0)
    v, u = positive - GAMMA * negative, negative - GAMMA * positive
    for between in (v - GAMMA * u, GAMMA * v - u):
        cosine = between @ (v - u) / np.linalg.norm(between) / np.linalg.norm(v - u)
        np.testing.assert_allclose(cosine, exact.gradient_cosine(GAMMA), rtol=1e-14)


# Errors ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda e: e.flipped_orthogonal(-0.1, 4, 1.0, 0.5), "tau must be in [0, inf); got -0.1."),
        (lambda e: e.flipped_orthogonal(1.5, 5, 1.0, 0.5), "n must be even, for balanced labels"),
        (lambda e: e.flipped_orthogonal(1.5, 4, 0.0, 0.5), "r must be in (0, inf); got 0.0."),
        (lambda e: e.flipped_orthogonal(1.5, 4, 1.0, 1.0), "gamma must be in (0, 1); got 1.0."),
        (lambda e: e.orthogonal_noise_limit(-1.0, 4, 1.0, 0.5), "eps must be in [0, inf)"),
        (lambda e: e.orthogonal_noise_limit(1.0, 3, 1.0, 0.5), "n_adv must be even"),
        (lambda e: e.orthogonal_noise_limit(1.0, 4, -1.0, 0.5), "r_base must be in (0, inf)"),
        (lambda e: e.targeted_gram(Y, Y[:3], 1.0, 1.0), "targets must have length 12; got 3."),
        (lambda e: e.targeted_gram(Y, 0 * Y, 1.0, 1.0), "targets must hold only -1 and +1"),
        (lambda e: e.targeted_gram(Y, Y, np.nan, 1.0), "tau must be in [0, inf); got nan."),
        (lambda e: e.largest_random_tau(1, 0.5), "n must be at least 2; got 1."),
        (lambda e: e.gradient_cosine(0.0), "gamma must be in (0, 1); got 0.0."),
    ],
)
def test_numbers_outside_their_ranges(call, words, rejects):
    with rejects(words):
        call(exact)
