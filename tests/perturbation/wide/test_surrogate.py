import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twolayer.theory import geometry, networks
from twolayer.theory.kernels import preactivations, shallow
from twolayer.theory.networks import TwoLayer
from twolayer.theory.perturbation.wide import directions
from twolayer.theory.perturbation.wide import surrogate as wide
from twolayer.theory.training import gradient_descent

N, D, K = 12, 5, 6


def normal(seed, *shape):
    return jax.random.normal(jax.random.key(seed), shape)


def shifted(seed, n, d, mu):
    """N(mu y 1, I) with equally many labels of each sign."""
    y = jnp.where(jnp.arange(n) < n // 2, 1.0, -1.0)
    return normal(seed, n, d) + mu * y[:, None], y


@functools.cache
def data():
    x, y = shifted(1, N, D, 0.5)
    return x, y, normal(2, K, D)


kernel_gradient = jax.jit(
    jax.vmap(
        jax.vmap(directions.gate_kernel_gradient, in_axes=(None, 0, None)), in_axes=(0, None, None)
    )
)
gate_kernel = jax.jit(shallow.gate_kernel)
lazy_predictor = jax.jit(wide.lazy_predictor, static_argnames="bias")
even_odd_split = jax.jit(wide.even_odd_split)
limit_gradient = jax.jit(
    lambda x, y, at, gamma: (
        directions.representer_direction(x, y, at, gamma),
        directions.kernel_gradient_direction(x, y, at, gamma),
    )
)


@jax.jit
def sums(x, y, z, r, gamma):
    return (
        wide.lazy_predictor(x, y, z, gamma),
        wide.surrogate_f(x, y, z, gamma),
        directions.representer_direction(x, y, z, gamma),
        wide.surrogate_g(x, y, r, z, gamma),
    )


@jax.jit
def pairs(x, y, z, r, gamma):
    """What the sums above are made of."""
    pairs = ((x, z), (x, x), (r, z))
    gates = [shallow.gate_kernel(first, second, gamma) for first, second in pairs]
    return gates[0], shallow.lazy_kernel(x, z, gamma), gates[1], gates[2]


def differences(function, at, step):
    """Central differences of a function of points, shape (k, d)."""
    shifts = step * jnp.eye(at.shape[1])
    points = at[:, None, :] + jnp.concatenate([shifts, -shifts])[None, :, :]
    values = function(points.reshape(-1, at.shape[1])).reshape(at.shape[0], 2, -1)
    return (values[:, 0] - values[:, 1]) / (2 * step)


# Labels and perturbations ------------------------------------------------------------------------


def test_independent_targets_are_fair():
    targets = np.asarray(wide.random_targets(jax.random.key(0), 10000))
    assert targets.dtype == np.float64 and set(targets) == {-1.0, 1.0}
    assert abs(np.mean(targets)) < 5 / 100
    assert abs(np.mean(targets[1:] * targets[:-1])) < 5 / 100
    assert wide.random_targets(jax.random.key(0), 1).shape == (1,)


def test_balanced_targets_are_exact_and_in_random_order():
    draw = jax.jit(jax.vmap(lambda key: wide.random_targets(key, 6, balanced=True)))
    targets = np.asarray(draw(jax.random.split(jax.random.key(0), 4000)))
    assert np.all(np.sum(targets, axis=1) == 0) and np.all(np.abs(targets) == 1)
    # Fair at every place; any two places have covariance -1/(n-1).
    products = targets.T @ targets / 4000
    assert np.max(np.abs(np.mean(targets, axis=0))) < 5 / 4000**0.5
    assert np.max(np.abs(products - (np.eye(6) * 1.2 - 0.2))) < 5 / 4000**0.5


def test_balanced_targets_need_an_even_number(rejects):
    with rejects("n must be even for balanced labels; got 7."):
        wide.random_targets(jax.random.key(0), 7, balanced=True)
    with rejects("n must be at least 1; got 0."):
        wide.random_targets(jax.random.key(0), 0)


@pytest.mark.parametrize("gamma", [0.0, 0.4])
@pytest.mark.parametrize("loss", ["identity", "logistic"])
def test_perturbations_descend_any_loss_by_one_length(loss, gamma):
    """-eps grad l / |grad l| by automatic differentiation, whatever the loss."""
    x, targets, _ = data()
    p = networks.init_two_layer(jax.random.key(3), D, 20)

    def value(point, target):
        pre = jnp.sum(p.w * point[None, :], axis=1) + p.b
        margin = target * jnp.sum(p.a * jnp.where(pre >= 0, pre, gamma * pre))
        return -margin if loss == "identity" else jnp.log1p(jnp.exp(-margin))

    slope = jax.vmap(jax.grad(value))(x, targets)
    expected = -0.3 * slope / jnp.linalg.norm(slope, axis=1, keepdims=True)
    found = wide.perturbations(p, x, targets, 0.3, gamma)
    np.testing.assert_allclose(found, expected, atol=1e-13)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 0.3, rtol=1e-14)
    np.testing.assert_array_equal(wide.perturbations(p, x, -targets, 0.3, gamma), -found)
    np.testing.assert_array_equal(wide.perturbations(p, x, targets, 0.0, gamma), 0 * x)


def test_samples_without_gradient(rejects):
    """Slope 0 and every unit shut at the second sample: an error, or no perturbation."""
    p = TwoLayer(w=jnp.ones((3, 2)), b=jnp.zeros(3), a=jnp.ones(3))
    x, targets = jnp.array([[1.0, 1.0], [-1.0, -1.0]]), jnp.array([1.0, -1.0])
    with rejects("row 1 is zero"):
        wide.perturbations(p, x, targets, 0.1, 0.0)
    kept = wide.perturbations(p, x, targets, 0.1, 0.0, zero="keep")
    np.testing.assert_allclose(kept, [[0.1 / 2**0.5] * 2, [0, 0]], rtol=1e-14)
    np.testing.assert_allclose(
        wide.perturbations(p, x, targets, 0.1, 0.1)[1], [-0.1 / 2**0.5] * 2, rtol=1e-14
    )


def test_perturbed_inputs_of_both_scenarios():
    x, _, _ = data()
    r = normal(4, N, D)
    np.testing.assert_array_equal(wide.perturbed_dataset(x, r, on_original=False), r)
    np.testing.assert_array_equal(wide.perturbed_dataset(x, r, on_original=True), x + r)


def test_label_imbalance():
    assert wide.label_imbalance(jnp.array([1.0, 1.0, -1.0, 1.0])) == 0.5


# Infinite width ----------------------------------------------------------------------------------


@pytest.mark.parametrize("gamma", [0.0, 0.4])
def test_kernel_sums_are_the_plain_loops(gamma):
    r = normal(5, N, D)
    points = (*data(), r)
    found = sums(*points, gamma)
    gate, lazy, among, near = map(np.asarray, pairs(*points, gamma))
    x, y, z, r = map(np.asarray, points)
    for j in range(K):
        drift = sum(y[k] * lazy[k, j] for k in range(N)) / N
        no_bias = sum(y[k] * gate[k, j] * (x[k] @ z[j]) for k in range(N)) / N
        direction = sum(y[k] * gate[k, j] * x[k] for k in range(N)) / N
        inner = [sum(y[k] * among[n, k] * (x[k] @ z[j]) for k in range(N)) / N for n in range(N)]
        expected = (drift, no_bias, direction, np.mean(near[:, j] * np.array(inner)))
        for vector, value in zip(found, expected, strict=True):
            np.testing.assert_allclose(vector[j], value, atol=1e-13)


@given(seed=st.integers(0, 2**31 - 1), gamma=st.sampled_from([0.0, 0.3, 0.9]))
def test_gate_kernel_gradient_is_the_slope_and_below_its_bound(seed, gamma):
    at, x = normal(seed, 2, 3, D)
    found = kernel_gradient(at, x, gamma)
    for k in range(3):
        slope = differences(lambda z, k=k: gate_kernel(z, x[k : k + 1], gamma), at, 1e-5)
        np.testing.assert_allclose(found[:, k], slope, atol=1e-8)
    bound = (1 - gamma) ** 2 / (2 * np.pi * preactivations.aug_norm(at) * D**0.5)
    assert np.all(np.linalg.norm(found, axis=2) <= bound[:, None] * (1 + 1e-14))


def test_gate_kernel_gradient_at_close_points_keeps_its_digits():
    """Against the formula in long double, down to a distance of 1e-8; and 0 at the tip."""
    at, step = normal(6, 1, D), normal(7, 1, D)
    distances = 10.0 ** -np.arange(1, 9)
    x = np.asarray(at + distances[:, None] * step)
    here = np.append(np.asarray(at[0], np.longdouble) / np.sqrt(np.longdouble(D)), 1)
    there = np.hstack([x.astype(np.longdouble) / np.sqrt(np.longdouble(D)), np.ones((8, 1))])
    sigma = np.sqrt(np.sum(here**2))
    here, there = here / sigma, there / np.sqrt(np.sum(there**2, axis=1, keepdims=True))
    # In two steps, so that no difference of nearly equal long doubles is squared.
    across = there - here - (np.sum((there - here) ** 2, axis=1, keepdims=True) / -2) * here
    sine = np.sqrt(np.sum(across**2, axis=1, keepdims=True))
    exact = across[:, :D] / sine / (2 * np.pi * sigma * np.sqrt(np.longdouble(D)))
    found = kernel_gradient(at, jnp.asarray(x), 0.0)[0]
    error = np.linalg.norm((np.asarray(found) - exact).astype(float), axis=1)
    assert np.all(error * distances < 1e-16), error  # the inputs' own rounding, no more


@pytest.mark.parametrize("scales", [(1e20, 1.0), (1.0, 1e20), (1e20, 1e20), (1e-25, 1e-25)])
def test_gate_kernel_gradient_of_float32_of_any_size(scales):
    at, x = ((c * normal(6 + i, 1, D)).astype(jnp.float32) for i, c in enumerate(scales))
    wanted = kernel_gradient(at.astype(float), x.astype(float), 0.3)
    assert np.max(np.abs(wanted)) > 0
    np.testing.assert_allclose(kernel_gradient(at, x, 0.3), wanted, rtol=1e-4)


@pytest.mark.parametrize("d", [3, 100])
def test_gate_kernel_gradient_at_equal_points_is_zero_however_compiled(d):
    """Rounding that differs between the two arguments of one compiled function must not matter."""
    x = normal(6, 50, d)
    _, rest = limit_gradient(x[:1], jnp.ones(1), x[:1], 0.0)
    assert not rest.any()
    found = kernel_gradient(x, x, 0.0)
    assert not found[jnp.arange(50), jnp.arange(50)].any()
    twice = jax.jacfwd(directions.gate_kernel_gradient)(x[0], x[0], 0.0)
    assert jnp.all(jnp.isfinite(twice))


@pytest.mark.parametrize("gamma", [0.0, 0.5])
def test_input_gradient_at_infinite_width_away_from_samples(gamma):
    x, y, z = data()
    representer, rest = limit_gradient(x, y, z, gamma)
    slope = differences(lambda points: lazy_predictor(x, y, points, gamma), z, 1e-5)
    np.testing.assert_allclose(representer + rest, slope, atol=1e-7)
    assert np.max(np.abs(representer - slope)) > 1e-4  # the rest is not nothing


def test_input_gradient_at_a_sample_is_the_symmetric_one():
    """Its copies put to 0, whatever their label: differences converge with order one."""
    x, y, _ = data()
    x = x.at[1].set(x[0]).at[7].set(x[0])  # labels +1, +1, -1
    at = x[:3]
    representer, rest = limit_gradient(x, y, at, 0.0)
    steps = np.array([1e-2, 1e-3, 1e-4])
    errors = [
        np.max(np.abs(differences(lambda z: lazy_predictor(x, y, z, 0.0), at, step)
        - representer - rest)) for step in steps
    ]  # fmt: skip
    slope = np.polyfit(np.log(steps), np.log(errors), 1)[0]
    assert abs(slope - 1) < 0.15 and errors[-1] < 1e-4
    others = jnp.array([2, 3, 4, 5, 6, 8, 9, 10, 11])
    without = limit_gradient(x[others], y[others], at[:1], 0.0)[1] * len(others) / N
    np.testing.assert_allclose(rest[:1], without, atol=1e-15)


def test_direction_cosine():
    x, y, _ = data()
    direction = directions.representer_direction(x, y, x, 0.2)
    np.testing.assert_allclose(
        directions.direction_cosine(-3 * direction, x, y, 0.2), 1, rtol=1e-14
    )
    across = normal(8, N, D)
    across -= jnp.sum(across * direction, axis=1, keepdims=True) * direction / jnp.sum(
        direction**2, axis=1, keepdims=True
    )  # fmt: skip
    np.testing.assert_allclose(directions.direction_cosine(across, x, y, 0.2), 0, atol=1e-13)


def test_coefficients_tend_to_the_gate_kernel_with_width():
    """d = 20, N = 40, tau = 2.07: relative error of the samples' part against tau P."""
    x, y = shifted(9, 40, 20, 0.3)
    direction = 2.07 * directions.representer_direction(x, y, x, 0.0)
    wrong = 2.07 * directions.representer_direction(x, y, x, 0.5)

    @functools.partial(jax.jit, static_argnums=0)
    def errors(m):
        p = networks.init_two_layer(jax.random.key(10), 20, m)
        p, trace = gradient_descent.train(
            p, x, y, loss="identity", lr=0.207, beta=0.0, steps=10, gamma=0.0
        )  # fmt: skip
        found = directions.representer_coefficients(p, trace, x, 0.0) * y[None, :] @ x / 40
        return jnp.stack(
            [
                jnp.linalg.norm(found - limit) / jnp.linalg.norm(direction)
                for limit in (direction, wrong)
            ]
        )

    narrow, middle, broad = (errors(m) for m in (500, 5000, 50000))
    assert broad[0] < 0.02 and broad[0] < middle[0] / 1.5 < narrow[0] / 2
    assert broad[1] > 0.5


# Signal and noise of the drawn labels ------------------------------------------------------------


@pytest.mark.parametrize("scenario", ["a", "b"])
def test_even_and_odd_part(scenario):
    x, y, z = data()
    base = x if scenario == "b" else jnp.zeros_like(x)
    u = geometry.unit_rows(normal(11, N, D))
    even, odd = even_odd_split(base, u, 0.7, z, 0.3)
    for n in range(N):
        for sign in (1, -1):
            point = base[n : n + 1] + sign * 0.7 * u[n : n + 1]
            np.testing.assert_allclose(
                even[n] + sign * odd[n], shallow.lazy_kernel(point, z, 0.3)[0], atol=1e-13
            )
    swapped = even_odd_split(base, -u, 0.7, z, 0.3)
    np.testing.assert_allclose(swapped[0], even, atol=1e-14)
    np.testing.assert_allclose(swapped[1], -odd, atol=1e-14)
    np.testing.assert_allclose(even_odd_split(base, u, 0.0, z, 0.3)[1], 0, atol=1e-15)
    np.testing.assert_allclose(wide.signal(odd), np.mean(odd, axis=0), rtol=1e-14)


def test_signal_of_scenario_a_is_first_order_in_the_length():
    """M = eps Phi(0, z) ubar.z + K-odd terms of the same order; slope 1 in eps."""
    x, _, z = data()
    u = geometry.unit_rows(normal(11, N, D))
    lengths = np.array([1e-1, 1e-2, 1e-3])
    signals = [np.abs(wide.signal(even_odd_split(0 * x, u, eps, z, 0.3)[1])) for eps in lengths]
    slopes = np.polyfit(np.log(lengths), np.log(signals), 1)[0]
    np.testing.assert_allclose(slopes, 1, atol=0.05)


@pytest.mark.parametrize(
    "d, eps, ybar, law",
    [
        (100, 0.01, -0.028, 0.790),
        (100, 0.01, 0.002, 0.999),
        (100, 0.01, -0.024, 0.863),
        (100, 0.01, -0.042, 0.558),
        (100, 0.01, 0.0, 1.0),
        (50, 0.007, 0.050, 0.500),
        (50, 0.007, -0.014, 0.774),
        (50, 0.007, -0.010, 0.878),
        (50, 0.007, -0.040, 0.500),
        (100, 0.004, 0.0115, 0.775),
    ],
)
def test_threshold_law_table(d, eps, ybar, law):
    """[derived] B4, spec section 3B."""
    np.testing.assert_allclose(wide.threshold_agreement(0.3, d, eps, ybar), law, atol=1e-3)
    assert wide.threshold_agreement(0.3, d, eps, -ybar) == wide.threshold_agreement(
        0.3, d, eps, ybar
    )


def test_threshold_law_at_its_edges():
    assert wide.threshold_agreement(0.3, 100, 0.0, 0.1) == 0.5
    assert jnp.isnan(wide.threshold_agreement(0.3, 100, 0.0, 0.0))
    assert wide.threshold_agreement(0.3, 100, 0.1, 0.0) == 1
    # Without signal: the two signs agree unless the score lies between 0 and the threshold.
    np.testing.assert_allclose(wide.threshold_agreement(0.0, 7, 1.0, 0.674489750196), 0.75)


# The reference's surrogates ----------------------------------------------------------------------


def test_surrogates_keep_the_sign_of_f_and_of_g_on_perturbed_samples():
    """Dropping the +1 is harmless for f, and for g in scenario b."""
    d, n = 100, 400
    x, y = shifted(12, n, d, 0.3)
    z, _ = shifted(13, 200, d, 0.3)
    predictor = lazy_predictor(x, y, z, 0.0)
    np.testing.assert_array_equal(jnp.sign(wide.surrogate_f(x, y, z, 0.0)), jnp.sign(predictor))
    targets = wide.random_targets(jax.random.key(14), n)
    r = 3.0 * targets[:, None] * geometry.unit_rows(directions.representer_direction(x, y, x, 0.0))
    g = lazy_predictor(x + r, targets, z, 0.0)
    surrogate = wide.surrogate_g(x, y, x + r, z, 0.0)
    assert np.mean(np.sign(g) == np.sign(predictor)) > 0.97
    assert np.mean(np.sign(surrogate) == np.sign(g)) > 0.97


def test_surrogate_of_g_hides_the_offset_of_unbalanced_labels_in_scenario_a():
    """It always agrees with f; the true sum is ruled by the labels' mean at small lengths."""
    d, n = 100, 400
    x, y = shifted(12, n, d, 0.3)
    z, _ = shifted(13, 200, d, 0.3)
    targets = jnp.where(jnp.arange(n) % 20 < 11, 1.0, -1.0)
    assert wide.label_imbalance(targets) == 0.1
    r = 0.01 * targets[:, None] * geometry.unit_rows(directions.representer_direction(x, y, x, 0.0))
    clean = np.sign(lazy_predictor(x, y, z, 0.0))
    assert np.mean(np.sign(wide.surrogate_g(x, y, r, z, 0.0)) == clean) == 1
    agreement = np.mean(np.sign(lazy_predictor(r, targets, z, 0.0)) == clean)
    law = wide.threshold_agreement(0.3, d, 0.01, wide.label_imbalance(targets))
    assert agreement < 0.6 and abs(agreement - law) < 0.05


# Messages ----------------------------------------------------------------------------------------


def test_messages(rejects):
    x, y, z = data()
    p = networks.init_two_layer(jax.random.key(0), D, 4)
    u = geometry.unit_rows(normal(11, N, D))
    with rejects("eps must be in [0, inf); got -0.1."):
        wide.perturbations(p, x, y, -0.1, 0.0)
    with rejects("eps must be a scalar (batch by jax.vmap); got shape (12,)."):
        wide.perturbations(p, x, y, np.ones(N), 0.0)
    with rejects("targets must hold only -1 and +1; got [0.5]."):
        wide.perturbations(p, x, 0.5 * y * y, 0.1, 0.0)
    with rejects("targets must have length 12; got 11."):
        wide.perturbations(p, x, y[1:], 0.1, 0.0)
    with rejects("zero must be one of error, keep; got 'drop'."):
        wide.perturbations(p, x, y, 0.1, 0.0, zero="drop")
    with rejects("pert must have 12 rows; got shape (6, 5)."):
        wide.perturbed_dataset(x, z, on_original=True)
    with rejects("y must have length 12; got 11."):
        wide.lazy_predictor(x, y[1:], z, 0.0)
    with rejects("gamma must be in (-inf, inf); got inf."):
        wide.lazy_predictor(x, y, z, np.inf)
    with rejects("at and x must have the same number of columns; got shapes (6, 4) and (12, 5)."):
        directions.representer_direction(x, y, z[:, :4], 0.0)
    with rejects("x must have length 5; got 4."):
        directions.gate_kernel_gradient(z[0], x[0, :4], 0.0)
    with rejects("gamma must be in [0, 1); got -0.5."):
        directions.kernel_gradient_direction(x, y, z, -0.5)
    with rejects("row 0 is zero"):
        directions.direction_cosine(jnp.zeros_like(x), x, y, 0.0)
    with rejects("r and z must have the same number of columns"):
        wide.surrogate_g(x, y, x[:, :4], z, 0.0)
    with rejects("u must have 12 rows; got shape (11, 5)."):
        wide.even_odd_split(x, u[1:], 0.1, z, 0.0)
    with rejects("eps must be in [0, inf); got -1.0."):
        wide.even_odd_split(x, u, -1.0, z, 0.0)
    with rejects("odd must be a non-empty matrix"):
        wide.signal(y)
    with rejects("targets must hold only -1 and +1"):
        wide.label_imbalance(0 * y)
    with rejects("d must be an integer; got 2.5."):
        wide.threshold_agreement(0.3, 2.5, 0.1, 0.0)
    with rejects("eps must be in [0, inf); got -0.1."):
        wide.threshold_agreement(0.3, 2, -0.1, 0.0)
