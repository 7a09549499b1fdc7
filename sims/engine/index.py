"""The stored cells of a stem by what they are the results of, where the data is not at hand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from twolayer.host import atomic_io
from twolayer.sims.engine import provenance, storage


class Index:
    """The cells of a folder whose sidecars are intact; damaged ones are named in warnings.

    Those that were not computed with the precision and random generator of every run are none.

    Attributes:
      incomparable: how many such cells there are.
    """

    def __init__(self, folder: Path):
        self._folder = folder
        self._names: dict[str, list[str]] = {}
        self._sidecars: dict[str, dict[str, Any]] = {}
        self.incomparable = 0
        for name in storage.names(folder):
            sidecar = storage.read_sidecar(folder, name)
            if sidecar is None:
                continue
            if not provenance.is_comparable(sidecar):
                self.incomparable += 1
                continue
            self._sidecars[name] = sidecar
            self._names.setdefault(_key(sidecar["cell"]), []).append(name)

    def find(self, cell: Mapping[str, Any]) -> storage.Cell | None:
        """The intact cell with this identity, whatever its data if that is None.

        Raises:
          ValueError: if there are several, of different data.
        """
        found = self.find_all(cell)
        if len(found) > 1:
            checksums = ", ".join(each.sidecar["cell"]["data"][:12] for each in found)
            raise ValueError(
                f"{self._folder} holds results of {cell['study']} seed {cell['seed']} for several "
                f"versions of the data, checksums {checksums}: say by data which folder is meant, "
                "or move all but one of them away."
            )
        return found[0] if found else None

    def find_all(self, cell: Mapping[str, Any]) -> list[storage.Cell]:
        """The intact cells with this identity, one for each version of the data."""
        names = [
            name
            for name in self._names.get(_key(cell), [])
            if cell["data"] in (None, self._sidecars[name]["cell"]["data"])
        ]
        return [found for name in names if (found := storage.read(self._folder, name))]

    def others(self, cells: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """The identities of all cells that are none of these."""
        known = {_key(cell) for cell in cells}
        return [
            self._sidecars[name]["cell"]
            for key, names in self._names.items()
            if key not in known
            for name in names
        ]


def _key(cell: Mapping[str, Any]) -> str:
    return atomic_io.digest({**cell, "data": None})
