"""A full disk ends a command with one line; what is stored is whole, and the command resumes."""

import json
import re

import pytest

from tests.robustness.crash import tools
from tests.robustness.crash.tools import BENCH, FALSE_THEOREM
from twolayer.host import atomic_io
from twolayer.sims.engine import storage

THEOREM = "wide.flip_mass"
MANY = 300  # cells, which take two megabytes


def one_line(done, status, *words):
    code, _, err = done
    assert (code, err.count("\n")) == (status, 1), done
    for word in words:
        assert word in err


def cells(folder):
    """The names of the cells, all of which are whole."""
    names = storage.names(folder)
    assert all(storage.read(folder, name) for name in names)
    return names


@pytest.mark.slow
def test_a_sweep_stops_and_resumes(disk):
    command = ("-m", "twolayer", *tools.SWEEP, MANY, "--results", disk.path)
    folder = disk.path / "perturbation.wide"
    done = tools.run(*command)
    one_line(done, 1, f"stopped: {folder}", "No space left on device; make room on its disk.")
    before = cells(folder)
    assert f" {len(before)} of {MANY} cells done; the same command resumes\n" in done[2]
    assert 10 < len(before) < MANY
    done = tools.run(*command)
    # What the first run left unfinished may have made room for another cell.
    assert before <= cells(folder)
    before = cells(folder)
    one_line(done, 1, "make room", f" {len(before)} of {MANY} cells done")
    disk.change("size=8m")
    code, out, err = tools.run(*command)
    assert (code, err) == (0, "") and re.search(rf"{MANY - len(before)} +{len(before)} ", out)
    assert before < cells(folder) and len(cells(folder)) == MANY
    assert len(tools.contents(folder)) == 2 * MANY


@pytest.mark.slow
def test_a_sweep_of_processes_stops_and_resumes(disk):
    command = ("-m", "twolayer", *tools.SWEEP, MANY, "--results", disk.path, "--processes", "2")
    code, _, err = tools.run(*command)
    assert code == 1 and "No space left on device; make room on its disk." in err
    assert "Traceback" not in err and err.splitlines()[-1].endswith("the same command resumes")
    before = cells(disk.path / "perturbation.wide")
    disk.change("size=8m")
    assert tools.run(*command)[0] == 0
    assert before < cells(disk.path / "perturbation.wide")


@pytest.mark.slow
def test_a_limit_on_the_size_of_files(tmp_path):
    """Where nothing can be mounted, a limit of the shell's does instead."""
    code = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (600, 600))\n"
    code += "from twolayer.cli.main import main; main()"
    command = (*tools.SWEEP, "3", "--results", tmp_path)
    done = tools.run("-c", code, *command, environment={"JAX_ENABLE_COMPILATION_CACHE": "0"})
    one_line(done, 1, "File too large; raise the limit on the size of files.", "0 of 3 cells done")
    assert not [name for name in tools.contents(tmp_path) if not name.endswith(".npz")]
    assert tools.run("-m", "twolayer", *command)[0] == 0
    assert len(cells(tmp_path / "perturbation.wide")) == 3


@pytest.mark.slow
@pytest.mark.parametrize("word", ["report", "numbers"])
def test_figures_stop_and_go_on(disk, smoke, word, tmp_path):
    if word == "numbers":
        # The numbers are of all stems.
        code = "from twolayer.figures.engine import registry; stem = 'perturbation.wide'\n"
        code += "registry.STEMS = {stem: registry.STEMS[stem]}\n"
        code += "from twolayer.cli.main import main; main()"
        command = ("-c", code, "numbers", "--scale", "smoke")
    else:
        command = ("-m", "twolayer", "report", "perturbation.wide", "--scale", "smoke")
    command = (*command, "--results", smoke, "--out")
    assert tools.run(*command, tmp_path / "whole")[0] == 0
    whole = tools.contents(tmp_path / "whole")
    # The PDF files and PNG files take 1.2 megabytes, the numbers four pages.
    disk.change("size=400k" if word == "report" else "size=8k")
    one_line(
        tools.run(*command, disk.path), 1, "stopped: ", str(disk.path), "No space left", "room"
    )
    found = tools.contents(disk.path)
    assert found.items() <= whole.items() and len(found) < len(whole)
    disk.change("size=8m")
    code, _, err = tools.run(*command, disk.path)
    assert (code, err) == (0, "")
    assert tools.contents(disk.path) == whole


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [
        ("-m", "twolayer", "verify", THEOREM, "--instances", "4", "--json"),
        ("-c", FALSE_THEOREM, "falsify", THEOREM, "--budget", "0", "--save"),
        ("-c", BENCH, "--json"),
    ],
    ids=["verify --json", "falsify --save", "benchmarks --json"],
)
def test_what_is_written_at_the_end(disk, command):
    """The disk gets full after the start, which sees that there is room."""
    target = disk.path if command[-1] == "--save" else disk.path / "rows.json"
    (disk.path / "rows.json").write_text("old")
    process = tools.start(*command, target, environment={"PYTHONUNBUFFERED": "1"})
    process.stdout.readline()
    disk.fill()
    _, err = process.communicate(timeout=300)
    one_line(
        (process.returncode, "", err),
        *(1, f"{disk.path} cannot be written: No space left on device; make room on its disk."),
    )
    assert (disk.path / "rows.json").read_text() == "old"
    assert set(tools.contents(disk.path)) == {"rows.json", "filler"}
    disk.change("size=8m")
    assert tools.run(*command, target)[2] == ""
    if command[-1] == "--save":
        assert set(tools.contents(disk.path)) == {"rows.json", "filler", f"{THEOREM}.npz"}
    else:
        written = json.loads((disk.path / "rows.json").read_text())
        assert all(map(atomic_io.is_intact, written if isinstance(written, list) else [written]))
