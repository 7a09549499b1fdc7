"""Every theorem of every wing, by name."""

from __future__ import annotations

from collections.abc import Sequence

from twolayer.theory.mixup.calibration.theorems import mixup_posterior, temperature
from twolayer.theory.mixup.collapse.theorems import free_classifier, optimal_features
from twolayer.theory.mixup.features.theorems import dynamics, error, learning
from twolayer.theory.perturbation.orthogonal.theorems import (
    agreement,
    conditions,
    exact,
    flipped,
    guaranteed_agreement,
    limit,
    noise,
)
from twolayer.theory.perturbation.wide.theorems import agreement as wide_agreement
from twolayer.theory.perturbation.wide.theorems import direction, threshold, training
from twolayer.theory.shortcut.availability.theorems import (
    four_points,
    kernels,
    least_squares,
    linear,
    spectra,
)
from twolayer.theory.shortcut.cues.theorems import accuracy
from twolayer.theory.shortcut.gradients.theorems import max_margin, robust, uniqueness
from twolayer.theory.verification.theorem import Theorem

THEOREMS: dict[str, Theorem] = {
    theorem.name: theorem
    for module in (
        training,
        direction,
        wide_agreement,
        threshold,
        limit,
        conditions,
        agreement,
        guaranteed_agreement,
        exact,
        flipped,
        noise,
        dynamics,
        learning,
        error,
        optimal_features,
        free_classifier,
        temperature,
        mixup_posterior,
        linear,
        least_squares,
        kernels,
        four_points,
        spectra,
        accuracy,
        max_margin,
        uniqueness,
        robust,
    )
    for theorem in module.THEOREMS
}
# Wing of each stem, so that a whole wing can be asked for by its name.
WINGS = {
    "perturbation": ("wide", "orthogonal"),
    "mixup": ("features", "collapse", "calibration"),
    "shortcut": ("availability", "cues", "gradients"),
}


def select(names: Sequence[str]) -> list[Theorem]:
    """Theorems by full name (``wide.width``), stem (``wide``) or wing; all when names are empty.

    Raises:
      ValueError: for a name that fits nothing.
    """
    if not names:
        return list(THEOREMS.values())
    chosen: dict[str, Theorem] = {}
    for name in names:
        wing, _, rest = name.partition(".")
        stems = WINGS.get(name, (rest if wing in WINGS else name,))
        found = {
            key: theorem
            for key, theorem in THEOREMS.items()
            if key in stems or key.split(".")[0] in stems
        }
        if not found:
            allowed = [*WINGS, *dict.fromkeys(key.split(".")[0] for key in THEOREMS), *THEOREMS]
            raise ValueError(f"NAME must be one of {', '.join(allowed)}; got {name!r}.")
        chosen |= found
    return list(chosen.values())
