"""Damaged verdicts, attacks and benchmarks are named; so is nothing but what is damaged."""

import collections
import json
import random

import pytest

from tests.figures.test_report import ATTACK, SPEED, VERDICT
from tests.robustness.crash import damage
from twolayer.cli.main import main
from twolayer.figures.engine import artifacts
from twolayer.host import atomic_io


def rows(row, number):
    return [atomic_io.signed({**row, "name": f"wide.number_{i}", "seed": i}) for i in range(number)]


@pytest.fixture
def folder(tmp_path):
    """What the commands write, as they write it."""
    table = {"machine": {"cpu": "some", "cores": 2}, "code": "some", "rows": [SPEED]}
    written = {
        "theorems": json.dumps(rows(VERDICT, 3), indent=1),
        "attacks": json.dumps(rows(ATTACK, 3), indent=1),
        "bench": json.dumps(atomic_io.signed(table), indent=2),
    }
    for name, text in written.items():
        (tmp_path / f"{name}.json").write_text(text + "\n")
    return tmp_path


@pytest.mark.parametrize("seed", range(4))
def test_read_as_they_were_or_named(folder, seed, record_property):
    intact = {path.name: path.read_bytes() for path in folder.iterdir()}
    expected = artifacts.read(folder)
    assert len(expected.theorems) == len(expected.attacks) == 3 and len(expected.bench) == 1
    draw, kinds = random.Random(seed), collections.Counter()
    for _ in range(100):
        done = damage.random_damage(draw, intact)
        for name, payload in done.files.items():
            (folder / name).write_bytes(payload)
        try:
            found = artifacts.read(folder)
        except ValueError as error:
            assert any(str(folder / name) in str(error) for name in done.files)
            kinds[f"{done.kind} and named"] += 1
        else:
            # White space, or the word before the digest: nothing that is read.
            assert _unsigned(found) == _unsigned(expected), done
            kinds[f"{done.kind} and harmless"] += 1
        for name, payload in intact.items():
            (folder / name).write_bytes(payload)
    record_property("counted corruptions of records", dict(kinds))


def _unsigned(found):
    keys = {*VERDICT, *ATTACK, *SPEED}
    return [
        {name: {key: row[key] for key in row if key in keys} for name, row in table.items()}
        for table in (found.theorems, found.attacks, found.bench)
    ] + [found.machine, found.stale]


@pytest.mark.slow
def test_the_command_ends_with_one_line(smoke, tmp_path, capsys):
    target = smoke / "theorems.json"
    options = ["--scale", "smoke", "--results", str(smoke), "--out", str(tmp_path)]
    for text in ("", "[", "{}", "[" * 100_000, '[{"name": 1}]'):
        target.write_text(text)
        with pytest.raises(SystemExit) as ended:
            main(["report", "perturbation.wide", *options])
        err = capsys.readouterr().err
        assert ended.value.code == 2 and err.count("\n") == 1 and str(target) in err
    target.unlink()


@pytest.mark.parametrize(
    "change",
    [
        {"name": r"\write18{touch x}"},
        {"status": r"\input{/etc/passwd}"},
        {"worst_slack": r"\write18{touch x}"},
        {"instances": "many"},
        {"controls": []},
    ],
)
def test_what_would_become_a_command_of_latex_is_not_taken(tmp_path, rejects, change):
    (tmp_path / "theorems.json").write_text(json.dumps([atomic_io.signed({**VERDICT, **change})]))
    with rejects("theorems.json must be written by twolayer verify --json"):
        artifacts.read(tmp_path)
