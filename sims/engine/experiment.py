"""What a stem is made of: studies with their configs and cells, claims, and results read back.

A stem is an :class:`Experiment`: one or more studies and the claims about their results. A study is
a pure function ``simulate(key, config, inputs)`` and, for each scale, a table of configs with the
number of seeds of each. The key of seed ``s`` is ``jax_setup.key(s)``; one (config, seed) is a
cell. ``twolayer.sims.engine.plan`` computes the missing cells, :func:`load` reads them back, and
neither needs to know what is simulated.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax import Array

from twolayer.host import jax_setup
from twolayer.sims.engine.claims import Claim
from twolayer.sims.engine.results import Run as Run
from twolayer.sims.engine.results import StemResults
from twolayer.theory import validation

SCALES = ("smoke", "default", "paper")
# Options of ``twolayer run``, which offers every config field as an option too.
RESERVED = (
    *("scale", "seeds", "results", "data", "only", "processes", "keep_stale", "part"),
    *("set", "help"),
)


def traced(default: Any, words: tuple[str, ...] = ()) -> Any:
    """A config field that enters the simulation as an array: a number, a tuple of numbers, a word.

    Configs that differ only in traced fields, with tuples of the same lengths, share one compile.
    Inside ``simulate`` a number is a scalar and a tuple a vector, both weakly typed, so that they
    follow the dtype of what they meet, as Python numbers do; one of ``words`` is its index. Where
    the default is a float, integers become floats. All other fields are static: part of the
    compiled program.
    """
    return dataclasses.field(default=default, metadata={"traced": True, "words": words})


def word_index(config: Any, name: str) -> Any:
    """The index of a traced word among its ``words``, whether it is being traced or not."""
    value = getattr(config, name)
    if not isinstance(value, str):
        return value
    field = next(field for field in dataclasses.fields(config) if field.name == name)
    return field.metadata["words"].index(value)


@dataclasses.dataclass(frozen=True)
class Inputs:
    """Data from outside: arrays by name, what identifies them and where they come from."""

    arrays: dict[str, np.ndarray]
    checksum: str
    source: str


@dataclasses.dataclass(frozen=True, eq=False)
class Study:
    """One simulation and its cells.

    Attributes:
      name: unique within the stem.
      config_type: a frozen, keyword-only dataclass that checks itself in ``__post_init__``.
      simulate: ``(key, config, inputs) -> {name: array}``, pure and jit-clean; ``inputs`` are the
        arrays of :attr:`inputs`, or an empty dict.
      cells: for each scale ``{label: (config, number of seeds)}``; a scale may be left out.
      dims: for each result the names of its axes, without the seed axis.
      coords: the values along every named axis, ``config -> {dim: list}``.
      inputs: loads data on the host, ``config -> Inputs``. It may read static fields only: traced
        ones are None, for one data set serves all configs that share a compile.
      optional: configs whose cells a run leaves out, and says so, where their data is not
        installed; for any other it ends.
      undefined: results in which NaN or infinity has a meaning; a run tells of all others.
      turns: about how many steps a loop makes that ends when it has converged; for plans only.
      version: to be raised when ``simulate`` changes its results, so that old cells are not even
        stale but those of another study.
    """

    name: str
    config_type: type
    simulate: Callable[[Array, Any, dict[str, Array]], dict[str, Array]]
    cells: Mapping[str, Mapping[str, tuple[Any, int]]]
    dims: Mapping[str, tuple[str, ...]]
    coords: Callable[[Any], dict[str, list]]
    inputs: Callable[[Any], Inputs | None] | None = None
    optional: Callable[[Any], bool] = lambda config: False
    undefined: tuple[str, ...] = ()
    turns: float = 8.0
    version: int = 1

    def __post_init__(self) -> None:
        taken = {field.name for field in dataclasses.fields(self.config_type)} & set(RESERVED)
        if taken:
            raise ValueError(
                f"fields of {self.config_type.__name__} must not be called {', '.join(RESERVED)}, "
                f"as options of the command are; got {', '.join(sorted(taken))}."
            )
        if any("seed" in dims for dims in self.dims.values()):
            raise ValueError(f"dims of {self.name} must leave out the seed axis, which is added.")
        for name in self.undefined:
            validation.choice(f"undefined of study {self.name}", name, self.dims)
        for scale, cells in self.cells.items():
            validation.choice(f"scale of study {self.name}", scale, SCALES)
            for label, (config, num_seeds) in cells.items():
                if not isinstance(config, self.config_type):
                    raise ValueError(
                        f"config of {self.name}/{label} must be a {self.config_type.__name__}; "
                        f"got {config!r:.80}."
                    )
                try:
                    hash(config)
                except TypeError as error:
                    raise ValueError(
                        f"config of {self.name}/{label} must be hashable, so a frozen dataclass "
                        f"without lists or arrays: {error}."
                    ) from error
                validation.integer(f"number of seeds of {self.name}/{label}", num_seeds)


@dataclasses.dataclass(frozen=True)
class Experiment:
    """A stem: its studies, and the claims about their results, which are judged in float64."""

    stem: str
    title: str
    studies: tuple[Study, ...]
    claims: Callable[[StemResults], list[Claim]]

    def __post_init__(self) -> None:
        names = [study.name for study in self.studies]
        if not names or len(set(names)) < len(names):
            raise ValueError(f"studies of {self.stem} must have distinct names; got {names}.")
        object.__setattr__(self, "claims", jax_setup.numerics()(self.claims))

    def table(self, scale: str) -> Iterator[tuple[Study, str, Any, int]]:
        """Study, label, config and number of seeds of everything that a scale consists of."""
        validation.choice("scale", scale, SCALES)
        for study in self.studies:
            for label, (config, num_seeds) in study.cells.get(scale, {}).items():
                yield study, label, config, num_seeds


def map_seeds(fn: Callable[[Array], Any], keys: Array) -> Any:
    """``fn`` of each key, stacked: one after another on CPUs, as one batch on accelerators.

    [measured] On CPU small batched products run at two thirds of the speed of single ones, and
    what stands in a loop of one step is no faster than what stands alone.
    """
    if keys.shape[0] == 1:
        return jax.tree.map(lambda leaf: leaf[None], fn(keys[0]))
    return jax.lax.map(fn, keys) if jax.default_backend() == "cpu" else jax.vmap(fn)(keys)


def load(stem: str, scale: str, folder: str | Path = "results", **asked: Any) -> StemResults:
    """Read back what a run has stored; all arguments are at
    ``twolayer.sims.engine.loading.load``."""
    from twolayer.sims.engine import loading

    return loading.load(stem, scale, folder, **asked)
