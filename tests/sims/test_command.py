import importlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from twolayer.cli.main import main
from twolayer.sims.engine import registry

TESTS = Path(__file__).parent
# The command, with the stem of the tests in its catalogue.
COMMAND = (
    "from twolayer.sims.engine import registry; registry.STEMS['fake'] = 'fake_stem'; "
    "from twolayer.cli.main import main; main()"
)
ENVIRONMENT = {**os.environ, "PYTHONPATH": f"{TESTS.parents[1]}{os.pathsep}{TESTS}"}


@pytest.fixture
def fake(monkeypatch):
    monkeypatch.syspath_prepend(str(TESTS))
    monkeypatch.setitem(registry.STEMS, "fake", "fake_stem")
    return importlib.import_module("fake_stem")


def start(*arguments):
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND, *map(str, arguments)],
        env=ENVIRONMENT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def wait_for(condition, process):
    limit = time.monotonic() + 60
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < limit
        time.sleep(0.001)


def cells(folder, ending="npz"):
    return {path.name: path.read_bytes() for path in (folder / "fake").glob(f"*.{ending}")}


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """The arrays of a run in one go, as bytes."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    out, err = start("run", "fake", "--results", folder).communicate(timeout=120)
    assert err == "" and f"results in {folder}" in out
    done = cells(folder)
    assert len(done) == 24
    return done


def test_a_run_that_is_killed_again_and_again_ends_with_the_same_bytes(uninterrupted, tmp_path):
    draw = random.Random(0)
    for number_done in (0, 5, 12, 18):
        process = start("run", "fake", "--results", tmp_path)
        wait_for(lambda n=number_done: len(cells(tmp_path, "json")) >= n, process)
        time.sleep(draw.uniform(0, 0.02) if number_done else 1.0)
        process.kill()
        process.communicate()
        kept = cells(tmp_path)
        assert kept.items() <= uninterrupted.items()
    out, err = start("run", "fake", "--results", tmp_path).communicate(timeout=120)
    assert err == ""
    assert cells(tmp_path) == uninterrupted


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["INT", "TERM"]
)
def test_a_signal_stops_a_run_at_once_amid_a_computation(tmp_path, number, status):
    """The cell of this scale is one compiled call of minutes."""
    process = start("run", "fake", "--scale", "paper", "--results", tmp_path)
    wait_for((tmp_path / "fake").exists, process)
    time.sleep(1.0)
    process.send_signal(number)
    out, err = process.communicate(timeout=5)
    assert process.returncode == status
    assert (out, err) == ("", "stopped: 0 of 1 cells done; the same command resumes\n")


def test_a_deleted_cell_is_named_and_computed_again(uninterrupted, tmp_path, fake, capsys):
    main(["run", "fake", "--results", str(tmp_path)])
    assert "missing: " not in capsys.readouterr().out
    gone = sorted((tmp_path / "fake").glob("*.json"))[3]
    cell = json.loads(gone.read_text())["cell"]
    gone.unlink()
    main(["run", "fake", "--results", str(tmp_path)])
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "missing: " in line]
    assert line.startswith(f"missing: {cell['study']}/") and line.endswith(f"seed {cell['seed']}")
    assert cells(tmp_path) == uninterrupted


def test_a_stopped_run_says_how_far_it_came_and_resumes(uninterrupted, tmp_path):
    process = start("run", "fake", "--results", tmp_path)
    wait_for(lambda: len(cells(tmp_path, "json")) >= 2, process)
    process.terminate()
    _, err = process.communicate(timeout=5)
    assert process.returncode == 143
    assert err.splitlines()[-1].startswith("stopped: ") and "of 24 cells done" in err
    done = len(cells(tmp_path, "json"))
    assert 2 <= done < 24
    out, _ = start("run", "fake", "--results", tmp_path).communicate(timeout=120)
    table = [line.split() for line in out.splitlines() if line.startswith("walk/")]
    assert sum(int(row[3]) for row in table) == done
    assert cells(tmp_path) == uninterrupted


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["status", "--help"]])
def test_help_imports_nothing_slow(arguments):
    code = (
        "import sys; from twolayer.cli.main import main\n"
        f"try: main({arguments})\n"
        "except SystemExit as end: assert end.code == 0\n"
        "print('slow:', {'jax', 'numpy', 'tqdm', 'sklearn'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=ENVIRONMENT, capture_output=True, text=True, check=True
    )
    assert "usage: twolayer" in done.stdout and "slow: set()" in done.stdout


def test_help_of_a_stem_lists_every_field(fake, capsys):
    with pytest.raises(SystemExit) as end:
        main(["run", "fake", "--help"])
    shown = capsys.readouterr().out
    assert end.value.code == 0
    options = ("--scale", "--seeds", "--results", "--data", "--only")
    for option in (*options, "--gamma", "--rates", "--width", "--images"):
        assert option in shown


def test_run_overrides_list_and_status(fake, tmp_path, capsys):
    smoke = ["run", "fake", "--scale", "smoke", "--results", str(tmp_path)]
    walks = ["--only", "gamma 0.0", "gamma 0.5"]
    main([*smoke, *walks, "--seeds", "1"])
    out = capsys.readouterr().out.splitlines()
    assert [line.split()[1:4] for line in out[1:-1]] == [["0.0", "1", "0"], ["0.5", "1", "0"]]
    main([*smoke, *walks, "--rates", "1", "2", "3", "--width=5", "--gamma", "0.25"])
    names = {path.stem for path in (tmp_path / "fake").glob("*.json")}
    assert len(names) == 4
    capsys.readouterr()
    main(["status", "fake", "--results", str(tmp_path)])
    *table, others = capsys.readouterr().out.splitlines()
    assert [line.split() for line in table] == [
        ["study", "scale", "done", "total"],
        ["fake", "smoke", "2", "7"],
        ["fake", "default", "0", "24"],
        ["fake", "paper", "0", "1"],
    ]
    assert others == "also stored: fake walk/gamma 0.25, rates=1,2,3, width=5, seeds 0, 1"


def test_list_names_the_stems(fake, capsys, monkeypatch):
    monkeypatch.setattr(registry, "STEMS", {"fake": "fake_stem"})
    main(["list", "studies"])
    assert "fake     A random walk and some pixels\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["walk"], "COMMAND must be one of list, show"),
        (["run"], "Missing from twolayer run: STUDY"),
        (["run", "--scale", "smoke", "fake"], "STUDY must come first"),
        (
            ["run", "nope"],
            f"study must be one of {', '.join(registry.STEMS)}, fake; got 'nope'",
        ),
        (
            ["status", "nope"],
            f"study must be one of {', '.join(registry.STEMS)}, fake; got 'nope'",
        ),
        (["run", "fake", "--scale", "s"], "--scale must be one of smoke, default, paper; got s"),
        (["run", "fake", "--seeds", "x"], "--seeds must be int | None; got x"),
        (["run", "fake", "--seeds", "0"], "seeds must be at least 1; got 0"),
        (["run", "fake", "--only", "x"], "only must be one of gamma 0.0, gamma 0.25, gamma 0.5"),
        (["run", "fake", "--gama", "1"], "options must be among --scale, --seeds"),
        (["run", "fake", "1"], "options must be among --scale, --seeds"),
        (["run", "fake", "--width", "1", "--width", "2"], "--width must be given once"),
        (["run", "fake", "--set", "width=1", "width=2"], "--width must be given once"),
        (["run", "fake", "--only"], "--only must be followed by labels; got nothing"),
        (["status", "--results", "/nowhere"], "--results must be a folder of results; got /now"),
        (["list", "--json", "a", "--json", "b"], "--json must be given once; got it 2 times"),
        (["verify", "wide.width", "--budget", "3"], "Unrecognized or misplaced options: --budget"),
        (["run", "fake", "--gamma", "x"], "--gamma must be float; got x"),
        (["run", "fake", "--gamma"], "--gamma must be float; got nothing"),
        (["run", "fake", "--gamma=x"], "--gamma must be float; got x"),
        (["run", "fake", "--gamma", "1.5"], "gamma must be in [0, 1); got 1.5"),
        (["run", "fake", "--gamma", "-1"], "gamma must be in [0, 1); got -1.0"),
        (["run", "fake", "--rates", "1", "b"], "--rates must be tuple[float, ...]; got 1 b"),
        (["run", "fake", "--width", "1.5"], "--width must be int; got 1.5"),
        (["run", "fake", "--images", "x"], "overrides must be fields of the selected configs"),
        (["run", "fake", "--data", "/nowhere"], "data must be a folder; got '/nowhere'"),
        (["run", "fake", "--results", "/dev/null/x"], "/dev/null/x/fake cannot be written"),
    ],
)
def test_wrong_input_is_named_in_one_line(fake, refuses, arguments, words):
    refuses(main, arguments, words)


def test_no_option_is_suggested_that_was_refused(capsys):
    with pytest.raises(SystemExit):
        main(["verify", "wide.width", "--budget", "3"])
    assert "did you mean" not in capsys.readouterr().err


def test_missing_data_is_an_error_of_the_command(fake, tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("TWOLAYER_DATA", raising=False)
    with pytest.raises(SystemExit) as end:
        main(["run", "fake", "--scale", "smoke", "--results", str(tmp_path)])
    assert end.value.code == 2
    assert "data 'tiny' not found" in capsys.readouterr().err
    assert not cells(tmp_path)


def test_errors_of_a_computation_are_not_taken_for_wrong_input(fake, tmp_path, monkeypatch):
    def fail(*_):
        raise ValueError("shapes do not match")

    monkeypatch.setattr("twolayer.sims.engine.execution.results", fail)
    with pytest.raises(ValueError, match="shapes do not match"):
        main(["run", "fake", "--results", str(tmp_path)])
