"""What parameters of this study's functions take, beyond what their names say."""

from __future__ import annotations

from tests.robustness.fuzz.domains import POSITIVE, SHARES, _classes, arrays, integers, numbers

DOMAINS = {
    "theory.mixup.calibration.scores:target": arrays(_classes, "n"),
    "theory.mixup.calibration.scores.ts_weak:steps": integers(1, 3),
    "theory.mixup.calibration.mixup_posterior:lam": SHARES,
    "theory.mixup.calibration.mixup_posterior:weights": POSITIVE,
    "theory.mixup.calibration.mixup_posterior:z": SHARES,
    "theory.mixup.calibration.mixup_posterior:y": arrays(_classes),
    "theory.mixup.calibration.mixup_posterior:x": SHARES,
    "theory.mixup.calibration.overlapping_pairs:y": arrays(_classes),
    "theory.mixup.calibration.overlapping_pairs.paired_posterior:x": SHARES,
    "theory.mixup.calibration.overlapping_pairs.gaussian_posterior:mu": numbers(0.2, 2.0),
    "theory.mixup.calibration.overlapping_pairs:overlap": numbers(0.1, 0.9, many=True),
    "theory.mixup.calibration.overlapping_pairs.oracle_ts_optimum:k": numbers(2.0, 5.0, many=True),
    "theory.mixup.calibration.overlapping_pairs.ts_lower_bound:k": numbers(2.0, 5.0, many=True),
    "theory.mixup.calibration.overlapping_pairs:spread": numbers(0.0, 2.0, many=True),
    "theory.mixup.calibration.overlapping_pairs:fraction": numbers(0.1, 0.9, many=True),
}
