import functools
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from twolayer.theory import geometry, networks
from twolayer.theory.kernels import shallow
from twolayer.theory.networks import TwoLayer
from twolayer.theory.perturbation.wide import bounds as wide_bounds
from twolayer.theory.perturbation.wide import directions, lazy_training
from twolayer.theory.perturbation.wide import surrogate as wide
from twolayer.theory.training import gradient_descent

N, D, K, M = 6, 4, 3, 50


def normal(seed, *shape):
    return jax.random.normal(jax.random.key(seed), shape)


def shifted(seed, n, d, mu):
    """N(mu y 1, I) with equally many labels of each sign."""
    y = jnp.where(jnp.arange(n) < n // 2, 1.0, -1.0)
    return normal(seed, n, d) + mu * y[:, None], y


@functools.cache
def small():
    x, y = shifted(1, N, D, 0.5)
    return networks.init_two_layer(jax.random.key(0), D, M), x, y, normal(2, K, D)


def lengths(x):
    return np.sqrt(np.sum(np.asarray(x) ** 2, axis=1) + 1)


# Formulas ----------------------------------------------------------------------------------------


def test_width_radius_by_hand():
    assert round(float(lazy_training.width_radius(500, 100, 0.05)), 3) == 0.306
    assert round(float(lazy_training.width_radius(5000, 100, 0.05)), 4) == 0.0897
    # u = ln(2 P / delta) = 2 for one pair at delta = 2 exp(-2).
    np.testing.assert_allclose(
        lazy_training.width_radius(9, 1, 2 * np.exp(-2)), 1 + 4 / 9, rtol=1e-14
    )


def test_deviation_of_the_gate_kernel_in_200_initialisations():
    """100 pairs, m = 5000, delta = 0.05: at most 10 may exceed; another slope always does."""
    x, z = normal(3, 10, 5), normal(4, 10, 5)

    def deviation(key):
        p = networks.init_two_layer(key, 5, 5000)
        found = networks.empirical_gate_kernel(p, x, z, 0.0)
        limits = (shallow.gate_kernel(x, z, gamma) for gamma in (0.0, 0.5))
        return jnp.stack([jnp.max(jnp.abs(found - limit)) for limit in limits])

    keys = jax.random.split(jax.random.key(5), 200)
    right, wrong = np.asarray(jax.jit(lambda keys: jax.lax.map(deviation, keys))(keys)).T
    radius = lazy_training.width_radius(5000, 100, 0.05)
    assert np.sum(right > radius) <= 10 and np.max(right) > radius / 3
    assert np.all(wrong > radius)


def test_flip_mass_is_the_plain_count():
    p, x, _, _ = small()
    found = lazy_training.flip_mass(p, x, 0.4, 1.5)
    w, b, a, points = map(np.asarray, (p.w, p.b, p.a, x))
    for k in range(N):
        total = 0.0
        for i in range(M):
            reach = 0.4 * abs(a[i]) * 1.5 * lengths(x)[k]
            total += a[i] ** 2 * (abs(w[i] @ points[k] + b[i]) <= reach)
        np.testing.assert_allclose(found[k], total, rtol=1e-13)
    assert np.all((found > 0) & (found < jnp.sum(p.a**2)))
    assert not lazy_training.flip_mass(p, x, 0.0, 1.5).any()
    np.testing.assert_allclose(lazy_training.flip_mass(p, x, 1e9, 1.5), jnp.sum(p.a**2))


def test_expected_flip_mass_is_sharp_at_small_times():
    """Mean over 20000 initialisations: below the bound, and near it while few gates may flip."""
    x = normal(6, 2, D)
    bound = lazy_training.expected_flip_mass(x, 0.05, 1.0, 30)
    by_hand = 4 / np.pi * 0.05 * lengths(x) / (np.sqrt(1 + np.sum(x**2, axis=1) / D) * 30**0.5)
    np.testing.assert_allclose(bound, by_hand, rtol=1e-13)

    def mass(key):
        return lazy_training.flip_mass(networks.init_two_layer(key, D, 30), x, 0.05, 1.0)

    keys = jax.random.split(jax.random.key(7), 20000)
    drawn = np.asarray(jax.jit(lambda keys: jax.lax.map(mass, keys, batch_size=500))(keys))
    error = 5 * np.std(drawn, axis=0) / len(keys) ** 0.5
    assert np.all(np.mean(drawn, axis=0) < bound + error)
    assert np.all(np.mean(drawn, axis=0) > 0.9 * bound)


def test_lazy_bound_and_drift_are_the_plain_sums():
    p, x, y, z = small()
    B = np.mean(lengths(x))
    np.testing.assert_allclose(lazy_training.mean_norm(x), B, rtol=1e-14)
    at_x, at_z = (lazy_training.flip_mass(p, points, 0.4, jnp.asarray(B)) for points in (x, z))
    kernel = networks.empirical_lazy_kernel(p, x, z, 0.3)
    factors = jnp.arange(1.0, N + 1)
    bound = lazy_training.lazy_bound(p, x, z, 0.4, 0.3)
    drift = lazy_training.lazy_drift(p, x, y, z, factors, 0.3)
    for j in range(K):
        moved = sum(abs(x[k] @ z[j] + 1) * at_x[k] for k in range(N)) / N
        expected = 0.7 * 0.4 * (B * lengths(z)[j] * at_z[j] + moved)
        np.testing.assert_allclose(bound[j], expected, rtol=1e-12)
        total = sum(y[k] * factors[k] * kernel[k, j] for k in range(N)) / N
        np.testing.assert_allclose(drift[j], total, atol=1e-13)


def test_kernel_gradient_bounds_are_the_plain_sums():
    _, x, y, z = small()
    r = 0.1 * y[:, None] * geometry.unit_rows(x)
    rest = wide_bounds.kernel_gradient_bound(x, z, 0.3)
    surrogate = wide_bounds.threshold_surrogate_bound(r, z, 0.3)
    slope = 0.7**2 / (2 * np.pi * D**0.5)
    for j in range(K):
        sigma = np.sqrt(1 + z[j] @ z[j] / D)
        mean = np.mean([abs(z[j] @ x[k] + 1) for k in range(N)])
        np.testing.assert_allclose(rest[j], slope / sigma * mean, rtol=1e-13)
        mean = np.mean([0.1 * abs(r[k] @ z[j] + 1) for k in range(N)])
        np.testing.assert_allclose(surrogate[j], slope * mean, rtol=1e-13)


def test_bounds_of_inputs_whose_squares_leave_the_range():
    """Where inputs are so large that the 1 beside them is not seen, bounds go with their size."""
    p, x, _, z = small()
    without = networks.TwoLayer(w=p.w, b=0 * p.b, a=p.a)

    def bounds(size, tau):
        points = size * x
        return {
            "mean": lazy_training.mean_norm(points) / size,
            "mass": lazy_training.flip_mass(without, points, tau / size, size),
            "expected": lazy_training.expected_flip_mass(points, tau / size, size, M),
            "lazy": lazy_training.lazy_bound(without, points, z, tau / size, 0.3),
            "radius": wide_bounds.label_noise_radius(points, 0.1) / size,
        }

    for name, wanted in bounds(1e15, 0.4).items():
        assert np.max(wanted) > 0, name
        np.testing.assert_allclose(bounds(1e200, 0.4)[name], wanted, rtol=1e-12, err_msg=name)


def test_direction_certificate_without_a_direction():
    """Two copies of a sample with opposite labels: P is rounding alone and bounds no sine."""
    p, x, _, z = small()
    x, y = jnp.concatenate([x[:1], x[:1]]), jnp.array([1.0, -1.0])
    end, trace = gradient_descent.train(p, x, y, loss="identity", lr=0.1, steps=3, gamma=0.3)
    radius, sine = wide_bounds.direction_certificate(p, end, trace, x, y, z, 0.3)
    assert jnp.all(jnp.isfinite(radius) & (radius > 0)) and jnp.all(sine > 1e14)


def test_label_noise_radius_by_hand():
    even = jnp.array([[3.0], [4.0]])
    log = np.log(2 / 0.1)
    found = wide_bounds.label_noise_radius(even, 0.1)
    np.testing.assert_allclose(found, [np.sqrt(2 * log * 25) / 2], rtol=1e-14)
    found = wide_bounds.label_noise_radius(even, 0.1, balanced=True)
    np.testing.assert_allclose(found, [np.sqrt(log / 2)], rtol=1e-14)
    three = wide_bounds.label_noise_radius(jnp.tile(even, (1, 3)), 0.1)
    np.testing.assert_allclose(three, np.sqrt(2 * np.log(6 / 0.1) * 25) / 2, rtol=1e-14)


def test_initial_output_radius_by_hand():
    z = jnp.array([[2.0, 0.0], [0.0, 0.0]])
    log = np.log(4 / 0.05)
    found = wide_bounds.initial_output_radius(z, 0.5, 0.05)
    np.testing.assert_allclose(found, np.sqrt(1.25 * log) * np.array([3**0.5, 1]), rtol=1e-14)


@pytest.mark.parametrize(
    "change, certain",
    [
        ({}, True),
        ({"F": -2.0, "M": -2.0}, True),
        ({"F": 1.0}, False),  # |F| = |f0| / tau_f: strict
        ({"f0": -2.1, "tau_f": 1.0}, False),
        ({"f0": -2.1, "tau_f": 2.0}, True),
        ({"M": -2.0}, False),  # not aligned
        ({"M": 1.5}, False),  # |M| = radius + |g0| / tau_g: strict
        ({"g0": -3.0}, False),
        ({"g0": -3.0, "tau_g": 5.0}, True),
        ({"radius": 1.6}, False),
        ({"extra_f": 1.1}, False),
        ({"extra_g": 0.6}, False),
        ({"F": 0.0, "M": 0.0}, False),
    ],
)
def test_agreement_certificate(change, certain):
    numbers = dict(
        F=2.0, f0=1.0, tau_f=1.0, M=2.0, g0=1.0, tau_g=2.0, radius=1.0, extra_f=0.0, extra_g=0.0
    ) | change  # fmt: skip
    vectors = {"F", "f0", "M", "g0", "radius"}
    found = wide_bounds.agreement_certificate(
        **{
            name: jnp.array([value]) if name in vectors else value
            for name, value in numbers.items()
        }
    )
    assert found.shape == (1,) and bool(found[0]) == certain


# Theorem L where it says most --------------------------------------------------------------------


def test_lazy_training_at_width_20000():
    """Spec section 3.1, bold row: err <= bound, err/bound < 0.05, reversed labels > 5 bounds."""
    x, y = shifted(8, 16, 5, 1.0)
    z, _ = shifted(9, 64, 5, 1.0)

    @jax.jit
    def run(key):
        p0 = networks.init_two_layer(key, 5, 20000)
        p, trace = gradient_descent.train(
            p0, x, y, loss="identity", lr=0.1, beta=0.0, steps=10, gamma=0.5
        )  # fmt: skip
        start, end = (networks.forward(network, z, 0.5) for network in (p0, p))
        drift = lazy_training.lazy_drift(p0, x, y, z, trace.loss_factors, 0.5)
        bound = lazy_training.lazy_bound(p0, x, z, jnp.sum(trace.weights), 0.5)
        return start, end, drift, bound

    start, end, drift, bound = map(np.asarray, run(jax.random.key(10)))
    error, reversed_error = np.abs(end - start - drift), np.abs(end - start + drift)
    assert np.all(error <= bound)
    assert np.max(error) < 0.05 * np.max(bound)
    assert np.max(reversed_error / bound) > 5
    certain = np.abs(drift) > bound + np.abs(start)
    assert np.mean(certain) > 0.3
    assert np.all(np.sign(end)[certain] == np.sign(drift)[certain])


# Coverage over drawn labels ----------------------------------------------------------------------


@functools.cache
def infinitely_wide(d, n, mu, permuted=False):
    """Data, unit directions P / |P|, and the drift of f at 100 fresh points."""
    x, y = shifted(11, n, d, mu)
    z, _ = shifted(12, 100, d, mu)
    labels = jax.random.permutation(jax.random.key(13), y) if permuted else y
    u = geometry.unit_rows(jax.jit(directions.representer_direction)(x, labels, x, 0.0))
    return x, u, z, np.sign(wide.lazy_predictor(x, y, z, 0.0))


def draws(scenario, d, n, mu, eps, *, balanced=False, permuted=False, labels=None):
    """300 draws of target labels: what theorems B1, B3 and the agreement theorems say of them."""
    x, u, z, clean = infinitely_wide(d, n, mu, permuted)
    base = x if scenario == "b" else jnp.zeros_like(x)
    even, odd = jax.jit(wide.even_odd_split)(base, u, eps, z, 0.0)
    if labels is None:
        keys = jax.random.split(jax.random.key(14), 300)
        labels = jax.vmap(lambda key: wide.random_targets(key, n, balanced=balanced))(keys)
    signal, noise = np.asarray(wide.signal(odd)), np.asarray(labels @ even / n)
    g = signal + noise
    inputs = base + eps * labels[0][:, None] * u
    direct = labels[0] @ jax.jit(shallow.lazy_kernel)(inputs, z, 0.0) / n
    np.testing.assert_allclose(g[0], direct, atol=1e-12 * float(jnp.max(jnp.abs(even))))
    radius = np.asarray(wide_bounds.label_noise_radius(even, 0.05, balanced=balanced))
    nothing = jnp.zeros(100)
    certain = np.asarray(
        wide_bounds.agreement_certificate(
            jnp.asarray(clean), nothing, 1.0, jnp.asarray(signal), nothing, 1.0, jnp.asarray(radius)
        )
    )
    agree = np.sign(g) == clean
    return SimpleNamespace(
        violations=int(np.sum(np.any(np.abs(noise) > radius, axis=1))),
        broken=int(np.sum(np.any(~agree & certain, axis=1))),
        certified=np.mean(certain),
        agreement=np.mean(agree, axis=1),
        aligned=np.mean(np.sign(signal) == clean),
        signal=np.median(np.abs(signal)),
        radius=np.median(radius),
    )


# (length, balanced labels): expected share certified, mean and least agreement, with margins
SCENARIO_A = {
    "short": (0.01, False, (0.0, 0.0), (0.75, 0.88), 0.0),
    "longer": (0.1, False, (0.85, 1.0), (0.99, 1.0), 0.95),
    "long": (0.3, False, (0.95, 1.0), (0.995, 1.0), 0.97),
    "short, balanced": (0.01, True, (0.99, 1.0), (0.999, 1.0), 0.99),
}


@pytest.mark.parametrize("case", SCENARIO_A)
def test_agreement_from_perturbations_alone(case):
    """Scenario a, d = 100, N = 1000, mu = 0.3, 300 draws: spec section 3B, table."""
    eps, balanced, certified, agreement, least = SCENARIO_A[case]
    found = draws("a", 100, 1000, 0.3, eps, balanced=balanced)
    assert found.violations <= 26 and found.broken <= 26  # 5 % + 3 standard deviations
    assert certified[0] <= found.certified <= certified[1]
    assert agreement[0] <= np.mean(found.agreement) <= agreement[1]
    assert np.min(found.agreement) >= least
    np.testing.assert_allclose(found.signal, 1.18 * eps, rtol=0.1)
    if balanced:
        assert found.radius < 1e-8
    else:
        np.testing.assert_allclose(found.radius, 0.0477, rtol=0.02)


def test_agreement_needs_the_labels_of_f_and_free_targets():
    found = draws("a", 100, 1000, 0.3, 0.1, permuted=True)
    assert found.aligned < 0.9
    ones = draws("a", 100, 1000, 0.3, 0.01, labels=jnp.ones((1, 1000)))
    assert 0.35 < ones.agreement[0] < 0.75 and ones.violations == 1
    assert draws("a", 100, 1000, 0.3, 1e-6).certified == 0


def test_agreement_on_perturbed_samples():
    """Scenario b, d = 1000, N = 2000: certain at length 1.5, nothing certified at 0.31."""
    y = shifted(11, 2000, 1000, 0.3)[1]
    found = draws("b", 1000, 2000, 0.3, 1.5)
    assert found.violations <= 26 and found.broken <= 26
    assert found.certified > 0.95
    assert np.mean(found.agreement) >= 0.99
    np.testing.assert_allclose([found.signal, found.radius], [4.53, 2.84], rtol=0.1)
    short = draws("b", 1000, 2000, 0.3, 0.31)
    assert short.certified < 0.05 and np.min(short.agreement) < 0.6 < np.mean(short.agreement)
    opposite = draws("b", 1000, 2000, 0.3, 1.5, labels=-y[None, :])
    assert opposite.agreement[0] <= 0.05
    x, u, z, clean = infinitely_wide(1000, 2000, 0.3)
    targets = wide.random_targets(jax.random.key(15), 2000)
    flipped = wide.lazy_predictor(x - 1.5 * targets[:, None] * u, targets, z, 0.0)
    assert np.mean(np.sign(flipped) == clean) <= 0.05


# Messages ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("delta", [0.0, 1.0, -0.1, np.nan])
def test_failure_probabilities_are_strictly_between_0_and_1(delta, rejects):
    _, _, _, z = small()
    for radius in (
        lambda: lazy_training.width_radius(10, 1, delta),
        lambda: wide_bounds.label_noise_radius(z, delta),
        lambda: wide_bounds.initial_output_radius(z, 0.0, delta),
    ):
        with rejects(f"delta must be in (0, 1); got {delta}."):
            radius()


def test_messages(rejects):
    p, x, y, z = small()
    with rejects("m must be at least 1; got 0."):
        lazy_training.width_radius(0, 1, 0.05)
    with rejects("pairs must be an integer; got 1.5."):
        lazy_training.width_radius(10, 1.5, 0.05)
    with rejects("tau must be in [0, inf); got -1.0."):
        lazy_training.flip_mass(p, x, -1.0, 1.0)
    with rejects("tau must be a scalar (batch by jax.vmap); got shape (2,)."):
        lazy_training.lazy_bound(p, x, z, np.ones(2), 0.3)
    with rejects("gamma must be in [0, 1); got 1.0."):
        lazy_training.lazy_bound(p, x, z, 1.0, 1.0)
    with rejects("m must be at least 1; got -3."):
        lazy_training.expected_flip_mass(x, 1.0, 1.0, -3)
    with rejects("y must have length 6; got 5."):
        lazy_training.lazy_drift(p, x, y[1:], z, y, 0.3)
    with rejects("at and x must have the same number of columns"):
        wide_bounds.kernel_gradient_bound(x, z[:, :2], 0.3)
    with rejects("e must have an even number of rows for balanced labels; got 3."):
        wide_bounds.label_noise_radius(z, 0.05, balanced=True)
    with rejects("e must be a non-empty matrix"):
        wide_bounds.label_noise_radius(y, 0.05)
    with rejects("r and z must have the same number of columns"):
        wide_bounds.threshold_surrogate_bound(x[:, :2], z, 0.3)
    one = jnp.ones(1)
    with rejects("tau_f must be in (0, inf); got 0.0."):
        wide_bounds.agreement_certificate(one, one, 0.0, one, one, 1.0, one)
    with rejects("tau_g must be in (0, inf); got -1.0."):
        wide_bounds.agreement_certificate(one, one, 1.0, one, one, -1.0, one)


def test_bounds_follow_the_dtype():
    p, x, y, z = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), small())
    assert isinstance(p, TwoLayer)
    end, trace = gradient_descent.train(p, x, y, loss="identity", lr=0.1, steps=2, gamma=0.3)
    results = (
        lazy_training.flip_mass(p, x, 0.4, lazy_training.mean_norm(x)),
        lazy_training.expected_flip_mass(x, 0.4, lazy_training.mean_norm(x), 3),
        lazy_training.lazy_bound(p, x, z, 0.4, 0.3),
        lazy_training.lazy_drift(p, x, y, z, trace.loss_factors, 0.3),
        *wide_bounds.direction_certificate(p, end, trace, x, y, z, 0.3),
        wide_bounds.kernel_gradient_bound(x, z, 0.3),
        wide_bounds.label_noise_radius(x, 0.05),
        wide_bounds.initial_output_radius(z, 0.3, 0.05),
        wide_bounds.threshold_surrogate_bound(x, z, 0.3),
    )
    assert {result.dtype for result in results} == {jnp.dtype(jnp.float32)}
