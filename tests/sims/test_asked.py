"""What a run is asked for is what is run, stored, listed and read back, or an error before."""

import dataclasses
import importlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.sims.test_run import DATA, write_images
from twolayer.cli.main import main
from twolayer.sims.engine import execution, labels, registry
from twolayer.sims.engine import plan as runner
from twolayer.sims.engine.experiment import Experiment
from twolayer.sims.engine.loading import load
from twolayer.sims.engine.status import status
from twolayer.sims.forecast import memory_check

TESTS = Path(__file__).parent
SMOKE = ["run", "fake", "--scale", "smoke"]


@pytest.fixture
def fake(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(TESTS))
    monkeypatch.setitem(registry.STEMS, "fake", "fake_stem")
    write_images(tmp_path / "data", 0)
    monkeypatch.setattr(os, "environ", {**os.environ, DATA: str(tmp_path / "data")})
    return importlib.import_module("fake_stem")


@pytest.mark.parametrize(
    ("label", "changes", "told"),
    [
        ("m=1000", {"width": 400}, "width=400"),
        ("gamma 0.5", {"gamma": 0.25}, "gamma=0.25"),
        ("digits/noise=0.4", {"noise": 0.1}, "digits/noise=0.1"),
        ("digits-a/base", {"name": "mine"}, "mine-a/base"),
        ("digits38-a", {"name": "mine"}, "name=mine"),
        ("base", {"width": 3, "sizes": (1, 2)}, "base, width=3, sizes=1,2"),
        ("base", {"sizes": tuple(range(9))}, "base, sizes=0..8 (9)"),
        ("m=1000, gamma=0.5", {"width": 3, "gamma": 0.0}, "width=3, gamma=0"),
        ("m=1000", {}, "m=1000"),
        ("m=1000", {"width": 1000}, "m=1000"),
        ("flag off/x", {"flag": True}, "flag=True/x"),
    ],
)
def test_labels_state_what_a_config_has(label, changes, told):
    @dataclasses.dataclass(frozen=True)
    class Config:
        width: int = 1000
        gamma: float = 0.5
        noise: float = 0.4
        name: str = "digits"
        sizes: tuple[int, ...] = (7,)
        flag: bool = False

    assert labels.relabel(label, Config(), dataclasses.replace(Config(), **changes)) == told


def test_settings_that_differ_besides_are_told_apart(fake, tmp_path):
    stem = "perturbation.wide"
    plan = runner.plan(stem, "default", tmp_path, overrides={"width": 7}, only=["m=100", "m=400"])
    assert [row.label for row in plan.rows] == ["width=7"]
    plan = runner.plan(
        stem,
        "smoke",
        tmp_path,
        overrides={"gamma": 0.3},
        only=["gauss-a/base", "gauss-a/gamma=0.5"],
    )
    names = [row.label for row in plan.rows]
    assert len(set(names)) == 2 and all("gamma=0.3" in name for name in names)


def test_labels_are_taken_as_they_are_printed(fake, tmp_path, capsys):
    results = ["--results", str(tmp_path)]
    main([*SMOKE, *results, "--only", "walk/gamma 0.5", "tiny"])
    names = [line.split("  ")[0] for line in capsys.readouterr().out.splitlines()[1:-1]]
    assert names == ["walk/gamma 0.5", "pixels/tiny"]
    asked = [*results, "--gamma", "0.125", "--only"]
    main([*SMOKE, *asked, "gamma 0.5"])
    printed = capsys.readouterr().out.splitlines()[1].split("  ")[0]
    assert printed == "walk/gamma=0.125"
    main([*SMOKE, *asked, printed])
    assert capsys.readouterr().out.splitlines()[1].split() == [printed, "0", "2", "0.0"]


def test_seeds_that_were_asked_for_are_read_back(fake, tmp_path):
    runner.run("fake", "smoke", tmp_path, seeds=4, only=["walk/gamma 0.0"], progress=False)
    run = load("fake", "smoke", tmp_path, seeds=4, only=["walk/gamma 0.0"])["walk", "gamma 0.0"]
    assert run.seeds == (0, 1, 2, 3) and run.arrays["mean"].shape == (4,)
    assert status("fake", tmp_path).notes == ["also stored: fake walk/gamma 0.0, seeds 2, 3"]
    with pytest.raises(
        ValueError, match="walk/gamma 0.0 seed 4; .* --seeds 5 --only 'walk/gamma 0"
    ):
        load("fake", "smoke", tmp_path, seeds=5, only=["walk/gamma 0.0"])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--data", "OTHER", "--only", "walk/gamma 0.0"], "is not read by what is to be run"),
        (["--data", "OTHER", "--only", "tiny"], "data 'tiny' not found"),
        (["--images", "cifar10"], "data 'cifar10' not found"),
        (["--only", "walk/gama 0.5"], "got 'walk/gama 0.5'. Did you mean walk/gamma 0.5?"),
        (
            ["--only", "gamma 0.0", "--work", "1", "--width", "1e12"],
            "of memory for one call, and th",
        ),
        (["--width", "1e400"], "--width must be int; got 1e400"),
    ],
)
def test_what_cannot_be_given_is_an_error_before_anything_runs(
    fake, tmp_path, refuses, monkeypatch, options, words
):
    images = fake.EXPERIMENT.studies[1]
    optional = dataclasses.replace(images, optional=lambda config: config.images != "digits")
    changed = dataclasses.replace(fake.EXPERIMENT, studies=(fake.EXPERIMENT.studies[0], optional))
    monkeypatch.setattr(fake, "EXPERIMENT", changed)
    other = tmp_path / "other"
    other.mkdir()
    options = [str(other) if word == "OTHER" else word for word in options]
    refuses(main, [*SMOKE, "--results", str(tmp_path / "new"), *options], words)
    assert not [path for path in (tmp_path / "new").rglob("*") if path.is_file()]


def test_images_are_not_put_into_settings_without_any(tmp_path, rejects, monkeypatch):
    @dataclasses.dataclass(frozen=True)
    class Config:
        dataset: str = "synthetic"

    def inputs(config):
        if config.dataset == "synthetic":
            return None
        fake_stem = importlib.import_module("fake_stem")
        return fake_stem.pixel_inputs(fake_stem.PixelConfig(images=config.dataset))

    monkeypatch.syspath_prepend(str(TESTS))
    fake_stem = importlib.import_module("fake_stem")
    write_images(tmp_path / "data", 0)
    study = dataclasses.replace(
        fake_stem.EXPERIMENT.studies[1],
        config_type=Config,
        cells={"smoke": {"drawn": (Config(), 1), "digits": (Config(dataset="digits"), 1)}},
        inputs=inputs,
        simulate=lambda key, config, inputs: {"sums": inputs["x"].sum(axis=1)},
    )
    stem = Experiment("fake", "title", (study,), claims=lambda results: [])
    monkeypatch.setattr(registry, "get", lambda name: stem)
    monkeypatch.setattr(os, "environ", dict(os.environ))
    given = {"overrides": {"dataset": "tiny"}, "data": tmp_path / "data"}
    with rejects("tiny would put images into settings that have none, pixels/drawn, dataset=tiny"):
        runner.plan("fake", "smoke", tmp_path / "new", **given)
    with rejects("select those with images, such as --only pixels/tiny"):
        runner.plan("fake", "smoke", tmp_path / "new", **given)
    assert not (tmp_path / "new").exists()
    plan = runner.run("fake", "smoke", tmp_path, only=["digits"], progress=False, **given)
    assert [row.label for row in plan.rows] == ["tiny"] and plan.done == 1
    results = load("fake", "smoke", tmp_path, only=["digits"], **given)
    assert results["pixels", "tiny"].config.dataset == "tiny"


def test_all_stems_are_checked_before_the_first_computes(fake, tmp_path, refuses, monkeypatch):
    stems = {"fake": "fake_stem", "mixup.calibration": "twolayer.sims.mixup.calibration.experiment"}
    monkeypatch.setattr(registry, "STEMS", stems)
    options = ["--scale", "smoke", "--results", str(tmp_path / "new"), "--width", "3"]
    refuses(main, ["run", "all", *options], "options must be among")
    assert not (tmp_path / "new").exists()


def test_a_plan_tells_what_it_can_where_data_is_missing(fake, tmp_path, monkeypatch, capsys):
    monkeypatch.delitem(os.environ, DATA)
    execution.forget_inputs()
    main(["plan", "fake", "--scale", "smoke", "--results", str(tmp_path)])
    out = capsys.readouterr().out
    assert "walk/gamma 0.5" in out and "total" in out
    assert "left out pixels/tiny: data 'tiny' not found" in out


@pytest.mark.parametrize(("declared", "told"), [((), True), (("mean",), False)])
def test_numbers_that_are_not_finite_are_told(fake, tmp_path, monkeypatch, capsys, declared, told):
    def simulate(key, config, inputs):
        return {**fake.walk(key, config, inputs), "mean": np.float32("nan")}

    walk = dataclasses.replace(fake.EXPERIMENT.studies[0], simulate=simulate, undefined=declared)
    changed = dataclasses.replace(fake.EXPERIMENT, studies=(walk,))
    monkeypatch.setattr(fake, "EXPERIMENT", changed)
    line = "not finite: mean of walk/gamma 0.5, NaN or infinite in 2 of 2 cells"
    options = [*SMOKE, "--results", str(tmp_path), "--only", "gamma 0.5"]
    if told:
        with pytest.warns(UserWarning, match="seed [01]: 1 of 1 entries of mean are NaN"):
            main(options)
    else:
        main(options)
    assert (line in capsys.readouterr().out) is told
    run = load("fake", "smoke", tmp_path, only=["gamma 0.5"])["walk", "gamma 0.5"]
    assert run.sidecars[0]["not_finite"] == ({"mean": 1} if told else {})
    # Also where they are reused.
    main(options)
    assert (line in capsys.readouterr().out) is told


def test_undefined_results_are_results(rejects, fake):
    with rejects("undefined of study walk must be one of outer, mean; got 'x'"):
        dataclasses.replace(fake.EXPERIMENT.studies[0], undefined=("x",))


def test_a_key_that_is_not_there_tells_which_are(fake, tmp_path):
    runner.run("fake", "smoke", tmp_path, progress=False)
    results = load("fake", "smoke", tmp_path)
    with pytest.raises(
        KeyError, match="did you mean .'walk', 'gamma 0.5'.*there are walk/gamma 0.0"
    ):
        results["walk", "gama 0.5"]
    with pytest.raises(KeyError, match="there are walk/gamma 0.0, walk/gamma 0.25"):
        results["nope"]
    assert results.get(("walk", "nope")) is None and ("walk", "nope") not in results
    assert repr(results) == (
        "StemResults(fake at scale smoke; walk: gamma 0.0, gamma 0.25, gamma 0.5; pixels: tiny)"
    )
    assert repr(results["pixels", "tiny"]) == "Run(pixels/tiny, 1 seeds: sums (1, 4))"


def test_memory_is_that_of_the_machine():
    assert 1e8 < memory_check.total_memory() < 1e15
    assert memory_check.in_words(25_300_000_000) == "25.3 GB"


@pytest.mark.parametrize("command", [["status"], ["run", "shortcut.cues", "--scale", "smoke"]])
def test_a_system_without_locks_is_told_in_one_line(command, tmp_path):
    code = "import sys; sys.modules['fcntl'] = None; from twolayer.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, *command, "--results", str(tmp_path)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("error: twolayer needs Linux or macOS")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("option", [["--set", "width=3"], ["--width", "3"], ["--data", "x"]])
def test_figures_say_how_results_of_other_settings_are_read(refuses, option):
    refuses(main, ["draw", "perturbation.wide", *option], "in Python by twolayer.load(study, ")
