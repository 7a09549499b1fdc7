import dataclasses
import math
import threading
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from twolayer.sims.engine import execution, experiment
from twolayer.sims.engine.claims import Claim
from twolayer.sims.engine.experiment import Experiment, Study, traced

# Claims.


@pytest.mark.parametrize(
    ("kind", "measured", "held"),
    [
        ("close", 1.25, True),
        ("close", 0.75, True),
        ("close", 1.3, False),
        ("close", math.nan, False),
        ("at_least", 9.0, True),
        ("at_least", 0.75, True),
        ("at_least", 0.7, False),
        ("at_least", math.inf, True),
        ("at_least", math.nan, False),
        ("at_most", -9.0, True),
        ("at_most", 1.25, True),
        ("at_most", 1.3, False),
        ("at_most", math.nan, False),
        ("context", 9.0, None),
        ("context", math.nan, None),
    ],
)
def test_claim_verdicts(kind, measured, held):
    claim = Claim("a.b", "Section 3", 1.0, measured, tolerance=0.25, kind=kind, note="one seed")
    assert claim.held is held
    line = claim.describe()
    assert "\n" not in line and "a.b" in line and "Section 3; one seed" in line
    assert line.startswith({True: "held", False: "NOT HELD", None: "context"}[held])


def test_claim_arguments_are_checked(rejects):
    with rejects("kind of claim a must be one of close, at_least, at_most, context; got 'near'"):
        Claim("a", "s", 1.0, 1.0, kind="near")
    with rejects("tolerance of claim a must be in [0, inf)"):
        Claim("a", "s", 1.0, 1.0, tolerance=-1.0)


# The contract of a study.


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tiny:
    size: int = 2
    scale_by: float = traced(1.0)


def study(**changes):
    given = {
        "name": "t",
        "config_type": Tiny,
        "simulate": lambda key, config, inputs: {"x": jnp.ones(config.size) * config.scale_by},
        "cells": {"smoke": {"a": (Tiny(), 1)}},
        "dims": {"x": ("i",)},
        "coords": lambda config: {"i": list(range(config.size))},
    }
    return Study(**{**given, **changes})


def test_studies_check_their_tables(rejects):
    with rejects("scale of study t must be one of smoke, default, paper; got 'tiny'"):
        study(cells={"tiny": {}})
    with rejects("config of t/a must be a Tiny"):
        study(cells={"smoke": {"a": ({}, 1)}})
    with rejects("number of seeds of t/a must be at least 1; got 0"):
        study(cells={"smoke": {"a": (Tiny(), 0)}})
    with rejects("config of t/a must be hashable, so a frozen dataclass without lists"):
        study(cells={"smoke": {"a": (Tiny(size=[2]), 1)}})
    with rejects("dims of t must leave out the seed axis"):
        study(dims={"x": ("seed", "i")})
    reserved = dataclasses.make_dataclass("Reserved", [("data", str, "")], frozen=True)
    with rejects("fields of Reserved must not be called scale, seeds, results, data"):
        study(config_type=reserved, cells={})
    with rejects("studies of s must have distinct names; got ['t', 't']"):
        Experiment("s", "title", (study(), study()), claims=lambda results: [])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"dims": {"y": ("i",)}}, "results of t must be y, as its dims say; got x"),
        ({"dims": {"x": ("j",)}}, "coords of t must have j, for x"),
        ({"dims": {"x": ()}}, "result x of t must have shape (), axes ; got (2,)"),
        ({"coords": lambda _: {"i": [1]}}, "result x of t must have shape (1,), axes i; got (2,)"),
    ],
)
def test_results_that_are_not_as_declared_are_rejected(rejects, changes, words):
    with rejects(words):
        execution.results(study(**changes), Tiny(), [0], None)


def test_map_seeds_is_the_same_on_both_kinds_of_device(monkeypatch):
    keys = jax.random.split(jax.random.key(0), 3)

    def draw(key):
        return {"x": jax.random.normal(key, (2,))}

    one_by_one = experiment.map_seeds(draw, keys)
    np.testing.assert_array_equal(experiment.map_seeds(draw, keys[:1])["x"], one_by_one["x"][:1])
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    np.testing.assert_array_equal(experiment.map_seeds(draw, keys)["x"], one_by_one["x"])


def test_items_are_computed_side_by_side():
    meeting = threading.Barrier(2, timeout=20)

    def meet(item):
        meeting.wait()
        return item + 10

    assert dict(execution.side_by_side(meet, [1, 2, 3, 4], workers=2)) == {
        1: 11,
        2: 12,
        3: 13,
        4: 14,
    }


def test_nothing_begins_after_an_error():
    begun = []

    def fail(item):
        begun.append(item)
        time.sleep(0.01)
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        list(execution.side_by_side(fail, range(1000), workers=1))
    assert len(begun) < 1000


def test_traced_numbers_do_not_change_the_dtype():
    def simulate(key, config, inputs):
        assert config.scale_by.weak_type
        return {"x": jnp.ones(config.size, jnp.float32) * config.scale_by}

    [result] = execution.results(study(simulate=simulate), Tiny(scale_by=3), [0], None)
    assert result["x"].dtype == np.float32 and result["x"].tolist() == [3, 3]
