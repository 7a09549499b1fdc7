"""Flows on two features: the tables of the spec, other solvers, and what must break them."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import linalg

from twolayer.theory.shortcut.availability import data, flows, shortcut_bias

SIGMA = 0.6
CELLS = [(rho_s, alpha_s) for rho_s in (0.7, 0.8, 0.85) for alpha_s in (1.0, 4.0)]
LINEAR_TAUS = jnp.array([1e-6, 1.0, 10.0, 100.0, np.inf])
# Box bias of the linear kernel at tau -> 0, 1, 10, 100 and infinity.
LINEAR = [
    (0.167438, 0.135545, 0, 0, 0),
    (1.626727, 1.498243, 0.264212, 0, 0),
    (0.369811, 0.338577, 0.110059, 4.7e-6, 0),
    (1.793612, 1.765554, 1.309093, 0.028322, 0),
    (0.326111, 0.304483, 0.121410, 2.1e-5, 0),
    (1.576503, 1.563825, 1.374055, 0.112191, 0),
]
# Box bias at infinite time with a ridge of 0, .01 and .1 of the largest eigenvalue.
RIDGE = [
    (0.7, 4.0, (0, 0, 0.321384)),
    (0.7, 16.0, (0, 0.613296, 1.836832)),
    (0.85, 1.0, (0, 0.025181, 0.148565)),
    (0.85, 4.0, (0, 0.413486, 1.373773)),
    (0.85, 16.0, (0, 1.525471, 1.651417)),
]


def rows(rho_s, alpha_s):
    return jnp.array([rho_s, 0.9]), jnp.array([alpha_s, 1.0])


@jax.jit
def linear_bias(rho, alpha, taus, ridges):
    """At times without ridge, and at infinite time with ridges."""
    mu = shortcut_bias.mu_from_rho(rho)
    best = shortcut_bias.box_reliance(shortcut_bias.lda_population(mu, SIGMA), mu)
    scale = jnp.linalg.eigvalsh(flows.second_moment(alpha, rho, SIGMA))[-1]

    def bias(t, ridge):
        v = flows.linear_flow(alpha, rho, SIGMA, t, ridge)
        return shortcut_bias.box_reliance(v, mu) - best

    times = jnp.concatenate([taus / scale, jnp.full(ridges.shape, jnp.inf)])
    return jax.vmap(bias)(times, jnp.concatenate([jnp.zeros_like(taus), ridges * scale]))


@pytest.mark.parametrize("cell, expected", list(zip(CELLS, LINEAR, strict=True)))
def test_the_linear_kernel_is_biased_until_it_has_converged(cell, expected):
    found = linear_bias(*rows(*cell), LINEAR_TAUS, jnp.zeros(3))
    np.testing.assert_allclose(found[1:5], expected[1:], atol=6e-7)
    assert found[0] == pytest.approx(expected[0], abs=1e-5)


@pytest.mark.parametrize("rho_s, alpha_s, expected", RIDGE)
def test_a_ridge_biases_the_linear_kernel(rho_s, alpha_s, expected):
    found = linear_bias(*rows(rho_s, alpha_s), LINEAR_TAUS, jnp.array([0, 0.01, 0.1]))
    np.testing.assert_allclose(found[5:], expected, atol=6e-7)


def test_the_converged_linear_predictor_knows_no_availability():
    for rho_s in (0.7, 0.85):
        rho = jnp.array([rho_s, 0.9])
        mu = np.asarray(shortcut_bias.mu_from_rho(rho))
        best = np.asarray(shortcut_bias.lda_population(mu, SIGMA))
        flow = jax.jit(lambda alpha, t, rho=rho: flows.linear_flow(alpha, rho, SIGMA, t))
        for ratio in (1.0, 4.0, 16.0, 64.0):
            v = flow(jnp.array([ratio, 1.0]), jnp.inf)
            np.testing.assert_allclose(v, best / (1 + mu @ best), rtol=1e-10)
        # Stopped early it does, by the flow's own equation.
        alpha, t = np.array([4.0, 1.0]), 0.3
        moment = alpha[:, None] * (np.eye(2) * 0.4 + 0.6 + np.outer(mu, mu)) * alpha
        end = np.linalg.solve(moment, alpha * mu)
        exact = alpha * (end - linalg.expm(-t * moment) @ end)
        np.testing.assert_allclose(flow(jnp.asarray(alpha), t), exact, rtol=1e-12)
        np.testing.assert_array_equal(flow(jnp.asarray(alpha), 0.0), 0)


@pytest.mark.parametrize("dtype, room", [("float32", 2e-6), ("float64", 1e-14)])
def test_the_linear_predictor_is_exact_for_second_moments_that_are_singular_to_rounding(
    dtype, room
):
    flow = jax.jit(flows.linear_flow)
    rho = np.array([0.8, 0.9], dtype)
    mu = np.asarray(shortcut_bias.mu_from_rho(rho.astype(float)))
    best = np.asarray(shortcut_bias.lda_population(mu, 0.25))
    limit = best / (1 + mu @ best)
    for alpha in ((1e6, 1e-3), (1e-3, 1e6), (3e5, 2e-5)):
        for time in (1e20, 1e30, np.inf):
            found = flow(np.array(alpha, dtype), rho, 0.25, np.array(time, dtype))
            assert found.dtype == dtype
            np.testing.assert_allclose(found, limit, rtol=room)
    # The loud feature is known and the quiet one not: that of one feature alone, and A^2 t times
    # what is missed of the other's mean.
    time = 1.0
    found = flow(np.array([1e5, 1e-5], dtype), rho, 0.25, np.array(time, dtype))
    first = mu[0] / (1 + mu[0] ** 2)
    missed = mu[1] - first * (0.25 + mu[0] * mu[1])
    np.testing.assert_allclose(found, [first, 1e-10 * time * missed], rtol=room + 1e-9)


def test_the_linear_flow_has_derivatives_where_eigenvalues_are_equal():
    sigma = -(shortcut_bias.mu_from_rho(0.8) ** 2)

    @jax.jit
    def flow(ratio):
        alpha, rho = jnp.stack([ratio, 1.0]), jnp.array([0.8, 0.8])
        return jnp.sum(flows.linear_flow(alpha, rho, sigma, 1.0) * jnp.array([1.0, 3.0]))

    differences = (flow(1 + 1e-5) - flow(1 - 1e-5)) / 2e-5
    assert jax.grad(flow)(1.0) == pytest.approx(float(differences), rel=1e-8)
    bend = (flow(1.5 + 1e-3) - 2 * flow(1.5) + flow(1.5 - 1e-3)) / 1e-6
    assert jax.grad(jax.grad(flow))(1.5) == pytest.approx(float(bend), rel=1e-5)
    assert np.isnan(jax.grad(jax.grad(flow))(1.0))


# Whole mixtures ----------------------------------------------------------------------------------

TAUS = jnp.array([1e-3, 1.0, 10.0, 100.0, 1e3])
KERNELS = {
    "linear": dict(kind="linear"),
    "relu": dict(kind="relu"),
    "relu with bias": dict(kind="relu", beta=1.0),
    "two hidden layers": dict(kind="relu", depth=2),
    "erf with bias": dict(kind="erf", beta=1.0),
}
_LINEAR = [
    (0.160, 0.133, 0, 0, 0),
    (1.627, 1.502, 0.267, 0, 0),
    (0.373, 0.338, 0.098, 0, 0),
    (1.787, 1.769, 1.316, 0.018, 0),
    (0.347, 0.320, 0.142, 0, 0),
    (1.600, 1.591, 1.396, 0.133, 0),
]
BIAS = {
    "linear": _LINEAR,
    "relu": _LINEAR,
    "relu with bias": [
        (0.151, 0.124, 0, 0, 0),
        (1.609, 1.484, 0.213, 0, 0),
        (0.356, 0.338, 0.116, 0.036, 0.009),
        (1.787, 1.760, 1.280, 0.053, 0.018),
        (0.338, 0.311, 0.142, 0.071, 0.036),
        (1.600, 1.582, 1.387, 0.187, -0.009),
    ],
    "two hidden layers": [
        (0.160, 0.124, 0, 0, 0),
        (1.600, 1.458, 0.089, 0, 0),
        (0.356, 0.329, 0.107, 0.018, 0.009),
        (1.787, 1.760, 1.156, -0.009, 0),
        (0.338, 0.311, 0.151, 0.044, 0),
        (1.600, 1.573, 1.378, 0.178, 0),
    ],
    "erf with bias": [
        (0.124, 0.089, 0, 0, 0),
        (1.280, 0.827, 0, 0, 0),
        (0.329, 0.293, 0.098, 0.009, 0),
        (1.716, 1.644, 0.364, 0.018, 0),
        (0.311, 0.276, 0.133, 0.044, 0.027),
        (1.556, 1.529, 1.031, 0.124, 0.036),
    ],
}
# Leading eigenvalues at rho_s = .7, alpha_s = 4, and how many digits they have.
LEADING = {
    "linear": ((21.75455, 1.28776), 6e-6),
    "relu": ((21.75455, 1.28776), 6e-6),
    "relu with bias": ((22.812, 1.507, 0.203), 6e-4),
    "two hidden layers": ((27.507, 1.968, 0.407), 6e-4),
    "erf with bias": ((1.603, 0.294, 0.187), 6e-4),
}
BAYES = {0.7: 0.27383}


@functools.cache
def populations(name, n_quad=20):
    """All six cells at once."""
    kernel = functools.partial(flows.ntk, **KERNELS[name])
    flow = functools.partial(flows.population_flow, kernel, sigma=SIGMA, taus=TAUS, n_quad=n_quad)
    rho, alpha = (jnp.stack(parts) for parts in zip(*(rows(*cell) for cell in CELLS), strict=True))
    found = jax.jit(
        lambda rho, alpha: jax.lax.map(lambda at: flow(rho=at[0], alpha=at[1]), (rho, alpha))
    )
    return jax.tree.map(np.asarray, found(rho, alpha))


@pytest.mark.parametrize("name", KERNELS)
def test_population_bias(name):
    found = populations(name)
    np.testing.assert_allclose(found["bias"], BIAS[name], atol=0.02)
    assert np.max(found["bias"]) > 1
    leading, room = LEADING[name]
    np.testing.assert_allclose(found["lam"][1][: len(leading)], leading, atol=room)
    assert np.all(np.diff(found["lam"], axis=1) <= 0)
    # Never below the best classifier's error, and at last close to it but for the linear ones.
    assert np.all(np.diff(found["mse"], axis=1) < 1e-12)
    assert np.all(found["mse"][:2, -1] >= BAYES[0.7])
    assert (found["mse"][1, -1] < BAYES[0.7] + 0.05) == (name not in ("linear", "relu"))
    assert np.all((found["acc"] > 0.5) & (found["acc"] < 0.93))


def test_without_bias_a_relu_is_linear():
    first, second = populations("linear"), populations("relu")
    np.testing.assert_allclose(second["probe_values"], first["probe_values"], atol=1e-9)
    np.testing.assert_allclose(second["lam"][:, :2], first["lam"][:, :2], rtol=1e-12)
    # The closed form's, on the same probes.
    for at, cell in enumerate(CELLS):
        rho, alpha = rows(*cell)
        probes = shortcut_bias.probe_grid(shortcut_bias.mu_from_rho(rho))
        v = flows.linear_flow(alpha, rho, SIGMA, 10 / first["lam"][at, 0])
        # But for the error of quadrature in the mean of z tanh(z.v*), which is mu.
        np.testing.assert_allclose(first["probe_values"][at, 2], probes @ v, atol=1e-5)


def test_more_nodes_agree():
    coarse, fine = populations("relu with bias"), populations("relu with bias", 28)
    np.testing.assert_allclose(fine["bias"], coarse["bias"], atol=0.04)


@jax.jit
def late_errors():
    """Error sum w (1 - f)^2 of the ReLU kernel with bias at tau = 1e6, from labels and means."""
    rho, alpha = rows(0.7, 4.0)
    mu = shortcut_bias.mu_from_rho(rho)
    nodes, weights = data.quadrature(mu, SIGMA, 20)
    kernel = functools.partial(flows.ntk, **KERNELS["relu with bias"])
    odd = flows.odd_kernel(kernel)
    root = jnp.sqrt(weights)
    points = nodes * alpha[None]
    values, vectors = jnp.linalg.eigh(root[:, None] * odd(points, points) * root[None])
    decay = jnp.exp(-1e6 * values / values[-1])
    m = shortcut_bias.posterior_mean(nodes, mu, SIGMA)
    missed = [vectors @ (decay * (vectors.T @ (root * y))) for y in (jnp.ones_like(m), m)]
    return jnp.sum(missed[0] ** 2), jnp.sum((root * (1 - m) + missed[1]) ** 2)


def test_labels_at_the_nodes_would_be_interpolated():
    from_labels, from_means = late_errors()
    assert from_labels < 0.1 * BAYES[0.7] < 0.5 * BAYES[0.7] < from_means


@jax.jit
def small():
    """A small population flow; and the whole mixture, with the kernel as it is."""
    kernel = functools.partial(flows.ntk, kind="erf", beta=0.7)
    rho, alpha = rows(0.75, 2.0)
    taus = jnp.array([3.0, 40.0])
    found = flows.population_flow(kernel, alpha, rho, SIGMA, taus, 6, 4)
    mu = shortcut_bias.mu_from_rho(rho)
    nodes, weights = data.quadrature(mu, SIGMA, 6)
    points, probes = nodes * alpha[None], shortcut_bias.probe_grid(mu, 4) * alpha[None]
    inputs = jnp.concatenate([points, -points])
    m = shortcut_bias.posterior_mean(nodes, mu, SIGMA)
    gram = kernel(jnp.concatenate([inputs, probes]), inputs)
    return found, taus / found["lam"][0], mu, nodes, weights, m, gram


def test_the_population_flow_solves_its_equation():
    found, times, mu, nodes, weights, m, gram = jax.tree.map(np.asarray, small())
    np.testing.assert_allclose(weights @ nodes, mu, atol=1e-14)
    covariance = (nodes - mu).T @ ((nodes - mu) * weights[:, None])
    np.testing.assert_allclose(covariance, [[1, SIGMA], [SIGMA, 1]], atol=1e-13)
    labels, shares = np.concatenate([m, -m]), np.concatenate([weights, weights]) / 2
    number = len(labels)
    mean = gram * shares
    # The residual r' = -K r and its integral, on both labels: no odd part is taken.
    zero, one = np.zeros((number, number)), np.eye(number)
    system = np.block([[-mean[:number], zero], [one, zero]])
    for at, time in enumerate(times):
        total = (linalg.expm(time * system)[number:, :number]) @ labels
        f, probes = np.split(mean @ total, [number])
        np.testing.assert_allclose(found["probe_values"][at], probes, atol=1e-10)
        np.testing.assert_allclose(f[: number // 2], -f[number // 2 :], atol=1e-12)
        assert found["mse"][at] == pytest.approx(shares @ (1 - 2 * labels * f + f**2), abs=1e-12)
        assert found["acc"][at] == pytest.approx(weights @ (f[: number // 2] > 0), abs=1e-12)


@jax.jit
def late(alpha, taus):
    """The linear kernel, of rank 2 on hundreds of nodes, without ridge."""
    return flows.population_flow(flows.ntk, alpha, jnp.array([0.8, 0.9]), 0.2, taus, 8, 4)


def test_late_times_of_a_singular_kernel_are_as_the_end():
    found = jax.tree.map(np.asarray, late(jnp.array([3.0, 1.0]), 10.0 ** jnp.arange(5, 300, 5)))
    end = jax.tree.map(np.asarray, late(jnp.array([3.0, 1.0]), jnp.array([jnp.inf])))
    for name in ("bias", "mse", "acc", "probe_values"):
        np.testing.assert_allclose(
            found[name], np.tile(end[name], (59, 1)[: end[name].ndim]), atol=1e-12
        )
    # Least squares on the mixture, whose error is 1 / (1 + mu . v*).
    mu = shortcut_bias.mu_from_rho(jnp.array([0.8, 0.9]))
    error = 1 / (1 + mu @ shortcut_bias.lda_population(mu, 0.2))
    assert end["mse"] == pytest.approx(float(error), abs=2e-4)
    assert end["bias"] == pytest.approx(0, abs=1e-15)


def test_the_population_flow_has_derivatives_though_its_operator_is_singular():
    def flow(ratio):
        found = late(jnp.stack([ratio, 1.0]), jnp.array([0.3, 20.0]))
        return jnp.sum(found["mse"]) + jnp.sum(found["probe_values"] ** 2)

    differences = (flow(3.0 + 1e-4) - flow(3.0 - 1e-4)) / 2e-4
    assert jax.jit(jax.grad(flow))(3.0) == pytest.approx(float(differences), rel=1e-6)
    assert abs(differences) > 0.1
