"""A sweep that is killed again and again ends with the bytes of one that was let be."""

import collections
import random
import time

import pytest

from tests.robustness.crash import tools

CELLS = 24
KILLS = 26


def sweep(folder, cache):
    return tools.start(
        *("-m", "twolayer", *tools.SWEEP, CELLS, "--results", folder),
        # Killed while they write the cache of compiled programs, too.
        environment={"JAX_COMPILATION_CACHE_DIR": str(cache)},
    )


def wait(draw, process, folder, longest):
    """Until a drawn moment of its life: any, or just when a cell is being stored."""
    done = tools.sidecars(folder)
    if done == CELLS or draw.random() < 0.3:
        limit, cells = draw.uniform(0, longest), CELLS + 1
    else:
        limit, cells = 10 * longest, min(CELLS, done + draw.randint(1, 6))
    begin = time.monotonic()
    while process.poll() is None and time.monotonic() < begin + limit:
        if tools.sidecars(folder) >= cells:
            time.sleep(draw.uniform(0, 0.01))
            return
        time.sleep(0.001)


@pytest.mark.slow
@pytest.mark.parametrize("chain", range(4))
def test_killed_at_random_moments(tmp_path, chain, record_property):
    draw = random.Random(chain)
    begin = time.monotonic()
    assert sweep(tmp_path / "whole", tmp_path / "cache").communicate()[1] == ""
    longest = time.monotonic() - begin
    whole = tools.timeless(tools.contents(tmp_path / "whole"))
    assert len(whole) == 2 * CELLS
    kills, round_ = collections.Counter(), 0
    while kills.total() < KILLS:
        folder, round_ = tmp_path / f"round {round_}", round_ + 1
        while True:
            process = sweep(folder, tmp_path / f"cache {round_}")
            if kills.total() < KILLS:
                wait(draw, process, folder, longest)
            if process.poll() is None and kills.total() < KILLS:
                process.kill()
                process.communicate()
                done = tools.sidecars(folder)
                kills[f"with {'no' if not done else 'some' if done < CELLS else 'all'} cells"] += 1
                continue
            out, err = process.communicate()
            assert (process.returncode, err) == (0, "")
            break
        assert tools.timeless(tools.contents(folder)) == whole
    record_property("counted kills", dict(kills))
