"""A folder that cannot be written ends a command with one line before it works; reading goes on."""

import pytest

from tests.robustness.crash import tools

THEOREM = "wide.flip_mass"
COMMANDS = {
    "run": ("-m", "twolayer", *tools.SWEEP, "2", "--results"),
    "figures": ("-m", "twolayer", "draw", "perturbation.wide", "--scale", "smoke", "--out"),
    "report": ("-m", "twolayer", "report", "perturbation.wide", "--scale", "smoke", "--out"),
    "verify": ("-m", "twolayer", "verify", THEOREM, "--instances", "4", "--json"),
    "falsify": ("-m", "twolayer", "falsify", THEOREM, "--budget", "0", "--json"),
    "save": ("-c", tools.FALSE_THEOREM, "falsify", THEOREM, "--budget", "0", "--save"),
    "bench": ("-c", tools.BENCH, "--json"),
    "submit": (
        *("-m", "twolayer", "submit", "perturbation.wide", "--scale", "smoke", "--only", "m=100"),
        *("--cluster", "local", "--logs"),
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("made", [True, False], ids=["there", "not there"])
@pytest.mark.parametrize("name", COMMANDS)
def test_one_line_and_status_2(disk, smoke, tmp_path, name, made):
    (disk.path / "old").mkdir()
    disk.change("ro")
    command, target = COMMANDS[name], disk.path / ("old" if made else "new")
    if command[-1] == "--json":
        target = target / "rows.json"
    command = (*command, target)
    if name in ("figures", "report"):
        command = (*command, "--results", smoke)
    if name == "submit":
        command = (*command, "--results", tmp_path / "other")
    code, out, err = tools.run(*command)
    assert (code, out, err.count("\n")) == (2, "", 1), err
    assert str(disk.path) in err
    assert "Read-only file system; name another folder" in err or "in a writable folder" in err


@pytest.mark.slow
def test_stored_results_can_be_read_there(disk, tmp_path):
    assert tools.run("-m", "twolayer", *tools.SWEEP, "2", "--results", disk.path)[0] == 0
    disk.change("ro")
    code, out, err = tools.run("-m", "twolayer", "status", "--results", disk.path)
    assert (code, err) == (0, "") and "perturbation.wide" in out
