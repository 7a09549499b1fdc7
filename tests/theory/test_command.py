import dataclasses
import functools
import json
import math
import subprocess
import sys
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from twolayer.cli import theorem_command
from twolayer.cli.main import main
from twolayer.host import atomic_io
from twolayer.theory.verification import inequality, intervals, registry
from twolayer.theory.verification.intervals import Inequality, Statement

CHEAP = "wide.flip_mass"


def test_list_has_every_theorem_study_and_figure(capsys, tmp_path):
    path = tmp_path / "list.json"
    assert main(["list", "--json", str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    starts = {line.split()[0] for line in lines if line}
    assert starts >= {*registry.THEOREMS, "perturbation.wide", "perturbation.wide/law"}
    rows = json.loads(path.read_text())
    assert {row["name"] for row in rows if row["kind"] == "theorems"} == set(registry.THEOREMS)


def test_list_of_one_kind(capsys):
    assert main(["list", "studies"]) == 0
    out = capsys.readouterr().out
    assert "mixup.collapse" in out and "wide.direction" not in out


def test_show_tells_all_of_a_theorem(capsys):
    true = registry.THEOREMS["wide.width"]
    assert main(["show", "wide.width"]) == 0
    out = capsys.readouterr().out
    assert true.statement in out and true.source in out and "with probability at least 0.95" in out
    assert all(word in out for word in (*true.parameters, *true.controls, *true.searchable))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("perturbation.wide", "sweep       default       100"),
        ("wide", "sweep       default       100"),
        ("perturbation.wide/law", "law"),
    ],
)
def test_show_tells_of_studies_and_figures(name, words, capsys):
    assert main(["show", name]) == 0
    out = capsys.readouterr().out
    assert name in out.splitlines()[0] and words in out


def test_certify_counts_decisions(capsys, tmp_path):
    pytest.importorskip("flint")
    path = tmp_path / "decided.json"
    assert main(["certify", CHEAP, "--instances", "4", "--json", str(path)]) == 0
    assert f"{CHEAP}  4 PROVED, 0 REFUTED" in capsys.readouterr().out
    assert json.loads(path.read_text())[0]["decided"]["PROVED"] == 4
    # What was asked for and not given is no success.
    assert main(["certify", "wide.lazy_training"]) == 1
    assert "nothing was decided" in capsys.readouterr().out


@pytest.fixture(scope="module")
def verified(tmp_path_factory):
    """One run of the command: exit code, and the file that it wrote."""
    path = tmp_path_factory.mktemp("verdicts") / "verdicts.json"
    return main(["verify", CHEAP, "--instances", "4", "--seed", "5", "--json", str(path)]), path


def test_verify_writes_what_it_found(verified, capsys):
    code, path = verified
    assert code == 0
    assert list(path.parent.iterdir()) == [path]  # no partial file stays
    (row,) = json.loads(path.read_text())
    assert row["name"] == CHEAP and row["status"] == "HELD" and row["missed"] == []
    assert row["instances"] == 128 and row["violations"] == row["allowed"] == row["vacuous"] == 0
    assert row["seed"] == 5 and row["seconds"] > 0 and row["controls"]["3.9 in place of 4"] > 0
    assert 0 < row["worst_slack"] < 1 and 0 < row["tightness"] < 1
    assert row["statement"] == registry.THEOREMS[CHEAP].statement


def test_verify_prints_a_row_a_theorem(verified, capsys):
    assert main(["verify", CHEAP, "--instances", "4"]) == 0
    header, row, *rest = capsys.readouterr().out.splitlines()
    assert header.split()[:3] == ["theorem", "verdict", "instances"]
    assert row.split()[:3] == [CHEAP, "HELD", "128"] and "[derived]" in row
    assert any(line.startswith("1 of 1 held.") for line in rest)


def test_several_theorems_are_judged_in_processes_as_alone(verified, capsys, tmp_path):
    """Verdicts depend neither on the company nor on how programs are compiled there."""
    path = tmp_path / "verdicts.json"
    command = ["verify", "wide.width", CHEAP, "--instances", "4", "--seed", "5"]
    assert main([*command, "--json", str(path)]) == 0
    assert [row["name"] for row in json.loads(path.read_text())] == ["wide.width", CHEAP]
    (alone,) = json.loads(verified[1].read_text())
    beside = json.loads(path.read_text())[1]
    for row in (alone, beside):
        assert atomic_io.is_intact(row)
        del row["seconds"], row["digest"]
    for number in ("worst_slack", "tightness"):
        assert alone.pop(number) == pytest.approx(beside.pop(number), rel=1e-9)
    assert alone == beside


def test_theorem_that_fails_is_exit_code_1(verified, capsys, monkeypatch, tmp_path):
    true = registry.THEOREMS[CHEAP]
    false = dataclasses.replace(true, conclusions=true.controls["3.9 in place of 4"].conclusions)
    monkeypatch.setitem(registry.THEOREMS, CHEAP, false)
    path, folder = tmp_path / "verdicts.json", tmp_path / "broken"
    command = ["verify", CHEAP, "--instances", "4", "--json", str(path), "--seed", "3"]
    assert main([*command, "--save", str(folder)]) == 1
    out = capsys.readouterr().out
    assert "VIOLATED" in out and "0 of 1 held." in out
    (row,) = json.loads(path.read_text())
    assert row["status"] == "VIOLATED"
    # The instance is kept, with all that is needed to find it again.
    file = folder / f"{CHEAP}.npz"
    assert row["counterexample"] == str(file) and f"saved as {file}" in out
    with np.load(file) as stored:
        assert stored["seed"] == 3
        assert all(f"parameters['{name}']" in stored for name in false.parameters)
        assert all(f"size['{name}']" in stored for name in false.sizes[0])
        assert np.any(stored["conclusions['mean'].lhs"] > stored["conclusions['mean'].rhs"])


def test_hypotheses_that_never_hold_are_exit_code_1(capsys, monkeypatch, tmp_path):
    def never(instance):
        return {"never": inequality.Bound(lhs=jnp.ones(()), rhs=jnp.zeros(()))}

    vacuous = dataclasses.replace(registry.THEOREMS[CHEAP], hypotheses=never)
    monkeypatch.setitem(registry.THEOREMS, CHEAP, vacuous)
    path = tmp_path / "attacks.json"
    assert main(["falsify", CHEAP, "--budget", "0", "--json", str(path)]) == 1
    out = capsys.readouterr().out
    assert out.splitlines()[1].split()[:2] == [CHEAP, "VACUOUS"]
    (row,) = json.loads(path.read_text())
    assert row["status"] == "VACUOUS" and not row["falsified"] and row["closest"] is None


@pytest.mark.parametrize(
    "ratio, shown",
    [(0.99995, "0.99995"), (1.00002, "1.00002"), (1 + 2e-9, "1+2.0e-09"), (1 - 3e-8, "1-3.0e-08")],
)
def test_ratios_are_shown_with_the_digits_that_decide(ratio, shown):
    assert theorem_command.ratio(ratio) == shown
    assert theorem_command.ratio(1.0) == "1" and theorem_command.ratio(math.nan) == "-"


def test_control_that_is_missed_is_exit_code_1_and_named(verified, capsys, monkeypatch):
    true = registry.THEOREMS[CHEAP]
    toothless = {
        "toothless": dataclasses.replace(true.controls["3.9 in place of 4"], conclusions=None)
    }
    monkeypatch.setitem(registry.THEOREMS, CHEAP, dataclasses.replace(true, controls=toothless))
    assert main(["verify", CHEAP, "--instances", "4"]) == 1
    out = capsys.readouterr().out
    assert "CONTROL MISSED" in out and "control not caught: toothless" in out


def test_certified_verdicts_are_counted(verified, capsys, tmp_path):
    pytest.importorskip("flint")
    path = tmp_path / "verdicts.json"
    command = ["verify", CHEAP, "--instances", "4", "--certified", "--json", str(path)]
    assert main(command) == 0
    counts = "certified: 4 PROVED, 0 REFUTED, 0 UNDECIDED, 0 VACUOUS"
    assert counts in capsys.readouterr().out
    assert json.loads(path.read_text())[0]["certified"]["PROVED"] == 4


def test_certified_form_that_is_refuted_is_exit_code_1(verified, capsys, monkeypatch):
    pytest.importorskip("flint")

    true = registry.THEOREMS[CHEAP]

    def reverse(at):
        (bound,) = true.interval_form(at).conclusions
        return Statement([Inequality(bound.rhs, bound.lhs)])

    false = dataclasses.replace(true, interval_form=reverse)
    monkeypatch.setitem(registry.THEOREMS, CHEAP, false)
    assert main(["verify", CHEAP, "--instances", "4", "--certified"]) == 1
    assert "certified: 0 PROVED, 4 REFUTED" in capsys.readouterr().out
    formless = dataclasses.replace(true, interval_form=None)
    monkeypatch.setitem(registry.THEOREMS, CHEAP, formless)
    assert main(["verify", CHEAP, "--instances", "4", "--certified"]) == 0
    assert "certified: no certified form" in capsys.readouterr().out


def test_certified_verdicts_without_the_package_are_exit_code_2(refuses, monkeypatch):
    def missing():
        raise ImportError("Certified verdicts need python-flint.")

    monkeypatch.setattr(intervals, "_flint", missing)
    for arguments in (["verify", CHEAP, "--certified"], ["certify", CHEAP]):
        refuses(main, arguments, "need python-flint")


def test_falsify_finds_nothing_in_a_true_theorem(capsys, tmp_path):
    path = tmp_path / "attacks.json"
    command = ["falsify", CHEAP, "--budget", "0", "--seed", "5", "--json", str(path)]
    assert main(command) == 0
    header, row, *rest = capsys.readouterr().out.splitlines()
    assert header.split()[:4] == ["theorem", "result", "restarts", "steps"]
    assert row.split()[:4] == [CHEAP, "none", "32", "1600"] and "[derived]" in row
    assert any(line.startswith("0 of 1 falsified.") for line in rest)
    (found,) = json.loads(path.read_text())
    assert found["name"] == CHEAP and not found["falsified"] and found["counterexample"] is None
    assert found["seed"] == 5 and 0.999 < found["closest"] <= 1 and 0 <= found["slack"] < 1e-3
    assert found["statement"] == registry.THEOREMS[CHEAP].statement


def test_counterexample_is_exit_code_1_and_saved(capsys, monkeypatch, tmp_path):
    true = registry.THEOREMS[CHEAP]
    false = dataclasses.replace(true, conclusions=true.controls["3.9 in place of 4"].conclusions)
    monkeypatch.setitem(registry.THEOREMS, CHEAP, false)
    folder, path = tmp_path / "new" / "folder", tmp_path / "attacks.json"
    command = ["falsify", CHEAP, "--save", str(folder), "--json", str(path)]
    assert main(command) == 1
    out = capsys.readouterr().out
    assert "FALSIFIED" in out and "1 of 1 falsified." in out
    (file,) = folder.iterdir()  # no partial file stays
    assert file.name == f"{CHEAP}.npz" and str(file) in out
    assert json.loads(path.read_text())[0]["counterexample"] == str(file)
    with np.load(file) as stored:
        assert stored["instance.x"].shape == (2, 2)
        assert np.any(stored["conclusions['mean'].lhs"] > stored["conclusions['mean'].rhs"])


@pytest.mark.parametrize(
    "arguments, words",
    [
        (
            ["verify", "wide.wdth"],
            "NAME must be one of mixup, perturbation, shortcut, calibration, collapse",
        ),
        (["verify", "nothing"], "got 'nothing'."),
        (["verify", CHEAP, "--instances", "0"], "--instances must be at least 1; got 0."),
        (["verify", CHEAP, "--seed", "-1"], "--seed must be at least 0; got -1."),
        (["falsify", CHEAP, "--seed", str(2**63)], f"--seed must be at most {2**63 - 1}; got "),
        (
            ["verify", CHEAP, "--json", "/no/such/folder/verdicts.json"],
            "--json must be a file in a writable folder; got /no/such/folder/verdicts.json.",
        ),
        (["falsify", "wide.wdth"], "NAME must be one of mixup, perturbation"),
        (["falsify", CHEAP, "--budget", "-1"], "--budget must be in [0, inf); got -1.0."),
        (["falsify", CHEAP, "--seed", "-1"], "--seed must be at least 0; got -1."),
        (
            ["falsify", CHEAP, "--save", "/dev/null/x"],
            "--save folder /dev/null/x cannot be written: Not a directory.",
        ),
    ],
)
def test_wrong_arguments_are_exit_code_2_and_one_line(arguments, words, refuses):
    refuses(main, arguments, words)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "COMMAND must be one of list, show, verify, "),
        (["verfy"], "got 'verfy'. Did you mean verify"),
        (["verify", "--instances", "many"], "--instances: invalid literal for int()"),
        (["verify", "--instnces", "3"], "--instnces, 3; did you mean --instances? See twolayer"),
        (["show", "wide.wdth"], "got 'wide.wdth'. Did you mean wide.width"),
    ],
)
def test_unknown_words_are_exit_code_2(arguments, words, refuses):
    refuses(main, arguments, words)


def test_help_comes_from_the_command_line():
    run = functools.partial(
        subprocess.run, capture_output=True, text=True, cwd=Path(__file__).parents[2]
    )
    shown = run([sys.executable, "-m", "twolayer", "--help"])
    assert shown.returncode == 0 and "list" in shown.stdout and "verify" in shown.stdout
    wrong = run([sys.executable, "-m", "twolayer", "show", "nothing"])
    assert wrong.returncode == 2 and "Traceback" not in wrong.stderr
