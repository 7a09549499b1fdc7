"""Leases of cells, and runs at the same time on the same folder: all by real processes."""

import errno
import importlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from twolayer.host import atomic_io, leases
from twolayer.sims.engine import plan as runner
from twolayer.sims.engine import registry, storage

TESTS = Path(__file__).parents[1] / "sims"
ENVIRONMENT = {**os.environ, "PYTHONPATH": f"{TESTS.parents[1]}{os.pathsep}{TESTS}"}
RUN = (
    "from twolayer.sims.engine import registry; registry.STEMS['fake'] = 'fake_stem'; "
    "from twolayer.cli.main import main; main()"
)
# Takes what it can of 40 cells when told to go, and says which.
TAKER = """
import sys, pathlib
from twolayer.host import leases
held = leases.Leases(pathlib.Path(sys.argv[1]))
with held:
    print("ready", flush=True)
    sys.stdin.readline()
    print(*[name for name in map(str, range(40)) if held.take(name)], flush=True)
    sys.stdin.readline()
"""


def python(code, *arguments, **options):
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        env=ENVIRONMENT,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **options,
    )


def listed(folder):
    return sorted(path.name for path in (folder / ".leases").iterdir())


def write_lease(folder, name, *, process, host=None, age=0.0):
    (folder / ".leases").mkdir(exist_ok=True)
    path = folder / ".leases" / name
    path.write_text(json.dumps({"host": host or atomic_io.holder()["host"], "process": process}))
    os.utime(path, (time.time() - age,) * 2)


def test_a_cell_is_taken_once_and_is_free_again_when_given_back(tmp_path):
    with leases.Leases(tmp_path) as one, leases.Leases(tmp_path) as other:
        assert one.is_free("a") and one.take("a")
        assert not other.is_free("a") and not other.take("a") and other.take("b")
        one.release("a")
        assert other.take("a")
    assert listed(tmp_path) == []


@pytest.mark.parametrize("expired", [False, True])
def test_of_many_processes_one_gets_each_cell(tmp_path, dead, expired):
    if expired:
        for name in range(40):
            write_lease(tmp_path, f"{name}.1", process=dead)
    takers = [python(TAKER, tmp_path) for _ in range(4)]
    for taker in takers:
        assert taker.stdout.readline() == "ready\n"
    for taker in takers:
        taker.stdin.write("\n")
        taker.stdin.flush()
    taken = [name for taker in takers for name in taker.stdout.readline().split()]
    assert sorted(taken, key=int) == list(map(str, range(40)))
    for taker in takers:
        assert taker.communicate("\n", timeout=20)[1] == ""
    assert listed(tmp_path) == []


def test_the_lease_of_a_killed_process_is_taken_over_at_once(tmp_path):
    taker = python(TAKER, tmp_path)
    taker.stdin.write("\n")
    taker.stdin.flush()
    taker.stdout.readline(), taker.stdout.readline()
    with leases.Leases(tmp_path) as held:
        assert not held.take("7")
        taker.kill()
        taker.communicate()
        assert held.take("7") and listed(tmp_path)[-4:] == ["7.1", "7.2", "8.1", "9.1"]


DECADE = 3e8


@pytest.mark.parametrize("age", [-DECADE, 0.0, DECADE])
def test_the_process_of_this_machine_is_asked_whatever_the_clocks_say(tmp_path, dead, age):
    write_lease(tmp_path, "a.1", process=dead, age=age)
    write_lease(tmp_path, "b.1", process=os.getpid(), age=age)
    with leases.Leases(tmp_path) as held:
        assert held.is_free("a") and held.take("a")
        assert not held.is_free("b") and not held.take("b")


@pytest.mark.parametrize("age", [-DECADE, 0.0, DECADE])
def test_who_is_on_another_machine_must_be_silent_while_watched(tmp_path, dead, age, monkeypatch):
    """Its clock, and that of the disk, may say what they want."""
    monkeypatch.setattr(leases, "EXPIRY", 0.3)
    monkeypatch.setattr(leases, "_LOOK", 0.01)
    for name in ("a.1", "b.1"):
        write_lease(tmp_path, name, process=dead, host="elsewhere", age=age)
    with leases.Leases(tmp_path) as held:
        assert not held.is_free("a") and not held.take("b")
        os.utime(tmp_path / ".leases" / "b.1")
        held.settle(["b"])  # is over as soon as the touch is seen
        assert not held.is_free("b")
        held.settle(["a", "c"])
        os.utime(tmp_path / ".leases" / "b.1")
        assert held.take("a") and not held.take("b") and held.take("c")
        time.sleep(0.4)
        assert held.take("b")
    assert listed(tmp_path) == []


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b'{"host": 3}', b"\xff" * 9])
def test_a_lease_that_cannot_be_read_is_watched_like_one_of_another_machine(
    tmp_path, content, monkeypatch
):
    monkeypatch.setattr(leases, "EXPIRY", 0.1)
    (tmp_path / ".leases").mkdir()
    (tmp_path / ".leases" / "a.1").write_bytes(content)
    (tmp_path / ".leases" / "a.old").write_bytes(content)
    with leases.Leases(tmp_path) as held:
        assert not held.take("a")
        time.sleep(0.2)
        assert held.take("a")


def test_a_full_disk_leaves_no_lease_that_nobody_holds(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch, pytest.raises(atomic_io.NotWritten, match="make room"):
        with leases.Leases(tmp_path) as held:
            patch.setattr(leases.json, "dump", full)
            held.take("a")
    assert listed(tmp_path) == []


def test_leases_are_not_written_through_a_link(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "cells").mkdir()
    (tmp_path / "cells" / ".leases").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(atomic_io.NotWritten, match="it must not be a link"):
        leases.Leases(tmp_path / "cells").__enter__()
    assert not any((tmp_path / "elsewhere").iterdir())


def test_a_lease_that_is_being_written_is_held(tmp_path):
    (tmp_path / ".leases").mkdir()
    (tmp_path / ".leases" / "a.1").touch()
    with leases.Leases(tmp_path) as held:
        assert not held.take("a")


def test_a_holder_that_lives_keeps_its_lease(tmp_path, monkeypatch):
    monkeypatch.setattr(leases, "HEARTBEAT", 0.02)
    with leases.Leases(tmp_path) as held:
        held.take("a")
        path = tmp_path / ".leases" / "a.1"
        os.utime(path, (0, 0))
        limit = time.monotonic() + 10
        while path.stat().st_mtime == 0:
            assert time.monotonic() < limit
            time.sleep(0.01)


def test_leases_of_stored_cells_are_cleared_away(tmp_path, dead):
    (tmp_path / "a.json").touch()
    write_lease(tmp_path, "a.1", process=dead)
    write_lease(tmp_path, "b.1", process=dead)
    with leases.Leases(tmp_path):
        assert listed(tmp_path) == ["b.1"]


def cells(folder):
    return {path.name: path.read_bytes() for path in (folder / "fake").glob("*.npz")}


def computed_and_reused(output):
    rows = [line.split() for line in output.splitlines() if line.startswith("walk/")]
    return sum(int(row[2]) for row in rows), sum(int(row[3]) for row in rows)


def test_two_runs_at_once_share_the_work_and_both_end_with_all_of_it(tmp_path):
    single = python(RUN, "run", "fake", "--results", tmp_path / "single")
    assert single.communicate(timeout=60)[1] == ""
    runs = [python(RUN, "run", "fake", "--results", tmp_path / "both") for _ in range(2)]
    outputs = [run.communicate(timeout=60) for run in runs]
    assert [error for _, error in outputs] == ["", ""]
    counts = [computed_and_reused(output) for output, _ in outputs]
    assert [sum(count) for count in counts] == [24, 24]
    assert sum(computed for computed, _ in counts) == 24
    assert cells(tmp_path / "both") == cells(tmp_path / "single")
    assert len(cells(tmp_path / "both")) == 24
    assert listed(tmp_path / "both" / "fake") == []


@pytest.mark.slow
def test_a_run_takes_over_from_one_that_is_killed_beside_it(tmp_path):
    runs = [python(RUN, "run", "fake", "--results", tmp_path) for _ in range(2)]
    limit = time.monotonic() + 60
    while len(cells(tmp_path)) < 4:
        assert time.monotonic() < limit
        time.sleep(0.005)
    runs[0].kill()
    runs[0].communicate()
    output, error = runs[1].communicate(timeout=60)
    assert error == "" and sum(computed_and_reused(output)) == 24
    assert len(cells(tmp_path)) == 24 and listed(tmp_path / "fake") == []


@pytest.fixture
def fake(monkeypatch):
    monkeypatch.syspath_prepend(str(TESTS))
    monkeypatch.setitem(registry.STEMS, "fake", "fake_stem")


def test_a_part_leaves_to_others_what_they_compute(fake, tmp_path):
    walks = ["gamma 0.0", "gamma 0.5"]
    plan = runner.plan("fake", "smoke", tmp_path, only=walks)
    with leases.Leases(plan.folder) as held:
        seed = storage.identity("fake", "walk", 1, fake_config(), 0)
        assert held.take(storage.cell_name(seed)) and plan.free() == 3
        other = runner.plan("fake", "smoke", tmp_path, only=walks)
        other.execute(progress=False, part=(1, 2), wait=False)
    assert (other.done, other.missing, other.total) == (3, 1, 4)
    assert "cells left to other runs: 1" in other.report()
    assert plan.look() == 3 and plan.missing == 1
    plan.execute(progress=False)
    assert plan.done == 4 and [row.computed for row in plan.rows] == [1, 0]


def fake_config():
    return importlib.import_module("fake_stem").WalkConfig(gamma=0.0)
