"""For every theorem, a change of a function's result that its verification must notice.

What is wrong, the module and the function, and the change. Functions are found through their
modules when a check is traced, so that all uses are changed.
"""

import jax.numpy as jnp

from tests.theory.changes import SLIGHTLY, scaled, shifted
from twolayer.theory.mixup.features import dynamics as features
from twolayer.theory.mixup.features import laws

FAULTS = {
    "gram_step": ("off by a millionth", features, "mixup_step", SLIGHTLY),
    "block_structure": ("a per cent larger", laws, "signal_matrix", scaled(1.01)),
    "initial_rates": ("a thousandth larger", laws, "feature_rate", scaled(1.001)),
    "equivalent_weights": ("a thousandth larger", features, "mixup_weights", scaled(1.001)),
    "conservation": ("not zero", laws, "conservation_residual", shifted(1e-2)),
    "multiplicative_law": ("a per cent larger", features, "output_gaps", scaled(1.01)),
    "memorization_bound": ("halved", laws, "memorization_factor", scaled(0.5)),
    "rare_frozen": ("halved", laws, "memorization_factor", scaled(0.5)),
    "never_unlearns": ("shrunk", features, "standard_step", scaled(0.9)),
    "test_error": ("0.01 too much", laws, "rare_error", shifted(0.01)),
    "rare_ratio": ("a thousand times", laws, "rare_ratio", scaled(1e3)),
    "half_error": (
        "rare gaps a third",
        features,
        "signal_gap",
        lambda gap: gap * jnp.array([1.0, 1.0, 0.3, 0.3]),
    ),
}
# Cheap to compile; all others are marked slow.
QUICK = ("half_error",)
