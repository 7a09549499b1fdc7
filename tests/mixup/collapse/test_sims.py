"""The stem mixup.collapse: exact optima, trained classifiers, networks, claims."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize, special

from tests.figures import figure_checks
from twolayer.sims.engine import execution
from twolayer.sims.engine.results import StemResults
from twolayer.sims.mixup.collapse import activations, claims, experiment, free_classifier, networks
from twolayer.sims.mixup.collapse.free_classifier import TrainingConfig
from twolayer.sims.mixup.collapse.networks import NetworkConfig
from twolayer.sims.mixup.collapse.optimum import OptimumConfig
from twolayer.theory.mixup.collapse import free_classifier as collapse_free
from twolayer.theory.mixup.collapse import optimal_features as theory

STUDIES = {study.name: study for study in experiment.EXPERIMENT.studies}
SMOKE = {study: STUDIES[study].cells["smoke"] for study in STUDIES}
APART = ~np.eye(3, dtype=bool)


def run(study, config, seed=0):
    inputs = execution.load_inputs(STUDIES[study], config)
    return execution.results(STUDIES[study], config, [seed], inputs and inputs.checksum)[0]


# A given frame.


@pytest.fixture(scope="module")
def optima():
    config, _ = SMOKE["ufm"]["K=3"]
    return config, run("ufm", config)


def test_a_general_minimiser_finds_the_features(optima):
    config, found = optima
    w, decay = found["row"], config.decays[1]
    for i, j, at in ((0, 1, 3), (2, 1, 8), (1, 1, 4)):
        target = np.zeros(3)
        np.add.at(target, [i, j], [config.lams[at], 1 - config.lams[at]])

        def objective(h, target=target):
            z = w @ h
            return special.logsumexp(z) - target @ z + decay / 2 * h @ h

        best = optimize.minimize(objective, np.zeros(2), tol=1e-12).x
        np.testing.assert_allclose(found["feature"][1, i, j, at], best, atol=1e-5)


def test_what_is_recorded_of_features(optima):
    config, found = optima
    h, w, lam = found["feature"], found["row"], np.array(config.lams)
    np.testing.assert_allclose(w @ w.T, (3 * np.eye(3) - 1) / 2, atol=1e-14)
    np.testing.assert_allclose(found["kappa"], 1.5 / np.array(config.decays), rtol=1e-14)
    z = h @ w.T
    np.testing.assert_allclose(found["difference"][:, 0, 2], z[:, 0, 2, :, 0] - z[:, 0, 2, :, 2])
    least = np.minimum(z[:, 0, 2, :, 0], z[:, 0, 2, :, 2]) - z[:, 0, 2, :, 1]
    np.testing.assert_allclose(found["lead"][:, 0, 2], least)
    straight = lam[:, None] * h[:, 0, 0, :1] + (1 - lam)[:, None] * h[:, 2, 2, :1]
    gap = np.linalg.norm(h[:, 0, 2] - straight, axis=-1) / np.linalg.norm(straight, axis=-1)
    np.testing.assert_allclose(found["deviation"][:, 0, 2], gap, atol=1e-13)
    same = found["same_class"][:, None] * w[0]
    np.testing.assert_allclose(h[:, 0, 0, 4], same, atol=1e-13)
    np.testing.assert_allclose(found["wrong_gradient"], 0.5, rtol=1e-9)
    assert found["gradient"].max() < 1e-14 and found["combination"].max() < 1e-13
    assert found["squared_deviation"].max() < 1e-14 < 0.1 < found["deviation"][:, 0, 2, 1:-1].min()


# Classifier and features trained.


def test_training_finds_the_frame_from_a_random_start():
    config = TrainingConfig(steps=400, every=100)
    found = run("free", config, seed=3)
    assert found["loss"][-1] == pytest.approx(0.452153704, abs=1e-9)
    assert found["scale"][-1] == pytest.approx(1.257910, abs=1e-6)
    for name in ("etf_error", "balance", "feature_error"):
        assert found[name][0] > 0.1 and found[name][-1] < 1e-9
    # The start: the classifier is the first part of one draw.
    flat = jax.random.normal(jax.random.key(3), ((4 + 96) * 6,), jnp.float64)
    w = np.asarray(flat[:24]).reshape(4, 6)
    frame = np.sum(w**2) / 3 * (np.eye(4) - 1 / 4)
    error = np.linalg.norm(w @ w.T - frame) / np.linalg.norm(frame)
    assert found["etf_error"][0] == pytest.approx(error, rel=1e-12)
    gap = 0.02 * np.sum(w**2) - 0.02 * np.mean(np.sum(np.asarray(flat[24:]).reshape(-1, 6) ** 2, 1))
    assert found["balance"][0] == pytest.approx(abs(gap), rel=1e-12)


def test_frames_have_no_error_and_others_have():
    frame = theory.simplex_etf(jax.random.key(0), 4, 6, 1.3)
    assert free_classifier.frame_error(frame) < 1e-14
    assert free_classifier.frame_error(frame.at[0].multiply(1.1)) > 0.05


# Activations.

LAMS = jnp.linspace(0, 1, 5)


@functools.partial(jax.jit, static_argnames="pairs")
def measured(features, w, decay, pairs=2):
    repeated = jnp.repeat(features.reshape(3, 3, LAMS.shape[0], 1, -1), pairs, axis=3)
    return activations.measure(repeated, w, LAMS, decay)


def test_optimal_features_are_measured_as_optimal():
    """Features of the theorem give its kappa, its curve and no distance, however W is turned."""
    w = theory.simplex_etf(jax.random.key(1), 3, 7, 1.4)
    decay = 0.03
    targets = collapse_free.pair_targets(3, LAMS)
    features = theory.ufm_features(w, targets, decay)
    kappa = 1.5 * 1.4**2 / decay
    for given in (decay, 0.0):
        found = {name: np.asarray(part) for name, part in measured(features, w, given).items()}
        assert found["kappa"] == pytest.approx(kappa, rel=1e-9)
        assert found["optimum_error"] < 1e-9 and found["etf_error"] < 1e-13
        assert abs(found["outside"]) < 1e-12
        np.testing.assert_allclose(found["cosine"], 1, rtol=1e-12)
        both = np.stack([found["optimum"]] * 2, axis=3)
        np.testing.assert_allclose(found["point"], both, atol=1e-8)
        np.testing.assert_allclose(found["difference"], found["optimal_difference"], atol=1e-8)
        np.testing.assert_allclose(found["distance"], abs(found["difference"]), atol=1e-12)
        np.testing.assert_allclose(found["distance"][:, :, 2], 0, atol=1e-8)
        # On the plane the rows are those of the fixed frame, at their length.
        plane = 1.4 * np.asarray(theory.simplex_etf(None, 3, 2, 1.0))
        np.testing.assert_allclose(found["row"], plane, atol=1e-12)
        z = np.asarray(features @ w.T).reshape(3, 3, 5, 3)
        assert found["same_gap"] == pytest.approx(z[0, 0, 0, 0] - z[0, 0, 0, 1], rel=1e-12)
        np.testing.assert_allclose(found["difference"][0, 2], z[0, 2, :, 0] - z[0, 2, :, 2])


def test_other_features_are_told_apart():
    w = theory.simplex_etf(None, 3, 7, 1.0)
    targets = collapse_free.pair_targets(3, LAMS)
    aside = jnp.zeros(7).at[6].set(1.0)
    found = measured(3 * targets @ w + aside[None, :], w, 0.01)
    assert found["optimum_error"] > 0.1
    assert 0.1 < found["outside"] < 0.5 and 0.9 < found["cosine"][0] < 0.99
    # Along a straight line the difference is, too.
    np.testing.assert_allclose(found["difference"][0, 1], 4.5 * (2 * LAMS - 1), atol=1e-12)


def test_networks_are_trained_as_their_config_says():
    cells = {label: config for label, (config, _) in SMOKE["network"].items()}
    study = STUDIES["network"]
    programs = {str(execution._program_key(study, config, 1)) for config in cells.values()}
    assert len(programs) == 1
    found = {label: run("network", config) for label, config in cells.items()}
    plane = np.asarray(theory.simplex_etf(None, 3, 2, 1.0))
    for label, each in found.items():
        assert each["point"].shape[-2:] == (3, 2) and np.isfinite(each["point"]).all()
        assert (each["loss"][-1] < each["loss"][0]) and each["accuracy"] > 0.5
        if "fixed" in label:
            np.testing.assert_allclose(each["row"], plane, atol=1e-6)
            assert each["kappa"] == pytest.approx(150, rel=1e-5)
        else:
            assert each["etf_error"] > 0.05
    # Targets of mixed images cannot be fitted as those of single ones can.
    assert found["digits/fixed/mixup"]["loss"][-1] > found["digits/fixed/plain"]["loss"][-1]


def test_images_are_those_of_the_classes():
    config = NetworkConfig(classes=(3, 5, 8), per_class=20)
    inputs = execution.load_inputs(STUDIES["network"], config)
    assert inputs.arrays["train_x"].shape == (3, 20, 8, 8, 1)
    np.testing.assert_allclose(inputs.arrays["train_x"].mean(axis=(0, 1)), 0, atol=1e-6)
    assert set(inputs.arrays["test_y"].tolist()) == {0, 1, 2}
    assert len(inputs.arrays["test_y"]) == len(inputs.arrays["test_x"]) > 100


# Configs.


@pytest.mark.parametrize(
    ("kind", "changes", "words"),
    [
        (OptimumConfig, {"num_classes": 2}, "num_classes must be at least 3; got 2"),
        (OptimumConfig, {"dim": 1}, "dim must be at least 2; got 1"),
        (OptimumConfig, {"norm": 0.0}, "norm must be in (0"),
        (OptimumConfig, {"decays": ()}, "decays must hold at least one value"),
        (OptimumConfig, {"decays": (0.1, 0.0)}, "decays must be in (0"),
        (OptimumConfig, {"lams": (1.5,)}, "lams must be in [0, 1]"),
        (TrainingConfig, {"dim": 2}, "dim must be at least 3; got 2"),
        (TrainingConfig, {"steps": 501}, "steps must be a multiple of every, 5; got 501"),
        (TrainingConfig, {"lams": ()}, "lams must hold at least one value"),
        (TrainingConfig, {"weight_decay": 0.0}, "weight_decay must be in (0"),
        (NetworkConfig, {"classes": (1, 2)}, "classes must be distinct, at least three"),
        (NetworkConfig, {"classes": (1, 2, 1)}, "classes must be distinct, at least three"),
        (NetworkConfig, {"samples": "cutmix"}, "samples must be one of plain, mixup"),
        (NetworkConfig, {"classifier": "free"}, "classifier must be one of fixed, trained"),
        (NetworkConfig, {"net": "vit"}, "net must be one of mlp, conv"),
        (NetworkConfig, {"shape": (8, 8)}, "shape must be (height, width, channels)"),
        (NetworkConfig, {"decay": -1.0}, "decay must be in [0"),
        (NetworkConfig, {"epochs": 0}, "epochs must be at least 1"),
    ],
)
def test_wrong_configs_are_named(kind, changes, words, rejects):
    with rejects(words):
        kind(**changes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"shape": (28, 28, 1)}, "shape must be (8, 8, 1) for digits"),
        ({"classes": (0, 1, 10)}, "classes must be among [0, 1, 2"),
        ({"per_class": 500}, "per_class must be at most 13"),
    ],
)
def test_data_that_does_not_fit_is_named(changes, words, rejects):
    with rejects(words):
        networks.images(NetworkConfig(**changes))


# Claims.


def as_expected():
    """Results of the default scale that are what theory and replication say."""

    def adjust(study, coords, arrays):
        if study == "free" and arrays is not None:
            for name in ("etf_error", "balance", "feature_error"):
                arrays[name][:] = 1e-12
            arrays["loss"][:], arrays["scale"][:] = 0.452153704, 1.257910
        if study == "network" and arrays is not None:
            arrays["cosine"][:], arrays["same_gap"][:], arrays["distance"][:] = 0.97, 4.0, 0.3

    made = figure_checks.made_up(experiment.EXPERIMENT, "default", adjust)
    runs = dict(made.entries)
    for (study, label), each in made.items():
        if study == "ufm":
            runs[study, label] = dataclasses.replace(each, arrays=_exact(each))
    return StemResults(made.stem, made.scale, runs)


def _exact(each):
    """Arrays of the optimum from the replicated numbers and, over kappa, from the limit."""
    config, arrays = each.config, {name: array.copy() for name, array in each.arrays.items()}
    lam, k = np.array(config.lams), config.num_classes
    strength = config.norm**2 * k / (k - 1)
    kappa = strength / np.array(config.decays)
    arrays["kappa"] = kappa[None]
    for name in ("gradient", "off_row", "combination", "squared_deviation"):
        arrays[name][:] = 1e-16
    arrays["wrong_gradient"][:] = 0.5
    inside = np.clip(lam, 1e-3, 1 - 1e-3)
    arrays["difference"][:] = special.logit(inside)
    crowd = special.wrightomega(np.log(kappa))
    arrays["lead"][:] = (2 + np.log(kappa / crowd))[None, :, None, None, None]
    for at, decay in enumerate(config.decays):
        key = (k, config.dim, config.norm, decay)
        if key in claims.REPLICATED:
            same, deviations, difference = claims.REPLICATED[key]
            arrays["same_class"][:, at] = same
            for weight, deviation in zip((0.1, 0.3, 0.5), deviations, strict=True):
                place = int(np.argmin(np.abs(lam - weight)))
                arrays["deviation"][:, at, :, :, place] = deviation
            if len(config.decays) < 5:
                place = int(np.argmin(np.abs(lam - 0.1)))
                arrays["difference"][:, at, :, :, place] = difference
    return arrays


def verdicts(results):
    return {claim.name: claim.held for claim in claims.claims(results)}


def test_expected_results_hold_all_claims():
    found = verdicts(as_expected())
    # The limit in place of one finite kappa, where the replication's number is not the limit's.
    wrong = {name for name, held in found.items() if held is False}
    assert wrong == {"ufm, K = 10, mu = 0.0001: z_i - z_j at lambda = 0.1"}
    assert sum(held is True for held in found.values()) >= 55


@pytest.mark.parametrize(
    ("key", "name", "change", "words"),
    [
        (("ufm", "K=4"), "same_class", 1e-9, "K = 4, mu = 0.1: feature of a single class"),
        (("ufm", "K=3"), "deviation", 1e-3, "K = 3, mu = 0.001: distance from the line"),
        (("ufm", "K=10"), "difference", 1e-3, "mu = 0.01: z_i - z_j at lambda = 0.1"),
        (("ufm", "K=10"), "gradient", 1e-9, "K=10: gradient at the optimum"),
        (("ufm", "K=10"), "wrong_gradient", -0.4, "solver was told 1.5 times the decay"),
        (("ufm", "K=10"), "squared_deviation", 1e-13, "squared loss, distance from the line"),
        (("ufm", "K=10"), "off_row", 1e-9, "single classes off their rows"),
        (("ufm", "K=10"), "combination", 1e-9, "off the combination of two rows"),
        (("ufm", "kappa"), "difference", 1e-6, "logit lambda| at kappa = 1e+12"),
        (("ufm", "kappa"), "difference", 1e-3, "logit lambda| over its bound"),
        (("ufm", "kappa"), "lead", -3.0, "distance from the other classes above its bound"),
        (("free", "K=4"), "loss", 1e-8, "loss after training"),
        (("free", "K=4"), "scale", 1e-5, "norm of the rows"),
        (("free", "K=4"), "etf_error", 1e-6, "classifier off a simplex frame"),
        (("free", "K=4"), "balance", 1e-7, "|omega |W|^2 - mu mean |h|^2|"),
        (("free", "K=4"), "feature_error", 1e-6, "features off Theorem B1"),
        (("network", "digits/fixed/mixup"), "cosine", -0.1, "mean cosine"),
        (("network", "digits/trained/mixup"), "distance", 1.0, "mean |z_i - z_j|"),
        (("network", "digits/fixed/mixup"), "distance", np.nan, "mean |z_i - z_j|"),
    ],
)
def test_spoilt_results_are_not_held(key, name, change, words):
    results = as_expected()
    before = {claim for claim, held in verdicts(results).items() if held is False}
    results[key].arrays[name][-1] += change
    if key[0] == "network":
        results[key].arrays[name][:] = results[key].arrays[name][-1]
    fallen = {claim for claim, held in verdicts(results).items() if held is False} - before
    assert any(words in claim for claim in fallen), fallen


def test_growth_in_another_law_is_not_held():
    results = as_expected()
    each = results["ufm", "kappa"]
    each.arrays["lead"][:] = each.arrays["kappa"][:, :, None, None, None] ** 0.25
    wrong = [claim for claim, held in verdicts(results).items() if held is False]
    assert any("growth of z_i - z_o" in claim for claim in wrong)


def test_no_mixup_is_context_and_short_trainings_are_not_judged():
    names = verdicts(as_expected())
    plain = [held for name, held in names.items() if "/plain" in name]
    assert len(plain) >= 12 and set(plain) == {None}
    smoke = figure_checks.made_up(experiment.EXPERIMENT, "smoke")
    assert not any(name.startswith(("network", "free")) for name in verdicts(smoke))


def test_grids_without_the_replicated_weights_are_named(rejects):
    results = as_expected()
    each = results["ufm", "K=3"]
    lams = tuple(value * 0.99 for value in each.config.lams)
    changed = dataclasses.replace(each, config=dataclasses.replace(each.config, lams=lams))
    with rejects("lams of ufm/K=3 must hold"):
        claims.claims(StemResults(results.stem, results.scale, {("ufm", "K=3"): changed}))
