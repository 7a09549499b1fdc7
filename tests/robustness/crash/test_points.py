"""A process that ends anywhere within the writing of a cell leaves a whole cell or none, or the old
one where it replaces one.
"""

import subprocess
import sys

import pytest

from tests.robustness.crash import tools

# Ends a forked process before and after every call that the two modules make on their way to the
# disk, and looks at what it has left. Prints how many processes ended without the new cell and with
# it. With the word "replace" there is a stale cell before.
CODE = """
import os, sys, warnings, pathlib, itertools
import numpy as np
from twolayer.sims.engine import storage
from twolayer.host import atomic_io as files

warnings.simplefilter("error")
root = pathlib.Path(sys.argv[1])
cell = {"stem": "s", "study": "t", "version": 1, "config": {}, "seed": 0, "data": None}
replaces = sys.argv[2] == "replace"
old, arrays = {"x": np.zeros(500)}, {"x": np.arange(1000.0)}
name = storage.cell_name(cell)
there = {False: 0, True: 0}

def end_at(fatal):
    events = itertools.count()
    def see(frame, event, argument):
        if frame.f_code.co_filename in (storage.__file__, files.__file__):
            if next(events) == fatal:
                os._exit(9)
    sys.setprofile(see)

for fatal in itertools.count():
    folder = root / str(fatal)
    folder.mkdir()
    if replaces:
        storage.write(folder, cell, old, {"made": 0})
    child = os.fork()
    if child == 0:
        end_at(fatal)
        stale = lambda sidecar: sidecar["made"] == 0
        storage.write(folder, cell, arrays, {"made": 1}, is_stale=stale)
        sys.setprofile(None)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    found = storage.read(folder, name)
    assert found is not None or not replaces
    new = found is not None and found.sidecar["made"] == 1
    assert found is None or np.array_equal(found.arrays["x"], (arrays if new else old)["x"])
    there[new] += 1
    files.prepare("folder", folder)
    storage.settle(folder)
    assert (storage.read(folder, name) is None) == (found is None)
    storage.write(folder, cell, arrays, {"made": 2}, is_stale=lambda sidecar: sidecar["made"] < 2)
    assert storage.read(folder, name) is not None
    assert sorted(path.name for path in folder.iterdir()) == [f"{name}.json", f"{name}.npz"]
    if status == 0:
        break
    assert status == 9
print(there[False], there[True])
"""


@pytest.mark.parametrize("how", ["write", "replace"])
def test_ended_at_every_point_of_a_write(tmp_path, record_property, how):
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(tmp_path), how],
        env=tools.ENVIRONMENT,
        capture_output=True,
        text=True,
    )
    assert done.stderr == ""
    absent, whole = map(int, done.stdout.split())
    assert absent > 40 and whole > 5
    ends = {"without the new cell": absent, "with it": whole}
    record_property("counted ends within a write", ends)
