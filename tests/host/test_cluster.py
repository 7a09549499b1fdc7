"""Clusters of real processes on this machine: results, and what happens when one is killed."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from tests.sims import in_cluster
from twolayer.cli.main import main
from twolayer.host import cluster
from twolayer.theory.kernels import shallow

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}
# Cells of one program and some ten milliseconds each.
STEM = "perturbation.wide"
CELLS = ["--scale", "smoke", "--only", "m=100", "--seeds"]


def member(what, folder):
    return [sys.executable, "-m", "tests.sims.in_cluster", what, str(folder)]


def run(folder, *options, **environment):
    return subprocess.Popen(
        [sys.executable, "-m", "twolayer", "run", STEM, "--results", str(folder), *options],
        env=ENVIRONMENT | environment,
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def cells(folder):
    return {path.name: path.read_bytes() for path in (folder / STEM).glob("*.npz")}


def wait_for(condition, seconds=60):
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.01)


def lives(pid):
    with contextlib.suppress(OSError):
        # What has ended and is not waited for is still in the table.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def children(process):
    tasks = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    return [int(pid) for pid in tasks.read_text().split()] if tasks.exists() else []


@pytest.fixture(autouse=True)
def at_the_root(monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(os, "environ", dict(ENVIRONMENT))


@pytest.mark.parametrize("size", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_processes_solve_together_what_one_solves_alone(tmp_path, size):
    for _ in cluster.supervise(member("solve", tmp_path), size):
        pass
    x, y = in_cluster.samples()
    samples = jnp.asarray(x)
    matrix = np.asarray(shallow.lazy_kernel(samples, samples, 0.1)) + in_cluster.RIDGE * np.eye(
        len(x)
    )
    expected = np.linalg.solve(matrix, y)
    assert len(list(tmp_path.iterdir())) == size
    for rank in range(size):
        with np.load(tmp_path / f"{rank}.npz") as results:
            # Each holds its share of the matrix, all have the whole solution.
            assert results["rows"] == -(-len(x) // size)
            gap = np.max(np.abs(results["weights"] - expected))
            assert gap <= 1e-12 * np.max(np.abs(expected))
            np.testing.assert_array_equal(results["seeds"], np.arange(7) ** 2)


def test_a_member_that_fails_ends_the_others_and_is_named_with_what_it_said(tmp_path):
    with pytest.raises(cluster.MemberEnded, match="process 2 of 2 ended with status 1") as error:
        for _ in cluster.supervise(member("fail", tmp_path), 2):
            pass
    assert "RuntimeError: no more" in error.value.output
    assert not any(lives(path.read_text()) for path in tmp_path.iterdir())


def test_members_end_with_who_leaves_off_supervising(tmp_path):
    supervision = cluster.supervise(member("sleep", tmp_path), 2)
    wait_for(lambda: next(supervision) or len(list(tmp_path.glob("*.txt"))) == 2)
    wait_for(lambda: all(path.read_text() for path in tmp_path.iterdir()))
    pids = [path.read_text() for path in tmp_path.iterdir()]
    assert all(map(lives, pids))
    supervision.close()
    assert not any(map(lives, pids))


@pytest.mark.slow
def test_a_sweep_in_two_processes_gives_the_same_bytes(tmp_path):
    assert run(tmp_path / "one", *CELLS, "6").communicate(timeout=120)[1] == ""
    out, err = run(tmp_path / "two", *CELLS, "6", "--processes", "2").communicate(timeout=120)
    assert err == ""
    assert out.splitlines()[1].split()[:3] == ["width/m=100", "6", "0"]
    assert len(cells(tmp_path / "one")) == 6 and cells(tmp_path / "two") == cells(tmp_path / "one")


@pytest.mark.slow
def test_a_whole_scale_in_four_processes_gives_the_same_bytes(tmp_path):
    for folder, options in (("one", []), ("four", ["--processes", "4"])):
        process = run(tmp_path / folder, "--scale", "smoke", *options)
        assert process.communicate(timeout=400)[1] == "" and process.returncode == 0
    assert len(cells(tmp_path / "one")) == 30 and cells(tmp_path / "four") == cells(
        tmp_path / "one"
    )


@pytest.mark.slow
def test_a_killed_process_stops_the_others_with_one_line_and_a_rerun_resumes(tmp_path):
    process = run(tmp_path, *CELLS, "400", "--processes", "2")
    wait_for(lambda: len(cells(tmp_path)) >= 3)
    pids = children(process)
    assert len(pids) == 2
    os.kill(pids[1], signal.SIGKILL)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 1 and out == ""
    done = len(list((tmp_path / STEM).glob("*.json")))
    assert 3 <= done < 400
    assert err == (
        f"stopped: process 2 of 2 was ended by SIGKILL; {done} of 400 cells done; "
        "the same command resumes\n"
    )
    assert not any(map(lives, pids))
    kept = cells(tmp_path)
    out, err = run(tmp_path, *CELLS, str(done + 2)).communicate(timeout=120)
    assert err == "" and kept.items() <= cells(tmp_path).items()
    assert len(cells(tmp_path)) >= done + 2


@pytest.mark.slow
def test_members_do_not_outlive_a_command_that_is_killed(tmp_path):
    process = run(tmp_path, *CELLS, "400", "--processes", "2")
    wait_for(lambda: cells(tmp_path))
    pids = children(process)
    assert len(pids) == 2 and all(map(lives, pids))
    process.kill()
    process.communicate()
    wait_for(lambda: not any(map(lives, pids)), seconds=10)


def slurm(rank, size, job):
    """What SLURM tells the processes of a job step."""
    return {
        "SLURM_JOB_ID": str(job),
        "SLURM_STEP_NODELIST": "localhost",
        "SLURM_NTASKS": str(size),
        "SLURM_PROCID": str(rank),
        "SLURM_LOCALID": str(rank),
    }


@pytest.mark.slow
def test_in_a_cluster_of_a_scheduler_its_processes_are_the_members(tmp_path):
    # The job's number decides the port.
    members = [
        run(tmp_path, *CELLS, "6", "--processes", "2", **slurm(rank, 2, os.getpid()))
        for rank in (0, 1)
    ]
    outputs = [process.communicate(timeout=120) for process in members]
    assert [process.returncode for process in members] == [0, 0]
    row = outputs[0][0].splitlines()[1].split()
    assert int(row[1]) + int(row[2]) == 6 and outputs[1][0] == ""
    assert len(cells(tmp_path)) == 6


@pytest.mark.slow
def test_in_a_cluster_of_a_scheduler_no_process_outlives_another_by_a_minute(tmp_path):
    members = [
        run(tmp_path, *CELLS, "4000", "--processes", "2", **slurm(rank, 2, os.getpid() + 1))
        for rank in (0, 1)
    ]
    wait_for(lambda: cells(tmp_path))
    members[1].kill()
    _, err = members[0].communicate(timeout=60)
    assert members[0].returncode not in (0, None)
    assert "another task died" in err
    members[1].communicate()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--processes", "0"], "processes must be at least 1; got 0."),
        (["--processes", "x"], "--processes must be int | None; got x."),
        (["--part", "3/2"], "part must be I/K with 1 <= I <= K, such as 2/8; got 3/2."),
        (["--part", "half"], "part must be I/K with 1 <= I <= K, such as 2/8; got half."),
        (["--part", "1/2", "--processes", "2"], "part must be left out where processes is given"),
    ],
)
def test_wrong_input_is_named_in_one_line(tmp_path, refuses, options, words):
    refuses(main, ["run", STEM, "--results", str(tmp_path), *options], words)


def test_a_cluster_of_another_size_is_named(tmp_path):
    process = run(tmp_path, *CELLS, "6", "--processes", "2", **slurm(0, 1, os.getpid() + 2))
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (2, "")
    assert err == (
        "error: processes must be the size of the cluster that this process is of, 1; got 2.\n"
    )
