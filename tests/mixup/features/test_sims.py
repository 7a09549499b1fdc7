"""The stem mixup.features: its simulations against explicit training."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from twolayer.sims.engine import execution
from twolayer.sims.mixup.features import experiment, gaussian, patches
from twolayer.sims.mixup.features.claims import sweeps
from twolayer.sims.mixup.features.digits import DigitsConfig
from twolayer.sims.mixup.features.dynamics import DynamicsConfig
from twolayer.sims.mixup.features.early_stopping import HandoverConfig
from twolayer.sims.mixup.features.gaussian import GaussianConfig
from twolayer.sims.mixup.features.patches import PatchConfig
from twolayer.sims.mixup.features.sweeps import PhaseConfig, ScaleConfig, WeightConfig
from twolayer.theory.mixup.features import data as features_data
from twolayer.theory.mixup.features import training
from twolayer.theory.mixup.features.theorems import instances

STUDIES = {study.name: study for study in experiment.EXPERIMENT.studies}
TINY = {"n": 16, "rho": 0.25, "width": 2, "init_scale": 0.3, "noise_energy": 4.0}
KEY = jax.random.key(0)


def run(study, config, seed=0):
    inputs = execution.load_inputs(STUDIES[study], config)
    return execution.results(STUDIES[study], config, [seed], inputs and inputs.checksum)[0]


@functools.cache
def tiny_start():
    return jax.jit(lambda key: patches.start(key, PatchConfig(**TINY)))(KEY)


def trained(schedule, scale=1.0, lam_x=0.7, lam_y=0.7):
    """Gaps after a schedule from the tiny start, by the runs of the theory."""
    return _trained(schedule, *tiny_start(), scale, lam_x, lam_y)


@functools.partial(jax.jit, static_argnums=0)
def _trained(schedule, data, at, scale, lam_x, lam_y):
    at = jax.tree.map(lambda leaf: scale * leaf, at)
    end, _ = training.run(at, data, schedule, 0.2, 4.0, lam_x, lam_y, schedule[-1][1])
    return jnp.sum(end.a[0] ** 2 - end.a[1] ** 2, axis=0)


# Data.


def test_layouts_and_counts_are_of_the_same_patches():
    draw = jax.jit(lambda config, count: patches.draw_data(KEY, config, count), static_argnums=0)
    plain = PatchConfig(**TINY)
    fixed, random = (
        draw(dataclasses.replace(plain, layout=word), 3) for word in ("fixed", "random")
    )
    np.testing.assert_array_equal(fixed.rare, ([True] * 3 + [False] * 5) * 2)
    own = [2] * 3 + [0] * 5 + [3] * 3 + [1] * 5
    np.testing.assert_array_equal(np.argmax(fixed.coef[:, 0], 1), own)
    np.testing.assert_array_equal(fixed.noise_mask, np.tile([0, 0, 1, 1], (16, 1)))
    # Patches stand elsewhere in each sample, and are the same.
    np.testing.assert_array_equal(fixed.coef.sum(1), random.coef.sum(1))
    np.testing.assert_array_equal(random.noise_mask.sum(1), np.full(16, 2))
    assert set(np.argmax(np.asarray(random.coef).sum(2), 1)) == {0, 1, 2, 3}
    # Every sample has feature noise of one common feature, and both occur.
    coins = {tuple(each) for each in np.asarray(fixed.coef)[:, 1]}
    assert coins == {(0.5, 0, 0, 0), (0, 0.5, 0, 0)}
    same = draw(plain, features_data.rare_count(16, 0.25))
    np.testing.assert_array_equal(draw(plain, None).coef, same.coef)


# Trainings.


@pytest.mark.parametrize("kind", ["standard", "mixup"])
def test_training_is_descent_on_explicit_samples(kind):
    config = DynamicsConfig(**TINY, steps=20, record_every=10)
    found = run("dynamics", config)
    data, at = tiny_start()
    axes = jnp.eye(64).reshape(16, 4, 64) * data.noise_mask[:, :, None]
    inputs = jnp.concatenate([data.coef, 2.0 * axes], axis=2)
    weights = jnp.concatenate([at.a, at.q.reshape(2, 2, 64) / 2.0], axis=2)
    lam = jnp.asarray(0.7 if kind == "mixup" else 1.0)

    @jax.jit
    def descend(weights):
        loss = functools.partial(
            instances.mixed_loss, inputs=inputs, y=data.y, lam_x=lam, lam_y=lam
        )

        def step(weights, _):
            return weights - 0.2 * jax.grad(loss)(weights), loss(weights)

        return jax.lax.scan(step, weights, length=20)

    end, losses = descend(weights)
    k = patches.KINDS.index(kind)
    gap = np.sum(np.asarray(end[0]) ** 2 - np.asarray(end[1]) ** 2, axis=0)
    np.testing.assert_allclose(found["signal_gap"][k, -1], gap[:4], rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(found["noise_square"][k, -1], (end[..., 4:] ** 2).sum() * 4 / 32)
    np.testing.assert_allclose(found["loss"][k, :2], losses[::10], rtol=1e-12)
    outputs = jnp.sum(jnp.tensordot(end, inputs, axes=(2, 2)) ** 2, axis=(1, 3))
    wrong = (np.argmax(np.asarray(outputs), axis=0) != np.asarray(data.y)).mean()
    assert found["train_error"][k] == pytest.approx(wrong)


def test_standard_training_conserves_and_mixup_does_not():
    found = run("dynamics", DynamicsConfig(**TINY, steps=20, record_every=10))
    assert found["flow_gap"][1] < found["flow_gap"][0] < 1e-4 < found["flow_control"]
    assert found["memorised_spread"][0] < 1e-12 < 0.01 < found["memorised_spread"][1]
    assert found["frozen_slack"] > 0
    # Finite steps keep the law to a few percent; the sum over carriers is that of the noise.
    np.testing.assert_allclose(found["growth"][0], found["memorised"][0], rtol=0.2, atol=0.05)


def test_random_weights_train_otherwise():
    fixed, beta = (
        run("dynamics", DynamicsConfig(**TINY, steps=20, record_every=10, **law))
        for law in ({}, {"law": "beta", "concentration": 2.0})
    )
    np.testing.assert_array_equal(fixed["signal_gap"][0], beta["signal_gap"][0])
    assert np.abs(fixed["signal_gap"][1, -1] - beta["signal_gap"][1, -1]).max() > 1e-4
    # Weights that hardly vary from 1/2 train as fixed ones of 1/2 do.
    narrow = run(
        "dynamics", DynamicsConfig(**TINY, steps=20, record_every=10, law="beta", concentration=1e6)
    )
    half = run("dynamics", DynamicsConfig(**TINY, steps=20, record_every=10, lam_x=0.5, lam_y=0.5))
    np.testing.assert_allclose(narrow["signal_gap"][1], half["signal_gap"][1], rtol=1e-4)


def test_sweeps_are_runs_of_the_theory():
    scales = run("sigma0", ScaleConfig(**TINY, scales=(0.3, 0.6), steps=20))["signal_gap"]
    grid = run("lambda", WeightConfig(**TINY, lam_x=(0.6, 0.9), lam_y=(0.5, 0.8), steps=20))
    for kind, k in (("standard", 0), ("mixup", 1)):
        for i in range(2):
            np.testing.assert_allclose(scales[k, i], trained(((kind, 20),), 1.0 + i), rtol=1e-10)
    for i, lam_x in enumerate((0.6, 0.9)):
        for j, lam_y in enumerate((0.5, 0.8)):
            wanted = trained((("mixup", 20),), 1.0, lam_x, lam_y)
            np.testing.assert_allclose(grid["signal_gap"][i, j], wanted, rtol=1e-10)
    assert grid["control"] < 1e-12
    assert grid["ratio"].shape == grid["rare_error"].shape == (2, 2)


def test_phases_share_data_and_filters_but_for_their_sizes():
    config = PhaseConfig(**TINY, energies=(1.0, 4.0), counts=(2, 5), steps=20)
    found = run("phase", config)
    key_data, key_state = jax.random.split(KEY)
    np.testing.assert_allclose(found["signal_gap"][0, 1], trained((("standard", 20),)), rtol=1e-10)
    # More rare samples grow the rare feature faster.
    rare = sweeps.rare_gap(found["signal_gap"])
    assert (rare[1] > rare[0]).all()


def test_hand_overs_are_schedules():
    config = HandoverConfig(**TINY, stops=(50, 100), longest=100, steps=50)
    found = run("earlystop", config)
    for i, stop in enumerate(config.stops):
        np.testing.assert_allclose(
            found["signal_gap"][i, 0], trained((("mixup", stop),)), rtol=1e-9
        )
        after = trained((("mixup", stop), ("standard", 50)))
        np.testing.assert_allclose(found["signal_gap"][i, 1], after, rtol=1e-9)
    assert (found["unlearned"] <= 1e-12).all()


def test_fresh_noise_has_the_law_of_drawn_vectors():
    config = GaussianConfig(**TINY, dim=40, num_test=20000)
    key_a, key_filters = jax.random.split(KEY)
    a = jax.random.normal(key_a, (2, 2, 4))
    filters = 0.3 * jax.random.normal(key_filters, (2, 2, 36))
    found = jax.jit(lambda key: gaussian.fresh_gaps(key, a, filters, config))(KEY)
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(20000, 2, 36)) * (4.0 / 40) ** 0.5
    q = np.einsum("kre,ipe->krip", filters, noise)
    added = (q[0] ** 2 - q[1] ** 2).sum(axis=(0, 2))
    assert float(found["fresh_std"]) == pytest.approx(added.std(), rel=0.05)
    own = np.sum(np.asarray(a)[0] ** 2 - np.asarray(a)[1] ** 2, axis=0)
    coin = rng.integers(0, 2, 20000)
    y = np.arange(20000) >= 10000
    gaps = own[2 + y] + 0.25 * own[coin] + added
    share = np.where(y, gaps > 0, gaps < 0).mean()
    assert float(found["fresh_error"]) == pytest.approx(share, abs=5 * (0.5 / 20000) ** 0.5)


def test_overlapping_noise_trains_and_is_judged():
    found = run("gaussian", GaussianConfig(**TINY, dim=60, steps=20, num_test=100))
    assert (found["fresh_std"] > 0).all() and (found["fresh_error"] <= 1).all()
    assert (np.abs(found["signal_gap"][0] - found["signal_gap"][1]) > 1e-6).all()


# Images.


def test_mixing_with_weight_one_or_never_is_plain_training():
    config = DigitsConfig(num_train=128, epochs=2, stops=(0, 1, 2), lam_x=(1.0,), lam_y=(1.0,))
    found = run("digits", config)
    np.testing.assert_array_equal(found["pair_error"][0], found["test_error"][0])
    # Up to the stop the trainings are those of Mixup throughout.
    np.testing.assert_array_equal(found["test_error"][1:, 0], found["test_error"][2, :1].repeat(2))
    assert found["train_loss"][1, 0] == found["train_loss"][2, 0] > found["train_loss"][0, 0]
    assert found["train_loss"][0, 1] < found["train_loss"][0, 0]
    assert (found["test_error"] < 0.95).all()


# Configs.


@pytest.mark.parametrize(
    ("config", "changes", "words"),
    [
        (DynamicsConfig, {"n": 15}, "n must be even"),
        (DynamicsConfig, {"rho": 0.001}, "rho must make at least 1"),
        (DynamicsConfig, {"num_patches": 2}, "num_patches must be at least 3; got 2"),
        (DynamicsConfig, {"layout": "sorted"}, "layout must be one of fixed, random"),
        (DynamicsConfig, {"init_scale": 0.0}, "init_scale must be in (0, inf)"),
        (DynamicsConfig, {"noise_energy": -1.0}, "noise_energy must be in (0, inf)"),
        (DynamicsConfig, {"alpha": -0.1}, "alpha must be in [0, inf)"),
        (DynamicsConfig, {"law": "uniform"}, "law must be one of fixed, beta"),
        (DynamicsConfig, {"lam_y": 1.1}, "lam_y must be in [0, 1]"),
        (DynamicsConfig, {"concentration": 0.0}, "concentration must be in (0, inf)"),
        (DynamicsConfig, {"steps": 30}, "steps must be a multiple of record_every, 25; got 30"),
        (GaussianConfig, {"dim": 203}, "dim must be at least 204; got 203"),
        (GaussianConfig, {"num_test": 11}, "num_test must be even"),
        (ScaleConfig, {"scales": ()}, "scales must hold at least one value"),
        (ScaleConfig, {"scales": (0.1, 0.0)}, "scales must be in (0, inf); got 0.0"),
        (WeightConfig, {"lam_x": (0.5, 1.5)}, "lam_x must be in [0, 1]"),
        (WeightConfig, {"lam_y": ()}, "lam_y must hold at least one value"),
        (PhaseConfig, {"counts": (1, 50)}, "counts must be less than n/2, 50; got 50"),
        (PhaseConfig, {"energies": (0.0,)}, "energies must be in (0, inf)"),
        (HandoverConfig, {"stops": ()}, "stops must hold at least one value"),
        (HandoverConfig, {"stops": (75,)}, "stops must be a multiple of"),
        (HandoverConfig, {"stops": (4050,)}, "stops must be at most longest, 4000; got 4050"),
        (DigitsConfig, {"stops": (0, 61)}, "stops must be at most epochs, 60; got 61"),
        (DigitsConfig, {"stops": (0, 10)}, "stops must include 0 and epochs, 60"),
        (DigitsConfig, {"lam_x": (0.5,)}, "lam_y must be one for each of (0.5,)"),
        (DigitsConfig, {"lam_x": (2.0,), "lam_y": (0.5,)}, "lam_x must be in [0, 1]"),
        (DigitsConfig, {"batch": 0}, "batch must be at least 1"),
    ],
)
def test_wrong_configs_are_named(config, changes, words, rejects):
    with rejects(words):
        config(**changes)


def test_more_images_than_there_are_is_named(rejects):
    with rejects("num_train must be at most 1348 for digits; got 2000"):
        execution.load_inputs(STUDIES["digits"], DigitsConfig(num_train=2000))


def test_configs_that_differ_in_numbers_share_a_compile():
    study, config = STUDIES["dynamics"], DynamicsConfig()
    random = dataclasses.replace(config, layout="random", lam_x=0.9, noise_energy=1.0)
    assert execution._program_key(study, config, 1) == execution._program_key(study, random, 1)
