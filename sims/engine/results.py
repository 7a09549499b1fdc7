"""Stored results as they are read back: the runs of a stem by study and label."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True, repr=False)
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

    def __repr__(self) -> str:
        shapes = (f"{name} {array.shape}" for name, array in self.arrays.items())
        return f"Run({self.study}/{self.label}, {len(self.seeds)} seeds: {', '.join(shapes)})"


@dataclasses.dataclass(frozen=True, repr=False)
class StemResults(Mapping[tuple[str, str], Run]):
    """All runs of a stem at one scale, by (study, label).

    Runs of optional data that were left out are not there; ``left_out`` has their keys.
    """

    stem: str
    scale: str
    entries: dict[tuple[str, str], Run]
    left_out: tuple[tuple[str, str], ...] = ()

    def __getitem__(self, key: tuple[str, str]) -> Run:
        if key not in self.entries:
            raise KeyError(_unknown(key, list(self.entries)))
        return self.entries[key]

    def __repr__(self) -> str:
        labels: dict[str, list[str]] = {}
        for study, label in self.entries:
            labels.setdefault(study, []).append(label)
        told = (f"{study}: {_some(names)}" for study, names in labels.items())
        return f"StemResults({self.stem} at scale {self.scale}; {'; '.join(told)})"

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


def _unknown(key: Any, known: Sequence[tuple[str, str]]) -> str:
    """What a key that is not there may have been meant to be."""
    names = {f"{study}/{label}": (study, label) for study, label in known}
    asked = "/".join(map(str, key)) if isinstance(key, tuple) else str(key)
    near = difflib.get_close_matches(asked, names, n=1, cutoff=0.6)
    meant = f"did you mean {names[near[0]]}? " if near else ""
    return f"no results of {key!r}: {meant}there are {_some(list(names))}"


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:6]) + (f" and {len(names) - 6} more" if names[6:] else "")
