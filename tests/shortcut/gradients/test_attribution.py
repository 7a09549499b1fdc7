"""Input gradients: measures of attributions, the max-margin network, the robust one."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize

from twolayer.theory import networks
from twolayer.theory.shortcut.gradients import attribution, max_margin

M = (2, 3, 5, 10)
VALUES = (0.28867513, 0.25, 0.20412415, 0.15075567)
BIAS_FREE = (0.17677670, 0.14433757, 0.11180340, 0.07905694)


def relu(value):
    return np.maximum(value, 0)


def output(p, x):
    """The network's definition."""
    return relu(x @ np.asarray(p.w).T + np.asarray(p.b)) @ np.asarray(p.a)


# The max-margin network --------------------------------------------------------------------------


def test_values_of_the_specification():
    for m, value, bias_free in zip(M, VALUES, BIAS_FREE, strict=True):
        assert max_margin.max_margin_value(m) == pytest.approx(value, abs=5e-9)
        assert max_margin.max_margin_value(m, False) == pytest.approx(bias_free, abs=5e-9)


@pytest.mark.parametrize("bias", [True, False])
def test_values_are_attained_at_every_point(bias, m=3):
    w, r, b = map(np.asarray, max_margin.max_margin_atoms(m, 2, bias))
    np.testing.assert_allclose(w**2 + np.sum(r**2, axis=1) + b**2, 1, rtol=1e-14)
    x, y, _ = max_margin.block_points(m, 2, 0.5, jax.random.key(0))
    mean = relu(np.asarray(x) @ r.T + b) @ w / 2
    expected = 0.25 if bias else 1 / (4 * 3**0.5)
    np.testing.assert_allclose(np.asarray(y) * mean, expected, rtol=1e-14)
    p = max_margin.max_margin_network(m, 2, bias)
    assert max_margin.normalised_margin(p, x, y) == pytest.approx(expected, rel=1e-14)
    np.testing.assert_allclose(output(p, np.asarray(x)), mean, rtol=1e-12)


def test_block_points_hold_every_signal_with_both_labels():
    x, y, j = map(np.asarray, max_margin.block_points(3, 2, 0.3, jax.random.key(1)))
    assert x.shape == (6, 5) and y.tolist() == [1, 1, 1, -1, -1, -1]
    assert j.tolist() == [0, 1, 2] * 2
    np.testing.assert_array_equal(x[np.arange(6), j], y)
    np.testing.assert_array_equal(np.abs(x[:, :3]).sum(axis=1), 1)
    np.testing.assert_allclose(np.abs(x[:, 3:]), 0.3)
    clean, _, _ = max_margin.block_points(3, 2)
    assert not np.any(clean[:, 3:])
    assert max_margin.block_points(4, 0)[0].shape == (8, 4)


def test_output_in_closed_form_is_that_of_the_two_neurons():
    x = np.random.default_rng(0).normal(size=(200, 6))
    p = max_margin.max_margin_network(4, 2)
    closed = jax.vmap(lambda row: max_margin.max_margin_output(row, 4))(x)
    np.testing.assert_allclose(closed, output(p, x), atol=1e-14)
    s = x[:, :4].sum(axis=1)
    inside = np.abs(s) <= 1
    assert 20 < inside.sum() < 180
    np.testing.assert_allclose(closed[inside], s[inside] / (2 * np.sqrt(5)), atol=1e-14)
    beyond = np.sign(s) * (1 + np.abs(s)) / 2 / (2 * np.sqrt(5))
    np.testing.assert_allclose(closed[~inside], beyond[~inside], atol=1e-14)


def test_no_single_neuron_exceeds_the_dual_bound(m=3):
    """A non-convex search from several starts reaches the bound, and never more."""
    x, y, _ = map(np.asarray, max_margin.block_points(m, 1))
    noise = np.array([0.0] * m + [0.7])
    x, y = np.concatenate([x + noise, x - noise]), np.tile(y, 2)

    def half(flat):
        size = np.linalg.norm(flat)
        return -abs(np.mean(y * relu(x @ flat[:-1] + flat[-1]))) / (2 * size)

    rng = np.random.default_rng(m)
    found = [
        -optimize.minimize(
            half, rng.normal(size=m + 2), method="Nelder-Mead",
            options={"maxiter": 2000, "fatol": 1e-13, "xatol": 1e-9, "adaptive": True},
        ).fun
        for _ in range(5)
    ]  # fmt: skip
    value = float(max_margin.max_margin_value(m))
    assert max(found) <= value * (1 + 1e-12)
    assert max(found) >= value * (1 - 1e-6)


def test_gradients_of_the_max_margin_network_leak_and_of_the_robust_one_do_not():
    m, null = 5, 5
    x, _, j = max_margin.block_points(m, null)
    p = max_margin.max_margin_network(m, null)
    g = networks.input_gradient(p, x, 0.0)
    found = attribution.leakage_stats(g, x, j, m)
    assert found["ratio"] == pytest.approx(1) and found["null_ratio"] == 0
    assert found["cos"] == pytest.approx(5**-0.5, rel=1e-12)
    # Equal sizes: the first coordinate is the largest, and the smallest.
    assert found["top1"] == found["bottom1"] == pytest.approx(0.2)
    for size in (1e200, 1e-200):
        same = attribution.leakage_stats(size * g, size * x, j, m)
        np.testing.assert_allclose(*(list(one.values()) for one in (same, found)), rtol=1e-12)
    value = max_margin.max_margin_value(m)
    assert np.all((g[:, :m] >= value / 2 - 1e-15) & (g[:, :m] <= value + 1e-15))

    robust = max_margin.robust_network(m, 0.35)
    g = networks.input_gradient(robust, x[:, :m], 0.0)
    found = attribution.leakage_stats(g, x[:, :m], j, m)
    assert found["ratio"] == np.inf and np.isnan(found["null_ratio"])
    assert found["cos"] == pytest.approx(1) and found["top1"] == 1 and found["bottom1"] == 0


# Robustness --------------------------------------------------------------------------------------


def corners(m, eps):
    return eps * np.array(list(itertools.product((-1, 1), repeat=m)))


def test_affine_robust_margin_is_the_worst_of_all_corners():
    rng = np.random.default_rng(0)
    x, y, _ = map(np.asarray, max_margin.block_points(3, 0))
    for eps in (0.0, 0.2, 1 / 3, 0.5):
        moves = corners(3, eps)
        for _ in range(20):
            v, c = 1 + 0.3 * rng.normal(size=3), 0.1 * rng.normal()
            worst = min(np.min(y * ((x + move) @ v + c)) for move in moves)
            found = max_margin.affine_robust_margin(jnp.asarray(v), c, eps)
            assert found == pytest.approx(worst, abs=1e-14)
            assert found <= np.abs(v).sum() * (1 / 3 - eps) + 1e-14
        best = max_margin.affine_robust_margin(jnp.ones(3), 0.0, eps)
        assert best == pytest.approx(1 - 3 * eps, abs=1e-15)


@pytest.mark.parametrize("eps", [0.05, 0.35, 0.45])
def test_the_robust_network_is_robust_by_all_corners_and_the_leaky_one_is_not(eps):
    x, y, _ = map(np.asarray, max_margin.block_points(3, 0))
    robust = max_margin.robust_network(3, eps)
    leaky = max_margin.max_margin_network(3, 0)
    worst = {
        name: min(np.min(y * output(p, x + move)) for move in corners(3, eps))
        for name, p in (("robust", robust), ("leaky", leaky))
    }
    assert worst["robust"] == pytest.approx(1 - 2 * eps, abs=1e-14)
    assert worst["leaky"] == pytest.approx((1 - 3 * eps) / 4, abs=1e-14)
    assert (worst["leaky"] > 0) == (eps < 1 / 3)
    inside = x + 0.999 * corners(3, eps)[:, None]
    for moved in inside:
        np.testing.assert_array_equal(
            np.asarray(networks.input_gradient(robust, jnp.asarray(moved), 0.0)), np.abs(x)
        )


def test_at_radius_zero_the_robust_network_leaks_fully():
    x, _, _ = max_margin.block_points(4, 0)
    g = networks.input_gradient(max_margin.robust_network(4, 0.0), x + 0.01, 0.0)
    np.testing.assert_array_equal(g, 1)


# Measures ----------------------------------------------------------------------------------------


def test_leakage_of_a_hand_made_case():
    g = jnp.array([[4.0, -1.0, 2.0, 0.5, -0.25], [1.0, 3.0, -0.5, 0.0, 6.0]])
    x = jnp.array([[1.0, 0, 0, 1, 1], [0, 0, -1, 0, 0]])
    found = attribution.leakage_stats(g, x, jnp.array([0, 2]), 3)
    assert found["ratio"] == pytest.approx((4 / 1.5 + 0.5 / 2) / 2)
    assert found["null_ratio"] == pytest.approx((0.375 / 1.5 + 3 / 2) / 2)
    assert found["cos"] == pytest.approx((4 / 21**0.5 + 0.5 / 10.25**0.5) / 2)
    assert (found["top1"], found["bottom1"]) == (0.5, 0.5)


def test_block_leakage_of_a_hand_made_case():
    g = jnp.array([[1.0, -3.0, 0.5, 0.5], [1.0, 1.0, -4.0, 2.0]])
    signal = jnp.array([[True, True, False, False], [True, True, False, False]])
    ratio, larger = attribution.block_leakage(g, signal)
    assert ratio == pytest.approx((0.25 + 3) / 2) and larger == 0.5
    swapped, _ = attribution.block_leakage(g, ~signal)
    assert swapped == pytest.approx((4 + 1 / 3) / 2)


def test_input_gradients_are_difference_quotients():
    x = jax.random.normal(jax.random.key(0), (4, 3))
    g = attribution.input_gradient(lambda row: jnp.sin(row[0]) * row[1] + row[2] ** 3, x)
    x = np.asarray(x)
    expected = np.stack([np.cos(x[:, 0]) * x[:, 1], np.sin(x[:, 0]), 3 * x[:, 2] ** 2], axis=1)
    np.testing.assert_allclose(g, expected, rtol=1e-12)


def test_the_top_and_the_bottom_of_a_ranking():
    x = jnp.array([[1.0, 2.0, 3.0, 4.0, 5.0]])
    g = jnp.array([[0.5, -3.0, 0.5, 2.0, 0.0]])  # ranking: 1, 3, 0, 2, 4
    for k, top, bottom in (
        (0.01, [0, 2, 0, 0, 0], [0, 0, 0, 0, 5]),  # at least one
        (0.3, [0, 2, 0, 4, 0], [0, 0, 3, 0, 5]),  # 1.5 to the even number 2
        (0.5, [0, 2, 0, 4, 0], [0, 0, 3, 0, 5]),  # 2.5 to the even number 2
        (0.6, [1, 2, 0, 4, 0], [1, 0, 3, 0, 5]),  # of equal sizes the first ranks higher
        (1.0, [1, 2, 3, 4, 5], [1, 2, 3, 4, 5]),
    ):
        assert attribution.keep_top(x, g, k).tolist() == [top]
        assert attribution.keep_bottom(x, g, k).tolist() == [bottom]
        compiled = jax.jit(attribution.keep_top)(x, g, jnp.asarray(k))
        assert compiled.tolist() == [top]


def test_diffroar_is_a_difference_of_what_is_given_for_both_parts():
    key = jax.random.key(3)
    x, g = jnp.ones((6, 10)), jax.random.normal(key, (6, 10))
    ks = jnp.array([0.1, 0.3, 0.5, 1.0])
    weights = jnp.arange(10.0)

    def seen(x, y, key):
        return jnp.sum(x @ weights) * y

    found = attribution.diffroar(seen, x, g, 2.0, ks, key)
    expected = [
        2
        * float(
            jnp.sum((attribution.keep_top(x, g, k) - attribution.keep_bottom(x, g, k)) @ weights)
        )
        for k in ks.tolist()
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    # The reversed ranking has the opposite sign: a random one is 0 in expectation.
    reverse = attribution.diffroar(seen, x, 1 / g, 2.0, ks, key)
    np.testing.assert_allclose(reverse, -found, rtol=1e-12)
    # Both parts are trained with one key, and different k with others.
    luck = attribution.diffroar(lambda x, y, key: jax.random.uniform(key), x, g, 0, ks, key)
    np.testing.assert_array_equal(luck, 0)
    counted = attribution.diffroar(
        lambda x, y, key: jax.random.uniform(key) * jnp.sum(x @ weights), x, g, 0, ks, key
    )
    assert len(set(np.round(np.asarray(counted[:3] / found[:3]), 12).tolist())) == 3


# Errors ------------------------------------------------------------------------------------------

X = jnp.ones((2, 3))
J = jnp.zeros(2, int)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: max_margin.block_points(0, 1), "m must be at least 1; got 0"),
        (lambda: max_margin.block_points(2, -1), "null must be at least 0; got -1"),
        (lambda: max_margin.block_points(2, 1, -0.1), "noise must be in [0"),
        (lambda: max_margin.block_points(2, 1, 0.1), "key must be given"),
        (lambda: max_margin.max_margin_value(0), "m must be at least 1"),
        (lambda: max_margin.max_margin_atoms(1, -1), "null must be at least 0"),
        (lambda: max_margin.affine_robust_margin(X[0], 0.0, -1.0), "eps must be in [0"),
        (lambda: max_margin.robust_network(3, -0.1), "eps must be in [0"),
        (lambda: max_margin.max_margin_output(X, 2), "x must be a non-empty vector"),
        (lambda: attribution.leakage_stats(X, X[:1], J, 2), "x must have the shape of g"),
        (
            lambda: attribution.leakage_stats(X, X, J, 4),
            "m must be at most 3, the number of coordinates; got 4",
        ),
        (lambda: attribution.leakage_stats(X, X, J, 1), "m must be at least 2; got 1"),
        (lambda: attribution.leakage_stats(X, X, J + 2, 2), "j must be below m and not negative"),
        (lambda: attribution.leakage_stats(X, X, J[:1], 2), "j must be integers of shape (2)"),
        (lambda: attribution.leakage_stats(X * jnp.nan, X, J, 2), "g must be finite"),
        (lambda: attribution.block_leakage(X, X[:1] > 0), "signal must be bools of shape (2, 3)"),
        (lambda: attribution.keep_top(X, X[:1], 0.5), "g must have the shape of x"),
        (lambda: attribution.keep_top(X, X, 0.0), "k must be in (0, 1]; got 0.0"),
        (lambda: attribution.keep_bottom(X, X, 1.5), "k must be in (0, 1]; got 1.5"),
        (
            lambda: attribution.diffroar(lambda *_: 0.0, X, X, 0, jnp.array([0.5, 2.0]), None),
            "ks must be in (0, 1]",
        ),
    ],
)
def test_what_does_not_fit_is_named(call, words, rejects):
    with rejects(words):
        call()
