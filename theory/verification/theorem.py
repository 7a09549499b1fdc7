r"""Theorems as objects: a sampler, hypotheses, conclusions, and controls that must fail.

A statement "if H then C" becomes functions of one *instance* (a pytree of arrays): hypotheses and
conclusions are :class:`~.inequality.Bound` records, elementwise inequalities whose two sides are
computed by different routes. Each negative control breaks a hypothesis or a constant; a check that
does not notice it proves nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from jax import Array

from twolayer.theory import validation
from twolayer.theory.verification.inequality import Bounds

Instance = Any
Size = Mapping[str, int]
Parameters = Mapping[str, Array]


def as_drawn(drawn: Any) -> Instance:
    """What a theorem without ``complete`` takes for the instance."""
    return drawn


@dataclasses.dataclass(frozen=True)
class Control:
    """A change after which a check must fail; what is None stays as the theorem has it.

    A sampler that breaks what the theorem assumes of its randomness, hypotheses with one left out,
    or conclusions with a wrong constant or a missing term.
    """

    sample: Callable[[Array, Size, Parameters], Instance] | None = None
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
      parameters: continuous parameters (slope, scale ...) and the ranges they are drawn from.
      sample: (key, size, parameters) -> what is drawn: the instance, or what ``complete`` makes it
        from.
      complete: what is drawn -> instance: adds all that follows from it, such as a training run.
      searchable: fields of what is drawn for which the statement allows any values, hypotheses
        granted. A search moves these and the parameters; labels and what is random stay out.
      conclusions: instance -> named bounds; their shapes broadcast with the hypotheses'.
      hypotheses: instance -> named bounds; an element counts where all of them hold.
      failure_rate: delta of a statement that holds with probability 1 - delta over the instance.
      controls: name -> :class:`Control`; each must be caught.
      interval_form: instance -> ``intervals.Statement``, the closed-form inequalities that the
        statement comes down to, in interval arithmetic; None where there is no such form.
    """

    name: str
    statement: str
    source: str
    sizes: tuple[Size, ...]
    parameters: Mapping[str, tuple[float, float]]
    sample: Callable[[Array, Size, Parameters], Instance]
    conclusions: Callable[[Instance], Bounds]
    hypotheses: Callable[[Instance], Bounds] = lambda _: {}
    failure_rate: float = 0.0
    controls: Mapping[str, Control] = dataclasses.field(default_factory=dict)
    complete: Callable[[Any], Instance] = as_drawn
    searchable: tuple[str, ...] = ()
    interval_form: Callable[[Instance], Any] | None = None

    def __post_init__(self) -> None:
        """Reject a record that could not be judged."""
        if not self.sizes or not self.controls:
            raise ValueError(f"{self.name}: sizes and controls must not be empty.")
        validation.number("failure_rate", self.failure_rate, low=0.0, high=1.0, open_high=True)
