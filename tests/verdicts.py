"""What verification finds of every theorem, on record: a statement that got weaker shows here.

A weaker statement still holds, so that its verdict is the same; but its two sides are further
apart. ``python -m tests.verdicts`` writes the record, ``verdicts.json``, with the order of
magnitude alone (``"1e-05"``) for what is decided by rounding and so differs between processors.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax

from theory import catalogue, runtime, theorem
from theory.theorem import Verdict

BLOCK = 16  # one shape, so that all checks of a theorem share what is compiled
RECORD = Path(__file__).with_suffix(".json")
# Numbers on record agree to the first of these between two sets of instructions, one of them
# without fused multiplication and addition.
STABLE = 1e-6
TOLERANCE = 1e-2
# Another processor may decide an instance on the edge otherwise.
INSTANCES = 1.0
SHARE = 0.05
# Smaller ratios are mostly of rounding to its allowance, also where two processors agree on them.
SMALL = 1e-2
# What is decided by rounding stays within this factor of the order of magnitude on record, unless
# both sides happen to be equal: a hundred times the allowance for rounding shows.
ORDERS = 30.0

Summary = dict[str, Any]


def verify(name: str) -> Verdict:
    """The verdict that is on record."""
    return theorem.verify(catalogue.THEOREMS[name], jax.random.key(7), 64, block=BLOCK)


def summary(verdict: Verdict) -> Summary:
    """The numbers of a verdict that say how sharp the statement is, by a flat name."""
    ratios = {f"ratio of {name}": ratio for name, ratio in verdict.ratios.items()}
    shares = {f"share of {name}": share for name, share in verdict.controls.items()}
    found = {"vacuous": float(verdict.vacuous), **ratios, **shares}
    return {name: None if math.isnan(number) else number for name, number in found.items()}


def recorded() -> dict[str, Summary]:
    """All that is on record, by theorem."""
    return json.loads(RECORD.read_text())


def differences(verdict: Verdict, record: Mapping[str, Any]) -> list[str]:
    """In what a verdict is not that on record, beyond rounding."""
    found = summary(verdict)
    names = [*record, *(name for name in found if name not in record)]
    return [
        f"{name}: {found.get(name, 'nothing')} found, {record.get(name, 'nothing')} on record"
        for name in names
        if name not in found or name not in record or not _alike(name, found[name], record[name])
    ]


def _alike(name: str, found: float | None, record: float | str | None) -> bool:
    if found is None or record is None:
        return found is record
    if isinstance(record, str):
        return found == 0 or 1 / ORDERS < abs(found) / float(record) < ORDERS
    if name.startswith("ratio"):
        return _close(found, record, TOLERANCE)
    return abs(found - record) <= (INSTANCES if name == "vacuous" else SHARE)


def _close(a: float | None, b: float | None, tolerance: float) -> bool:
    return a is not None and b is not None and math.isclose(a, b, rel_tol=tolerance, abs_tol=1e-12)


def _agreed(a: float | None, b: float | None) -> float | str | None:
    """What is put on record of two findings."""
    if a is None or b is None:
        if a is not b:
            raise ValueError(f"ratios must be numbers in both runs or in none; got {a} and {b}.")
        return None
    if a == b == 0 or (_close(a, b, STABLE) and abs(a) > SMALL):
        return a
    return f"{math.sqrt(abs(a * b)) or max(abs(a), abs(b)):.0e}"


def _summaries(alone: bool) -> dict[str, Summary]:
    if alone:
        runtime.single_threaded()
        runtime.configure()
        return {name: summary(verify(name)) for name in catalogue.THEOREMS}
    found = runtime.in_processes(verify, list(catalogue.THEOREMS))
    return {
        name: summary(verdict) for name, (verdict, _) in zip(catalogue.THEOREMS, found, strict=True)
    }


def main() -> None:
    """Write the record: all that two sets of instructions agree on.

    The second also in one process, where other options of the compiler hold than in several.
    """
    if len(sys.argv) == 2:
        print(json.dumps(_summaries(alone=sys.argv[1] == "alone")))
        return
    found = []
    for how, flags in (("several", ""), ("alone", "--xla_cpu_max_isa=SSE4_2")):
        command = [sys.executable, "-m", "tests.verdicts", how]
        environment = {**os.environ, "XLA_FLAGS": flags}
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
        found.append(json.loads(done.stdout))
    here, there = found
    record = {
        theorem: {name: _agreed(number, there[theorem][name]) for name, number in numbers.items()}
        for theorem, numbers in here.items()
    }
    RECORD.write_text(json.dumps(record, indent=1) + "\n")
    numbers = [number for each in record.values() for number in each.values()]
    rounding = sum(isinstance(number, str) for number in numbers)
    print(f"{len(numbers)} numbers, {rounding} of them decided by rounding")


if __name__ == "__main__":
    main()
