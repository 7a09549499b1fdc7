"""What a stem is made of: studies with their configs and cells, claims, and results read back.

A stem is an :class:`Experiment`: one or more studies and the claims about their results. A study is
a pure function ``simulate(key, config, inputs)`` and, for each scale, a table of configs with the
number of seeds of each. The key of seed ``s`` is ``jax.random.key(s)``; one (config, seed) is a
cell. ``sims.runner`` computes the missing cells, :func:`load` reads them back, and neither needs to
know what is simulated.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax import Array

from sims import storage
from theory import arguments

SCALES = ("smoke", "default", "paper")
KINDS = ("close", "at_least", "at_most", "context")
# Options of ``python -m sims run``, which offers every config field as an option too.
RESERVED = ("scale", "seeds", "results", "data", "only", "processes", "part", "set", "help")


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
      turns: about how many steps a loop makes that ends when it has converged; for plans only.
      version: to be raised when ``simulate`` changes its results, so that old cells are not reused.
    """

    name: str
    config_type: type
    simulate: Callable[[Array, Any, dict[str, Array]], dict[str, Array]]
    cells: Mapping[str, Mapping[str, tuple[Any, int]]]
    dims: Mapping[str, tuple[str, ...]]
    coords: Callable[[Any], dict[str, list]]
    inputs: Callable[[Any], Inputs | None] | None = None
    optional: Callable[[Any], bool] = lambda config: False
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
        for scale, cells in self.cells.items():
            arguments.choice(f"scale of study {self.name}", scale, SCALES)
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
                arguments.integer(f"number of seeds of {self.name}/{label}", num_seeds)


@dataclasses.dataclass(frozen=True)
class Claim:
    """A number that was measured against one that the paper or the theory states.

    ``close`` holds if ``|measured - expected| <= tolerance``, ``at_least`` and ``at_most`` if the
    measured number is beyond the expected one or within the tolerance of it. ``context`` is shown
    and never judged. A NaN never holds.
    """

    name: str
    source: str
    expected: float
    measured: float
    tolerance: float = 0.0
    kind: str = "close"
    note: str = ""

    def __post_init__(self) -> None:
        arguments.choice(f"kind of claim {self.name}", self.kind, KINDS)
        arguments.number(f"tolerance of claim {self.name}", self.tolerance, low=0.0)

    @property
    def held(self) -> bool | None:
        """Whether the claim holds; None for context."""
        difference = float(self.measured) - float(self.expected)
        if self.kind == "context":
            return None
        if self.kind == "close":
            return bool(abs(difference) <= self.tolerance)
        # Infinities are compared directly, as their difference may be NaN.
        if self.kind == "at_least":
            return bool(self.measured >= self.expected - self.tolerance)
        return bool(self.measured <= self.expected + self.tolerance)

    def describe(self) -> str:
        """One line: verdict, name, both numbers, source and note."""
        verdict = {True: "held", False: "NOT HELD", None: "context"}[self.held]
        relation = {"at_least": ">= ", "at_most": "<= "}.get(self.kind, "")
        within = f" +- {self.tolerance:.4g}" if self.tolerance and self.kind != "context" else ""
        note = f"; {self.note}" if self.note else ""
        return (
            f"{verdict:8} {self.name}: measured {self.measured:.4g}, "
            f"expected {relation}{self.expected:.4g}{within} ({self.source}{note})"
        )


@dataclasses.dataclass(frozen=True)
class Run:
    """The stored results of one config over its seeds.

    ``arrays[name]`` has the axes ``dims[name]``, the first of which is ``"seed"``; ``coords`` has
    the values along each. ``sidecars`` hold the provenance of each seed's cell.
    """

    study: str
    label: str
    config: Any
    seeds: tuple[int, ...]
    arrays: dict[str, np.ndarray]
    dims: dict[str, tuple[str, ...]]
    coords: dict[str, list]
    sidecars: list[dict[str, Any]]


@dataclasses.dataclass(frozen=True)
class StemResults(Mapping[tuple[str, str], Run]):
    """All runs of a stem at one scale, by (study, label).

    Runs of optional data that were left out are not there; ``left_out`` has their keys.
    """

    stem: str
    scale: str
    entries: dict[tuple[str, str], Run]
    left_out: tuple[tuple[str, str], ...] = ()

    def __getitem__(self, key: tuple[str, str]) -> Run:
        return self.entries[key]

    def __iter__(self):
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def runs(self, study: str) -> list[Run]:
        """The runs of one study, in the order of its table of cells."""
        found = [run for run in self.entries.values() if run.study == study]
        if not found:
            known = ", ".join(dict.fromkeys(name for name, _ in self.entries))
            raise ValueError(f"study must be one of {known}; got {study!r}.")
        return found


@dataclasses.dataclass(frozen=True)
class Experiment:
    """A stem: its studies, and the claims about their results."""

    stem: str
    title: str
    studies: tuple[Study, ...]
    claims: Callable[[StemResults], list[Claim]]

    def __post_init__(self) -> None:
        names = [study.name for study in self.studies]
        if not names or len(set(names)) < len(names):
            raise ValueError(f"studies of {self.stem} must have distinct names; got {names}.")

    def table(self, scale: str) -> Iterator[tuple[Study, str, Any, int]]:
        """Study, label, config and number of seeds of everything that a scale consists of."""
        arguments.choice("scale", scale, SCALES)
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


def load(stem: str, scale: str, folder: str | Path = "results") -> StemResults:
    """Read back every cell of a stem at one scale, without computing or loading data.

    Args:
      stem: a name of ``sims.catalogue``.
      scale: one of :data:`SCALES`.
      folder: the root of the results; the cells lie in its subfolder ``stem``.

    Raises:
      ValueError: if cells are missing or damaged, with the command that makes them; if cells of
        several versions of a data set are there, as it is not known which is meant.
    """
    from sims import catalogue

    experiment = catalogue.get(stem)
    stored = storage.Index(Path(folder) / stem)
    runs: dict[tuple[str, str], Run] = {}
    missing: list[str] = []
    left_out = []
    for study, label, config, num_seeds in experiment.table(scale):
        cells = []
        lacking = []
        for seed in range(num_seeds):
            cell = stored.find(storage.identity(stem, study.name, study.version, config, seed))
            if cell is None:
                lacking.append(f"{study.name}/{label} seed {seed}")
            else:
                cells.append(cell)
        if not cells and study.optional(config):
            left_out.append((study.name, label))
            continue
        missing += lacking
        if not lacking:
            runs[study.name, label] = _stack(study, label, config, cells)
    if missing:
        some = ", ".join(missing[:3]) + (f" and {len(missing) - 3} more" if missing[3:] else "")
        where = "" if str(folder) == "results" else f" --results {folder}"
        raise ValueError(
            f"results of {stem} at scale {scale} are incomplete in {folder}: {some}; "
            f"make them with: python -m sims run {stem} --scale {scale}{where}"
        )
    return StemResults(stem, scale, runs, tuple(left_out))


def _stack(study: Study, label: str, config: Any, cells: Sequence[storage.Cell]) -> Run:
    seeds = tuple(range(len(cells)))
    return Run(
        study=study.name,
        label=label,
        config=config,
        seeds=seeds,
        arrays={name: np.stack([cell.arrays[name] for cell in cells]) for name in study.dims},
        dims={name: ("seed", *dims) for name, dims in study.dims.items()},
        coords={"seed": list(seeds), **study.coords(config)},
        sidecars=[cell.sidecar for cell in cells],
    )
