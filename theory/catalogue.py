"""Every theorem of every wing, by name."""

from __future__ import annotations

from collections.abc import Sequence

from theory.mixup import (
    calibration_mixing_theorems,
    calibration_theorems,
    collapse_free_theorems,
    collapse_theorems,
    features_error_theorems,
    features_learning_theorems,
    features_theorems,
)
from theory.perturbation import (
    orthogonal_agreement_theorems,
    orthogonal_certified_theorems,
    orthogonal_exact_theorems,
    orthogonal_flipped_theorems,
    orthogonal_limit_theorems,
    orthogonal_noise_theorems,
    orthogonal_tier_theorems,
    wide_agreement,
    wide_directions,
    wide_theorems,
    wide_threshold,
)
from theory.shortcut import (
    availability_kernel_theorems,
    availability_linear_theorems,
    availability_points_theorems,
    availability_sample_theorems,
    availability_spectra_theorems,
    cues_theorems,
    gradients_robust_theorems,
    gradients_theorems,
    gradients_unique_theorems,
)
from theory.theorem import Theorem

THEOREMS: dict[str, Theorem] = {
    theorem.name: theorem
    for module in (
        wide_theorems,
        wide_directions,
        wide_agreement,
        wide_threshold,
        orthogonal_limit_theorems,
        orthogonal_tier_theorems,
        orthogonal_agreement_theorems,
        orthogonal_certified_theorems,
        orthogonal_exact_theorems,
        orthogonal_flipped_theorems,
        orthogonal_noise_theorems,
        features_theorems,
        features_learning_theorems,
        features_error_theorems,
        collapse_theorems,
        collapse_free_theorems,
        calibration_theorems,
        calibration_mixing_theorems,
        availability_linear_theorems,
        availability_sample_theorems,
        availability_kernel_theorems,
        availability_points_theorems,
        availability_spectra_theorems,
        cues_theorems,
        gradients_theorems,
        gradients_unique_theorems,
        gradients_robust_theorems,
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
