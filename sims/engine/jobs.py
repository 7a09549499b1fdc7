"""The parts of a run: a row of its report for each label, and a job for each cell."""

from __future__ import annotations

import collections
import dataclasses
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from twolayer.sims.engine import execution, provenance, storage
from twolayer.sims.engine.experiment import Study


@dataclasses.dataclass
class Row:
    """What a run did for one label; cells of other runs count as reused.

    Attributes:
      stale: how many of the cells that were there were stale, and why.
      not_finite: of the results in which that has no meaning, in how many cells an entry is NaN or
        infinite.
    """

    study: str
    label: str
    cells: int
    computed: int = 0
    reused: int = 0
    seconds: float = 0.0
    stale: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    not_finite: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)

    @property
    def name(self) -> str:
        """Study and label."""
        return f"{self.study}/{self.label}"


@dataclasses.dataclass(frozen=True)
class Job:
    """One cell to be: its row in the report, and what it is the result of."""

    row: Row
    study: Study
    config: Any
    seed: int
    identity: dict[str, Any]
    name: str
    source: str | None
    code: str
    keep_stale: bool

    @property
    def told(self) -> str:
        """The cell as a reader calls it."""
        return f"{self.row.name} seed {self.seed}"

    def look(self, folder: Path) -> tuple[storage.Cell | None, str]:
        """The stored cell, unless it is to be computed again, and why it is stale if it is."""
        sidecar = storage.read_sidecar(folder, self.name)
        if sidecar is None or self._is_stale(sidecar):
            return None, provenance.fault(sidecar or {}, self.code)
        return storage.read(folder, self.name), provenance.fault(sidecar, self.code)

    def write(
        self, folder: Path, arrays: dict[str, np.ndarray], seconds: float, made: dict[str, Any]
    ) -> None:
        """Store its results, and count and tell what is not finite of them."""
        counts = execution.not_finite(self.study, arrays)
        details = {
            **made,
            "dims": self.study.dims,
            "coords": self.study.coords(self.config),
            "source": self.source,
            "seconds": seconds,
            "code": self.code,
            "not_finite": counts,
        }
        storage.write(folder, self.identity, arrays, details, is_stale=self._is_stale)
        for name, count in counts.items():
            if not self.row.not_finite[name]:
                warnings.warn(
                    f"{self.told}: {count} of {arrays[name].size} entries of {name} are NaN or "
                    "infinite",
                    stacklevel=2,
                )
        self.row.not_finite.update(counts.keys())

    def _is_stale(self, sidecar: Mapping[str, Any]) -> bool:
        why = provenance.fault(sidecar, self.code)
        return bool(why) and not (self.keep_stale and why == provenance.OTHER_CODE)
