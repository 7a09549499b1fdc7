"""What parameters of this study's functions take, beyond what their names say."""

from __future__ import annotations

from tests.robustness.fuzz.domains import FREE, POSITIVE, integers, numbers

DOMAINS = {
    "theory.perturbation.wide.bounds:extra_f": numbers(0.0, 0.5, many=True),
    "theory.perturbation.wide.bounds:extra_g": numbers(0.0, 0.5, many=True),
    "theory.perturbation.wide.bounds:f0": FREE,
    "theory.perturbation.wide.bounds:radius": POSITIVE,
    "theory.perturbation.wide.decision_map:resolution": integers(2, 3),
    "theory.perturbation.wide.surrogate.threshold_agreement:mu": numbers(0.1, 0.9),
}
