"""The stem perturbation.wide: its simulations, configs, data and claims."""

import dataclasses
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from twolayer.sims.engine import execution, plan
from twolayer.sims.engine.loading import load
from twolayer.sims.engine.results import Run, StemResults
from twolayer.sims.perturbation.wide import claims, decision_map, experiment, setting, sweep, width
from twolayer.sims.perturbation.wide.sweep import Config
from twolayer.theory.perturbation.wide.surrogate import threshold_agreement

SWEEP, MAP, WIDTH = experiment.EXPERIMENT.studies
TINY = Config(d=20, n=40, width=10, num_test=50, epochs_f=(30,), epochs_g=(30,), eps=(0.3,))


def run(config, seed=0, study=SWEEP):
    inputs = execution.load_inputs(study, config)
    return execution.results(study, config, [seed], inputs.checksum if inputs else None)[0]


def test_an_axis_inside_a_cell_equals_cells_of_its_own():
    whole = run(dataclasses.replace(TINY, eps=(0.1, 0.3), rates_g=(1.0, 0.5), epochs_g=(3, 30)))
    for index, eps in enumerate((0.1, 0.3)):
        for place, rate in enumerate((1.0, 0.5)):
            part = run(dataclasses.replace(TINY, eps=(eps,), rates_g=(rate,)))
            for name in ("agreement", "adv_acc"):
                one = part[name][:, 0, 0, 0, 0, 0]
                np.testing.assert_allclose(whole[name][:, 0, 0, index, place, 1], one, atol=1e-6)
            np.testing.assert_array_equal(whole["threshold"][..., index], part["threshold"][..., 0])


def test_laws_and_scenarios_share_a_compile():
    keys = {
        execution._program_key(SWEEP, dataclasses.replace(TINY, law=law, scenario=scenario), 1)
        for law in setting.LAWS
        for scenario in setting.SCENARIOS
    }
    assert len(keys) == 1


def test_law_column_is_the_threshold_law_of_the_drawn_imbalance():
    found = run(TINY, seed=3)
    assert found["label_imbalance"][1] == 0 and found["label_imbalance"][0] != 0
    expected = [
        float(threshold_agreement(0.3, 20, 0.3, float(ybar))) for ybar in found["label_imbalance"]
    ]
    np.testing.assert_allclose(found["law"][:, 0], expected, rtol=1e-5)
    assert np.isnan(run(dataclasses.replace(TINY, scenario="b"))["law"]).all()
    assert np.isnan(run(dataclasses.replace(TINY, law="gauss"))["law"]).all()


def test_learning_from_perturbations_and_its_control():
    # Balanced labels: g agrees with f; without a perturbation g sees nothing of the data.
    big = dataclasses.replace(TINY, d=100, n=200, width=50, num_test=400, eps=(0.0, 0.05))
    found = run(dataclasses.replace(big, epochs_f=(100,), epochs_g=(100,)))
    agreement = found["agreement"][1, 0, 0, :, 0, 0]
    assert agreement[1] > 0.97
    assert agreement[0] < 0.9
    assert found["acc"][0, 0] > 0.97 and found["cosine"][0, 0] > 0.95


@pytest.mark.parametrize("precision", setting.PRECISIONS)
def test_precision_is_the_dtype_of_the_results(precision):
    found = run(dataclasses.replace(TINY, precision=precision))
    wanted = np.float64 if precision == "float64" else np.float32
    assert {value.dtype for value in found.values()} == {np.dtype(wanted)}
    reference = run(TINY)
    assert abs(found["acc"] - reference["acc"]).max() < 0.1


def test_one_unit_has_samples_without_gradient_and_no_nan():
    found = run(dataclasses.replace(TINY, width=1))
    assert np.isfinite(found["agreement"]).all() and np.isfinite(found["adv_acc"]).all()


def test_digits_are_real_images():
    config = dataclasses.replace(
        TINY, dataset="digits", n=0, centre=0.3053, eps=(0.14,), rates_f=(0.1,), rates_g=(0.1,)
    )
    inputs = setting.images(config)
    assert inputs is not None and inputs.arrays["positive"].shape == (136, 64)
    assert len(inputs.checksum) == 64
    assert run(config)["acc"][0, 0] > 0.8
    subset = run(dataclasses.replace(config, n=20))
    assert subset["acc"].shape == (1, 1)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"n": 41}, "n must be even"),
        ({"n": 0}, "n must be at least 2"),
        ({"gamma": 1.0}, "gamma must be in [0, 1)"),
        ({"eps": (-0.1,)}, "eps must be in [0"),
        ({"eps": ()}, "eps must hold at least one"),
        ({"epochs_f": (5, 1)}, "epochs_f must be ascending"),
        ({"targets": ("fair",)}, "targets must be one of iid, balanced"),
        ({"law": "cauchy"}, "law must be one of"),
        ({"scenario": "c"}, "scenario must be one of a, b"),
        ({"loss": "hinge"}, "loss must be one of"),
        ({"precision": "float8"}, "precision must be one of"),
        ({"width": 0}, "width must be at least 1"),
        ({"num_test": 3}, "num_test must be even"),
        ({"beta": 1.0}, "beta must be in [0, 1)"),
    ],
)
def test_wrong_configs_are_named(changes, words, rejects):
    with rejects(words):
        dataclasses.replace(TINY, **changes)


def test_wrong_maps_and_widths_are_named(rejects):
    with rejects("limits must be (low, high)"):
        decision_map.MapConfig(limits=(1.0, 1.0))
    with rejects("resolution must be at least 2"):
        decision_map.MapConfig(resolution=1)
    with rejects("delta must be in (0, 1)"):
        width.WidthConfig(delta=0.0)
    with rejects("n must be at most 266"):
        setting.images(dataclasses.replace(TINY, dataset="digits", n=1000))
    with rejects("not found"):
        setting.images(dataclasses.replace(TINY, dataset="no-such-images"))


def test_map_shows_the_networks_of_the_sweep():
    config = decision_map.MapConfig(
        d=20, n=40, width=10, epochs=30, eps=0.3, limits=(-3.0, 3.0), resolution=11
    )
    found = run(config, study=MAP)
    assert found["f"].shape == (11, 11) and np.isfinite(found["fh"]).all()
    same = np.mean(np.sign(found["f"]) == np.sign(found["g"]))
    np.testing.assert_allclose(found["agreement"], same, rtol=1e-6)
    # The positive class has the positive coordinate of its own mean.
    shown = found["samples"][found["sample_labels"] > 0]
    assert np.mean(shown[:, 0] - shown[:, 1] > 0) > 0.8


def test_widths_stay_below_the_proved_bounds():
    config = width.WidthConfig(width=400, inits=5)
    found = run(config, study=WIDTH)
    assert (found["lazy_gap"] <= found["lazy_bound"]).all()
    assert (found["kernel_gap"] <= found["kernel_radius"]).all()
    wider = run(dataclasses.replace(config, width=6400), study=WIDTH)
    assert np.median(wider["kernel_gap"]) < 0.5 * np.median(found["kernel_gap"])
    assert np.median(wider["lazy_gap"]) < 0.5 * np.median(found["lazy_gap"])


def _made_up_base(offset):
    """A run of the base cell whose agreement is the law plus an offset."""
    config = Config(d=100, n=1000, width=100, num_test=4000)
    seeds = 10
    law = np.linspace(0.5, 0.9, seeds)
    ones = np.ones(seeds)
    grid = np.stack([law + offset, ones], axis=1)[:, :, None, None, None, None, None]
    arrays = {
        "acc": 0.999 * ones[:, None, None],
        "cosine": 0.995 * ones[:, None, None],
        "label_imbalance": np.stack([0.01 * ones, 0 * ones], axis=1),
        "law": np.stack([law, ones], axis=1)[:, :, None],
        "threshold": np.stack([law, ones], axis=1)[:, :, None, None, None],
        "adv_acc": grid,
        "agreement": grid,
    }
    made = Run(
        study="sweep",
        label="shifted-a/base",
        config=config,
        seeds=tuple(range(seeds)),
        arrays=arrays,
        dims={},
        coords=sweep.coords(config),
        sidecars=[],
    )
    return StemResults("perturbation.wide", "default", {("sweep", "shifted-a/base"): made})


def test_claims_can_fail():
    held = {claim.name: claim.held for claim in claims.claims(_made_up_base(0.02))}
    broken = {claim.name: claim.held for claim in claims.claims(_made_up_base(0.09))}
    assert False not in held.values()
    changed = [name for name in held if held[name] != broken[name]]
    assert len(changed) == 2 and all("law" in name for name in changed)


def test_claims_leave_out_what_the_scale_does_not_have(tmp_path):
    plan.run("perturbation.wide", "smoke", tmp_path, progress=False, only=["gauss-a/base"])
    with pytest.raises(ValueError, match="make them with"):
        load("perturbation.wide", "smoke", tmp_path)


@pytest.mark.slow
def test_ten_kills_and_a_resume_give_the_bytes_of_an_undisturbed_run(tmp_path):
    def command(folder):
        return [sys.executable, "-m", "twolayer", "run", "perturbation.wide",
                "--scale", "smoke", "--results", str(folder)]  # fmt: skip

    rng = np.random.default_rng(0)
    subprocess.run(command(tmp_path / "whole"), check=True, capture_output=True)
    for _ in range(10):
        process = subprocess.Popen(command(tmp_path / "killed"), stderr=subprocess.DEVNULL)
        time.sleep(float(rng.uniform(1.0, 8.0)))
        process.send_signal(signal.SIGKILL)
        process.wait()
    subprocess.run(command(tmp_path / "killed"), check=True, capture_output=True)
    whole = {path.name: path.read_bytes() for path in (tmp_path / "whole").rglob("*.npz")}
    killed = {path.name: path.read_bytes() for path in (tmp_path / "killed").rglob("*.npz")}
    assert len(whole) == 30 and whole == killed


def test_paper_scale_is_the_published_grid():
    cells = SWEEP.cells["paper"]
    config, seeds = cells["shifted-b/base"]
    assert (config.d, config.n, config.eps, config.rates_f) == (5000, 10000, (0.7,), (1.0, 0.1))
    assert seeds >= 5
    assert cells["gauss-a/epochs_f"][0].epochs_f == (*range(1, 11), *range(20, 101, 10))
    assert len([label for label in cells if label.startswith("shifted-a/d=")]) == 9
    assert MAP.cells["paper"]["gauss-b"][0].n == 10000
