"""Every damaged file of a store is named, none is read as valid, and a run makes it anew."""

import collections
import dataclasses
import importlib
import random
import shutil
import warnings
from pathlib import Path

import pytest

from tests.robustness.crash import damage, tools
from twolayer.sims.engine import plan as runner
from twolayer.sims.engine import registry, storage
from twolayer.sims.engine.loading import load


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """The six cells of a small stem, in a folder that is copied for each test."""
    patch = pytest.MonkeyPatch()
    patch.syspath_prepend(str(tools.TESTS))
    patch.setitem(registry.STEMS, "fake", "fake_stem")
    module = importlib.import_module("fake_stem")
    [walks, _] = module.EXPERIMENT.studies
    patch.setattr(module, "EXPERIMENT", dataclasses.replace(module.EXPERIMENT, studies=(walks,)))
    folder = tmp_path_factory.mktemp("store")
    runner.run("fake", "smoke", folder, progress=False)
    yield folder
    patch.undo()


def told(caught):
    """The files that warnings name as damaged."""
    texts = [str(each.message) for each in caught]
    assert all(" is damaged and not used: it " in text for text in texts)
    return {Path(text.split(" is damaged")[0]).name for text in texts}


@pytest.mark.parametrize(
    "seed, number", [(0, 5), *(pytest.param(i, 70, marks=pytest.mark.slow) for i in (1, 2, 3))]
)
def test_of_cells(store, tmp_path, seed, number, record_property):
    shutil.copytree(store, tmp_path, dirs_exist_ok=True)
    folder = tmp_path / "fake"
    intact = tools.contents(folder)
    whole = tools.timeless(intact)
    draw = random.Random(seed)
    kinds = collections.Counter()
    for _ in range(number):
        done = damage.random_damage(draw, intact)
        for name, payload in done.files.items():
            (folder / name).write_bytes(payload)
        story = f"{done.kind} {sorted(done.files)}"
        names = {Path(name).stem for name in done.files}
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            assert not any(storage.read(folder, name) for name in names), story
            assert told(caught) == set(done.files), story
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            with pytest.raises(ValueError, match="incomplete .* make them with: twolayer"):
                load("fake", "smoke", tmp_path)
            assert told(caught) == set(done.files), story
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            plan = runner.run("fake", "smoke", tmp_path, progress=False)
            assert told(caught) == set(done.files), story
        assert sum(row.computed for row in plan.rows) == len(names), story
        assert tools.timeless(tools.contents(folder)) == whole, story
        for name, payload in intact.items():
            (folder / name).write_bytes(payload)
        kinds[done.kind] += 1
    record_property("counted corruptions of cells", dict(kinds))


@pytest.mark.slow
def test_the_command_names_them_too(tmp_path):
    command = ("-m", "twolayer", *tools.SWEEP, "6", "--results", tmp_path)
    assert tools.run(*command)[0] == 0
    folder = tmp_path / "perturbation.wide"
    intact = tools.contents(folder)
    draw = random.Random(5)
    done = [damage.random_damage(draw, intact) for _ in range(4)]
    files = {name: payload for each in done for name, payload in each.files.items()}
    for name, payload in files.items():
        (folder / name).write_bytes(payload)
    code, out, err = tools.run(*command)
    assert code == 0 and "missing: width/m=100 seed " in out
    # Where both files of a cell are damaged, the sidecar is named.
    lines = err.splitlines()
    assert all(line.startswith(f"warning: {folder}/") for line in lines)
    assert {Path(name).stem for name in files} == {
        Path(line.split(" is damaged")[0]).stem for line in lines
    }
    assert tools.timeless(tools.contents(folder)) == tools.timeless(intact)
