"""What verification finds of every theorem, on record: a statement that got weaker shows here.

A weaker statement still holds, so that its verdict is the same; but its two sides are further
apart. ``make baseline`` writes the records, ``baseline.json`` beside the tests of each study. A
number is on record as far as every way of computing it agrees: other sets of instructions, and
other roundings of what is drawn, which move what is rounding alone by as much as itself, on this
processor as on any other. Where these differ a little the order of magnitude is on record
(``"1e-05"``), and where they differ by more than a hundredth nothing but the name (``"rounding"``).
"""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from tests import per_study
from twolayer.host import jax_setup, process_pool, program_memory
from twolayer.theory.verification import evaluation, registry
from twolayer.theory.verification.theorem import Control, Parameters, Size, Theorem
from twolayer.theory.verification.verify import Verdict, verify

BLOCK = 16  # one shape, so that all checks of a theorem share what is compiled
FILE = "baseline.json"
# To this share numbers agree between all ways of computing them (RUNS), to be on record, and to
# these they must be found again.
STABLE = 1e-6
RATIO = 1e-2
MEAN = 1e-3
# Another processor may decide an instance on the edge otherwise.
INSTANCES = 1.0
SHARE = 0.05
# What rounding moves a little stays within this factor of the order of magnitude on record.
ORDERS = 30.0
# What it moves by a larger share is made of rounding, and no two processors need agree on it.
DECIDED = 1e-2
ROUNDING = "rounding"
# Other roundings of what is drawn: by at most so many units in the last place of float64.
UNITS = 8

Summary = dict[str, Any]


def verdict_of(statement: Theorem) -> Verdict:
    """The verdict that is on record."""
    return verify(statement, jax.random.key(7), 64, block=BLOCK)


def rounded_otherwise(statement: Theorem, seed: int) -> Theorem:
    """The same statement on instances that differ in the last places of what is drawn."""

    def other(sample: Callable) -> Callable:
        def drawn(key: Array, size: Size, parameters: Parameters) -> Any:
            leaves, tree = jax.tree.flatten(sample(key, size, parameters))
            keys = jax.random.split(jax.random.fold_in(key, seed), max(len(leaves), 1))
            return tree.unflatten(map(_moved, leaves, keys[: len(leaves)]))

        return drawn

    controls = {
        name: dataclasses.replace(change, sample=change.sample and other(change.sample))
        for name, change in statement.controls.items()
    }
    return dataclasses.replace(statement, sample=other(statement.sample), controls=controls)


def _moved(leaf: Array, key: Array) -> Array:
    if not jnp.issubdtype(leaf.dtype, jnp.floating):
        return leaf
    units = jax.random.randint(key, leaf.shape, -UNITS, UNITS + 1)
    return leaf * (1 + units * jnp.finfo(leaf.dtype).eps)


def stated(statement: Theorem) -> dict[str, float]:
    """Of what instances a statement is verified, and the means of the sides of its bounds.

    What is drawn shows in no identity's ratio, and allowances for rounding in few. A control that
    has become easier to catch proves less.
    """
    key_parameters, key_instances = jax.random.split(jax.random.key(7))
    parameters = evaluation.draw_parameters(statement, key_parameters, BLOCK)
    keys = jax.random.split(key_instances, BLOCK)
    found = {
        f"{end} of parameter {parameter}": value
        for parameter, ends in statement.parameters.items()
        for end, value in zip(("low", "high"), ends, strict=True)
    }
    if statement.interval_form:
        found["interval form"] = 1.0
    for size in statement.sizes:
        instances = evaluation.sample_many(statement, size, keys, parameters)
        found[f"mean at {dict(size)}"] = _mean(jax.tree.leaves(instances))
    for control, change in statement.controls.items():
        if change.sample:
            broken = dataclasses.replace(statement, sample=change.sample)
            drawn = evaluation.sample_many(broken, statement.sizes[-1], keys, parameters)
            found[f"mean of {control}"] = _mean(jax.tree.leaves(drawn))
    means = evaluation.batched(functools.partial(_sides, statement), level=0)(instances)
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


def summary(statement: Theorem, verdict: Verdict) -> Summary:
    """The numbers that say how sharp the statement is, and of what instances, by a flat name."""
    ratios = {f"ratio of {name}": ratio for name, ratio in verdict.ratios.items()}
    shares = {f"share of {name}": share for name, share in verdict.controls.items()}
    found = {"vacuous": float(verdict.vacuous), **ratios, **shares, **stated(statement)}
    return {name: None if math.isnan(number) else number for name, number in found.items()}


def recorded() -> dict[str, Summary]:
    """All that is on record, by theorem."""
    found: dict[str, Summary] = {}
    for _, folder in per_study.folders(FILE):
        found |= json.loads((folder / FILE).read_text())
    return found


def differences(statement: Theorem, verdict: Verdict, record: Mapping[str, Any]) -> list[str]:
    """In what a verdict is not that on record, beyond rounding."""
    found = summary(statement, verdict)
    names = [*record, *(name for name in found if name not in record)]
    return [
        f"{name}: {found.get(name, 'nothing')} found, {record.get(name, 'nothing')} on record"
        for name in names
        if name not in found or name not in record or not _alike(name, found[name], record[name])
    ]


def _alike(name: str, found: float | None, record: float | str | None) -> bool:
    if record == ROUNDING:
        return True
    if found is None or record is None:
        return found is record
    if isinstance(record, str):
        return found == 0 or 1 / ORDERS < abs(found) / float(record) < ORDERS
    if name.startswith("share"):
        return abs(found - record) <= SHARE
    if name == "vacuous":
        return abs(found - record) <= INSTANCES
    if " of parameter " in name:
        return found == record
    return math.isclose(found, record, rel_tol=RATIO if name.startswith("ratio") else MEAN)


def _agreed(name: str, found: Sequence[float | None]) -> float | str | None:
    """What is put on record of several findings."""
    numbers = [number for number in found if number is not None]
    if not numbers:
        return None
    first, largest = numbers[0], max(map(abs, numbers))
    if len(numbers) < len(found):  # nothing to compare, once rounding has decided so
        return ROUNDING
    counted = name == "vacuous" or name.startswith("share")
    within = max(abs(each - first) for each in numbers) / (largest or 1)
    if within <= STABLE or (counted and all(_alike(name, each, first) for each in numbers)):
        return first
    return f"{largest:.0e}" if within <= DECIDED else ROUNDING


def _summary_of(name: str, seed: int = 0) -> Summary:
    """The summary of a theorem; with a seed on instances that are rounded otherwise."""
    statement = registry.THEOREMS[name]
    if seed:
        statement = rounded_otherwise(statement, seed)
    return summary(statement, verdict_of(statement))


def _summaries(seed: int) -> dict[str, Summary]:
    jax_setup.single_threaded()
    jax_setup.configure()
    found = {}
    for name in registry.THEOREMS:
        found[name] = _summary_of(name, seed)
        program_memory.relieve()
    return found


# Seeds of other roundings, 0 for none, and sets of instructions.
RUNS = ((0, "--xla_cpu_max_isa=SSE4_2"), (1, "--xla_cpu_max_isa=AVX2"), (2, ""))


def _prefix(study: str) -> str:
    return study.split(".")[1] + "."


def _in_a_process(seed: int, flags: str) -> dict[str, Summary]:
    command = [sys.executable, "-m", "tests.theory.baseline", str(seed)]
    environment = {**os.environ, "XLA_FLAGS": flags}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


def main() -> None:
    """Write the records: all that several ways of computing them agree on."""
    if len(sys.argv) == 2:
        print(json.dumps(_summaries(int(sys.argv[1]))))
        return
    with ThreadPoolExecutor(process_pool.cores()) as pool:
        found = list(pool.map(_in_a_process, *zip(*RUNS, strict=True)))
    record = {
        theorem: {name: _agreed(name, [run[theorem][name] for run in found]) for name in numbers}
        for theorem, numbers in found[0].items()
    }
    for study in registry.STUDIES:
        own = {name: each for name, each in record.items() if name.startswith(_prefix(study))}
        folder = per_study.TESTS / study.replace(".", "/")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / FILE).write_text(json.dumps(own, indent=1) + "\n")
    numbers = [number for each in record.values() for number in each.values()]
    rounding = numbers.count(ROUNDING)
    orders = sum(isinstance(number, str) for number in numbers) - rounding
    print(f"{len(numbers)} numbers, {orders} by their order, {rounding} decided by rounding")


if __name__ == "__main__":
    main()
