"""The figures of each stem by name, imported only when asked for.

A module of a stem has ``FIGURES``, ``{name: draw}`` with ``draw(results) -> Figure``, and
``CAPTIONS``, ``{name: text}``. A draw function raises :class:`Absent` where the scale has no cells
for its figure.
"""

from __future__ import annotations

import importlib
from types import ModuleType

STEMS = {
    "perturbation.wide": "figures.perturbation.wide",
    "perturbation.orthogonal": "figures.perturbation.orthogonal",
    "mixup.features": "figures.mixup.features",
    "mixup.collapse": "figures.mixup.collapse",
    "mixup.calibration": "figures.mixup.calibration",
    "shortcut.availability": "figures.shortcut.availability",
    "shortcut.cues": "figures.shortcut.cues",
    "shortcut.gradients": "figures.shortcut.gradients",
}


class Absent(Exception):
    """The scale has no cells for this figure; says which."""


def get(stem: str) -> ModuleType:
    """The module of a stem; ValueError names the stems that there are."""
    if stem not in STEMS:
        raise ValueError(f"stem must be one of {', '.join(STEMS)}; got {stem!r}.")
    return importlib.import_module(STEMS[stem])
