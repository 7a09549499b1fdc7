"""Projected gradient descent: against loops in numpy, closed forms, and at its edges."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from twolayer.sims.components.attacks import pgd

WORDS = [("l2", "rescale"), ("linf", "rescale"), ("linf", "sign"), ("l0", "rescale")]
N, D, STEPS = 5, 12, 9
EPS = {"l2": 0.9, "linf": 0.3, "l0": None}


def bowl(x):
    """Not convex, with a gradient that turns on the way."""
    return jnp.sum(jnp.cos(2 * x) + 0.3 * x * jnp.roll(x, 1, axis=1), axis=1)


def bowl_gradient(x):
    return -2 * np.sin(2 * x) + 0.3 * (np.roll(x, 1) + np.roll(x, -1))


def in_numpy(x, norm, style, eps, low, high, skip_bound=True):
    """One sample, written as loops over steps and coordinates."""
    point, best, best_value = x.copy(), x.copy(), np.inf
    for i in range(STEPS + 1):
        value = float(bowl(jnp.asarray(point)[None])[0])
        if value < best_value:
            best, best_value = point.copy(), value
        if i == STEPS:
            return best, best_value
        g = bowl_gradient(point)
        if norm == "l0":
            for j in range(D):
                if skip_bound and not low < point[j] - 1e-9 * np.sign(g[j]) < high:
                    g[j] = 0
            changed = [j for j in range(D) if point[j] != x[j]]
            rest = [j for j in range(D) if j not in changed]
            if rest:
                changed.append(max(rest, key=lambda j, g=g: abs(g[j])))
            scale = max(abs(g[j]) for j in changed)
            for j in changed:
                point[j] -= 0.3 * g[j] / scale
        elif style == "sign":
            point = np.clip(point - eps / 5 * np.sign(g), x - eps, x + eps)
        else:
            size = (lambda v: np.sqrt(sum(v**2))) if norm == "l2" else (lambda v: max(abs(v)))
            point = point - eps / 5 * g / size(g)
            if size(point - x) > eps:
                point = x + (point - x) * eps / (size(point - x) + 1e-7)
        point = np.clip(point, low, high)


@pytest.fixture(scope="module")
def clean():
    return np.random.default_rng(0).uniform(0.0, 1.0, (N, D))


def attack(x, norm, style, low=-jnp.inf, high=jnp.inf, **options):
    options = {"steps": STEPS, "eps": EPS[norm], "low": low, "high": high} | options
    return jax.jit(
        lambda x: pgd.pgd(bowl, x, norm=norm, linf_style=style, **options),
    )(x)


@pytest.mark.parametrize(
    ("norm", "style", "skip_bound"),
    [*((*words, True) for words in WORDS), ("l0", "rescale", False)],
)
def test_is_the_loop_over_steps_and_samples(clean, norm, style, skip_bound):
    found, values = attack(clean, norm, style, 0.0, 1.0, skip_bound=skip_bound)
    for i in range(N):
        point, value = in_numpy(clean[i], norm, style, EPS[norm], 0.0, 1.0, skip_bound)
        np.testing.assert_allclose(found[i], point, atol=1e-12)
        np.testing.assert_allclose(values[i], value, rtol=1e-12)
    # Something is clamped, and something is not.
    assert np.any((found == 0) | (found == 1)) and np.any((found > 0) & (found < 1))


@pytest.mark.parametrize(("norm", "style"), WORDS)
def test_stays_in_its_budget_and_never_gets_worse(clean, norm, style):
    found, values = attack(clean, norm, style)
    delta = np.asarray(found) - clean
    if norm == "l0":
        assert np.all(np.sum(delta != 0, axis=1) <= STEPS)
    else:
        sizes = np.linalg.norm(delta, 2 if norm == "l2" else np.inf, axis=1)
        assert np.all(sizes <= EPS[norm] * (1 + 1e-12))
    assert np.all(values < bowl(clean))
    np.testing.assert_allclose(values, bowl(found), rtol=1e-14)


def test_a_linear_objective_is_minimised_where_its_gradient_says():
    slope = jnp.array([3.0, -1.0, 0.5, 2.0])
    x = jnp.zeros((1, 4))

    def run(norm, steps=7, style="rescale"):
        found, _ = pgd.pgd(
            lambda x: x @ slope,
            x,
            norm=norm,
            steps=steps,
            eps=None if norm == "l0" else 0.5,
            linf_style=style,
        )
        return np.asarray(found[0])

    # The published rescaling stops 1e-7 short of the sphere.
    np.testing.assert_allclose(run("l2"), -0.5 * slope / jnp.linalg.norm(slope), atol=2e-7)
    np.testing.assert_allclose(run("linf"), -0.5 * slope / 3, atol=2e-7)
    np.testing.assert_allclose(run("linf", style="sign"), -0.5 * np.sign(slope), atol=1e-15)
    # Coordinate 0 first, then 3; both move at every step from then on.
    np.testing.assert_allclose(run("l0", steps=2), [-0.6, 0, 0, -0.3 * 2 / 3], atol=1e-15)


def test_the_start_is_kept_where_nothing_is_better():
    x = jnp.array([[0.0, 0.0], [1.0, 1.0]])
    found, values = pgd.pgd(
        lambda x: jnp.sum(x, axis=1), x, norm="l2", steps=5, eps=0.5, low=0.0, high=1.0
    )
    np.testing.assert_array_equal(found[0], x[0])
    assert values[0] == 0 and values[1] < 2
    kept, value = pgd.pgd(bowl, x, norm="l2", steps=0, eps=0.5)
    np.testing.assert_array_equal(kept, x)
    np.testing.assert_array_equal(value, bowl(x))


def test_the_best_point_is_not_the_last():
    # The steps of eps / 5 overshoot the minimum at 0.25 and swing around it.
    found, values = pgd.pgd(
        lambda x: jnp.abs(x[:, 0] - 0.25), jnp.zeros((1, 1)), norm="linf", steps=9, eps=1.0
    )
    np.testing.assert_allclose(found, [[0.2]], atol=1e-12)
    np.testing.assert_allclose(values, [0.05], atol=1e-12)


@pytest.mark.parametrize("norm", pgd.NORMS)
def test_no_gradient_is_no_move(norm):
    x = jnp.ones((2, 3))
    found, _ = pgd.pgd(lambda x: 0 * x[:, 0], x, norm=norm, steps=3, eps=EPS[norm])
    np.testing.assert_array_equal(found, x)


def test_coordinates_at_a_bound_are_left_out_of_the_choice():
    x, slope = jnp.array([[0.0, 0.5, 0.5]]), jnp.array([10.0, 1.0, -2.0])

    def run(steps, **options):
        return pgd.pgd(lambda x: x @ slope, x, norm="l0", steps=steps, low=0.0, high=1.0, **options)

    # Published: coordinate 0 joins, is moved back, and joins again at every step.
    found, _ = run(50, skip_bound=False)
    np.testing.assert_array_equal(found, x)
    found, _ = run(1)
    np.testing.assert_allclose(found, [[0.0, 0.5, 0.8]], atol=1e-15)
    # One that has arrived does not hold up the others either.
    found, values = run(7)
    np.testing.assert_allclose(found, [[0.0, 0.0, 1.0]], atol=1e-15)
    np.testing.assert_allclose(values, [-2.0], atol=1e-15)


def test_an_increasing_function_of_the_objective_gives_the_same_attack(clean):
    plain, _ = attack(clean, "l2", "rescale")
    steep, _ = pgd.pgd(
        lambda x: jnp.exp(3 * bowl(x)), jnp.asarray(clean), norm="l2", steps=STEPS, eps=EPS["l2"]
    )
    np.testing.assert_allclose(steep, plain, atol=1e-12)


def test_images_keep_their_shape_and_eps_may_be_traced(clean):
    rows, _ = attack(clean, "l2", "rescale")
    pictures = jnp.asarray(clean).reshape(N, 2, 3, 2)
    run = jax.jit(
        lambda x, eps: pgd.pgd(
            lambda x: bowl(x.reshape(x.shape[0], -1)), x, norm="l2", steps=STEPS, eps=eps
        )
    )
    found, _ = run(pictures, EPS["l2"])
    np.testing.assert_allclose(found.reshape(N, D), rows, atol=1e-12)


def test_one_program_serves_all_norms(clean):
    run = jax.jit(
        lambda x, norm, steps: pgd.pgd(bowl, x, norm=norm, steps=steps, eps=EPS["l2"], high=1.0)
    )
    for index, norm in enumerate(pgd.NORMS):
        eps = None if norm == "l0" else EPS["l2"]
        found, _ = run(clean, index, 4)
        alone, _ = pgd.pgd(bowl, jnp.asarray(clean), norm=norm, steps=4, eps=eps, high=1.0)
        np.testing.assert_allclose(found, alone, atol=1e-12)


def test_logit_gap_is_cross_entropy_without_its_underflow():
    logits = jax.random.normal(jax.random.key(0), (6, 10)) * 3
    targets = jnp.arange(6)
    entropy = -jax.nn.log_softmax(logits)[jnp.arange(6), targets]
    gap = pgd.logit_gap(logits, targets)
    np.testing.assert_allclose(jax.nn.softplus(gap), entropy, rtol=1e-12)
    sure = jnp.array([[0.0, 100.0, 0.0], [0.0, 200.0, 0.0]], jnp.float32)
    gaps = pgd.logit_gap(sure, jnp.array([1, 1]))
    np.testing.assert_allclose(gaps, np.log(2) - np.array([100.0, 200.0]), rtol=1e-6)
    slopes = jax.grad(lambda z: jnp.sum(pgd.logit_gap(z, targets)))(logits)
    assert np.all(np.isfinite(slopes))
    np.testing.assert_allclose(slopes[jnp.arange(6), targets], -1, rtol=1e-12)


def test_targets_are_classes(rejects):
    logits = jnp.ones((3, 4))
    with rejects("targets must be in 0 .. 3; got -1 .. 4."):
        pgd.logit_gap(logits, jnp.array([0, -1, 4]))
    gaps = jax.jit(pgd.logit_gap)(logits, jnp.array([0, -1, 4]))
    np.testing.assert_array_equal(np.isnan(gaps), [False, True, True])


def test_gaps_of_short_logits_are_those_of_their_values():
    logits = (3 * jax.random.normal(jax.random.key(0), (6, 200))).astype(jnp.bfloat16)
    gaps = pgd.logit_gap(logits, jnp.arange(6))
    expected = pgd.logit_gap(logits.astype(jnp.float64), jnp.arange(6))
    assert gaps.dtype == jnp.float32
    np.testing.assert_allclose(gaps, expected, rtol=1e-6)
