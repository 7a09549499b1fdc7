"""Rates, conservation and errors: hand values, the reference configuration, broken hypotheses.

The reference: n=100, P=4, rho=0.1 (5 rare samples a class), alpha=0.5, b=1, s^2=15, m=5,
sigma_0=0.01, steps of 0.2, both mixing weights 0.7, fixed layout, ideal noise. Its quoted numbers
were measured independently; bands cover another random stream.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from twolayer.theory.mixup.features import data as features_data
from twolayer.theory.mixup.features import dynamics, laws
from twolayer.theory.mixup.features import filters as features_filters
from twolayer.theory.mixup.features import noise as features_noise
from twolayer.theory.mixup.features.filters import State
from twolayer.theory.mixup.features.theorems import growth

ENERGY, LR, LEG = 15.0, 0.2, 500


# The reference configuration: everything is legs of 500 steps, compiled once.


@functools.partial(jax.jit, static_argnames=("rho", "layout"))
def start(seed, scale=0.01, energy=ENERGY, rho=0.1, layout="fixed"):
    key_data, key_state = jax.random.split(jax.random.key(seed))
    data = features_data.make_patch_data(key_data, 100, 4, rho, 0.5, 1, layout)
    return data, features_filters.init_state(key_state, data, 5, scale, energy)


@jax.jit
def standard_leg(state, data, energy):
    def step(state, _):
        return dynamics.standard_step(state, data, LR, energy)

    return jax.lax.scan(step, state, length=LEG)


@jax.jit
def mixup_leg(state, data, energy, lam_x, lam_y):
    def step(state, _):
        return dynamics.mixup_step(state, data, LR, energy, lam_x, lam_y)

    return jax.lax.scan(step, state, length=LEG)


def standard(state, data, steps, energy=ENERGY):
    for _ in range(steps // LEG):
        state, _ = standard_leg(state, data, energy)
    return state


def mixup(state, data, steps, energy=ENERGY, lam_x=0.7, lam_y=0.7):
    for _ in range(steps // LEG):
        state, _ = mixup_leg(state, data, energy, lam_x, lam_y)
    return state


@jax.jit
def judged(state):
    gap = dynamics.signal_gap(state.a)
    return {
        "gap": gap,
        "rare": laws.rare_error(gap, 0.5, 1),
        "common": laws.common_error(gap, 0.5, 1),
        "ratio": laws.rare_ratio(gap, 0.5),
    }


@functools.cache
def reference(seed):
    """Data, start, and states after 1500 standard, 1500 and 2500 Mixup steps."""
    data, state = start(seed)
    middle = mixup(state, data, 1500)
    return data, state, standard(state, data, 1500), middle, mixup(middle, data, 1000)


def least_rare(found):
    return float(jnp.min(jnp.abs(found["gap"][2:])))


def test_mixup_learns_the_rare_feature_and_standard_training_does_not():
    errors, later = [], []
    for seed in range(4):
        plain, mixed, longer = (judged(state) for state in reference(seed)[2:])
        assert plain["rare"] >= 0.5 - 1e-12
        assert plain["common"] == mixed["common"] == longer["common"] == 0
        assert least_rare(mixed) >= 50 * float(jnp.max(jnp.abs(plain["gap"][2:])))
        assert 7 < float(jnp.min(jnp.abs(plain["gap"][:2]))) < 9.5
        assert 2.2 < float(jnp.min(jnp.abs(mixed["gap"][:2]))) < 3.6
        errors.append(float(mixed["rare"]))
        later.append(float(longer["rare"]))
    assert np.mean(errors) <= 0.10 and np.mean(later) <= 0.03


def test_training_of_the_reference_fits_the_samples_and_mixup_cannot():
    data, state, plain, middle, _ = reference(0)
    correct = (dynamics.output_gaps(plain, data) > 0) == (data.y == 0)
    assert bool(jnp.all(correct))
    _, losses = mixup_leg(middle, data, ENERGY, 0.7, 0.7)
    assert 0.33 <= float(jnp.min(losses)) and float(jnp.max(losses)) <= 0.36
    _, losses = standard_leg(state, data, ENERGY)
    assert float(losses[0]) == pytest.approx(np.log(2), abs=0.01) and float(losses[-1]) < 0.02


def test_a_handover_keeps_the_rare_feature_while_its_margin_shrinks():
    for seed in (0, 1):
        data, _, _, _, mixed = reference(seed)
        before = judged(mixed)
        path = [before]
        state = mixed
        for _ in range(3):
            state = standard(state, data, LEG)
            path.append(judged(state))
        gaps = np.stack([found["gap"] for found in path])
        assert np.all(np.diff(gaps[:, 2]) >= 0) and np.all(np.diff(gaps[:, 3]) <= 0)
        # Common features grow on: the ratio is about halved.
        assert 0.45 < float(path[-1]["ratio"] / before["ratio"]) < 0.65
        if before["ratio"] >= 2.1:
            assert path[-1]["rare"] == 0
    # Stopped early, what was learned is lost again to the feature noise.
    data, _, _, middle, _ = reference(0)
    assert judged(middle)["ratio"] > 1 > judged(standard(middle, data, 1500))["ratio"]


def test_the_rare_feature_vanishes_with_the_initial_size_as_predicted():
    scales = np.array([3e-2, 1e-2, 3e-3, 1e-3, 3e-4])

    def mean_log(train):
        return [
            np.mean([np.log(least_rare(judged(train(*start(seed, scale))))) for seed in range(2)])
            for scale in scales
        ]

    slope = np.polyfit(np.log(scales), mean_log(lambda data, at: standard(at, data, 1500)), 1)[0]
    assert 1.15 <= slope <= 1.45
    ends = [least_rare(judged(mixup(start(0, s)[1], start(0, s)[0], 1500))) for s in scales[[0, 4]]]
    assert ends[1] > ends[0]


def test_ratio_falls_as_labels_are_mixed_less():
    data, state = start(0)
    ratio = {
        (lam_x, lam_y): float(judged(mixup(state, data, 1500, lam_x=lam_x, lam_y=lam_y))["ratio"])
        for lam_x, lam_y in ((0.7, 0.6), (0.7, 0.8), (0.9, 0.6), (0.9, 0.8))
    }
    assert ratio[0.7, 0.6] > ratio[0.7, 0.8] > ratio[0.9, 0.8]
    assert ratio[0.7, 0.6] > ratio[0.9, 0.6] > ratio[0.9, 0.8]
    assert ratio[0.7, 0.6] > 1.5 and 0.6 < ratio[0.7, 0.8] < 1.1 and ratio[0.9, 0.8] < 0.45


@pytest.mark.slow
def test_ratios_over_all_weights_are_the_measured_ones():
    measured = {
        0.6: (1.47, 1.00, 0.57, 0.26),
        0.7: (1.93, 1.41, 0.86, 0.38),
        0.8: (1.80, 1.29, 0.76, 0.31),
        0.9: (0.82, 0.51, 0.26, 0.09),
    }
    found = np.zeros((4, 4))
    for row, lam_x in enumerate(measured):
        for column, lam_y in enumerate((0.6, 0.7, 0.8, 0.9)):
            ratios = []
            for seed in (0, 1):
                data, state = start(seed)
                end = mixup(state, data, 1500, lam_x=lam_x, lam_y=lam_y)
                ratios.append(float(judged(end)["ratio"]))
            found[row, column] = min(ratios)
    assert np.all(np.diff(found, axis=1) < 0) and np.all(found[:3] > found[3])
    np.testing.assert_allclose(found, list(measured.values()), rtol=0.25, atol=0.03)


def test_memorising_beats_the_rare_feature_only_if_noise_is_strong():
    data, state = start(0, energy=1.0)
    weak = judged(standard(state, data, 1500, energy=1.0))
    assert weak["rare"] == 0 and least_rare(weak) > 4
    # Half of the samples rare: 25 of them outweigh the noise.
    data, state = start(0, rho=0.5)
    many = judged(standard(state, data, 1500))
    assert many["rare"] == 0 and least_rare(many) > 1.5


def test_random_layouts_dilute_the_drive():
    data, state = start(0, layout="random")
    found = judged(mixup(state, data, 2000))
    assert found["common"] == 0 and found["rare"] == 0.5
    assert 0.05 < least_rare(found) < 0.5


# Noise that overlaps, with fresh samples.


@pytest.mark.parametrize("train", ["standard", "mixup"])
def test_gaussian_noise_and_fresh_samples_agree_with_the_closed_form(train):
    dim, count = 2000, 500
    key_noise, key_filters, key_fresh, key_data = jax.random.split(jax.random.key(5), 4)
    data, _ = start(0)
    vectors = features_noise.gaussian_noise(key_noise, data, dim, ENERGY)
    gram = features_noise.noise_gram(vectors, vectors)
    filters = 0.01 * jax.random.normal(key_filters, (2, 5, dim))
    off = filters[..., 4:]
    state = State(a=filters[..., :4], q=features_noise.inner_products(off, vectors))
    end = (standard if train == "standard" else mixup)(state, data, 1500, energy=gram)
    found = judged(end)
    assert found["rare"] == (0.5 if train == "standard" else 0.0) and found["common"] == 0

    fresh = features_data.make_patch_data(key_data, 2 * count, 4, 0.5, 0.5)
    noise = features_noise.gaussian_noise(key_fresh, fresh, dim, ENERGY)
    lifted = features_noise.lift(off, end.q, vectors)
    q = features_noise.inner_products(lifted, noise)
    gaps = dynamics.output_gaps(State(a=end.a, q=q), fresh)
    wrong = jnp.where(fresh.y == 0, gaps < 0, gaps > 0)
    error = jnp.sum(wrong * fresh.rare) / jnp.sum(fresh.rare)
    share = float(found["rare"])
    allowed = 3 * (share * (1 - share) / count) ** 0.5 + 0.01
    assert float(error) == pytest.approx(share, abs=allowed)
    # What fresh noise adds to an output is small, hence left out.
    added = np.sum(np.asarray(q) ** 2, axis=(1, 3))
    assert 0.02 < np.std(added[0] - added[1]) < 0.1


# Conservation.


@functools.partial(jax.jit, static_argnames="steps")
def flow(state, data, dt, steps):
    return growth.standard_flow(
        state, data, ENERGY, dt=dt, steps=steps, field=dynamics.standard_step
    )


residual = jax.jit(laws.conservation_residual)


def log_growth(first, last, feature):
    return np.log(np.abs(last.a[..., feature]) / np.abs(first.a[..., feature]))


def test_the_flow_conserves_to_fourth_order_and_mixup_breaks_the_law():
    data, state = start(0)
    ends = []
    for legs in (1, 2, 4):
        at = state
        for _ in range(legs):
            at = flow(at, data, 0.2 / legs, 300)
        ends.append(at)
    errors = [float(jnp.max(jnp.abs(residual(state, end, data, ENERGY)))) for end in ends]
    assert errors[0] < 1e-5 and errors[0] < 1e-5 * np.max(log_growth(state, ends[0], 0))
    for coarse, fine in zip(errors, errors[1:], strict=False):
        assert 12 <= coarse / fine <= 20
    # Twice the noise energy is not what is conserved.
    assert float(jnp.max(jnp.abs(residual(state, ends[2], data, 2 * ENERGY)))) > 0.4
    _, _, _, mixed, _ = reference(0)
    broken = np.asarray(residual(state, mixed, data, ENERGY))
    assert np.all(broken[0, :, 2] > 1) and np.all(broken[1, :, 3] > 1)


def test_steps_conserve_up_to_their_length():
    data, state, plain, _, _ = reference(0)
    gap = np.asarray(residual(state, plain, data, ENERGY))[0, :, 0]
    # One factor of growth for all filters of a class, so one gap.
    np.testing.assert_allclose(gap, gap[0], atol=1e-9)
    assert 0.005 < abs(gap[0]) / log_growth(state, plain, 0)[0].max() < 0.05


def test_the_factor_for_steps():
    assert float(laws.memorization_factor(0.2, 15.0, 100)) == pytest.approx(0.06 / np.log(1.06))
    assert float(laws.memorization_factor(0.0, 15.0, 100)) == 1


# Rates.


def test_rates_of_the_reference():
    rates = laws.noise_rates(100, 15.0, 0.7, 0.7)
    assert float(rates.within) == pytest.approx(0.0555) and float(rates.mean) == pytest.approx(
        0.0870
    )
    assert float(laws.feature_rate(45, 100)) == pytest.approx(0.45)
    assert float(laws.feature_rate(45, 100, 0.7, 0.7)) == pytest.approx(
        0.37 * 0.45 + 0.42 * 0.45**2
    )
    plain = laws.noise_rates(100, 15.0)
    assert float(plain.within) == float(plain.mean) == pytest.approx(0.15)


def test_initial_weights_are_those_of_zero_outputs():
    target = (jnp.arange(100) < 50).astype(float)
    found = dynamics.mixup_weights(jnp.zeros((100, 100)), target, 0.7, 0.6)
    np.testing.assert_allclose(found, laws.initial_weights(target, 0.7, 0.6), rtol=0, atol=1e-13)


# Errors.


@pytest.mark.parametrize(
    ("gap", "alpha", "b", "error", "ratio"),
    [
        # The coin against the class: right for both classes, for one, for none; then both coins.
        ((4.0, -4.0, 1.1, -1.1), 0.5, 1, 0.0, 1.1),
        ((4.0, -4.0, 0.9, -1.1), 0.5, 1, 0.25, 0.9),
        ((4.0, -4.0, 0.9, -0.9), 0.5, 1, 0.5, 0.9),
        ((4.0, -4.0, -1.1, 1.1), 0.5, 1, 1.0, -1.1),
        # Class 0 always wrong, class 1 always right.
        ((1.0, -1.0, -2.0, -2.0), 0.5, 1, 0.5, -8.0),
        # Ties count as correct.
        ((4.0, -4.0, 1.0, -1.0), 0.5, 1, 0.0, 1.0),
        ((1.0, -1.0, 0.0, 0.0), 0.0, 2, 0.0, np.nan),
        # Three patches: a ratio of 1.6 fails where all coins are against the class.
        ((1.0, -1.0, 1.6, -1.6), 1.0, 3, 0.125, 1.6),
        ((1.0, -1.0, 3.0, -3.0), 1.0, 3, 0.0, 3.0),
        # No ratio where a common feature is not learned.
        ((1.0, 1.0, 3.0, -3.0), 1.0, 1, 0.0, np.nan),
        ((1.0, -1.0, 1.0, 1.0), 0.3, 0, 0.5, -1 / 0.09),
    ],
)
def test_errors_and_ratios_by_hand(gap, alpha, b, error, ratio):
    gap = jnp.array(gap)
    assert float(laws.rare_error(gap, alpha, b)) == pytest.approx(error, abs=1e-15)
    np.testing.assert_allclose(laws.rare_ratio(gap, alpha), ratio, rtol=1e-12)
    exchanged = gap[jnp.array([2, 3, 0, 1])]
    common = laws.common_error(exchanged, 0.0, b)
    assert float(common) == float(laws.rare_error(gap, 0.0, b))


def test_arguments_out_of_range_are_named(rejects):
    with rejects("gap must have length 4; got 3"):
        laws.rare_error(jnp.ones(3), 0.5, 1)
    with rejects("alpha must be in [0, inf)"):
        laws.rare_ratio(jnp.ones(4), -0.5)
    with rejects("num_feature_noise must be at least 0"):
        laws.common_error(jnp.ones(4), 0.5, -1)
    with rejects("lam_x must be in [0, 1]"):
        laws.feature_rate(1, 4, 1.5, 0.5)
    with rejects("noise_energy must be in (0, inf)"):
        laws.noise_rates(4, 0.0)
    with rejects("n must be in [2, inf)"):
        laws.feature_rate(1, 0)
