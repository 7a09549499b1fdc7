"""Instances that break a theorem: both sides there, and all numbers by name, to be stored."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from twolayer.host import compilation
from twolayer.theory.verification.inequality import Bound, Bounds


@dataclasses.dataclass(frozen=True)
class Counterexample:
    """An instance that satisfies the hypotheses and breaks a conclusion, and both sides there.

    For a statement with probability one that shows the failure, which is one of too many.
    """

    size: Mapping[str, int]
    parameters: Mapping[str, float]
    instance: Any
    hypotheses: Bounds
    conclusions: Bounds

    def arrays(self) -> dict[str, np.ndarray]:
        """All numbers by name, to be stored: ``instance.x``, ``conclusions['norm'].lhs`` ..."""
        parts = {
            "size": dict(self.size),
            "parameters": dict(self.parameters),
            "instance": self.instance,
            "hypotheses": self.hypotheses,
            "conclusions": self.conclusions,
        }
        return {
            part + jax.tree_util.keystr(path): np.asarray(leaf)
            for part, tree in parts.items()
            for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
        }


def sides(theorem: Any, instances: Any) -> tuple[Bounds, Bounds]:
    """Hypotheses and conclusions of instances, both sides of each of the same shape."""

    def full(bounds: Bounds) -> Bounds:
        return {
            name: Bound(*jnp.broadcast_arrays(bound.lhs, bound.rhs))
            for name, bound in bounds.items()
        }

    def one(at: Any) -> tuple[Bounds, Bounds]:
        return full(theorem.hypotheses(at)), full(theorem.conclusions(at))

    return compilation.quick(jax.vmap(one), level=1)(instances)


def shown(
    theorem: Any, size: Mapping[str, int], parameters: Mapping[str, Any], instances: Any, row: int
) -> Counterexample:
    """The counterexample in a row of a batch of instances with their parameters."""
    one = jax.tree.map(lambda leaf: leaf[row : row + 1], instances)
    instance, hypotheses, conclusions = jax.tree.map(
        lambda leaf: leaf[0], (one, *sides(theorem, one))
    )
    values = {name: float(each[row]) for name, each in parameters.items()}
    return Counterexample(size, values, instance, hypotheses, conclusions)
