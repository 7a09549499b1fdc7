"""Cells whose code has changed: a stem of a user's own package, edited between two runs."""

import importlib
import itertools
import shutil
import warnings

import numpy as np
import pytest

from twolayer.cli.main import main
from twolayer.sims.engine import plan as runner
from twolayer.sims.engine import registry, storage
from twolayer.sims.engine.loading import load
from twolayer.sims.engine.status import status

STEM = """
import dataclasses
import jax
from twolayer.sims.engine.experiment import Experiment, Study
from . import helpers

@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    size: int = 3

def simulate(key, config, inputs):
    '''What it does.'''
    return {"x": helpers.scaled(jax.random.normal(key, (config.size,)))}

def other(key, config, inputs):
    return {"x": jax.random.normal(key, (config.size,))}

def study(name, simulate):
    return Study(
        name=name,
        config_type=Config,
        simulate=simulate,
        cells={"smoke": {"small": (Config(), 2), "large": (Config(size=5), 1)}},
        dims={"x": ("row",)},
        coords=lambda config: {"row": list(range(config.size))},
    )

EXPERIMENT = Experiment(
    stem="mine",
    title="Mine",
    studies=(study("one", simulate), study("two", other)),
    claims=lambda results: [],
)
"""
HELPERS = """
FACTOR = 2.0

def scaled(x):
    return FACTOR * x
"""
# For each edit, whether the cells of study one are stale by it.
EDITS = {
    "nothing": ([], False),
    "docstring": ([("stem", "What it does.", "Something else.")], False),
    "renamed helper": ([("stem", "s.scaled", "s.times"), ("helpers", "scaled", "times")], False),
    "code that is not used": ([("helpers", "FACTOR = 2.0", "FACTOR = 2.0\nOTHER = 1.0")], False),
    "simulate": ([("stem", "(config.size,)))}", "(config.size,)) + 1)}")], True),
    "helper in another module": ([("helpers", "FACTOR * x", "FACTOR * x + 1")], True),
    "constant": ([("helpers", "FACTOR = 2.0", "FACTOR = 3.0")], True),
}  # fmt: skip
EDITED = EDITS["helper in another module"][0]
_numbers = itertools.count()


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """``mine(*edits)`` makes the stem that of a new package, with this edited."""
    monkeypatch.syspath_prepend(str(tmp_path / "code"))

    def make(*edits):
        package = f"mine_{next(_numbers)}"
        files = {"stem": STEM, "helpers": HELPERS, "__init__": ""}
        for file, old, new in edits:
            assert old in files[file]
            files[file] = files[file].replace(old, new)
        for name, text in files.items():
            path = tmp_path / "code" / package / f"{name}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        monkeypatch.setitem(registry.STEMS, "mine", f"{package}.stem")
        return importlib.import_module(f"{package}.stem")

    make()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        runner.run("mine", "smoke", tmp_path, progress=False)
    return make


def computed(plan):
    return {row.name: row.computed for row in plan.rows}


@pytest.mark.parametrize(("edits", "stale"), EDITS.values(), ids=EDITS)
def test_an_edit_makes_the_cells_stale_that_it_concerns(mine, tmp_path, edits, stale):
    before = load("mine", "smoke", tmp_path)["one", "small"].arrays["x"]
    mine(*edits)
    plan = runner.plan("mine", "smoke", tmp_path)
    told = "stale: 3 cells of one/small, one/large, computed by other code than is here now: "
    assert plan.stale() == ([told + "computed again (--keep-stale keeps them)"] if stale else [])
    plan.execute(progress=False)
    assert computed(plan) == {
        "one/small": 2 * stale,
        "one/large": 1 * stale,
        "two/small": 0,
        "two/large": 0,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        after = load("mine", "smoke", tmp_path)["one", "small"].arrays["x"]
    assert np.array_equal(before, after) is not stale
    assert runner.plan("mine", "smoke", tmp_path).missing == 0
    files = {path.suffix for path in (tmp_path / "mine").iterdir() if path.is_file()}
    assert files == {".npz", ".json"} and len(storage.names(tmp_path / "mine")) == 6


def test_stale_cells_are_told_by_every_command_and_kept_on_demand(mine, tmp_path, capsys):
    mine(*EDITED)
    folder = tmp_path / "with space"
    shutil.copytree(tmp_path / "mine", folder / "mine")
    command = f"twolayer run mine --scale smoke --results '{folder}'"
    why = "computed by other code than is here now"
    with pytest.warns(UserWarning) as told:
        kept = load("mine", "smoke", folder)
    [line] = [str(each.message) for each in told]
    assert line == (
        f"3 cells of mine at scale smoke in {folder} are stale, {why}; recompute them with: "
        f"{command}"
    )
    assert status("mine", folder).counts["smoke"] == (3, 6)
    assert status("mine", folder).notes == [
        f"stale: 3 cells of mine at scale smoke, {why}; recompute them with: {command}"
    ]
    options = ["mine", "--scale", "smoke", "--results", str(folder)]
    main(["plan", *options])
    assert (
        f"stale: 3 cells of one/small, one/large, {why}: computed again" in capsys.readouterr().out
    )
    main(["run", *options, "--keep-stale"])
    out = capsys.readouterr().out
    assert out.startswith(f"stale: 3 cells of one/small, one/large, {why}: kept\n")
    assert "missing" not in out
    with pytest.warns(UserWarning, match="are stale"):
        again = load("mine", "smoke", folder)
    np.testing.assert_array_equal(
        again["one", "small"].arrays["x"], kept["one", "small"].arrays["x"]
    )
    with pytest.warns(UserWarning, match="stale: 3 cells"):
        plan = runner.run("mine", "smoke", folder, progress=False)
    assert computed(plan)["one/small"] == 2
    main(["run", *options])
    assert "stale: " not in capsys.readouterr().out


def test_stale_cells_that_have_other_results_are_missing(mine, tmp_path):
    mine(("stem", '"x"', '"y"'))
    with pytest.raises(ValueError, match="are incomplete .* one/small seed 0, one/small seed 1"):
        load("mine", "smoke", tmp_path)


def test_two_runs_of_other_code_each_end_with_their_own(mine, tmp_path):
    """One that stored its cells meanwhile leaves nothing for the other to reuse."""
    here = runner.plan("mine", "smoke", tmp_path / "new", only=["one/small"])
    mine(*EDITED)
    runner.run("mine", "smoke", tmp_path / "new", only=["one/small"], progress=False)
    here.execute(progress=False)
    assert computed(here) == {"one/small": 2}
    with pytest.warns(UserWarning, match="2 cells of mine at scale smoke"):
        load("mine", "smoke", tmp_path / "new", only=["one/small"])
