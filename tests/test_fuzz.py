"""Every public function is called with valid and invalid arguments: see tests/fuzz.py."""

import collections
import inspect
import re
import zlib

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings

from tests import fuzz, fuzz_cases, fuzz_functions, fuzz_table

FUZZED = fuzz_functions.fuzzed()


def examine(name, examples, record_property):
    """Call a function so many times, and report all of its defects at once."""
    outcomes, defects = collections.Counter(), {}

    # All defects of a function are wanted, not the smallest example of one. By its own seed each
    # function is called in other ways, which no change of this file changes.
    @seed(zlib.crc32(name.encode()))
    @settings(
        max_examples=examples,
        phases=[Phase.generate],
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(fuzz_cases.RECIPES)
    def call(recipe):
        case = fuzz_cases.make_case(name, recipe)
        try:
            outcomes[fuzz.outcome(case)] += 1
        except fuzz.Defect as defect:
            defects[case.story] = str(defect)

    call()
    record_property("counted calls", dict(outcomes))
    assert not defects, "\n".join(defects.values())
    assert outcomes["result"], f"{name} never gave a result: its entries in TABLE are wrong"


@pytest.mark.parametrize("name", FUZZED)
def test_valid_and_invalid_arguments(name, record_property):
    examine(name, 5, record_property)


@pytest.mark.slow
@pytest.mark.parametrize("name", FUZZED)
def test_many_valid_and_invalid_arguments(name, record_property):
    examine(name, 200, record_property)


def test_what_is_left_out_is_there_and_what_may_be_is_documented():
    names = list(fuzz_functions.functions())
    assert all(
        any(fuzz_functions.matches(name, [key]) for name in names) for key in fuzz_table.EXCLUDED
    )
    raises = {name: words for name, (_, words) in fuzz_table.RAISES.items()}
    for name, words in [*fuzz_table.LIMITS.items(), *raises.items()]:
        function = fuzz_functions.functions()[name]
        documented = re.sub(r"\s+", " ", inspect.getsource(inspect.getmodule(function)))
        assert words in documented, name


def test_every_entry_of_the_table_is_used():
    used = set()
    for name in FUZZED:
        module = name.rpartition(".")[0]
        for parameter in inspect.signature(fuzz_functions.functions()[name]).parameters:
            entries = (f"{name}:{parameter}", f"{module}:{parameter}", parameter)
            used |= {next((entry for entry in entries if entry in fuzz_table.TABLE), parameter)}
    assert not set(fuzz_table.TABLE) - used
