"""Drawing that is ended at random moments leaves old files, new files or none, and no process."""

import collections
import random
import re
import shutil
import signal
import time
from pathlib import Path

import pytest

from tests.robustness.crash import tools
from twolayer.sims.engine import plan

OLD = b"of another day"
STEMS = ("shortcut.gradients", "shortcut.cues")
SIGNALS = {"killed": signal.SIGKILL, "terminated": signal.SIGTERM, "Ctrl-C": signal.SIGINT}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Two stems, so that they are drawn in processes of their own."""
    folder = tmp_path_factory.mktemp("two stems")
    for stem in STEMS:
        plan.run(stem, "smoke", folder, progress=False)
    return folder


def draw_figures(results, out, word):
    options = ("--scale", "smoke", "--results", results, "--out", out)
    return tools.start("-m", "twolayer", word, *STEMS, *options)


def children(process):
    """Processes that it has started and that may outlive it."""
    tasks = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    return tasks.read_text().split() if tasks.exists() else []


def running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def end(process, sign):
    """What it said, once the processes that it had started are gone as well."""
    started = children(process)
    process.send_signal(sign)
    _, err = process.communicate(timeout=60)
    limit = time.monotonic() + 20
    while any(map(running, started)):
        assert time.monotonic() < limit
        time.sleep(0.05)
    return err


@pytest.mark.slow
@pytest.mark.parametrize("word", ["draw", "report"])
def test_ended_at_random_moments(results, tmp_path, word, record_property):
    begin = time.monotonic()
    process = draw_figures(results, tmp_path / "whole", word)
    seconds = [time.monotonic() - begin]
    while process.poll() is None:
        if len(seconds) == 1 and (tmp_path / "whole").exists():
            seconds.append(time.monotonic() - begin)  # when drawing begins
        time.sleep(0.01)
    assert process.communicate()[1] == ""
    seconds.append(time.monotonic() - begin)
    whole = tools.contents(tmp_path / "whole")
    assert len(whole) >= 20 and not any("/." in name for name in whole)
    draw, ends, found_new = random.Random(len(word)), collections.Counter(), 0
    while ends.total() < 12:
        out = tmp_path / str(ends.total())
        if draw.random() < 0.5:
            for name in whole:
                (out / name).parent.mkdir(parents=True, exist_ok=True)
                (out / name).write_bytes(OLD)
        process = draw_figures(results, out, word)
        time.sleep(draw.uniform(0.7 * seconds[1], seconds[2]))
        if process.poll() is not None:
            process.communicate()
            shutil.rmtree(out)
            continue
        how = draw.choice(list(SIGNALS))
        err = end(process, SIGNALS[how])
        assert err in ("", "stopped: files are whole; the same command goes on\n") or (
            how == "Ctrl-C" and "KeyboardInterrupt" in err  # before the command itself began
        )
        ends[how] += 1
        for name, payload in tools.contents(out).items() if out.exists() else ():
            if re.search(r"@.*\.tmp$", name):
                continue
            assert payload in (OLD, whole[name]), name
            found_new += payload == whole[name]
        process = draw_figures(results, out, word)
        assert process.communicate()[1] == "" and process.returncode == 0
        assert tools.contents(out) == whole
    assert found_new
    record_property("counted interruptions", {**ends})
