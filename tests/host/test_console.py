"""Commands whose reader leaves, whose streams are closed, and whose surroundings lack something."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def shell(line, **variables):
    """A line of bash, in which $PYTHON is this Python; a variable that is None is not set."""
    environment = {**os.environ, "PYTHON": sys.executable, **variables}
    environment = {name: value for name, value in environment.items() if value is not None}
    command = ["bash", "-c", f"set -o pipefail; {line}"]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize("command", ["list", "status"])
def test_a_reader_that_leaves_ends_a_command_without_a_word(command):
    # The reader is gone before anything is written.
    done = shell(f"(sleep 0.2; exec $PYTHON -u -m twolayer {command}) | true")
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("flag", ["", "-u"])
def test_output_without_room_is_told_in_one_line(flag):
    done = shell(f"$PYTHON {flag} -m twolayer list > /dev/full")
    assert done.returncode == 2
    assert done.stderr == "error: output cannot be written: No space left on device\n"


def test_closed_streams_do_not_end_a_command(tmp_path):
    line = (
        f"$PYTHON -m twolayer run mixup.collapse --scale smoke --only ufm/K=3 --results {tmp_path}"
    )
    done = shell(f"{line} 2>&- <&-")
    assert (done.returncode, done.stderr) == (0, "") and "computed" in done.stdout
    assert shell(f"{line} >&-").returncode == 0


def test_a_file_does_not_get_the_number_of_a_closed_stream():
    code = (
        "from twolayer.host import console; "
        "console.run(lambda: print(open('README.md').fileno() > 2))"
    )
    for closed in ("2>&-", "<&-", "2>&- <&-"):
        assert shell(f'$PYTHON -c "{code}" {closed}').stdout == "True\n"


def test_the_status_is_that_of_the_command():
    code = "from twolayer.host import console; console.run(lambda: {})"
    assert [shell(f"$PYTHON -c '{code.format(end)}'").returncode for end in (None, 0, 3)] == [
        0,
        0,
        3,
    ]


def test_an_error_of_the_program_is_status_3():
    code = "from twolayer.host import console; console.run(lambda: [][1])"
    done = shell(f"$PYTHON -c '{code}'")
    assert done.returncode == 3 and done.stderr.splitlines()[-1].startswith("IndexError")


def test_what_an_encoding_lacks_is_escaped():
    ascii_only = {"PYTHONIOENCODING": "ascii", "LC_ALL": "C"}
    done = shell("$PYTHON -m twolayer show shortcut.availability/architecture", **ascii_only)
    assert done.returncode == 0 and "\\u03c1_s" in done.stdout


def test_a_missing_backend_of_a_notebook_does_not_keep_figures_from_being_drawn(tmp_path):
    backend = {"MPLBACKEND": "module://no_such_module.backend_inline"}
    run = f"$PYTHON -m twolayer run mixup.collapse --scale smoke --results {tmp_path}/results"
    draw = f"$PYTHON -m twolayer draw mixup.collapse --scale smoke --results {tmp_path}/results"
    done = shell(f"{run} && {draw} --out {tmp_path}/out", **backend)
    assert done.returncode == 0, done.stderr
    assert list((tmp_path / "out" / "mixup.collapse").glob("*.png"))


@pytest.mark.skipif(not hasattr(os, "setuid") or os.getuid() != 0, reason="needs root")
def test_a_user_without_a_home_computes_without_a_cache():
    code = (
        "import os, jax; from twolayer.host import jax_setup; os.setuid(12345);"
        "jax_setup.configure();"
        "print(jax.config.jax_enable_x64, jax.config.jax_compilation_cache_dir)"
    )
    nowhere = {"HOME": None, "XDG_CACHE_HOME": None, "JAX_COMPILATION_CACHE_DIR": None}
    done = shell(f'$PYTHON -c "{code}"', **nowhere)
    assert (done.stdout, done.stderr) == ("True None\n", "")
