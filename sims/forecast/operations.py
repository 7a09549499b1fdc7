"""Operations of a program and their values: what counting goes through."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np


class Value:
    """An array of the program; ``known`` evaluates it, None where it depends on keys or data."""

    def __init__(self, aval: Any, known: Callable[[], Any] | None = None):
        self.aval = aval
        self.known = known

    @property
    def size(self) -> int:
        """Number of entries."""
        return int(np.prod(self.aval.shape, dtype=object))  # of any size

    @property
    def bytes(self) -> int:
        """Bytes of the entries; a random key has 8."""
        return self.size * getattr(self.aval.dtype, "itemsize", 8)


@dataclasses.dataclass(frozen=True, eq=False)
class Block:
    """Operations in order: a program, or what is done in each step of a loop."""

    inputs: list[Value]
    ops: list[Op]
    outputs: list[Value]


@dataclasses.dataclass(frozen=True, eq=False)
class Op:
    """One operation.

    Attributes:
      name: of the primitive.
      params: of the primitive.
      inputs: its arguments; a loop's blocks use those that stay the same as they are.
      outputs: its results.
      blocks: what a loop does in each step, each with the number of times it is done (as the rows
        of a scan may ask for other numbers of steps of a loop inside); the branches of a ``cond``,
        each once, or where the choice is known one of them once and the others never.
    """

    name: str
    params: dict[str, Any]
    inputs: list[Value]
    outputs: list[Value]
    blocks: list[tuple[Block, float]]
