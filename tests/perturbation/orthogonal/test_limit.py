import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize

from twolayer.theory.perturbation.orthogonal import conditions, data, limit, multipliers

RADII = np.array([0.9, 0.95, 1.0, 1.0, 1.1, 1.2])
Y = np.array([1.0, 1.0, -1.0, 1.0, -1.0, -1.0])
GAMMA = 0.5


@functools.cache
def samples(n=6, d=24, rho=0.002):
    radii = RADII if n == 6 else np.linspace(0.8, 1.3, n)
    draw = jax.jit(data.near_orthogonal, static_argnums=(1, 2))
    x = draw(jax.random.key(1), n, d, rho, jnp.asarray(radii))
    return x, jnp.asarray(np.resize(Y, n))


@functools.partial(jax.jit, static_argnames="width")
def closed_form(x, y, gamma, width):
    lam = multipliers.solve_multipliers(x @ x.T, y, gamma)
    v, u = limit.limit_rows(x, y, lam, gamma, width)
    weights = limit.limit_weights(v, u, width)
    return {
        "lam": lam,
        "v": v,
        "u": u,
        "weights": weights,
        "outputs": limit.predict(x, v, u, gamma, width),
        "kkt": limit.kkt_residual(weights, x, y, lam, gamma),
        "certificate": conditions.certificate(x @ x.T, y, lam, gamma),
    }


tiers = jax.jit(conditions.orthogonality)
solve = jax.jit(multipliers.solve_multipliers)
certify = jax.jit(conditions.certificate)
kkt = jax.jit(limit.kkt_residual)


def network(weights, z, gamma):
    """Outputs by loops over units and points."""
    m = weights.shape[0]
    outputs = np.zeros(z.shape[0])
    for k, point in enumerate(np.asarray(z)):
        for j, row in enumerate(np.asarray(weights)):
            pre = float(row @ point)
            unit = pre if pre > 0 else gamma * pre
            outputs[k] += (1 if j < m / 2 else -1) * unit / m**0.5
    return outputs


# Hand values -------------------------------------------------------------------------------------


def test_one_sample():
    """lambda = 2 / ((1 + gamma^2) |x|^2); every tier holds with nothing to be orthogonal to."""
    x, y = jnp.array([[3.0, 4.0]]), jnp.array([-1.0])
    found = closed_form(x, y, GAMMA, 4)
    np.testing.assert_allclose(found["lam"], [2 / (1.25 * 25)], rtol=1e-14)
    np.testing.assert_allclose(found["u"], [3 * 0.064 / 2, 4 * 0.064 / 2], rtol=1e-14)
    np.testing.assert_allclose(found["v"], -GAMMA * found["u"], rtol=1e-14)
    np.testing.assert_allclose(found["outputs"], [-1.0], rtol=1e-14)
    report = tiers(x @ x.T, GAMMA)
    assert report.p_max == 0 and report.row_sum == 0
    assert report.paper and report.sharp and found["certificate"].holds
    np.testing.assert_allclose([report.lam_lo, report.lam_hi], [0.064, 0.064], rtol=1e-14)


def test_two_samples_of_opposite_labels():
    """Cosine c and unit norms: (1 + gamma^2 - 2 gamma c) lambda = 2 for both."""
    c = 0.3
    gram, y = jnp.array([[1.0, c], [c, 1.0]]), jnp.array([1.0, -1.0])
    np.testing.assert_allclose(
        multipliers.margin_matrix(gram, y, GAMMA), [[1.25, -c], [-c, 1.25]], rtol=1e-15
    )
    lam = solve(gram, y, GAMMA)
    np.testing.assert_allclose(lam, [2 / (1.25 - c)] * 2, rtol=1e-14)
    report = certify(gram, y, lam, GAMMA)
    np.testing.assert_allclose(report.min_pos_margin, lam[0] * (GAMMA - c), rtol=1e-14)
    np.testing.assert_allclose(report.min_neg_margin, lam[0] * (GAMMA - c), rtol=1e-14)
    assert report.holds
    # The other units stay on the wrong side once c exceeds gamma.
    wide = jnp.array([[1.0, 0.6], [0.6, 1.0]])
    lam = solve(wide, y, GAMMA)
    report = certify(wide, y, lam, GAMMA)
    assert not report.holds and report.min_lam > 0 and report.pattern_fraction == 0


def test_an_empty_class_is_allowed():
    x, _ = samples()
    found = closed_form(x, jnp.ones(6), GAMMA, 20)
    np.testing.assert_allclose(found["outputs"], np.ones(6), rtol=1e-12)
    np.testing.assert_allclose(found["u"], -GAMMA * found["v"], rtol=1e-13)
    assert found["certificate"].holds and found["kkt"] < 1e-13


# The closed form ---------------------------------------------------------------------------------


def test_margin_matrix_is_the_sum_of_two_semidefinite_ones():
    x, y = samples(rho=0.19)
    gram, outer = x @ x.T, y[:, None] * y[None, :]
    expected = ((1 - GAMMA) ** 2 * gram + (1 + GAMMA) ** 2 * outer * gram) / 2
    matrix = multipliers.margin_matrix(gram, y, GAMMA)
    np.testing.assert_allclose(matrix, expected, rtol=1e-13)
    assert np.linalg.eigvalsh(matrix)[0] > 0


@pytest.mark.parametrize("n, d", [(6, 24), (8, 30)])
def test_margins_norm_rank_and_stationarity(n, d):
    x, y = samples(n, d)
    found = closed_form(x, y, GAMMA, 20)
    assert found["certificate"].holds and found["certificate"].pattern_fraction == 1
    np.testing.assert_allclose(y * found["outputs"], 1.0, rtol=0, atol=1e-12)
    outputs = network(found["weights"], x, GAMMA)
    np.testing.assert_allclose(found["outputs"], outputs, rtol=0, atol=1e-13)
    np.testing.assert_allclose(np.sum(found["weights"] ** 2), np.sum(found["lam"]), rtol=1e-12)
    assert np.linalg.matrix_rank(found["weights"]) == 2
    assert found["kkt"] < 1e-12


def test_the_width_is_a_scale():
    x, y = samples()
    narrow, wide = closed_form(x, y, GAMMA, 2), closed_form(x, y, GAMMA, 20)
    np.testing.assert_allclose(narrow["v"], 10**0.5 * wide["v"], rtol=1e-13)
    np.testing.assert_allclose(narrow["outputs"], wide["outputs"], rtol=1e-13)


def test_certificate_is_that_of_the_rows():
    x, y = samples(rho=0.1)
    found = closed_form(x, y, GAMMA, 20)
    positive, negative = 20**0.5 * y * (x @ found["v"]), -(20**0.5) * y * (x @ found["u"])
    report = found["certificate"]
    np.testing.assert_allclose(report.min_pos_margin, jnp.min(positive), rtol=1e-12)
    np.testing.assert_allclose(report.min_neg_margin, jnp.min(negative), rtol=1e-12)
    np.testing.assert_allclose(report.min_lam, jnp.min(found["lam"]))
    both = np.mean((np.asarray(positive) > 0) & (np.asarray(negative) > 0))
    assert report.pattern_fraction == both


def test_boundary_has_the_sign_of_the_network_everywhere():
    x, y = samples()
    found = closed_form(x, y, GAMMA, 20)
    z = jax.random.normal(jax.random.key(5), (400, 24))
    normal = limit.boundary_normal(x, y, found["lam"])
    np.testing.assert_allclose(
        (1 + GAMMA) * normal / 20**0.5, found["v"] - found["u"], rtol=0, atol=1e-14
    )
    linear = np.asarray(limit.boundary(z, normal))
    outputs = np.asarray(limit.predict(z, found["v"], found["u"], GAMMA, 20))
    assert np.all(np.sign(linear) == np.sign(outputs))
    ratio = outputs / linear
    assert np.min(ratio) >= 0.375 - 1e-12 and np.max(ratio) <= 0.75 + 1e-12


def test_closed_form_is_the_max_margin_network():
    """A general solver on the weights of a network of width 2, from a perturbed start."""
    x, y = samples()
    x, y = np.asarray(x[:3, :]), np.asarray(y[:3])
    frame = np.linalg.qr(x.T)[0]  # no weight outside the span of the samples helps
    x = x @ frame
    start = np.concatenate([y @ x, -y @ x]) + 0.1 * np.random.default_rng(0).normal(size=6)
    solved = optimize.minimize(
        lambda w: w @ w / 2,
        start,
        jac=lambda w: w,
        method="SLSQP",
        constraints={
            "type": "ineq",
            "fun": lambda w: y * network(w.reshape(2, 3), x, GAMMA) - 1,
        },
        options={"ftol": 1e-14, "maxiter": 200},
    )
    found = closed_form(jnp.asarray(x), jnp.asarray(y), GAMMA, 2)
    np.testing.assert_allclose(2 * solved.fun, np.sum(found["lam"]), rtol=1e-8)
    np.testing.assert_allclose(solved.x.reshape(2, 3), found["weights"], atol=1e-6)


def test_kkt_residual_by_loops_and_in_every_part():
    x, y = samples()
    lam = np.linspace(0.5, 1.5, 6)
    weights = np.random.default_rng(1).normal(size=(4, 24))
    image = np.zeros_like(weights)
    for j in range(4):
        for n in range(6):
            slope = 1.0 if weights[j] @ x[n] > 0 else GAMMA
            image[j] += (0.5 if j < 2 else -0.5) * lam[n] * y[n] * slope * np.asarray(x[n])
    excess = np.asarray(y) * network(weights, x, GAMMA) - 1
    size = max(np.linalg.norm(weights), np.linalg.norm(image))
    expected = max(
        np.linalg.norm(weights - image) / size, np.max(-excess), np.max(np.abs(lam * excess))
    )
    np.testing.assert_allclose(kkt(weights, x, y, lam, GAMMA), expected, rtol=1e-12)

    found = closed_form(x, y, GAMMA, 4)
    weights, lam = found["weights"], found["lam"]
    np.testing.assert_allclose(kkt(0.5 * weights, x, y, lam, GAMMA), 0.5 * jnp.max(lam))
    assert kkt(0 * weights, x, y, 0 * lam, GAMMA) == 1  # infeasible, else at rest
    np.testing.assert_allclose(kkt(weights, x, y, lam.at[2].set(-9.0), GAMMA), 9.0)
    assert kkt(weights.at[0, 0].add(1e-3), x, y, lam, GAMMA) > 1e-4
    # The square of these weights is no number of float64, their residual is.
    assert 1 < kkt(1e200 * weights, x, y, lam, GAMMA) < jnp.inf


def test_slope_at_zero_is_gamma():
    np.testing.assert_array_equal(limit.gates(jnp.array([-1.0, 0.0, 1e-300]), 0.3), [0.3, 0.3, 1])


def test_output_weights():
    np.testing.assert_array_equal(limit.output_weights(4), [0.5, 0.5, -0.5, -0.5])
    assert limit.output_weights(2, jnp.float32).dtype == jnp.float32


# The tiers ---------------------------------------------------------------------------------------


def test_numbers_of_one_instance():
    """[measured] radii 0.9 to 1.2, cosines 0.002, slope 1/2."""
    x, y = samples()
    report = tiers(x @ x.T, GAMMA)
    np.testing.assert_allclose([report.r_min, report.r_max], [0.9, 1.2], rtol=1e-13)
    np.testing.assert_allclose(report.p_max, 0.002 * 1.32, rtol=1e-10)
    np.testing.assert_allclose(report.row_sum, 0.002 * 1.2 * 4.95, rtol=1e-10)
    np.testing.assert_allclose(report.paper_lhs / report.p_max, 1.1985, atol=5e-5)
    np.testing.assert_allclose([report.lam_lo, report.lam_hi], [1.0912, 2.0107], atol=5e-5)
    lam = closed_form(x, y, GAMMA, 2)["lam"]
    assert report.paper and report.sharp
    assert 1.0912 < jnp.min(lam) < 1.15 and 1.9 < jnp.max(lam) < 2.0107
    # Ten times the overlap breaks the first tier and keeps the second.
    report = tiers(*(samples(rho=0.02)[0] @ samples(rho=0.02)[0].T, GAMMA))
    assert not report.paper and report.sharp


def test_tiers_by_loops():
    x, _ = samples(rho=0.1)
    gram = np.asarray(x @ x.T)
    sums = [sum(abs(gram[i, k]) for k in range(6) if k != i) for i in range(6)]
    p = max(sums)
    low, high = min(np.diag(gram)), max(np.diag(gram))
    report = tiers(gram, 0.9)
    hi = 2 / (1.81 * low - 1.9 * p)
    lo = (2 - 1.9 * hi * p) / (1.81 * high)
    np.testing.assert_allclose([report.lam_lo, report.lam_hi], [lo, hi], rtol=1e-12)
    np.testing.assert_allclose(report.paper_lhs, 0.729 * low**2 / (18 * high), rtol=1e-12)
    assert bool(report.sharp) == (p < 0.9 * low and lo * 0.9 * low > hi * p)


def test_no_bounds_where_the_others_outweigh_a_sample():
    """The formula alone would give hi < 0, with which the second condition reads true."""
    gram = jnp.full((3, 3), 0.9) + 0.1 * jnp.eye(3)
    report = tiers(gram, GAMMA)
    assert report.lam_hi == jnp.inf and report.lam_lo == -jnp.inf
    assert not report.sharp and not report.paper


def test_each_tier_implies_the_next_on_random_gram_matrices():
    @jax.jit
    @jax.vmap
    def judge(raw, y, gamma, size):
        off = jnp.triu(raw, 1) * size
        gram = jnp.diag(0.5 + jnp.abs(jnp.diagonal(raw))) + off + off.T
        report = conditions.orthogonality(gram, gamma)
        lam = multipliers.solve_multipliers(gram, y, gamma)
        certificate = conditions.certificate(gram, y, lam, gamma)
        return report, lam, certificate, report.r_min, report.r_max

    rng = np.random.default_rng(3)
    gamma = rng.uniform(0.05, 0.99, 1000)
    report, lam, certificate, r_min, r_max = judge(
        rng.uniform(-1, 1, (1000, 5, 5)),
        rng.choice([-1.0, 1.0], (1000, 5)),
        gamma,
        10 ** rng.uniform(-6, -0.5, 1000),
    )
    paper, sharp, certified = (
        np.asarray(tier) for tier in (report.paper, report.sharp, certificate.holds)
    )
    assert 300 < np.sum(paper) < np.sum(sharp) < np.sum(certified) < 1000
    assert not np.any(paper & ~sharp) and not np.any(sharp & ~certified)
    low, high = np.min(lam, axis=1), np.max(lam, axis=1)
    assert np.all((low >= report.lam_lo * (1 - 1e-11))[sharp])
    assert np.all((high <= report.lam_hi * (1 + 1e-11))[sharp])
    assert np.all((low > 1 / (2 * r_max**2))[paper])
    assert np.all((high < 3 / (2 * gamma**2 * r_min**2))[paper])


def test_near_duplicates():
    """Of opposite labels they break everything, of equal labels all but the certificate."""
    x, y = samples()
    x = x.at[1].set(0.97 * x[0] + 0.2 * x[1])
    alike = closed_form(x, y, GAMMA, 20)
    assert not tiers(x @ x.T, GAMMA).sharp
    assert alike["certificate"].holds and alike["kkt"] < 1e-12
    opposite = closed_form(x, y.at[1].set(-1.0), GAMMA, 20)
    assert not opposite["certificate"].holds
    # [measured] at least half a margin off.
    assert jnp.max(jnp.abs(y.at[1].set(-1.0) * opposite["outputs"] - 1)) > 0.5


def test_too_few_dimensions():
    x = jax.random.normal(jax.random.key(2), (6, 4))
    found = closed_form(x, jnp.asarray(Y), GAMMA, 20)
    assert not found["certificate"].holds and found["certificate"].pattern_fraction < 0.7
    assert jnp.max(jnp.abs(Y * found["outputs"] - 1)) > 0.5


# Edges -------------------------------------------------------------------------------------------


def test_zero_and_repeated_samples(rejects):
    y = jnp.array([1.0, 1.0, -1.0])
    zero = jnp.diag(jnp.array([1.0, 0.0, 1.0]))
    twice = jnp.array([[1.0, 1.0, 0.1], [1.0, 1.0, 0.1], [0.1, 0.1, 1.0]])
    for gram in (zero, twice, twice + 1e-17):
        with rejects("gram must give a positive definite margin matrix; it is numerically sing"):
            multipliers.solve_multipliers(gram, y, GAMMA)
        lam = solve(gram, y, GAMMA)
        assert np.all(np.isnan(lam))
        assert not certify(gram, y, lam, GAMMA).holds
    report = tiers(zero, GAMMA)
    assert report.r_min == 0 and not report.paper and not report.sharp
    assert not tiers(jnp.zeros((2, 2)), GAMMA).sharp


def test_derivatives_are_finite_where_a_branch_is_unused():
    def total(gram):
        report = conditions.orthogonality(gram, GAMMA)
        finite = jnp.where(jnp.isfinite(report.lam_hi), report.lam_hi + report.lam_lo, 0)
        return report.paper_lhs + finite + report.p_max

    gradient = jax.jit(jax.grad(total))
    for gram in (jnp.eye(3), jnp.zeros((3, 3)), jnp.full((3, 3), 0.9) + 0.1 * jnp.eye(3)):
        assert jnp.all(jnp.isfinite(gradient(gram)))


def test_multipliers_by_vmap_over_slopes_and_their_derivative():
    x, y = samples()
    gram, slopes = x @ x.T, np.array([0.2, 0.5, 0.9])
    total = jax.jit(jax.vmap(lambda g: jnp.sum(multipliers.solve_multipliers(gram, y, g))))
    around = np.asarray(total(np.concatenate([slopes, slopes - 1e-5, slopes + 1e-5])))
    one_by_one = [jnp.sum(solve(gram, y, slope)) for slope in slopes]
    np.testing.assert_allclose(around[:3], one_by_one, rtol=1e-13)
    slope = jax.jit(jax.grad(lambda g: jnp.sum(total(g))))(slopes)
    np.testing.assert_allclose(slope, (around[6:] - around[3:6]) / 2e-5, rtol=1e-7)


def test_a_linear_network_has_multipliers_but_no_tiers(rejects):
    """gamma = 1: M = 2 (y y^T) o G."""
    x, y = samples()
    gram = x @ x.T
    lam = multipliers.solve_multipliers(gram, y, 1.0)
    expected = np.linalg.solve(2 * np.outer(y, y) * gram, np.full(6, 2))
    np.testing.assert_allclose(lam, expected, rtol=1e-12)
    for call in (
        lambda: conditions.orthogonality(gram, 1.0),
        lambda: conditions.certificate(gram, y, lam, 1.0),
        lambda: limit.limit_rows(x, y, lam, 1.0, 2),
    ):
        with rejects("gamma must be in (0, 1); got 1.0."):
            call()
    with rejects("gamma must be in (0, 1]; got 0.0."):
        multipliers.solve_multipliers(gram, y, 0.0)


def test_dtype_follows_the_input():
    x, y = samples()
    x = x.astype(jnp.float32)
    lam = multipliers.solve_multipliers(x @ x.T, y, GAMMA)
    v, _ = limit.limit_rows(x, y, lam, GAMMA, 2)
    assert lam.dtype == v.dtype == jnp.float32


def test_double_precision_must_be_on(rejects):
    x, y = samples()
    gram = np.asarray(x @ x.T)
    with jax.enable_x64(False), rejects("gram must be float64"):
        multipliers.solve_multipliers(gram, np.asarray(y), GAMMA)


def test_bad_input_is_named(rejects):
    x, y = samples()
    gram = x @ x.T
    lam = multipliers.solve_multipliers(gram, y, GAMMA)
    v, u = limit.limit_rows(x, y, lam, GAMMA, 2)
    cases = {
        "gram must be square (N, N); got shape (6, 24).": lambda: multipliers.margin_matrix(
            x, y, GAMMA
        ),
        "y must hold only -1 and +1; got [0.0]": lambda: multipliers.margin_matrix(
            gram, y.at[0].set(0), GAMMA
        ),
        "y must have length 6; got 5.": lambda: multipliers.solve_multipliers(gram, y[:5], GAMMA),
        "gamma must be a scalar": lambda: multipliers.margin_matrix(gram, y, jnp.ones(2) / 2),
        "gram must be finite": lambda: conditions.orthogonality(gram.at[0, 0].set(jnp.nan), 0.5),
        "width must be even, for two halves of one size; got 3.": lambda: limit.limit_rows(
            x, y, lam, GAMMA, 3
        ),
        "width must be at least 2; got 0.": lambda: limit.output_weights(0),
        "lam must have shape (6,), one multiplier a label; got (5,).": lambda: (
            limit.boundary_normal(x, y, lam[:5])
        ),
        "v must have length 23; got 24.": lambda: limit.predict(x[:, 1:], v, u, GAMMA, 2),
        "normal must have length 24; got 3.": lambda: limit.boundary(x, jnp.ones(3)),
        "weights must have 24 columns": lambda: limit.kkt_residual(
            jnp.ones((2, 3)), x, y, lam, GAMMA
        ),
    }
    for words, call in cases.items():
        with rejects(words):
            call()
