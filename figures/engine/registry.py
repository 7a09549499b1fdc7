"""The figures of each stem by name, imported only when asked for.

A module of a stem has ``FIGURES``, ``{name: draw}`` with ``draw(results) -> Figure``, and
``CAPTIONS``, ``{name: text}``. A draw function raises :class:`Absent` where the scale has no cells
for its figure.
"""

from __future__ import annotations

import importlib
from types import ModuleType

from twolayer import figures
from twolayer.host import stems

STEMS = {
    name: f"{figures.__name__}.{module}"
    for name, module in stems.find(figures.__path__, "captions").items()
}


class Absent(Exception):
    """The scale has no cells for this figure; says which."""


def get(stem: str) -> ModuleType:
    """The module of a stem; ValueError names the stems that there are."""
    if stem not in STEMS:
        raise ValueError(f"stem must be one of {', '.join(STEMS)}; got {stem!r}.")
    return importlib.import_module(STEMS[stem])
