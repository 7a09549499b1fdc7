"""Several processes write one folder, with leases and without, and also the very same cell."""

import collections
import json
import warnings

import numpy as np
import pytest

from tests.robustness.crash import tools
from twolayer.sims.engine import storage

SWEEP = ("run", "fake", "--only", "gamma 0.0", "gamma 0.25", "gamma 0.5", "--seeds", "8")
# Nobody sees the leases of another.
ALONE = """
from twolayer.host import leases
leases.Leases.is_free = lambda self, name: True
leases.Leases.take = lambda self, name: True
leases.Leases.release = lambda self, name: None
"""
# Writes cells with arrays of its own, each as soon as the file that allows it is there.
WRITER = """
import json, pathlib, sys, time
import numpy as np
from twolayer.sims.engine import storage
folder, number, cells = pathlib.Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
print("ready", flush=True)
for seed in range(cells):
    while not (folder / f"go {seed}").exists():
        pass
    cell = {"stem": "s", "study": "t", "version": 1, "config": {}, "seed": seed, "data": None}
    arrays = {"x": np.full(10_000, float(number))}
    storage.write(folder / "cells", cell, arrays, {"writer": number})
print("done", flush=True)
"""


@pytest.mark.slow
def test_without_leases_the_work_is_done_again_and_nothing_else(tmp_path, record_property):
    writers = 3
    assert tools.run("-c", tools.FAKE, *SWEEP, "--results", tmp_path / "one")[2] == ""
    code = ALONE + tools.FAKE
    started = [
        tools.start("-c", code, *SWEEP, "--results", tmp_path / "all") for _ in range(writers)
    ]
    seen = 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        while any(process.poll() is None for process in started):
            # Whoever looks meanwhile finds whole cells only.
            cells = [storage.read(tmp_path / "all" / "fake", name) for name in _names(tmp_path)]
            assert all(cells)
            seen = max(seen, len(cells))
    assert [process.communicate()[1] for process in started] == [""] * writers
    assert seen > 0
    one, all_ = (tools.timeless(tools.contents(tmp_path / folder)) for folder in ("one", "all"))
    assert one == all_ and len(all_) == 48
    record_property("counted cells by several writers", {"in the same sweep": 24 * writers})


def _names(folder):
    return storage.names(folder / "all" / "fake")


@pytest.mark.parametrize("cells", [5, pytest.param(100, marks=pytest.mark.slow)])
def test_of_those_who_write_a_cell_at_one_instant_the_first_ones_stays(
    tmp_path, cells, record_property
):
    """Their arrays differ, as those of two kinds of machines do in the last digits."""
    (tmp_path / "cells").mkdir()
    writers = [tools.start("-c", WRITER, tmp_path, number, cells) for number in range(3)]
    assert [writer.stdout.readline() for writer in writers] == ["ready\n"] * 3
    firsts = collections.Counter()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for seed in range(cells):
            cell = {"stem": "s", "study": "t", "version": 1, "config": {}, "seed": seed}
            name = storage.cell_name({**cell, "data": None})
            (tmp_path / f"go {seed}").touch()
            while (found := storage.read(tmp_path / "cells", name)) is None:
                pass
            number = found.sidecar["writer"]
            assert np.all(found.arrays["x"] == number)
            firsts[f"first from process {number}"] += 1
    assert [writer.communicate() for writer in writers] == [("done\n", "")] * 3
    for path in (tmp_path / "cells").glob("*.json"):
        number = json.loads(path.read_text())["writer"]
        assert np.all(storage.read(tmp_path / "cells", path.stem).arrays["x"] == number)
    assert len(tools.contents(tmp_path / "cells")) == 2 * cells
    record_property("counted cells by several writers", dict(firsts))
