"""The stem shortcut.cues: preferences, solutions, kernel machines, images, claims."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.figures import figure_checks
from twolayer.sims.engine import execution
from twolayer.sims.engine.results import StemResults
from twolayer.sims.shortcut.cues import examples, experiment, networks
from twolayer.sims.shortcut.cues.claims import preference, solutions
from twolayer.sims.shortcut.cues.examples import ExampleConfig
from twolayer.sims.shortcut.cues.images import wcst_images
from twolayer.sims.shortcut.cues.kernel_machines import MachineConfig
from twolayer.sims.shortcut.cues.networks import Cells, Sample
from twolayer.sims.shortcut.cues.preference import PreferenceConfig
from twolayer.sims.shortcut.cues.solutions import SolutionConfig
from twolayer.theory.shortcut.cues import landscape

STUDIES = {study.name: study for study in experiment.EXPERIMENT.studies}
SMOKE = {study: STUDIES[study].cells["smoke"] for study in STUDIES}


def run(study, config, seed=0):
    return execution.results(STUDIES[study], config, [seed], None)[0]


# Networks.


def test_colour_is_learned_where_it_is_seen():
    config = PreferenceConfig(num_train=300, batch=50, epochs=12, num_test=240)
    colour, grey, shuffled = (
        run("preference", dataclasses.replace(config, **change))
        for change in ({}, {"images": "grey"}, {"labels": "shuffled"})
    )
    assert colour["accuracy"].shape == (12, 3)
    assert colour["accuracy"][-1, 0] > 0.95 and colour["diagonal"][-1] > 0.99
    np.testing.assert_allclose(colour["accuracy"][-1, 1:], 0.25, atol=0.05)
    assert grey["accuracy"][-1].argmax() != 0 and grey["diagonal"][-1] > 0.7
    assert shuffled["loss"][-1] > 0.5 and shuffled["diagonal"][-1] < 0.8


def test_a_solution_of_one_cue_is_trained_until_it_is_accepted():
    cells, net = Cells.of(3), networks.network("mlp", 16)

    @jax.jit
    def solved(cue, stretches):
        key_start, key, key_on, key_off = jax.random.split(jax.random.key(2), 4)
        found = networks.solve(
            key,
            net,
            net.initialise(key_start),
            cue,
            cells,
            size=16,
            batch=32,
            stretch=100,
            stretches=5,
            rate=3e-3,
            checked=240,
        )
        on, off = (
            networks.accuracies(net, found.params, Sample(*wcst_images(key, rows, 240)))
            for key, rows in ((key_on, cells.diagonal), (key_off, cells.off))
        )
        return found.accepted, found.stretches, on, off

    accepted, stretches, on, off = solved(2, 5)
    assert accepted and 1 <= stretches < 5 and on.min() > 0.98
    assert off[2] > 0.97 and off[:2].max() < 0.3
    # The diagonal alone does not ask for anything off it, and gives colour.
    accepted, stretches, on, off = solved(-1, 5)
    assert accepted and on.min() > 0.98 and off.argmax() == 0
    # Shape takes longer than it was given.
    accepted, stretches, on, off = solved(1, 5)
    assert not accepted and stretches == 5 and off[1] < 0.99


def test_what_is_measured_around_a_solution():
    config, _ = SMOKE["solution"]["mlp/colour"]
    found = run("solution", config)
    assert all(np.isfinite(array).all() for array in found.values())
    assert found["steps"] in (10, 20) and 3 < found["norm"] < 10
    # At its ends a path is at the solutions, bent or not.
    np.testing.assert_allclose(found["path"][0, [0, -1]], found["path"][1, [0, -1]], rtol=1e-5)
    assert found["path"][0, -1] == pytest.approx(found["loss"], rel=1e-5)
    assert not np.allclose(found["path"][0, 1:-1], found["path"][1, 1:-1])
    programs = {
        str(execution._program_key(STUDIES["solution"], cell, 1))
        for label, (cell, _) in STUDIES["solution"].cells["default"].items()
    }
    assert len(programs) == 2


# Kernel machines.


def test_machines_follow_the_vote_and_networks_nearly():
    config, _ = SMOKE["machine"]["one-hot"]
    found = run("machine", dataclasses.replace(config, first=(0.25, 4.0), width=64, steps=200))
    assert found["wrong"].shape == (5, 3) and found["cells"] == 24
    assert (found["wrong"] == 0).all() and found["unbalanced_wrong"].sum() > 20
    np.testing.assert_allclose(found["vote"], [[0.25, 1, 0.25], [1, 0.25, 0.25]])
    np.testing.assert_array_equal(found["kernel"], np.stack([found["vote"]] * 5))
    assert found["agreement"].min() > 0.9


# Images.


def test_all_combinations_are_shown_and_colour_is_shortest():
    found = run("example", ExampleConfig(copies=4))
    assert found["levels"].tolist() == sorted(found["levels"].tolist())
    channel = found["image"].reshape(27, -1, 3).sum(axis=1).argmax(axis=1)
    np.testing.assert_array_equal(channel, found["levels"][:, 0])
    results = figure_checks.made_up(experiment.EXPERIMENT, "default")
    each = results["example", "16 x 16"]
    each.arrays.update({name: array[None] for name, array in found.items()})
    lengths = examples.description_lengths(each)
    assert lengths.shape == (3,) and lengths[0] < 0.8 * lengths[1:].min()


# Configs.


@pytest.mark.parametrize(
    ("kind", "changes", "words"),
    [
        (PreferenceConfig, {"net": "vit"}, "net must be one of mlp, conv"),
        (PreferenceConfig, {"size": 28}, "size must be 16 or 32; got 28"),
        (PreferenceConfig, {"num_cues": 2}, "num_cues must be 3 or 4; got 2"),
        (PreferenceConfig, {"images": "blue"}, "images must be one of colour, grey"),
        (PreferenceConfig, {"labels": "none"}, "labels must be one of true, shuffled"),
        (PreferenceConfig, {"batch": 901}, "batch must be at most num_train, 900; got 901"),
        (PreferenceConfig, {"rate": 0.0}, "rate must be in (0"),
        (SolutionConfig, {"cue": "orientation"}, "cue must be one of colour, shape, scale"),
        (SolutionConfig, {"radii": ()}, "radii must increase"),
        (SolutionConfig, {"radii": (2.0, 1.0)}, "radii must increase"),
        (SolutionConfig, {"starts": (-1.0, 1.0)}, "starts must be in [0"),
        (SolutionConfig, {"stretches": 0}, "stretches must be at least 1"),
        (SolutionConfig, {"path_points": 1}, "path_points must be at least 2"),
        (SolutionConfig, {"diagonal_rate": 0.0}, "diagonal_rate must be in (0"),
        (MachineConfig, {"alpha": (1.0, 2.0)}, "alpha must have one entry for each of 3 cues"),
        (MachineConfig, {"first": ()}, "first must hold at least one value"),
        (MachineConfig, {"times": (0.0,)}, "times must be in (0"),
        (MachineConfig, {"width": 0}, "width must be at least 1"),
        (ExampleConfig, {"copies": 0}, "copies must be at least 1"),
    ],
)
def test_wrong_configs_are_named(kind, changes, words, rejects):
    with rejects(words):
        kind(**changes)


# Claims.

RISES = {"colour": 1e-4, "shape": 0.05, "scale": 0.01}


def as_expected():
    """Results of the default scale that are what theory and the specification say."""
    results = figure_checks.made_up(experiment.EXPERIMENT, "default")
    for (study, label), each in results.items():
        arrays = each.arrays
        if study == "machine":
            arrays["wrong"][:], arrays["unbalanced_wrong"][:], arrays["cells"][:] = 0, 5, 24
            arrays["kernel"][:] = arrays["vote"][:, None] = 0.25
        if study == "example":
            levels = np.array(list(np.ndindex(3, 3, 3)))
            arrays["levels"] = levels[None]
            arrays["area"][:] = np.pi * (2 + levels[:, 2])[None, :, None] ** 2
            arrays["still"] = (255 * arrays["still"]).astype(np.uint8)
        if study == "preference":
            kind = label.split("/")[1]
            noise = np.linspace(-0.1, 0.1, len(each.seeds))[:, None]
            own = {"colour": 0, "grey": 2}.get(kind)
            arrays["accuracy"][:] = 0.25
            if own is not None:
                arrays["accuracy"][:, :, own] = 1
            else:
                arrays["accuracy"][:] = (1 / 3 + noise)[:, :, None]
        if study == "solution":
            cue = each.config.cue
            arrays["accepted"][:] = 1
            arrays["norm"][:] = {"colour": 10.0, "shape": 30.0, "scale": 12.0}[cue]
            radii = np.array(each.config.radii)
            arrays["rise"][:] = (RISES[cue] * (radii / 10) ** 2)[None, :, None]
            arrays["rerun"][:] = 0.25
            arrays["rerun"][..., 0] = 1.0
            if cue == "scale":
                arrays["rerun"][:, 0, :, 2] = 1.5
            arrays["path"][:] = 0.01
    return results


def verdicts(results):
    return {claim.name: claim.held for claim in preference.claims(results)}


def test_expected_results_hold_all_claims():
    found = verdicts(as_expected())
    assert not [name for name, held in found.items() if held is False]
    assert sum(held is True for held in found.values()) >= 30


@pytest.mark.parametrize(
    ("key", "name", "where", "value", "words"),
    [
        (("machine", "one-hot"), "wrong", (0, 1, 2), 1, "do not follow the vote, of 360"),
        (("machine", "one-hot"), "unbalanced_wrong", ..., 0, "four copies of one training item"),
        (("machine", "one-hot"), "kernel", (0, 3, 4, 1), 0.5, "kernel machines less the vote's"),
        (("example", "16 x 16"), "area", (0, slice(3, 6)), 5.0, "areas of shapes of one size"),
        (("preference", "mlp/colour"), "accuracy", (slice(8), -1, 0), 0.8, "accuracy for colour"),
        (("preference", "mlp/colour"), "accuracy", (..., -1, 1), 0.4, "accuracy for shape"),
        (("preference", "conv/colour"), "accuracy", (..., -1, 2), 0.1, "accuracy for scale"),
        (("preference", "mlp/colour"), "accuracy", (slice(3), -1, 0), 0.1, "end with colour"),
        (("preference", "conv/colour"), "accuracy", (3, -1), 0.6, "summed over cues, largest"),
        (("preference", "mlp/grey"), "accuracy", (2, -1, 0), 1.1, "end with colour"),
        (("preference", "mlp/shuffled"), "accuracy", (..., -1, 1), 0.4, "accuracy for shape"),
        (("solution", "mlp/shape"), "rise", ..., 1e-4, "r = 10, shape over colour"),
        (("solution", "conv/scale"), "rise", ..., 1e-5, "r = 10, scale over colour"),
        (("solution", "mlp/colour"), "rerun", (..., -1, 0, 0), 0.9, "from any distance of colour"),
        (
            ("solution", "mlp/shape"),
            "rerun",
            (..., -1, 0, 0),
            0.2,
            "for colour less that for shape",
        ),
    ],
)
def test_spoilt_results_are_not_held(key, name, where, value, words):
    results = as_expected()
    results[key].arrays[name][where] = value
    fallen = [claim for claim, held in verdicts(results).items() if held is False]
    assert any(words in claim for claim in fallen), fallen


def test_solutions_that_were_not_accepted_are_context():
    results = as_expected()
    results["solution", "mlp/shape"].arrays["accepted"][2] = 0
    found = {claim.name: claim for claim in preference.claims(results)}
    (ratio,) = (
        claim
        for name, claim in found.items()
        if "mlp: rise" in name and "r = 10, shape over colour" in name
    )
    assert ratio.held is None and "not accepted" in ratio.note
    (other,) = (
        claim
        for name, claim in found.items()
        if "mlp: rise" in name and "r = 10, scale over" in name
    )
    assert other.held is True


def test_radii_and_relative_rises():
    each = as_expected()["solution", "mlp/shape"]
    each.arrays["rerun"][:] = 0.3
    each.arrays["rerun"][0, :, 0, 1] = (0.9, 0.9, 0.2, 0.9)
    each.arrays["rerun"][1, :, 0, 1] = 0.9
    each.arrays["rerun"][2:, :, 0, 0] = 0.9
    found = solutions.basin_radius(each)
    np.testing.assert_array_equal(found, [10.0, 40.0, *[0.0] * 2])
    # At half of the norm, 15, along a power of the distance.
    rise = solutions.relative_rise(each, 0.5)
    np.testing.assert_allclose(rise, 0.05 * 1.5**2, rtol=1e-9)
    each.arrays["path"][:, 0, 3] = 0.5
    found = solutions.barriers(each)
    np.testing.assert_allclose(found["line"], 0.49)
    assert (found["curve"] == 0).all()
    assert float(landscape.barrier(jnp.asarray(each.arrays["path"][0, 0]))) == 0.49


def test_short_trainings_are_not_judged():
    smoke = figure_checks.made_up(experiment.EXPERIMENT, "smoke")
    smoke["example", "16 x 16"].arrays["levels"] = np.array(list(np.ndindex(3, 3, 3)))[None]
    assert not any(name.startswith(("preference", "solution")) for name in verdicts(smoke))
    some = {key: each for key, each in smoke.items() if key[0] == "example"}
    assert len(preference.claims(StemResults(smoke.stem, smoke.scale, some))) == 2
