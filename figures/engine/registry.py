"""The figures of each stem by name, imported only when asked for.

A module of a stem has ``FIGURES``, ``{name: draw}`` with ``draw(results) -> Figure``, and
``CAPTIONS``, ``{name: text}``. A draw function raises :class:`Absent` where the scale has no cells
for its figure.
"""

from __future__ import annotations

from types import ModuleType

from twolayer import figures
from twolayer.host import names, stems

STEMS = stems.find(figures, "captions")


class Absent(Exception):
    """The scale has no cells for this figure; says which."""


def get(stem: str) -> ModuleType:
    """The captions of a study; ValueError names the studies that there are."""
    names.one_of("study", stem, list(STEMS))
    module = stems.load(STEMS[stem])
    for needed in ("FIGURES", "CAPTIONS"):
        if not getattr(module, needed, None):
            raise ValueError(f"{STEMS[stem]} must define {needed}; it does not.")
    return module
