"""Commands as processes that can be killed, and what they leave in a folder."""

import json
import os
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parents[2] / "sims"
ENVIRONMENT = {**os.environ, "PYTHONPATH": f"{TESTS.parents[1]}{os.pathsep}{TESTS}"}
# Those of the current test, which are killed if it fails.
STARTED: list[subprocess.Popen] = []
# Of a cell, what may differ between two computations of it; somebody may commit meanwhile.
CLOCK = ("seconds", "commit", "digest")
# A sweep of one program and some ten milliseconds a cell.
SWEEP = ("run", "perturbation.wide", "--scale", "smoke", "--only", "m=100", "--seeds")
# The runner's command with the stem of the tests in its catalogue, after other code.
FAKE = """
from twolayer.sims.engine import registry as catalogue; catalogue.STEMS["fake"] = "fake_stem"
from twolayer.cli.main import main; main()
"""
# The theorems' command, with a wrong one in place of a true one.
FALSE_THEOREM = """
import dataclasses, sys
from twolayer.theory.verification import registry as catalogue
from twolayer.cli.main import main
true = catalogue.THEOREMS["wide.flip_mass"]
catalogue.THEOREMS["wide.flip_mass"] = dataclasses.replace(
    true, conclusions=true.controls["3.9 in place of 4"].conclusions
)
sys.exit(main())
"""
# The benchmarks' command, with one that measures nothing.
BENCH = """
import sys, time
from tests.benchmarks.__main__ import main
from tests.benchmarks.measure import Row
def nothing():
    print("begins")
    time.sleep(1)
    return [Row(name="nothing", what="nothing", reference=2.0, ours=1.0, required=None)]
sys.exit(main(benchmarks={"nothing": nothing}))
"""


def start(*command, **options):
    """A Python process: ``"-m", module, ...`` or ``"-c", code, ...``."""
    environment = ENVIRONMENT | options.pop("environment", {})
    process = subprocess.Popen(
        [sys.executable, *map(str, command)],
        env=environment,
        cwd=TESTS.parents[1],
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **options,
    )
    STARTED.append(process)
    return process


def run(*command, **options):
    """A process that has ended: status, output and errors."""
    process = start(*command, **options)
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


def contents(folder):
    """Every file below a folder by its path there, whatever its name."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def timeless(files):
    """The same, with sidecars as JSON and without what tells of the clock."""
    found = dict(files)
    for name in files:
        if name.endswith(".json"):
            sidecar = json.loads(files[name])
            found[name] = {key: sidecar[key] for key in sidecar if key not in CLOCK}
    return found


def sidecars(folder):
    return len(list(folder.rglob("*.json")))
