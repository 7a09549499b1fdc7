"""For every theorem, a change of a function's result that its verification must notice.

What is wrong, the module and the function, and the change. Functions are found through their
modules when a check is traced, so that all uses are changed.
"""

from tests.theory.changes import SLIGHTLY, field, part, scaled, shifted
from twolayer.theory.shortcut.gradients import max_margin

FAULTS = {
    "max_margin": ("off by a millionth", max_margin, "max_margin_value", SLIGHTLY),
    "bias_free": ("off by a millionth", max_margin, "max_margin_value", SLIGHTLY),
    "unique": ("off by a millionth", max_margin, "max_margin_value", SLIGHTLY),
    "near_margin": ("halved", max_margin, "max_margin_value", scaled(0.5)),
    "leakage": ("outputs reversed", max_margin, "max_margin_atoms", part(0, -1.0)),
    "robust_affine": ("0.01 too much", max_margin, "affine_robust_margin", shifted(0.01)),
    "robust_specific": (
        "thresholds off by a millionth",
        max_margin,
        "robust_network",
        field("b", SLIGHTLY),
    ),
}
# Cheap to compile; all others are marked slow.
QUICK = ("robust_affine",)
