"""What parameters of this study's functions take, beyond what their names say."""

from __future__ import annotations

from tests.robustness.fuzz.domains import FREE, SIMPLEX, _frame, arrays, integers, numbers

DOMAINS = {
    "theory.mixup.collapse.optimal_features:w": arrays(_frame),
    "theory.mixup.collapse.optimal_features.ufm_objective:w": FREE,
    "theory.mixup.collapse.optimal_features:target": SIMPLEX,
    "theory.mixup.collapse.optimal_features:lam": numbers(0.1, 0.9, many=True),
    "theory.mixup.collapse.optimal_features:scale": numbers(0.1, 0.9, many=True),
    "theory.mixup.collapse.optimal_features:feature_decay": numbers(0.1, 0.9, many=True),
    "theory.mixup.collapse.dual:target": SIMPLEX,
    "theory.mixup.collapse.free_classifier.ufm_free_loss:w": arrays(_frame),
    "theory.mixup.collapse.free_classifier:targets": SIMPLEX,
    "theory.mixup.collapse.free_classifier:num_classes": integers(2, 3),
}
