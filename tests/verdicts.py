"""What verification finds of every theorem, on record: a statement that got weaker shows here.

A weaker statement still holds, so that its verdict is the same; but its two sides are further
apart. ``python -m tests.verdicts`` writes the record, ``verdicts.json``, with the order of
magnitude alone (``"1e-05"``) for what is decided by rounding and so differs between processors.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from theory import catalogue, runtime, theorem
from theory.theorem import Control, Theorem, Verdict

BLOCK = 16  # one shape, so that all checks of a theorem share what is compiled
RECORD = Path(__file__).with_suffix(".json")
# To this share numbers agree between all ways of computing them (RUNS), to be on record, and to
# these they must be found again.
STABLE = 1e-6
RATIO = 1e-2
MEAN = 1e-3
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


def stated(name: str) -> dict[str, float]:
    """Of what instances a statement is verified, and the means of the sides of its bounds.

    What is drawn shows in no identity's ratio, and allowances for rounding in few. A control that
    has become easier to catch proves less.
    """
    statement = catalogue.THEOREMS[name]
    key_knobs, key_instances = jax.random.split(jax.random.key(7))
    knobs = theorem.draw_knobs(statement, key_knobs, BLOCK)
    keys = jax.random.split(key_instances, BLOCK)
    found = {
        f"{end} of knob {knob}": value
        for knob, ends in statement.knobs.items()
        for end, value in zip(("low", "high"), ends, strict=True)
    }
    for size in statement.sizes:
        instances = theorem.sample_many(statement, size, keys, knobs)
        found[f"mean at {dict(size)}"] = _mean(jax.tree.leaves(instances))
    for control, change in statement.controls.items():
        if change.sample:
            broken = dataclasses.replace(statement, sample=change.sample)
            drawn = theorem.sample_many(broken, statement.sizes[-1], keys, knobs)
            found[f"mean of {control}"] = _mean(jax.tree.leaves(drawn))
    means = theorem.batched(functools.partial(_sides, statement), level=0)(instances)
    return found | {name: _mean(each) for name, each in means.items()}


def _sides(statement: Theorem, instance: Any) -> dict[str, list[Array]]:
    """The sides of all bounds but those that are rounding: left ones of what is claimed."""
    found = {}
    for control, change in {"": Control(), **statement.controls}.items():
        after = f" of {control}" if control else ""
        if change.hypotheses or not control:
            assumed = (change.hypotheses or statement.hypotheses)(instance)
            for name, bound in assumed.items():
                found[f"mean in {name}{after}"] = [bound.lhs, bound.rhs]
        if change.conclusions or not control:
            claimed = (change.conclusions or statement.conclusions)(instance)
            for name, bound in claimed.items():
                found[f"mean right of {name}{after}"] = [bound.rhs]
                if control:
                    found[f"mean left of {name}{after}"] = [bound.lhs]
    return found


def _mean(arrays: Sequence[Array]) -> float:
    """Of the magnitudes of all finite entries of floats, every array counting alike."""
    floats = [np.asarray(each) for each in arrays if jnp.issubdtype(each.dtype, jnp.floating)]
    finite = [np.abs(each[np.isfinite(each)]) for each in floats]
    means = [np.mean(each) for each in finite if each.size]
    return float(np.mean(means)) if means else math.nan


def summary(verdict: Verdict) -> Summary:
    """The numbers that say how sharp the statement is, and of what instances, by a flat name."""
    ratios = {f"ratio of {name}": ratio for name, ratio in verdict.ratios.items()}
    shares = {f"share of {name}": share for name, share in verdict.controls.items()}
    found = {"vacuous": float(verdict.vacuous), **ratios, **shares, **stated(verdict.name)}
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
    if name.startswith("share"):
        return abs(found - record) <= SHARE
    if name == "vacuous":
        return abs(found - record) <= INSTANCES
    if " of knob " in name:
        return found == record
    return math.isclose(found, record, rel_tol=RATIO if name.startswith("ratio") else MEAN)


def _agreed(name: str, found: Sequence[float | None]) -> float | str | None:
    """What is put on record of several findings."""
    numbers = [number for number in found if number is not None]
    if len(numbers) < len(found):
        if numbers:
            raise ValueError(f"{name} must be a number in all runs or in none; got {found}.")
        return None
    first, largest = numbers[0], max(map(abs, numbers))
    stable = all(math.isclose(each, first, rel_tol=STABLE) for each in numbers)
    if stable and (largest == 0 or largest > SMALL or not name.startswith("ratio")):
        return first
    return f"{largest:.0e}"


def _summary_of(name: str) -> Summary:
    return summary(verify(name))


def _summaries(how: str) -> dict[str, Summary]:
    names = list(catalogue.THEOREMS)
    if how == "alone":
        runtime.single_threaded()
        runtime.configure()
        return {name: _summary_of(name) for name in names}
    found = runtime.in_processes(_summary_of, names)
    return {name: each for name, (each, _) in zip(names, found, strict=True)}


# One process or several, for which the compiler has other options, and sets of instructions.
RUNS = (("several", ""), ("alone", ""), ("alone", "--xla_cpu_max_isa=SSE4_2"))


def _in_a_process(how: str, flags: str) -> dict[str, Summary]:
    command = [sys.executable, "-m", "tests.verdicts", how]
    environment = {**os.environ, "XLA_FLAGS": flags}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


def main() -> None:
    """Write the record: all that several ways of computing it agree on."""
    if len(sys.argv) == 2:
        print(json.dumps(_summaries(sys.argv[1])))
        return
    with ThreadPoolExecutor() as pool:
        found = list(pool.map(_in_a_process, *zip(*RUNS, strict=True)))
    record = {
        theorem: {name: _agreed(name, [run[theorem][name] for run in found]) for name in numbers}
        for theorem, numbers in found[0].items()
    }
    RECORD.write_text(json.dumps(record, indent=1) + "\n")
    numbers = [number for each in record.values() for number in each.values()]
    rounding = sum(isinstance(number, str) for number in numbers)
    print(f"{len(numbers)} numbers, {rounding} of them decided by rounding")


if __name__ == "__main__":
    main()
