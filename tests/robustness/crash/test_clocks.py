"""Clocks that are wrong by years, or jump, change neither the results nor who computes what.

A process's clock is replaced before its command starts; what it touches gets that clock's time, as
on a disk whose times are the writer's.
"""

import random
import time

import pytest

from tests.robustness.crash import tools
from twolayer.host import leases

SWEEP = ("run", "fake", "--seeds", "8")
# The clock is wrong by the years that the first argument says; "jumps" is by others at each look.
CLOCK = """
import os, random, sys, time
years, real, touch = sys.argv.pop(1), time.time, os.utime
draw = random.Random(0)
def clock():
    wrong = draw.uniform(-20, 20) if years == "jumps" else float(years)
    return real() + wrong * 3.2e7
time.time = clock
time.time_ns = lambda: int(clock() * 1e9)
os.utime = lambda path, times=None: touch(path, times or (clock(), clock()))
from twolayer.host import leases
leases.HEARTBEAT = 0.02
"""


def sweep(years, folder):
    return tools.start("-c", CLOCK + tools.FAKE, years, *SWEEP, "--results", folder)


def computed(out):
    rows = [line.split() for line in out.splitlines() if line.startswith("walk/")]
    return sum(int(row[2]) for row in rows)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    assert tools.run("-c", tools.FAKE, *SWEEP, "--results", folder)[2] == ""
    return tools.timeless(tools.contents(folder))


@pytest.mark.slow
@pytest.mark.parametrize("clocks", [("10", "-10"), ("jumps", "0"), ("jumps", "jumps")])
def test_runs_at_once_share_the_work(whole, tmp_path, clocks):
    runs = [sweep(years, tmp_path) for years in clocks]
    outputs = [run.communicate(timeout=120) for run in runs]
    assert [err for _, err in outputs] == ["", ""]
    assert sum(computed(out) for out, _ in outputs) == 24
    assert tools.timeless(tools.contents(tmp_path)) == whole


@pytest.mark.slow
def test_a_killed_run_is_resumed_in_another_year(whole, tmp_path):
    draw, kills = random.Random(0), 0
    for years in ("0", "10", "-10", "jumps"):
        process = sweep(years, tmp_path)
        done = tools.sidecars(tmp_path)
        while process.poll() is None and tools.sidecars(tmp_path) < min(23, done + 3):
            time.sleep(0.001)
        time.sleep(draw.uniform(0, 0.01))
        kills += process.poll() is None
        process.kill()
        process.communicate()
    assert kills >= 3
    begin = time.monotonic()
    out, err = sweep("-15", tmp_path).communicate(timeout=120)
    # What dead processes held is free at once.
    assert err == "" and time.monotonic() - begin < leases.EXPIRY
    assert tools.timeless(tools.contents(tmp_path)) == whole
