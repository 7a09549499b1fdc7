r"""Inequalities decided in interval arithmetic: for given numbers, without rounding.

The float64 numbers of an instance are taken as exact. Both sides of a closed-form inequality are
computed as balls, intervals that are proved to hold the true value, at increasing precision until
they no longer overlap. What is then PROVED or REFUTED is so for this instance, beyond any doubt
about rounding; two sides that are equal stay UNDECIDED at every precision.

Arrays of balls are numpy arrays of objects, so that sums, products and ``@`` read as usual. Needs
the optional package python-flint (Arb).
"""

from __future__ import annotations

import dataclasses
import enum
import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

# Bits; 53 are those of a float64.
PRECISIONS = (64, 128, 256, 512)


class Decision(enum.StrEnum):
    """What interval arithmetic says of a statement at one instance."""

    PROVED = "PROVED"
    REFUTED = "REFUTED"
    UNDECIDED = "UNDECIDED"
    VACUOUS = "VACUOUS"  # a hypothesis is refuted


@dataclasses.dataclass(frozen=True)
class Inequality:
    """``lhs <= rhs`` elementwise, or ``lhs < rhs``; scalars or arrays that broadcast."""

    lhs: Any
    rhs: Any
    strict: bool = False

    @property
    def truth(self) -> bool | None:
        """Whether it holds at every element; None where overlapping balls leave it open."""
        truth: bool | None = True
        for first, second in np.broadcast(*map(np.asarray, (self.lhs, self.rhs))):
            if first < second or (not self.strict and first <= second):
                continue
            if first > second or (self.strict and first >= second):
                return False
            truth = None
        return truth


@dataclasses.dataclass(frozen=True)
class Statement:
    """Hypotheses and conclusions at one instance, in intervals."""

    conclusions: Sequence[Inequality]
    hypotheses: Sequence[Inequality] = ()


def decide(statement: Callable[[Any], Statement], instance: Any) -> Decision:
    """Decide a statement at one instance, at as much precision as it takes.

    Args:
      statement: computes both sides from the instance, at the precision that is set.
      instance: float64 numbers, taken as exact.

    Raises:
      ImportError: without python-flint.
    """
    for bits in PRECISIONS:
        with _flint().ctx.workprec(bits):
            sides = statement(instance)
            given = _all(sides.hypotheses)
            then = _all(sides.conclusions)
        if given is False:
            return Decision.VACUOUS
        if given and then is not None:
            return Decision.PROVED if then else Decision.REFUTED
    return Decision.UNDECIDED


def _all(inequalities: Sequence[Inequality]) -> bool | None:
    truths = [inequality.truth for inequality in inequalities]
    return False if False in truths else None if None in truths else True


# Arrays of balls ---------------------------------------------------------------------------------


def balls(values: Any) -> np.ndarray:
    """Float64 numbers as exact balls, in an array of objects of the same shape."""
    values = np.asarray(values, float)
    exact = np.empty(values.shape, object)
    for index in np.ndindex(values.shape):
        exact[index] = _flint().arb(float(values[index]))
    return exact


def ball(value: float | int) -> Any:
    """One float64 number as an exact ball."""
    return _flint().arb(value)


def pi() -> Any:
    """The number pi, at the precision that is set."""
    return _flint().arb.pi()


def apply(name: str, values: Any) -> Any:
    """A method of balls such as ``sqrt`` or ``asin``, elementwise."""
    if not isinstance(values, np.ndarray):
        return getattr(values, name)()
    return np.frompyfunc(lambda value: getattr(value, name)(), 1, 1)(values)


def smallest(values: Any) -> Any:
    """Smallest entry of an array."""
    return functools.reduce(lambda first, second: first.min(second), np.ravel(values))


def largest(values: Any) -> Any:
    """Largest entry of an array."""
    return functools.reduce(lambda first, second: first.max(second), np.ravel(values))


def norm(values: np.ndarray) -> Any:
    """Euclidean norm along the last axis."""
    return apply("sqrt", np.sum(values * values, axis=-1))


def step(values: np.ndarray, low: Any) -> np.ndarray:
    """1 where an entry is at least 0, ``low`` where it is negative, a ball of both if undecided."""
    one = ball(1.0)

    def gate(value: Any) -> Any:
        return one if value >= 0 else low if value < 0 else one.union(low)

    return np.frompyfunc(gate, 1, 1)(values)


def solve(matrix: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Solution of a linear system, enclosed; NaN balls where it may be singular."""
    flint = _flint()
    try:
        solution = flint.arb_mat(matrix.tolist()).solve(flint.arb_mat([[b] for b in right]))
    except ZeroDivisionError:
        return np.array([flint.arb.nan() for _ in right], object)
    return np.array([solution[row, 0] for row in range(len(right))], object)


@functools.cache
def _flint() -> Any:
    try:
        import flint
    except ImportError as error:
        raise ImportError(
            "Certified verdicts need python-flint; install twolayer with its extra 'certified'."
        ) from error
    return flint
