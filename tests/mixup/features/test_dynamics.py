"""Patch data and the reduced dynamics: against loops over explicit mixed pairs, at their edges."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from twolayer.theory.mixup.features import data as features_data
from twolayer.theory.mixup.features import dynamics, training
from twolayer.theory.mixup.features import filters as features_filters
from twolayer.theory.mixup.features import noise as features_noise
from twolayer.theory.mixup.features.filters import State

KEY = jax.random.key(0)
make = functools.partial(
    jax.jit(features_data.make_patch_data, static_argnums=(1, 2, 3, 5, 6)), KEY
)


# Data.


def test_fixed_layout_is_feature_then_feature_noise_then_noise():
    data = make(10, 5, 0.4, 0.3, 2)
    np.testing.assert_array_equal(data.y, [0] * 5 + [1] * 5)
    np.testing.assert_array_equal(data.rare, [True, True, False, False, False] * 2)
    coef = np.asarray(data.coef)
    np.testing.assert_array_equal(np.argmax(coef[:, 0], 1), [2, 2, 0, 0, 0, 3, 3, 1, 1, 1])
    np.testing.assert_array_equal(coef[:, 0].sum(1), np.ones(10))
    # Feature noise is one common feature of either class, and both occur with both classes.
    assert set(np.unique(coef[:, 1:3])) == {0.0, 0.3}
    np.testing.assert_allclose(coef[:, 1:3].sum(2), 0.3)
    assert not coef[:, 1:3, 2:].any() and not coef[:, 3:].any()
    np.testing.assert_array_equal(data.noise_mask, np.tile([0, 0, 0, 1, 1], (10, 1)))
    np.testing.assert_array_equal(data.target, [1] * 5 + [0] * 5)
    np.testing.assert_allclose(data.power, (coef**2).sum(1))


def test_coins_are_fair_and_random_layouts_uniform():
    data = make(4000, 3, 0.1, 1.0, 1, "random")
    coef = np.asarray(data.coef)
    # Samples are fixed ones with their patches permuted.
    fixed = np.asarray(make(4000, 3, 0.1, 1.0, 1).coef)
    np.testing.assert_allclose(coef.sum(1), fixed.sum(1))
    place = np.argmax(np.asarray(data.noise_mask), 1)
    for share, expected in (
        (np.mean(place == 0), 1 / 3),
        (np.mean(place == 2), 1 / 3),
        (np.mean(fixed[:2000, 1, 0]), 1 / 2),
        (np.mean(fixed[2000:, 1, 0]), 1 / 2),
    ):
        assert share == pytest.approx(expected, abs=0.05)


def test_no_feature_noise_and_no_strength():
    assert not np.asarray(make(4, 2, 0.5, 1.0, 0).coef)[:, 1].any()
    silent = make(8, 3, 0.3, 0.0)
    # Patches without strength stay what they are: not noise.
    assert not np.asarray(silent.coef)[:, 1].any() and not np.asarray(silent.noise_mask)[:, 1].any()


def test_rare_counts_round_half_to_even():
    assert [features_data.rare_count(100, rho) for rho in (0.1, 0.05, 0.07, 0.5)] == [5, 2, 4, 25]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"n": 5}, "n must be even, for balanced classes; got 5"),
        ({"n": 2}, "n must be at least 4; got 2"),
        ({"num_patches": 2}, "num_patches must be at least 2 + num_feature_noise, 3; got 2"),
        ({"rho": 0.0}, "rho must be in (0, 1); got 0.0"),
        ({"rho": 0.01}, "rho must make at least 1 and fewer than n/2 = 5 samples"),
        ({"rho": 0.99}, "rho must make at least 1 and fewer than n/2 = 5 samples"),
        ({"alpha": -0.1}, "alpha must be in [0, inf); got -0.1"),
        ({"num_feature_noise": -1}, "num_feature_noise must be at least 0"),
        ({"layout": "sorted"}, "layout must be one of fixed, random; got 'sorted'"),
    ],
)
def test_data_out_of_range_is_named(changes, words, rejects):
    valid = {"n": 10, "num_patches": 3, "rho": 0.2, "alpha": 0.5}
    with rejects(words):
        features_data.make_patch_data(KEY, **(valid | changes))


# Steps.

N, P, WIDTH, DIM = 12, 3, 2, 40


@functools.cache
def explicit():
    """Data with overlapping noise, filters off and along the features, inner products."""
    data = make(N, P, 0.3, 0.5, 1, "random")
    key_noise, key_filters = jax.random.split(KEY)
    vectors = features_noise.gaussian_noise(key_noise, data, DIM, 15.0)
    filters = 0.3 * jax.random.normal(key_filters, (2, WIDTH, DIM))
    state = State(a=filters[..., :4], q=features_noise.inner_products(filters[..., 4:], vectors))
    return data, vectors, filters, state


def looped_loss(filters, inputs, y, lam_x, lam_y):
    """Mean loss over all pairs, pair by pair."""
    total = 0.0
    for i in range(N):
        for j in range(N):
            x = lam_x * inputs[i] + (1 - lam_x) * inputs[j]
            f0, f1 = (np.sum((w @ x.T) ** 2) for w in filters)
            t = lam_y * (y[i] == 0) + (1 - lam_y) * (y[j] == 0)
            total += np.logaddexp(f0, f1) - t * f0 - (1 - t) * f1
    return total / N**2


def test_mixup_step_is_descent_on_all_explicit_pairs():
    data, vectors, filters, state = explicit()
    gram = features_noise.noise_gram(vectors, vectors)
    step = jax.jit(dynamics.mixup_step)
    after, loss = step(state, data, 0.1, gram, 0.7, 0.6)
    inputs = np.concatenate([data.coef, vectors], axis=2)
    weights, y = np.asarray(filters), np.asarray(data.y)
    value = functools.partial(looped_loss, inputs=inputs, y=y, lam_x=0.7, lam_y=0.6)
    assert float(loss) == pytest.approx(value(weights), abs=1e-12)
    # The filters after the step, lifted from inner products, lie along minus the gradient.
    lifted = features_noise.lift(filters[..., 4:], after.q, vectors)
    moved = np.concatenate([after.a, lifted], axis=2) - weights
    h = 1e-5
    slope = (value(weights + h * moved) - value(weights - h * moved)) / (2 * h)
    assert slope == pytest.approx(-np.sum(moved**2) / 0.1, rel=1e-7)
    # Against a direction of its own: the gradient has no other part.
    other = np.random.default_rng(0).normal(size=weights.shape)
    slope = (value(weights + h * other) - value(weights - h * other)) / (2 * h)
    assert slope == pytest.approx(-np.sum(moved * other) / 0.1, rel=1e-6)
    # A plain step at the same arrays; weights 1 and 0 are both it.
    plain = jax.jit(dynamics.standard_step)(state, data, 0.1, gram)
    for end in (1.0, 0.0):
        for one, two in zip(
            jax.tree.leaves(step(state, data, 0.1, gram, end, end)),
            jax.tree.leaves(plain),
            strict=True,
        ):
            np.testing.assert_allclose(one, two, rtol=1e-12, atol=1e-12)
    assert float(plain[1]) == pytest.approx(looped_loss(weights, inputs, y, 1.0, 1.0), abs=1e-12)


def test_an_energy_is_the_gram_tensor_of_orthogonal_noise():
    data, _, _, state = explicit()
    state = dataclasses.replace(state, q=state.q * data.noise_mask[None, None])
    mask = data.noise_mask.reshape(-1)
    gram = (15.0 * jnp.diag(mask)).reshape(N, P, N, P)

    @jax.jit
    def steps(state, noise):
        plain = dynamics.standard_step(state, data, 0.1, noise)
        return plain, dynamics.mixup_step(state, data, 0.1, noise, 0.7, 0.6)

    for one, two in zip(
        jax.tree.leaves(steps(state, 15.0)), jax.tree.leaves(steps(state, gram)), strict=True
    ):
        np.testing.assert_allclose(one, two, rtol=1e-12, atol=1e-12)


def test_weights_at_the_ends_are_diagonal():
    target = jnp.array([1.0, 1.0, 0.0, 0.0])
    gaps = jnp.arange(16.0).reshape(4, 4) - 8
    weights = dynamics.mixup_weights(gaps, target, 1.0, 1.0)
    residual = target[:, None] - jax.nn.sigmoid(gaps)
    np.testing.assert_allclose(weights, np.diag(residual.sum(1)), atol=1e-15)
    middle = dynamics.mixup_weights(gaps, target, 0.5, 0.3)
    np.testing.assert_allclose(middle, middle.T, atol=1e-15)


# Random mixing weights.


def test_random_weights_are_the_average_of_explicit_ones():
    data, _, _, state = explicit()
    lam_x, lam_y = jnp.array([0.55, 0.7, 0.95]), jnp.array([0.6, 0.5, 0.9])
    shares = jnp.array([0.5, 0.2, 0.3])
    step = jax.jit(dynamics.mixup_step)
    after, loss = step(state, data, 0.1, 4.0, lam_x, lam_y, shares)

    @jax.jit
    def alone(x, y):
        gaps = dynamics.mixed_gaps(state, data, x)
        return dynamics.mixup_weights(gaps, data.target, x, y)

    # The averaged weights of explicit pairs, in numpy, and their step.
    total, losses = 0.0, 0.0
    for share, x, y in zip(np.asarray(shares), lam_x, lam_y, strict=True):
        total += share * np.asarray(alone(x, y))
        single = step(state, data, 0.1, 4.0, x, y)
        losses += share * float(single[1])
    z = np.asarray(state.q) + np.einsum("krf,ipf->krip", state.a, data.coef)
    force = np.einsum("ij,krjp->krip", total, z) * 2 / N**2
    force[1] *= -1
    wanted = np.asarray(state.a) + 0.1 * np.einsum("krip,ipf->krf", force, data.coef)
    np.testing.assert_allclose(after.a, wanted, rtol=0, atol=1e-14)
    wanted = np.asarray(state.q) + 0.1 * 4.0 * force * np.asarray(data.noise_mask)
    np.testing.assert_allclose(after.q, wanted, rtol=0, atol=1e-14)
    assert float(loss) == pytest.approx(losses, abs=1e-14)
    # One pair of weights is that pair; a run hands its weights on.
    one = step(state, data, 0.1, 4.0, lam_x[2:], lam_y[2:], jnp.ones(1))
    for found, plain in zip(jax.tree.leaves(one), jax.tree.leaves(single), strict=True):
        np.testing.assert_allclose(found, plain, rtol=1e-14, atol=1e-15)
    run = jax.jit(training.run, static_argnums=(2, 7))
    end, _ = run(state, data, (("mixup", 1),), 0.1, 4.0, lam_x, lam_y, 1, shares)
    np.testing.assert_allclose(end.a, after.a, rtol=1e-14)


@pytest.mark.parametrize("concentration", [0.3, 0.5, 1.0, 2.5])
def test_nodes_of_beta_weights_are_those_of_gauss_and_jacobi(concentration):
    lam, shares = training.beta_nodes(concentration, 4)
    roots, weights = special.roots_jacobi(8, concentration - 1, concentration - 1)
    np.testing.assert_allclose(lam, (1 + roots[4:]) / 2, rtol=1e-13)
    np.testing.assert_allclose(shares, 2 * weights[4:] / weights.sum(), rtol=1e-12)
    variance = 1 / (4 * (2 * concentration + 1))
    assert float(shares @ (lam - 0.5) ** 2) == pytest.approx(variance, rel=1e-13)


def test_nodes_of_beta_weights_average_the_loss_of_random_ones():
    data, _, _, state = explicit()
    loss = jax.jit(lambda *weights: dynamics.mixup_step(state, data, 0.1, 15.0, *weights)[1])
    few, many = (
        loss(lam, lam, shares) for lam, shares in (training.beta_nodes(0.4, k) for k in (5, 40))
    )
    assert float(few) == pytest.approx(float(many), rel=1e-6)
    draws = jax.random.beta(KEY, 0.4, 0.4, (4000,))
    losses = jax.jit(jax.vmap(lambda lam: loss(lam, lam)))(draws)
    assert float(many) == pytest.approx(
        float(np.mean(losses)), abs=float(5 * np.std(losses) / len(draws) ** 0.5)
    )


# Starts.


def test_starts_have_the_law_of_inner_products():
    data, vectors, _, _ = explicit()
    gram = features_noise.noise_gram(vectors, vectors)
    width = 20000
    for noise in (15.0, gram):
        state = jax.jit(features_filters.init_state, static_argnums=2)(
            KEY, data, width, 0.01, noise
        )
        assert state.a.shape == (2, width, 4) and state.q.shape == (2, width, N, P)
        assert np.std(state.a) == pytest.approx(0.01, rel=0.02)
        assert not np.any(np.asarray(state.q)[:, :, np.asarray(data.noise_mask) == 0])
        flat = np.asarray(state.q).reshape(2 * width, N * P)
        wanted = 15.0 * np.diag(np.asarray(data.noise_mask).reshape(-1))
        if noise is gram:
            wanted = np.asarray(gram).reshape(N * P, N * P)
        found = flat.T @ flat / (2 * width) / 0.01**2
        np.testing.assert_allclose(found, wanted, atol=5 * 2**0.5 * 25 / (2 * width) ** 0.5)


def test_more_noise_patches_than_dimensions_have_a_start_too():
    """Their Gram tensor is singular: its law has less dimensions, and no lift."""
    data = make(8, 4, 0.3, 0.5)
    vectors = features_noise.gaussian_noise(KEY, data, 10, 1.0)
    gram = features_noise.noise_gram(vectors, vectors)
    state = jax.jit(features_filters.init_state, static_argnums=2)(KEY, data, 20000, 0.1, gram)
    flat = np.asarray(state.q).reshape(40000, -1)
    wanted = 0.01 * np.asarray(gram).reshape(flat.shape[1], -1)
    scale = 5 * 2**0.5 * np.max(wanted) / 200
    np.testing.assert_allclose(flat.T @ flat / 40000, wanted, atol=scale)
    # Inner products of vectors of six dimensions.
    assert np.linalg.matrix_rank(flat[:100], tol=1e-9) == 6
    root = jax.jit(features_noise.gram_root)(jnp.asarray(wanted))
    np.testing.assert_allclose(root @ root.T, wanted, atol=1e-15)


def test_lifted_filters_have_the_inner_products_asked_for():
    data, vectors, filters, state = explicit()
    q = (
        state.q
        + jnp.arange(state.q.size, dtype=float).reshape(state.q.shape) * data.noise_mask[None, None]
    )
    lifted = features_noise.lift(filters[..., 4:], q, vectors)
    np.testing.assert_allclose(features_noise.inner_products(lifted, vectors), q, atol=1e-10)
    moved = np.asarray(lifted - filters[..., 4:]).reshape(2 * WIDTH, -1)
    span = np.linalg.svd(np.asarray(vectors).reshape(N * P, -1), full_matrices=False)
    basis = span[2][span[1] > 1e-9]
    np.testing.assert_allclose(moved, moved @ basis.T @ basis, atol=1e-10)


# Runs.


def test_runs_are_steps_and_records_are_of_their_states():
    data = make(8, 3, 0.3, 0.5)
    start = jax.jit(features_filters.init_state, static_argnums=2)(KEY, data, 2, 0.3, 4.0)
    schedule = (("mixup", 4), ("standard", 2))
    run = jax.jit(training.run, static_argnums=(2, 7))
    end, trace = run(start, data, schedule, 0.3, 4.0, 0.7, 0.6, 2)
    np.testing.assert_array_equal(trace.step, [0, 2, 4, 6])
    mixup = jax.jit(lambda at: dynamics.mixup_step(at, data, 0.3, 4.0, 0.7, 0.6))
    standard = jax.jit(lambda at: dynamics.standard_step(at, data, 0.3, 4.0))
    at = start
    for taken in range(7):
        after, loss = (mixup if taken < 4 else standard)(at)
        if taken % 2 == 0:
            row = taken // 2
            np.testing.assert_allclose(trace.loss[row], loss, rtol=1e-12)
            a, q = np.asarray(at.a), np.asarray(at.q)
            np.testing.assert_allclose(
                trace.signal_gap[row], (a[0] ** 2 - a[1] ** 2).sum(0), rtol=1e-10, atol=1e-14
            )
            np.testing.assert_allclose(trace.noise_square[row], (q**2).sum() / 8, rtol=1e-10)
        at = after if taken < 6 else at
    np.testing.assert_allclose(end.q, at.q, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"schedule": ()}, "schedule must hold at least one phase"),
        ({"schedule": (("cutmix", 2),)}, "schedule must be one of standard, mixup; got 'cutmix'"),
        ({"schedule": (("mixup", 0),)}, "schedule must be at least 1; got 0"),
        ({"record_every": 4}, "schedule must have steps in multiples of record_every, 4; got 2"),
        ({"lr": -0.1}, "lr must be in [0, inf); got -0.1"),
        ({"noise": 0.0}, "noise must be in (0, inf); got 0.0"),
        ({"noise": jnp.ones((8, 3))}, "noise must be an energy or a Gram tensor of shape"),
        ({"lam_x": 1.2}, "lam_x must be in [0, 1]; got 1.2"),
        ({"lam_y": -0.1}, "lam_y must be in [0, 1]; got -0.1"),
        ({"shares": jnp.ones(1)}, "lam_x must"),
        (
            {"shares": jnp.ones(2), "lam_x": jnp.ones(2), "lam_y": jnp.ones(3)},
            "lam_y must have length 2; got 3",
        ),
    ],
)
def test_wrong_runs_are_named(changes, words, rejects):
    data = make(8, 3, 0.3, 0.5)
    start = State(a=jnp.ones((2, 1, 4)), q=jnp.ones((2, 1, 8, 3)) * data.noise_mask[None, None])
    valid = {"schedule": (("mixup", 2),), "lr": 0.1, "noise": 4.0, "lam_x": 0.7, "lam_y": 0.7}
    with rejects(words):
        training.run(start, data, **(valid | changes))


def test_wrong_data_and_filters_are_named(rejects):
    data = make(8, 3, 0.3, 0.5)
    start = State(a=jnp.ones((2, 1, 4)), q=jnp.ones((2, 1, 8, 3)) * data.noise_mask[None, None])
    for words, given in [
        ("data must be a PatchData; got 'words'", (start, "words")),
        ("data.coef must be of shape (any, any, 4)", (start, data.replace(coef=data.coef[0]))),
        ("data.y must be integers of shape (8)", (start, data.replace(y=data.y[1:]))),
        ("data.rare must be bools of shape (8)", (start, data.replace(rare=data.y))),
        ("state must be a State; got None", (None, data)),
        ("state.a must be of shape (2, any, 4)", (start.replace(a=start.a[:1]), data)),
        ("state.q must be of shape (2, 1, 8, 3)", (start.replace(q=start.q[:, :, 1:]), data)),
    ]:
        with rejects(words):
            dynamics.output_gaps(*given)


def test_wrong_nodes_are_named(rejects):
    with rejects("concentration must be in (0, inf); got 0.0"):
        training.beta_nodes(0.0, 3)
    with rejects("num_nodes must be at least 1; got 0"):
        training.beta_nodes(1.0, 0)


def test_wrong_starts_and_noise_are_named(rejects):
    data = make(8, 3, 0.3, 0.5)
    with rejects("width must be at least 1; got 0"):
        features_filters.init_state(KEY, data, 0, 0.1, 4.0)
    with rejects("init_scale must be in (0, inf); got 0.0"):
        features_filters.init_state(KEY, data, 1, 0.0, 4.0)
    with rejects("dim must be at least 5; got 4"):
        features_noise.gaussian_noise(KEY, data, 4, 1.0)
    with rejects("noise_energy must be in (0, inf)"):
        features_noise.gaussian_noise(KEY, data, 9, -1.0)
    vectors = features_noise.gaussian_noise(KEY, data, 9, 1.0)
    with rejects("noise must be positive semi-definite"):
        features_filters.init_state(KEY, data, 1, 0.1, -features_noise.noise_gram(vectors, vectors))
    with rejects("gram must be symmetric"):
        features_noise.gram_root([[1.0, 1.0], [0.0, 1.0]])
    with rejects("vectors must be linearly independent where they are not 0"):
        features_noise.lift(jnp.ones((2, 1, 5)), jnp.ones((2, 1, 8, 3)), vectors)
    with rejects("gap_matrix must have 3 rows"):
        dynamics.mixup_weights(jnp.ones((2, 3)), jnp.ones(3), 0.5, 0.5)


def test_a_run_keeps_the_dtype_of_its_state():
    """Rates, noise and data of another dtype: a step gives what the next one takes."""
    data = make(6, 3, 0.4, 0.5)
    long = features_filters.init_state(KEY, data, 2, 0.1, 1.0)
    short = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), long)
    schedule = (("standard", 2), ("mixup", 2))
    run = jax.jit(training.run, static_argnums=(2, 7))
    for lr in (np.float64(0.2), jnp.asarray(0.2)):
        expected, _ = run(long, data, schedule, lr, 1.0, 0.6, 0.7, 1)
        found, _ = run(short, data, schedule, lr, 1.0, 0.6, 0.7, 1)
        assert found.a.dtype == found.q.dtype == jnp.float32
        np.testing.assert_allclose(found.a, expected.a, rtol=1e-5)
