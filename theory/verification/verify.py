"""Verify theorems on random instances, and that their controls fail.

Conclusions are judged at the elements where every hypothesis holds; where there is none, the
verdict is VACUOUS. Violations of a statement with probability are tested against the binomial law,
exactly. A control that is not caught fails the theorem.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

import jax
import numpy as np
from jax import Array
from scipy import stats

from twolayer.host import jax_setup
from twolayer.theory import validation
from twolayer.theory.verification import counterexamples
from twolayer.theory.verification.counterexamples import Counterexample
from twolayer.theory.verification.evaluation import (
    Outcome,
    draw_parameters,
    judge,
    one_key,
    sample_many,
)
from twolayer.theory.verification.theorem import Parameters, Size, Theorem

# A correct statement with probability is rejected once in a million verifications.
LEVEL = 1e-6


CONTROL_INSTANCES = 64


@dataclasses.dataclass(frozen=True)
class Verdict:
    """The result of :func:`verify`."""

    name: str
    source: str
    status: str  # HELD, VIOLATED, VACUOUS or CONTROL MISSED
    instances: int
    vacuous: int
    violations: int
    allowed: int
    worst_slack: float
    tightness: float  # median over instances of the largest lhs / rhs; NaN for pure sign statements
    ratios: Mapping[str, float]  # the same of each conclusion alone
    controls: Mapping[str, float]  # share of instances in which each control was caught
    missed: tuple[str, ...]  # controls that were not caught
    # The first instance that broke the statement, where it is VIOLATED.
    counterexample: Counterexample | None = dataclasses.field(default=None, compare=False)

    @property
    def held(self) -> bool:
        """Whether the statement held, non-vacuously, and every control was caught."""
        return self.status == "HELD"


@jax_setup.numerics()
def verify(theorem: Theorem, key: Array, num_instances: int = 1000, *, block: int = 64) -> Verdict:
    """Check a theorem on random instances, and its controls on some.

    Instances are spread over the theorem's sizes, drawn and judged in compiled blocks. Controls are
    judged on the largest size.

    The verdict of ``twolayer verify wide.width --seed 3 --instances 500`` is that of::

        from twolayer.theory.verification import worker
        twolayer.verify(twolayer.theorems["wide.width"], worker.key("wide.width", seed=3), 500)

    with the same digits, but for a ratio that is rounding alone where XLA spreads a loop over the
    threads of this process; commands run on one, as with ``NPROC=1`` [measured].

    Args:
      theorem: what to verify.
      key: random key, of any kind; :func:`twolayer.theory.verification.worker.key` gives that of
        the command.
      num_instances: at least 1; rounded up so that every size gets the same number.
      block: instances evaluated together; bounds the memory.

    Raises:
      ValueError: for a number below 1, or what is no theorem.
    """
    validation.record("theorem", theorem, Theorem)
    num_instances = validation.integer("num_instances", num_instances)
    block = validation.integer("block", block)
    key = one_key(key)
    key_main, key_controls = jax.random.split(key)
    per_size = -(-num_instances // len(theorem.sizes))
    parts = [
        _judge_many(theorem, size, jax.random.fold_in(key_main, index), per_size, block)
        for index, size in enumerate(theorem.sizes)
    ]
    outcome = _joined(parts)
    vacuous = int(np.sum(outcome.checked == 0))
    total = outcome.checked.size
    violations = int(np.sum(outcome.violated))
    allowed = _allowed(total - vacuous, theorem.failure_rate)
    shares: dict[str, float] = {}
    missed = []
    for index, name in enumerate(theorem.controls):
        key = jax.random.fold_in(key_controls, index)
        tried = _judge_many(theorem, theorem.sizes[-1], key, CONTROL_INSTANCES, block, name)
        relevant = int(np.sum(tried.checked > 0))
        caught = int(np.sum(tried.violated))
        shares[name] = caught / max(relevant, 1)
        if caught <= _allowed(relevant, theorem.failure_rate):
            missed.append(name)
    checked = outcome.checked > 0
    status = "HELD"
    if missed:
        status = "CONTROL MISSED"
    if not checked.any():
        status = "VACUOUS"
    if violations > allowed:
        status = "VIOLATED"
    found = None
    if status == "VIOLATED":
        index, row = divmod(int(np.argmax(outcome.violated)), total // len(theorem.sizes))
        found = _broken(
            theorem, theorem.sizes[index], jax.random.fold_in(key_main, index), block, row
        )
    return Verdict(
        name=theorem.name,
        source=theorem.source,
        status=status,
        instances=total,
        vacuous=vacuous,
        violations=violations,
        allowed=allowed,
        worst_slack=float(np.min(outcome.slack[checked])) if checked.any() else math.nan,
        tightness=_median(outcome.tightness[checked]),
        ratios={name: _median(each[checked]) for name, each in outcome.ratios.items()},
        controls=shares,
        missed=tuple(missed),
        counterexample=found,
    )


def _joined(parts: list[Outcome]) -> Outcome:
    """The outcomes of all sizes; a conclusion that some sizes do not have is NaN there."""
    names = dict.fromkeys(name for part in parts for name in part.ratios)
    alike = [
        dataclasses.replace(
            part,
            ratios={
                name: part.ratios.get(name, np.full_like(part.tightness, np.nan)) for name in names
            },
        )
        for part in parts
    ]
    joined: Outcome = jax.tree.map(lambda *leaves: np.concatenate(leaves), *alike)
    return joined


def _median(values: Array | np.ndarray) -> float:
    """Of those that are numbers; NaN if none is."""
    numbers = np.asarray(values)[~np.isnan(values)]
    return float(np.median(numbers)) if numbers.size else math.nan


def _allowed(checked: int, failure_rate: float) -> int:
    """Most violations that a correct statement shows with probability at least 1 - LEVEL."""
    if failure_rate == 0:
        return 0
    return int(stats.binom.isf(LEVEL, checked, failure_rate))


def _judge_many(
    theorem: Theorem,
    size: Size,
    key: Array,
    number: int,
    block: int,
    control: str | None = None,
) -> Outcome:
    """Outcomes of at least ``number`` instances, in whole blocks, as numpy arrays."""
    parts = []
    for index in range(-(-number // block)):
        keys, parameters = _block(theorem, key, index, block)
        parts.append(judge(theorem, size, keys, parameters, control))
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)


def _block(theorem: Theorem, key: Array, index: int, block: int) -> tuple[Array, Parameters]:
    """Keys and parameters of the instances of a block."""
    key_parameters, key_instances = jax.random.split(jax.random.fold_in(key, index))
    return jax.random.split(key_instances, block), draw_parameters(theorem, key_parameters, block)


def _broken(theorem: Theorem, size: Size, key: Array, block: int, row: int) -> Counterexample:
    """The instance in a row of all blocks of one size, drawn again."""
    keys, parameters = _block(theorem, key, row // block, block)
    instances = sample_many(theorem, size, keys, parameters)
    return counterexamples.shown(theorem, size, parameters, instances, row % block)
