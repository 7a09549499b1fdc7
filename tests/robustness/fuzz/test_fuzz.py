"""Every public function is called with valid and invalid arguments, and its values compared."""

import collections
import inspect
import re

import jax
import numpy as np
import pytest

from tests.robustness.fuzz import calls, cases, domains, functions, relations, values

FUZZED = functions.fuzzed()


@pytest.fixture
def compiled_alone():
    """A thousand programs of one function go before those of the next are compiled."""
    yield
    jax.clear_caches()


def examine(name, ways, record_property):
    """Call a function in some ways, and report all of its defects at once."""
    outcomes, defects = collections.Counter(), {}
    for way in ways:
        # By its own seed each way has the same numbers whatever else is called.
        case = cases.make_case(name, way, seed=functions.seed_of(name, way))
        try:
            outcomes[calls.outcome(case)] += 1
        except calls.Defect as defect:
            defects[case.story] = str(defect)
    record_property("counted calls", dict(outcomes))
    assert not defects, "\n".join(defects.values())
    assert outcomes["result"], f"{name} never gave a result: its entries in TABLE are wrong"


@pytest.mark.parametrize("name", FUZZED)
def test_valid_and_invalid_arguments(name, record_property):
    every, rng = cases.ways(name), np.random.default_rng(functions.seed_of(name))
    few = [
        ways[index]
        for ways, number in ((every["others"], 2), (every["wrong"], 3))
        for index in rng.permutation(len(ways))[:number]
    ]
    examine(name, [every["others"][0], *few], record_property)


@pytest.mark.slow
@pytest.mark.parametrize("name", FUZZED)
def test_every_way_of_valid_and_invalid_arguments(name, record_property, compiled_alone):
    every = cases.ways(name)
    examine(name, every["others"] + every["wrong"], record_property)


@pytest.mark.parametrize("name", [name for name in FUZZED if name not in domains.EAGER])
def test_values_of_calls_in_two_ways(name):
    complaints = [
        complaint
        for program in values.programs(name, thorough=False)
        for relation in relations.by_turns(name)
        for complaint in relation.complaints(program)
    ]
    assert not complaints, "\n".join(complaints)


@pytest.mark.slow
@pytest.mark.parametrize("name", FUZZED)
def test_values_of_calls_in_every_two_ways(name, compiled_alone):
    programs = list(values.programs(name, thorough=True))
    assert programs, f"{name} never gave a result: its entries in TABLE are wrong"
    complaints = [
        complaint
        for program in programs
        for relation in relations.RELATIONS.values()
        if relation.applies(name)
        for complaint in relation.complaints(program)
    ]
    assert not complaints, "\n".join(complaints)


def test_what_is_left_out_is_there_and_what_may_be_is_documented():
    names = list(functions.functions())
    left_out = [domains.EXCLUDED, *(one.unless for one in relations.RELATIONS.values())]
    for key in (key for keys in left_out for key in keys):
        assert any(functions.matches(name, [key]) for name in names), key
    raises = {name: words for name, (_, words) in domains.RAISES.items()}
    for name, words in [*domains.LIMITS.items(), *raises.items()]:
        function = functions.functions()[name]
        documented = re.sub(r"\s+", " ", inspect.getsource(inspect.getmodule(function)))
        assert words in documented, name


def test_every_entry_of_the_table_is_used():
    used = set()
    for name in FUZZED:
        module = name.rpartition(".")[0]
        for parameter in inspect.signature(functions.functions()[name]).parameters:
            entries = (f"{name}:{parameter}", f"{module}:{parameter}", parameter)
            used |= {next((entry for entry in entries if entry in functions.table()), parameter)}
    assert not set(functions.table()) - used
