"""The stems by name, imported only when asked for, as importing JAX takes a second."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sims.experiment import Experiment

# Each module defines EXPERIMENT.
STEMS = {
    "perturbation.wide": "sims.perturbation.wide",
    "perturbation.orthogonal": "sims.perturbation.orthogonal",
    "mixup.features": "sims.mixup.features",
    "mixup.collapse": "sims.mixup.collapse",
    "mixup.calibration": "sims.mixup.calibration",
    "shortcut.availability": "sims.shortcut.availability",
    "shortcut.cues": "sims.shortcut.cues",
    "shortcut.gradients": "sims.shortcut.gradients",
}


def get(stem: str) -> Experiment:
    """The experiment of a stem; ValueError names the stems that there are."""
    if stem not in STEMS:
        raise ValueError(f"stem must be one of {', '.join(STEMS)}; got {stem!r}.")
    return importlib.import_module(STEMS[stem]).EXPERIMENT
