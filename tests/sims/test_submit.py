"""Jobs through submitit's local executor: real processes that divide the cells of a stem."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from twolayer.cli.main import main
from twolayer.sims.engine import submit

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}
STEM = "perturbation.wide"
CELLS = ["--scale", "smoke", "--only", "m=100"]


def sims(command, *options):
    return subprocess.run(
        [sys.executable, "-m", "twolayer", command, STEM, *map(str, options)],
        env=ENVIRONMENT,
        cwd=ROOT,
        text=True,
        capture_output=True,
        timeout=120,
        check=True,
    ).stdout


def stored(folder):
    return {path.name: path.read_bytes() for path in (folder / STEM).glob("*.npz")}


def computed(logs, *told):
    """How many cells each job that was submitted says it has computed, when all have ended."""
    jobs = sum(len(line.split(";")[0].split(",")) for line in told if line.startswith("submitted"))
    limit = time.monotonic() + 120
    while True:
        reports = [path.read_text() for path in (logs / STEM).glob("*/*_log.out")]
        if sum("results in" in report for report in reports) == jobs:
            break
        assert time.monotonic() < limit, reports
        time.sleep(0.1)
    rows = [line.split() for report in reports for line in report.splitlines()]
    return [int(row[1]) for row in rows if row[:1] == ["width/m=100"]]


def test_jobs_divide_the_cells_and_submitting_again_computes_nothing_twice(tmp_path):
    sims("run", *CELLS, "--seeds", 6, "--results", tmp_path / "single")
    results, logs = tmp_path / "results", tmp_path / "logs"
    options = [*CELLS, "--seeds", 6, "--results", results, "--cluster", "local", "--logs", logs]
    first = sims("submit", *options, "--jobs", 2).splitlines()
    # Again at once, while those are only starting.
    again = sims("submit", *options, "--jobs", 1).splitlines()
    assert first[0] == "0 of 6 cells done, 0 being computed"
    assert first[1].startswith("submitted 6 cells in jobs ") and str(logs / STEM) in first[1]
    assert sum(computed(logs, first[1], again[1])) == 6
    assert stored(results) == stored(tmp_path / "single")
    # What submitit pickles for itself stays away from the results.
    assert {path.suffix for path in results.rglob("*") if path.is_file()} == {".npz", ".json"}


@pytest.mark.slow
def test_more_seeds_are_what_is_missing(tmp_path):
    results, logs = tmp_path / "results", tmp_path / "logs"
    sims("run", *CELLS, "--seeds", 2, "--results", results)
    options = [*CELLS, "--seeds", 3, "--results", results, "--cluster", "local", "--logs", logs]
    told = sims("submit", *options, "--jobs", 8).splitlines()
    assert told[0] == "2 of 3 cells done, 0 being computed"
    assert told[1].startswith("submitted 1 cells in jobs ") and "," not in told[1]
    assert computed(logs, told[1]) == [1] and len(stored(results)) == 3
    assert sims("submit", *options).splitlines() == [
        "3 of 3 cells done, 0 being computed",
        "nothing to submit",
    ]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "Missing from twolayer submit perturbation.wide: --cluster"),
        (["--cluster", "cloud"], "--cluster must be one of slurm, local; got cloud"),
        (["--cluster", "local", "--jobs", "0"], "jobs must be at least 1; got 0"),
        (["--cluster", "local", "--cpus", "0"], "cpus must be at least 1; got 0"),
        (["--cluster", "local", "--gpus", "-1"], "gpus must be at least 0; got -1"),
        (["--cluster", "local", "--minutes", "x"], "--minutes must be int; got x"),
        (["--cluster", "local", "--scael", "smoke"], "options must be among --scale, --seeds"),
        (["--cluster", "local", "--part", "1/2"], "processes and part are for run"),
    ],
)
def test_wrong_input_is_named_in_one_line(tmp_path, refuses, options, words):
    refuses(
        main, ["submit", STEM, "--results", str(tmp_path), "--logs", str(tmp_path), *options], words
    )


def test_a_scheduler_that_is_not_there_is_named(tmp_path):
    # In a process of its own, for submitit takes over the logging of the one that imports it.
    options = ["--cluster", "slurm", "--results", str(tmp_path), "--logs", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-m", "twolayer", "submit", STEM, *CELLS, *options],
        env={**ENVIRONMENT, "PATH": ""},
        cwd=ROOT,
        text=True,
        capture_output=True,
    )
    assert (done.returncode, done.stdout) == (2, "") and done.stderr.count("\n") == 1
    assert done.stderr.startswith("error: cluster slurm is not there: ")


def test_a_scheduler_that_refuses_says_why_in_one_line(tmp_path):
    programs = tmp_path / "bin"
    programs.mkdir()
    refusal = 'echo "sbatch: error: Invalid job array specification" >&2; exit 1'
    for name, does in {"sbatch": refusal, "srun": "", "sacct": "", "scancel": ""}.items():
        (programs / name).write_text(f"#!/bin/sh\n{does}\n")
        (programs / name).chmod(0o755)
    options = ["--cluster", "slurm", "--results", str(tmp_path), "--logs", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-m", "twolayer", "submit", STEM, *CELLS, "--seeds", "3", *options],
        env={**ENVIRONMENT, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"},
        cwd=ROOT,
        text=True,
        capture_output=True,
    )
    # The scheduler's own words come first.
    [*_, line] = done.stderr.splitlines()
    assert (done.returncode, done.stdout) == (2, "") and "Traceback" not in done.stderr
    assert line.startswith("error: slurm refused 3 jobs: ")
    assert "Invalid job array specification" in done.stderr and "SBATCH_PARTITION" in done.stderr


def test_without_the_extra_it_is_named(monkeypatch, tmp_path, rejects):
    monkeypatch.setitem(sys.modules, "submitit", None)
    with rejects("submitting needs submitit, the extra `cluster`: pip install 'twolayer[cluster]'"):
        submit.submit([["true"]], "local", name="x", logs=tmp_path)


def test_help_names_the_options(capsys):
    with pytest.raises(SystemExit) as end:
        main(["submit", "--help"])
    assert end.value.code == 0
    shown = capsys.readouterr().out
    for option in ("--cluster", "--jobs", "--minutes", "--cpus", "--gpus", "--logs"):
        assert option in shown
