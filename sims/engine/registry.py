"""The stems by name, imported only when asked for, as importing JAX takes a second."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from twolayer.sims.engine.experiment import Experiment

# Each module defines EXPERIMENT.
STEMS = {
    "perturbation.wide": "twolayer.sims.perturbation.wide.experiment",
    "perturbation.orthogonal": "twolayer.sims.perturbation.orthogonal.experiment",
    "mixup.features": "twolayer.sims.mixup.features.experiment",
    "mixup.collapse": "twolayer.sims.mixup.collapse.experiment",
    "mixup.calibration": "twolayer.sims.mixup.calibration.experiment",
    "shortcut.availability": "twolayer.sims.shortcut.availability.experiment",
    "shortcut.cues": "twolayer.sims.shortcut.cues.experiment",
    "shortcut.gradients": "twolayer.sims.shortcut.gradients.experiment",
}


def get(stem: str) -> Experiment:
    """The experiment of a stem; ValueError names the stems that there are."""
    if stem not in STEMS:
        raise ValueError(f"stem must be one of {', '.join(STEMS)}; got {stem!r}.")
    return importlib.import_module(STEMS[stem]).EXPERIMENT
