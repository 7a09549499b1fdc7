"""The record of verdicts: what is put on it, and what counts as a difference."""

import dataclasses

import jax
import pytest

from tests.theory import baseline
from twolayer.theory.verification import inequality, registry

NAME = "wide.effective_time"


@pytest.mark.parametrize(
    "name, record, alike, different",
    [
        ("ratio of outputs", 0.5, 0.504, 0.51),
        ("ratio of outputs", "1e-05", 2e-4, 4e-4),
        ("ratio of outputs", None, None, 0.5),
        ("mean right of outputs", 4e-10, 4.003e-10, 4.01e-10),
        ("mean in the range", 3.0, 3.002, -3.0),
        ("share of a control", 0.9, 0.94, 0.96),
        ("vacuous", 3.0, 4.0, 5.0),
        ("high of parameter scale", 300.0, 300.0, 301.0),
    ],
)
def test_numbers_are_alike_to_what_their_kind_allows(name, record, alike, different):
    assert baseline._alike(name, alike, record)
    assert not baseline._alike(name, different, record)


@pytest.mark.parametrize(
    "name, found, record",
    [
        ("ratio of a", [0.5, 0.5 + 1e-9], 0.5),
        ("ratio of a", [0.5, 0.50001], "5e-01"),
        ("ratio of a", [1.735e-16, 1.804e-16, 1.735e-16], "rounding"),
        ("ratio of a", [0.0, 1e-17], "rounding"),
        ("ratio of a", [0.5, None], "rounding"),
        ("share of a", [0.9, 0.92], 0.9),
        ("share of a", [0.1, 0.2], "rounding"),
        ("ratio of a", [0.0, 0.0], 0.0),
        ("mean right of a", [1e-12, 1e-12], 1e-12),
        ("ratio of a", [None, None], None),
    ],
)
def test_on_record_is_what_all_ways_of_computing_agree_on(name, found, record):
    assert baseline._agreed(name, found) == record


def test_what_is_made_of_rounding_is_not_compared():
    for found in (None, 0.0, 1e-17, 2.0):
        assert baseline._alike("ratio of a", found, "rounding")


def test_other_roundings_move_what_rounding_decides_and_nothing_else():
    """An identity's left side is rounding alone; a control's is not, nor are right sides."""
    runs = [baseline._summary_of(NAME, seed) for seed in (0, 1)]
    moved = {
        name
        for name, number in runs[0].items()
        if baseline._agreed(name, [number, runs[1][name]]) == "rounding"
    }
    assert moved == {"ratio of outputs"}


@pytest.fixture
def changed(monkeypatch):
    """Kinds of numbers that are not those on record once a theorem's fields are others."""

    def differences(**fields):
        statement = dataclasses.replace(registry.THEOREMS[NAME], **fields)
        monkeypatch.setitem(registry.THEOREMS, NAME, statement)
        verdict = baseline.verdict_of(statement)
        found = baseline.differences(statement, verdict, baseline.recorded()[NAME])
        monkeypatch.undo()
        return {line.partition(":")[0] for line in found}

    return differences


def test_a_theorem_that_is_stated_otherwise_differs(changed):
    statement = registry.THEOREMS[NAME]
    assert not changed()
    assert "high of parameter scale" in changed(
        parameters={**statement.parameters, "scale": (0.3, 3.1)}
    )

    def wider(instance):
        return {
            name: inequality.Bound(lhs=bound.lhs, rhs=2 * bound.rhs)
            for name, bound in statement.conclusions(instance).items()
        }

    assert "mean right of outputs" in changed(conclusions=wider)
    (control,) = statement.controls
    weaker = {control: dataclasses.replace(statement.controls[control], conclusions=wider)}
    assert f"mean left of outputs of {control}" in changed(controls=weaker)

    def twice(key, size, parameters):
        return jax.tree.map(lambda leaf: 2 * leaf, statement.sample(key, size, parameters))

    assert any(name.startswith("mean at") for name in changed(sample=twice))
