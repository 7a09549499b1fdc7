"""For every theorem, a change of a function's result that its verification must notice.

What is wrong, the module and the function, and the change. Functions are found through their
modules when a check is traced, so that all uses are changed.
"""

from tests.theory.changes import part, scaled, shifted
from twolayer.theory.mixup.calibration import midpoint, mixup_posterior, overlapping_pairs

FAULTS = {
    "lower_bound": ("three times", overlapping_pairs, "ts_lower_bound", scaled(3.0)),
    "optimum": ("a thousandth larger", overlapping_pairs, "oracle_ts_optimum", part(0, 1.001)),
    "prediction": (
        "classes exchanged",
        mixup_posterior,
        "mixup_predict_1d",
        lambda probs: probs[..., ::-1],
    ),
    "posterior": ("0.01 too much", mixup_posterior, "mixed_posterior", shifted(0.01)),
    "uniform_weights": (
        "mirrored",
        mixup_posterior,
        "mixup_posterior_pair",
        lambda share: 1 - share,
    ),
    "midpoint_floor": ("halved", midpoint, "midpoint_losses", part(0, 0.5)),
    "midpoint_limit": ("half again", midpoint, "midpoint_losses", part(0, 1.5)),
}
# Cheap to compile; all others are marked slow.
QUICK = ("uniform_weights",)
