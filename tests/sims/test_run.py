"""Running a stem and reading its results back: a fake one, with images from files."""

import dataclasses
import importlib
import os
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from twolayer.sims.engine import execution, registry
from twolayer.sims.engine import plan as runner
from twolayer.sims.engine.loading import load
from twolayer.sims.engine.status import status

DATA = "TWOLAYER_DATA"


@pytest.fixture
def fake(monkeypatch, tmp_path):
    """The fake stem, registered, with its images in place."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    monkeypatch.setitem(registry.STEMS, "fake", "fake_stem")
    write_images(tmp_path / "data", 0)
    monkeypatch.setenv(DATA, str(tmp_path / "data"))
    execution._simulate.clear_cache()
    module = importlib.import_module("fake_stem")
    module.TRACES.clear()
    return module


def write_images(folder, seed):
    folder.mkdir(exist_ok=True)
    draw = np.random.default_rng(seed)
    np.savez(
        folder / "tiny.npz",
        x_train=draw.integers(0, 256, (6, 2, 2), dtype=np.uint8),
        y_train=np.arange(6) % 2,
        x_test=draw.integers(0, 256, (4, 2, 2), dtype=np.uint8),
        y_test=np.arange(4) % 2,
    )


def smoke(folder, **changes):
    return runner.run("fake", "smoke", folder, progress=False, **changes)


def counts(plan):
    return {row.label: (row.computed, row.reused) for row in plan.rows}


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.glob("**/*.npz"))}


def test_results_are_those_of_the_function(fake, tmp_path):
    smoke(tmp_path)
    results = load("fake", "smoke", tmp_path)
    assert list(results) == [
        ("walk", "gamma 0.0"),
        ("walk", "gamma 0.25"),
        ("walk", "gamma 0.5"),
        ("pixels", "tiny"),
    ]
    run = results["walk", "gamma 0.25"]
    assert run.config == fake.WalkConfig(gamma=0.25) and run.seeds == (0, 1)
    assert run.dims == {"outer": ("seed", "rate", "unit"), "mean": ("seed",)}
    assert run.coords == {"seed": [0, 1], "rate": [1.0, 0.1], "unit": [0, 1, 2]}
    assert run.arrays["outer"].dtype == np.float32
    for seed in run.seeds:
        steps = np.sin(jax.random.normal(jax.random.key(seed), (3,), jnp.float32) + 0.25)
        outer = np.array([[1.0], [0.1]]) * steps
        np.testing.assert_allclose(run.arrays["outer"][seed], outer, rtol=1e-6)
        np.testing.assert_allclose(run.arrays["mean"][seed], outer.mean(), rtol=1e-5)
        sidecar = run.sidecars[seed]
        assert sidecar["cell"]["seed"] == seed and sidecar["source"] is None
        assert sidecar["cell"]["config"]["gamma"] == 0.25 and sidecar["seconds"] > 0
    assert [each.label for each in results.runs("walk")] == ["gamma 0.0", "gamma 0.25", "gamma 0.5"]
    with pytest.raises(ValueError, match="study must be one of walk, pixels; got 'run'"):
        results.runs("run")
    pixels = results["pixels", "tiny"]
    assert pixels.arrays["sums"].shape == (1, 4)
    assert pixels.sidecars[0]["source"].startswith("tiny in ")
    [claim] = fake.EXPERIMENT.claims(results)
    assert claim.held


def test_configs_of_one_shape_share_a_compile(fake, tmp_path):
    smoke(tmp_path, only=["gamma 0.0", "gamma 0.25", "gamma 0.5"])
    assert fake.TRACES == ["walk"]
    smoke(tmp_path, only=["gamma 0.0"], overrides={"gamma": 0, "rates": (3, 0.5)})
    assert fake.TRACES == ["walk"]
    smoke(tmp_path, only=["gamma 0.0"], overrides={"rates": (3.0,)})
    assert fake.TRACES == ["walk"] * 2
    smoke(tmp_path, only=["gamma 0.0"], overrides={"width": 4})
    assert fake.TRACES == ["walk"] * 3


def test_what_is_done_is_not_done_again(fake, tmp_path):
    first = smoke(tmp_path)
    assert counts(first)["gamma 0.0"] == (2, 0) and first.done == first.total == 7
    before = contents(tmp_path / "fake")
    again = smoke(tmp_path)
    assert counts(again) == {label: (0, total) for label, (total, _) in counts(first).items()}
    more = smoke(tmp_path, seeds=3)
    assert counts(more)["gamma 0.0"] == (1, 2)
    after = contents(tmp_path / "fake")
    assert before.items() < after.items()
    assert smoke(tmp_path / "elsewhere").done == 7
    assert contents(tmp_path / "elsewhere") == before


def test_a_damaged_cell_is_named_and_made_again(fake, tmp_path):
    smoke(tmp_path)
    intact = contents(tmp_path)
    npz, other = sorted((tmp_path / "fake").glob("*.npz"))[:2]
    npz.write_bytes(npz.read_bytes()[:-20])
    sidecar = other.with_suffix(".json")
    sidecar.write_bytes(sidecar.read_bytes().replace(b'"seed": ', b'"seed": 1'))
    with pytest.warns(UserWarning) as told, pytest.raises(ValueError, match="are incomplete"):
        load("fake", "smoke", tmp_path)
    assert {npz.name, sidecar.name} <= {Path(str(w.message).split()[0]).name for w in told}
    with pytest.warns(UserWarning, match="is damaged and not used"):
        assert sum(row.computed for row in smoke(tmp_path).rows) == 2
    assert contents(tmp_path) == intact
    assert len(load("fake", "smoke", tmp_path)) == 4


def test_load_names_what_is_missing_and_the_command(fake, tmp_path):
    smoke(tmp_path, only=["gamma 0.0", "tiny"])
    with pytest.raises(ValueError) as error:
        load("fake", "smoke", tmp_path)
    assert "walk/gamma 0.25 seed 0, walk/gamma 0.25 seed 1, walk/gamma 0.5 seed 0 and 1 more" in (
        str(error.value)
    )
    command = f"twolayer run fake --scale smoke --results {tmp_path}"
    assert str(error.value).endswith(command)
    with pytest.raises(ValueError, match="scale must be one of smoke, default, paper; got 'big'"):
        load("fake", "big", tmp_path)
    with pytest.raises(ValueError, match="study must be one of mixup.calibration.*; got 'no'"):
        load("no", "smoke", tmp_path)


def test_overridden_cells_are_kept_apart_and_read_back(fake, tmp_path):
    smoke(tmp_path)
    overrides = {"gamma": 0.125, "width": 2}
    plan = smoke(tmp_path, overrides=overrides)
    # The labels differed in gamma alone: they are one config now.
    assert counts(plan) == {"gamma=0.125, width=2": (2, 0), "tiny, gamma=0.125": (1, 0)}
    results = load("fake", "smoke", tmp_path)
    assert results["walk", "gamma 0.5"].config.gamma == 0.5
    assert results["walk", "gamma 0.5"].arrays["outer"].shape == (2, 2, 3)
    changed = load("fake", "smoke", tmp_path, overrides=overrides)
    assert list(changed) == [("walk", "gamma=0.125, width=2"), ("pixels", "tiny, gamma=0.125")]
    run = changed["walk", "gamma=0.125, width=2"]
    assert run.config == fake.WalkConfig(gamma=0.125, width=2)
    assert run.arrays["outer"].shape == (2, 2, 2) and run.coords["unit"] == [0, 1]
    asked = {"overrides": {"width": 4, "rates": (1.0, 2.0)}, "only": ["walk/gamma 0.5"]}
    with pytest.raises(ValueError) as error:
        load("fake", "smoke", tmp_path, **asked)
    told = f"--results {tmp_path} --only 'walk/gamma 0.5' --width 4 --rates 1.0 2.0"
    assert str(error.value).endswith(f"twolayer run fake --scale smoke {told}")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"overrides": {"gamma": 1.5}}, "gamma must be in [0, 1); got 1.5"),
        ({"overrides": {"depth": 1}}, "overrides must be fields of the selected configs, gamma, "),
        (
            {"overrides": {"width": 1}, "only": ["tiny"]},
            "overrides must be fields of the selected configs, gamma, images; got width",
        ),
        ({"only": ["huge"]}, "only must be one of gamma 0.0, gamma 0.25, gamma 0.5, tiny"),
        ({"seeds": 0}, "seeds must be at least 1; got 0"),
        ({"data": "/nowhere"}, "data must be a folder; got '/nowhere'"),
    ],
)
def test_wrong_arguments_are_named_before_anything_is_made(fake, tmp_path, rejects, changes, words):
    with rejects(words):
        smoke(tmp_path / "new", **changes)
    assert not (tmp_path / "new").exists() and not fake.TRACES


def test_missing_data_and_unwritable_folders_stop_a_run_before_it_computes(
    fake, tmp_path, monkeypatch, rejects
):
    (tmp_path / "file").touch()
    with rejects("file/fake cannot be written"):
        smoke(tmp_path / "file")
    monkeypatch.delenv(DATA)
    with rejects("data 'tiny' not found"):
        smoke(tmp_path)
    assert not fake.TRACES and not contents(tmp_path / "fake")


def test_optional_data_that_is_missing_is_left_out_loudly(fake, tmp_path, monkeypatch, rejects):
    [walks, images] = fake.EXPERIMENT.studies
    optional = dataclasses.replace(images, optional=lambda config: config.images == "tiny")
    stem = dataclasses.replace(fake.EXPERIMENT, studies=(walks, optional))
    monkeypatch.setattr(fake, "EXPERIMENT", stem)
    monkeypatch.delenv(DATA)
    plan = smoke(tmp_path)
    assert plan.done == plan.total == 6
    [line] = [line for line in plan.report().splitlines() if line.startswith("left out")]
    assert line.startswith("left out pixels/tiny: data 'tiny' not found: set --data")
    results = load("fake", "smoke", tmp_path)
    assert len(results) == 3 and results.left_out == (("pixels", "tiny"),)
    with rejects("data 'tiny' not found"):
        smoke(tmp_path, only=["tiny"])
    with rejects("data 'other' not found"):
        smoke(tmp_path, overrides={"images": "other"})


def test_a_changed_data_set_gives_new_cells(fake, tmp_path, monkeypatch, rejects):
    smoke(tmp_path, only=["tiny"])
    write_images(tmp_path / "data 2", 1)
    # `run` sets the variable for the process; here it is to end with the test.
    monkeypatch.setattr(os, "environ", dict(os.environ))
    assert counts(smoke(tmp_path, only=["tiny"], data=tmp_path / "data 2")) == {"tiny": (1, 0)}
    assert len(contents(tmp_path / "fake")) == 2
    told = status("fake", tmp_path)
    assert told.counts == {"smoke": (1, 7), "default": (0, 24), "paper": (0, 1)}
    assert told.notes == []
    with rejects("several versions of the data"):
        load("fake", "smoke", tmp_path, only=["tiny"])
    # Which is meant can be said.
    sums = [
        load("fake", "smoke", tmp_path, only=["tiny"], data=tmp_path / name)["pixels", "tiny"]
        for name in ("data", "data 2")
    ]
    assert not np.array_equal(sums[0].arrays["sums"], sums[1].arrays["sums"])
    assert os.environ[DATA] == str(tmp_path / "data 2")


def test_data_that_changes_during_a_run_is_noticed(fake, tmp_path, monkeypatch, rejects):
    plan = runner.plan("fake", "smoke", tmp_path, only=["tiny"])
    write_images(tmp_path / "data 2", 1)
    monkeypatch.setenv(DATA, str(tmp_path / "data 2"))
    execution.forget_inputs()
    with rejects("data of pixels changed during the run: tiny in "):
        plan.execute(progress=False)


def test_results_can_be_read_where_the_data_is_not(fake, tmp_path, monkeypatch):
    smoke(tmp_path)
    monkeypatch.delenv(DATA)
    assert load("fake", "smoke", tmp_path)["pixels", "tiny"].arrays["sums"].shape == (1, 4)


def test_accelerators_take_all_seeds_of_a_config_at_once(fake, tmp_path, monkeypatch):
    smoke(tmp_path / "cpu")
    calls = []
    results = execution.results
    monkeypatch.setattr(
        execution, "results", lambda *args: calls.append(len(args[2])) or results(*args)
    )
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    execution._simulate.clear_cache()
    smoke(tmp_path / "gpu")
    assert calls == [2, 2, 2, 1]
    for key, run in load("fake", "smoke", tmp_path / "cpu").items():
        for name, array in load("fake", "smoke", tmp_path / "gpu")[key].arrays.items():
            np.testing.assert_allclose(array, run.arrays[name], rtol=1e-6)


def test_progress_is_quiet_without_a_terminal(fake, tmp_path, capsys):
    plan = runner.run("fake", "smoke", tmp_path)
    assert capsys.readouterr() == ("", "")
    report = plan.report().splitlines()
    assert report[0].split() == ["label", "computed", "reused", "seconds"]
    assert report[1].split()[:4] == ["walk/gamma", "0.0", "2", "0"]
    assert report[-1] == f"results in {tmp_path / 'fake'}"
