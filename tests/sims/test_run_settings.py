"""A run computes the same cells whatever JAX's settings, from Python and from the command line."""

import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from twolayer.host import atomic_io
from twolayer.sims.engine import execution, registry, storage
from twolayer.sims.engine import plan as runner
from twolayer.sims.engine.loading import load
from twolayer.sims.engine.status import status

TESTS = Path(__file__).parent
SETTINGS = {
    "float32": {"jax_enable_x64": False},
    "rbg": {"jax_default_prng_impl": "rbg"},
    "unsafe_rbg and float32": {"jax_default_prng_impl": "unsafe_rbg", "jax_enable_x64": False},
    "not partitionable": {"jax_threefry_partitionable": False},
    "short products": {"jax_default_matmul_precision": "BF16_BF16_F32"},
    "strict dtypes": {"jax_numpy_dtype_promotion": "strict"},
}


@pytest.fixture
def plain(monkeypatch):
    monkeypatch.syspath_prepend(str(TESTS))
    monkeypatch.setitem(registry.STEMS, "plain", "plain_stem")
    execution.forget_inputs()


@pytest.fixture(scope="module")
def by_command(tmp_path_factory):
    """What the command stores."""
    folder = tmp_path_factory.mktemp("command")
    python("from twolayer.cli.main import main; main(['run', 'plain', *ARGUMENTS])", folder)
    return contents(folder)


def python(code, folder, **environment):
    """Run code in a process of its own, with ARGUMENTS for a command."""
    start = (
        "from twolayer.sims.engine import registry; registry.STEMS['plain'] = 'plain_stem'\n"
        f"FOLDER = {str(folder)!r}; ARGUMENTS = ['--scale', 'smoke', '--results', FOLDER]\n"
    )
    subprocess.run(
        [sys.executable, "-c", start + code],
        env={**os.environ, "PYTHONPATH": f"{TESTS.parents[1]}{os.pathsep}{TESTS}", **environment},
        check=True,
        capture_output=True,
    )


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.glob("plain/*.npz"))}


@pytest.mark.parametrize("changes", SETTINGS.values(), ids=SETTINGS)
def test_settings_of_jax_change_no_cell(plain, by_command, tmp_path, changes):
    before = {name: getattr(jax.config, name) for name in changes}
    try:
        for name, value in changes.items():
            jax.config.update(name, value)
        runner.run("plain", "smoke", tmp_path, progress=False)
        [direct] = execution.results(*cell_a(), [1], "float64")
        results = load("plain", "smoke", tmp_path)
        judged = [claim.held for claim in registry.get("plain").claims(results)]
        assert {name: getattr(jax.config, name) for name in changes} == changes
    finally:
        for name, value in before.items():
            jax.config.update(name, value)
    assert contents(tmp_path) == by_command
    for name, array in direct.items():
        np.testing.assert_array_equal(results["plain", "a"].arrays[name][1], array, strict=True)
    assert judged == [True]


def cell_a():
    [study] = registry.get("plain").studies
    return study, study.cells["smoke"]["a"][0]


@pytest.mark.parametrize(
    ("code", "environment"),
    [
        (
            "from twolayer.sims.engine import plan\n"
            "plan.run('plain', 'smoke', FOLDER, progress=False)",
            {},
        ),
        (
            "from twolayer.cli.main import main; main(['run', 'plain', *ARGUMENTS])",
            {"JAX_DEFAULT_PRNG_IMPL": "rbg", "JAX_THREEFRY_PARTITIONABLE": "0"},
        ),
    ],
    ids=["Python", "command"],
)
def test_processes_under_other_settings_store_the_same(by_command, tmp_path, code, environment):
    python(code, tmp_path, **environment)
    assert contents(tmp_path) == by_command


def test_an_offset_of_all_seeds_is_refused(plain, tmp_path, rejects):
    jax.config.update("jax_random_seed_offset", 5)
    try:
        with rejects("jax_random_seed_offset must be 0 for a run; got 5"):
            runner.run("plain", "smoke", tmp_path, progress=False)
    finally:
        jax.config.update("jax_random_seed_offset", 0)


def test_sidecars_say_what_decides_the_numbers(plain, tmp_path):
    runner.run("plain", "smoke", tmp_path, progress=False)
    for sidecar in load("plain", "smoke", tmp_path)["plain", "a"].sidecars:
        told = [sidecar[name] for name in ("x64", "generator", "partitionable")]
        assert told == [True, "threefry2x32", True] and len(sidecar["code"]) == 64


@pytest.mark.parametrize(
    ("name", "value"), [("x64", False), ("generator", "rbg"), ("partitionable", False)]
)
def test_cells_that_were_made_otherwise_are_none(plain, by_command, tmp_path, name, value):
    runner.run("plain", "smoke", tmp_path, progress=False)
    seen = rewrite(tmp_path, **{name: value})
    with pytest.raises(ValueError, match=r"incomplete.*3 cells there are not used.*precision or"):
        load("plain", "smoke", tmp_path)
    told = status("plain", tmp_path)
    assert told.counts["smoke"] == (0, 3)
    assert told.notes == [
        "not used: 3 cells of plain, which were computed with other precision or random generator"
    ]
    # Also where stale cells are kept: these are not stale.
    plan = runner.plan("plain", "smoke", tmp_path, keep_stale=True)
    assert plan.missing == 3
    [line] = plan.stale()
    told = f"computed with {name} {value}: computed again"
    assert line == f"stale: 3 cells of plain/a, plain/b, {told}"
    plan.execute(progress=False)
    assert contents(tmp_path) == by_command
    assert all(storage.read(tmp_path / "plain", each).sidecar[name] != value for each in seen)


def test_cells_from_before_these_were_noted_stay(plain, tmp_path):
    runner.run("plain", "smoke", tmp_path, progress=False)
    rewrite(tmp_path, generator=None, partitionable=None, code=None, not_finite=None)
    before = {path: path.read_bytes() for path in (tmp_path / "plain").glob("[0-9a-f]*")}
    plan = runner.run("plain", "smoke", tmp_path, progress=False)
    assert plan.missing == 0 and plan.stale() == [] and len(load("plain", "smoke", tmp_path)) == 2
    assert before == {path: path.read_bytes() for path in (tmp_path / "plain").glob("[0-9a-f]*")}


def rewrite(folder, **changes):
    """Have all sidecars say something else; None leaves it out. Gives the names of the cells."""
    names = storage.names(folder / "plain")
    for name in names:
        path = folder / "plain" / f"{name}.json"
        sidecar = {**json.loads(path.read_text()), **changes}
        del sidecar["digest"]
        said = {
            key: value for key, value in sidecar.items() if value is not None or key == "source"
        }
        path.write_bytes(storage._render(atomic_io.signed(said)))
    return names
