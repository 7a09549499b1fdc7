r"""Theorems as objects: a sampler, hypotheses, conclusions, and ways in which they must fail.

A statement "if H then C" becomes functions of one *instance* (a pytree of arrays): hypotheses and
conclusions are :class:`Bound` records, elementwise inequalities whose two sides are computed by
different routes. :func:`verify` draws instances, keeps the elements where every hypothesis holds,
and judges the conclusions there. It says VACUOUS when no element qualified, tests the number of
violations of a statement with probability against the binomial law exactly, and demands that every
negative control (a broken hypothesis, a wrong constant) is caught.

All functions here compute in float64 with one random generator, whatever JAX's settings and of
whatever kind the keys are that they are given (see :func:`twolayer.host.jax_setup.numerics`). What they hand
out is float64 and stays so; who goes on computing with it by JAX enters ``numerics`` as well, or
float64 is lost at the next step.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jax import Array
from scipy import stats

from twolayer.theory import validation
from twolayer.theory.verification import counterexamples
from twolayer.host import jax_setup
from twolayer.theory.verification.inequality import Bounds
from twolayer.theory.verification.counterexamples import Counterexample

Instance = Any
Size = Mapping[str, int]
Knobs = Mapping[str, Array]

# A correct statement with probability is rejected once in a million verifications.
LEVEL = 1e-6
CONTROL_INSTANCES = 64


def _as_drawn(drawn: Any) -> Instance:
    return drawn


@dataclasses.dataclass(frozen=True)
class Control:
    """A change after which a check must fail; what is None stays as the theorem has it.

    A sampler that breaks what the theorem assumes of its randomness, hypotheses with one left out,
    or conclusions with a wrong constant or a missing term.
    """

    sample: Callable[[Array, Size, Knobs], Instance] | None = None
    hypotheses: Callable[[Instance], Bounds] | None = None
    conclusions: Callable[[Instance], Bounds] | None = None


@dataclasses.dataclass(frozen=True, eq=False)
class Theorem:
    """A statement that can be verified.

    Attributes:
      name: wing or stem, a dot, the statement: ``wide.lazy_training``.
      statement: the claim in words and formulas, one or two sentences.
      source: provenance label and place, e.g. "[derived] Theorem L".
      sizes: array sizes of instances, the smallest first; each is one compiled shape.
      knobs: continuous parameters (slope, scale ...) and the ranges they are drawn from.
      sample: (key, size, knobs) -> what is drawn: the instance, or what ``complete`` makes it from.
      complete: what is drawn -> instance: adds all that follows from it, such as a training run.
      free: fields of what is drawn for which the statement allows any values, hypotheses granted.
        A search moves these and the knobs; labels and what is random stay out.
      conclusions: instance -> named bounds; their shapes broadcast with the hypotheses'.
      hypotheses: instance -> named bounds; an element counts where all of them hold.
      failure_rate: delta of a statement that holds with probability 1 - delta over the instance.
      controls: name -> :class:`Control`; each must be caught.
    """

    name: str
    statement: str
    source: str
    sizes: tuple[Size, ...]
    knobs: Mapping[str, tuple[float, float]]
    sample: Callable[[Array, Size, Knobs], Instance]
    conclusions: Callable[[Instance], Bounds]
    hypotheses: Callable[[Instance], Bounds] = lambda _: {}
    failure_rate: float = 0.0
    controls: Mapping[str, Control] = dataclasses.field(default_factory=dict)
    complete: Callable[[Any], Instance] = _as_drawn
    free: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Reject a record that could not be judged."""
        if not self.sizes or not self.controls:
            raise ValueError(f"{self.name}: sizes and controls must not be empty.")
        validation.number("failure_rate", self.failure_rate, low=0.0, high=1.0, open_high=True)


@struct.dataclass
class Outcome:
    """What one instance says (scalars; leading axes under ``vmap``)."""

    checked: Array | np.ndarray  # number of elements where every hypothesis held
    violated: Array | np.ndarray  # whether a conclusion failed at a checked element
    slack: Array | np.ndarray  # worst relative slack over checked elements; inf if none
    tightness: Array | np.ndarray  # largest lhs / rhs over those with rhs > 0; NaN if none
    ratios: Mapping[str, Array | np.ndarray]  # the same of each conclusion alone


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
def examine(hypotheses: Bounds, conclusions: Bounds) -> Outcome:
    """Judge one instance from its bounds; works under ``jit`` and ``vmap``.

    Raises:
      ValueError: if a hypothesis does not broadcast against a conclusion.
    """
    checked = jnp.zeros((), jnp.int32)
    violated = jnp.zeros((), bool)
    slack = jnp.asarray(jnp.inf)
    ratios = {}
    for name, conclusion in conclusions.items():
        shape = jnp.broadcast_shapes(jnp.shape(conclusion.lhs), jnp.shape(conclusion.rhs))
        relevant = jnp.ones(shape, bool)
        for condition, bound in hypotheses.items():
            holds = bound.holds
            if holds.shape != () and holds.shape != shape:
                raise ValueError(
                    f"hypothesis {condition} of shape {holds.shape} does not fit conclusion "
                    f"{name} of shape {shape}."
                )
            relevant &= holds
        checked += jnp.sum(relevant, dtype=jnp.int32)
        violated |= jnp.any(relevant & ~conclusion.holds)
        relative = jnp.where(jnp.isnan(conclusion.relative_slack), -2, conclusion.relative_slack)
        slack = jnp.minimum(slack, jnp.min(jnp.where(relevant, relative, jnp.inf)))
        useful = relevant & (conclusion.rhs > 0)
        ratio = conclusion.lhs / jnp.where(useful, conclusion.rhs, 1)
        largest = jnp.max(jnp.where(useful, ratio, -jnp.inf))
        ratios[name] = jnp.where(jnp.isinf(largest), jnp.nan, largest)
    tightness = functools.reduce(jnp.fmax, ratios.values(), jnp.asarray(jnp.nan))
    return Outcome(
        checked=checked, violated=violated, slack=slack, tightness=tightness, ratios=ratios
    )


@jax_setup.numerics()
def draw_knobs(theorem: Theorem, key: Array, number: int) -> Knobs:
    """Knobs of ``number`` instances, independent and uniform in their ranges."""
    key = one_key(key)
    share = jax.random.uniform(key, (number, max(1, len(theorem.knobs))))
    return {
        name: low + (high - low) * share[:, index]
        for index, (name, (low, high)) in enumerate(theorem.knobs.items())
    }


@jax_setup.numerics()
def judge(
    theorem: Theorem, size: Size, keys: Array, knobs: Knobs, control: str | None = None
) -> Outcome:
    """Sample one instance a key and examine each; compiled once per size and number of keys.

    Args:
      theorem: the theorem.
      size: one of its sizes.
      keys: b random keys.
      knobs: b values of each knob.
      control: name of a control to judge in the theorem's place.

    Returns:
      Outcomes with a leading axis of length b.
    """
    change = Control() if control is None else theorem.controls[control]
    instances = _sampled(change.sample or theorem.sample, theorem.complete, size, keys, knobs)
    examiner = _compiled_examiner(
        change.hypotheses or theorem.hypotheses, change.conclusions or theorem.conclusions
    )
    return examiner(instances)


@jax_setup.numerics()
def draw_many(theorem: Theorem, size: Size, keys: Array, knobs: Knobs) -> Any:
    """What the theorem's sampler draws, not completed; compiled and shared like :func:`judge`."""
    return _sampled(theorem.sample, _as_drawn, size, keys, knobs)


@jax_setup.numerics()
def sample_many(theorem: Theorem, size: Size, keys: Array, knobs: Knobs) -> Instance:
    """Instances of the theorem with a leading axis, as :func:`judge` samples them."""
    return _sampled(theorem.sample, theorem.complete, size, keys, knobs)


@jax_setup.numerics()
def examine_many(theorem: Theorem, instances: Instance) -> Outcome:
    """Outcomes of instances with a leading axis, by what :func:`judge` examines them with.

    Floats of fewer bits are taken for the float64 numbers that they are.
    """
    examiner = _compiled_examiner(theorem.hypotheses, theorem.conclusions)
    return examiner(jax.tree.map(_in_float64, instances))


def batched(function: Callable, in_axes: Any = 0, level: int = 1) -> jax_setup.Quick:
    """``jit`` of ``vmap`` for what is compiled once, see :func:`twolayer.host.jax_setup.quick`."""
    return jax_setup.quick(jax.vmap(function, in_axes), level)


def one_key(key: Array) -> Array:
    """The one key, of whatever kind, as the generator of :func:`twolayer.host.jax_setup.numerics` has it."""
    return validation.key("key", jax_setup.own_key(key))


@jax_setup.numerics()
def verify(theorem: Theorem, key: Array, num_instances: int = 1000, *, block: int = 64) -> Verdict:
    """Check a theorem on random instances, and its controls on some.

    Instances are spread over the theorem's sizes, drawn and judged in compiled blocks. Controls are
    judged on the largest size.

    The verdict of ``python -m theory verify wide.width --seed 3 --instances 500`` is that of::

        from theory import catalogue, jobs
        verify(catalogue.THEOREMS["wide.width"], jobs.key("wide.width", seed=3), 500)

    with the same digits, but for a ratio that is rounding alone where XLA spreads a loop over the
    threads of this process; commands run on one, as with ``NPROC=1`` [measured].

    Args:
      theorem: what to verify.
      key: random key, of any kind; :func:`twolayer.theory.verification.worker.key` gives that of the command.
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


def _sampled(
    sample: Callable, complete: Callable, size: Size, keys: Array, knobs: Knobs
) -> Instance:
    sampler = _compiled_sampler(sample, complete, tuple(sorted(size.items())))
    return sampler(
        jax_setup.own_key(keys), {name: jnp.asarray(each, float) for name, each in knobs.items()}
    )


def _in_float64(leaf: Any) -> Any:
    return leaf.astype(float) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf


@functools.lru_cache(maxsize=512)
def _compiled_sampler(
    sample: Callable, complete: Callable, size: tuple[tuple[str, int], ...]
) -> Callable:
    # Several theorems share a sampler; so they share what is compiled here.
    def one(key: Array, knobs: Knobs) -> Instance:
        return complete(sample(key, dict(size), knobs))

    return batched(one, level=0)


@functools.lru_cache(maxsize=512)
def _compiled_examiner(hypotheses: Callable, conclusions: Callable) -> Callable:
    def one(instance: Instance) -> Outcome:
        return examine(hypotheses(instance), conclusions(instance))

    return batched(one, level=0)


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
        keys, knobs = _block(theorem, key, index, block)
        parts.append(judge(theorem, size, keys, knobs, control))
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)


def _block(theorem: Theorem, key: Array, index: int, block: int) -> tuple[Array, Knobs]:
    """Keys and knobs of the instances of a block."""
    key_knobs, key_instances = jax.random.split(jax.random.fold_in(key, index))
    return jax.random.split(key_instances, block), draw_knobs(theorem, key_knobs, block)


def _broken(theorem: Theorem, size: Size, key: Array, block: int, row: int) -> Counterexample:
    """The instance in a row of all blocks of one size, drawn again."""
    keys, knobs = _block(theorem, key, row // block, block)
    instances = sample_many(theorem, size, keys, knobs)
    return counterexamples.shown(theorem, size, knobs, instances, row % block)
