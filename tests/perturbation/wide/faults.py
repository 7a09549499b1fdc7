"""For every theorem, a change of a function's result that its verification must notice.

What is wrong, the module and the function, and the change. Functions are found through their
modules when a check is traced, so that all uses are changed.
"""

import jax.numpy as jnp

from tests.theory.changes import SLIGHTLY, part, scaled, shifted
from twolayer.theory.perturbation.wide import bounds, directions, lazy_training, surrogate
from twolayer.theory.training import function_space, momentum

FAULTS = {
    "effective_time": ("a per cent longer", function_space, "effective_time", scaled(1.01)),
    "width": ("radius with 0.045 for 4.5", lazy_training, "width_radius", scaled(0.1)),
    "lazy_training": ("bound a thousandth", lazy_training, "lazy_bound", scaled(1e-3)),
    "lazy_sign": ("drift reversed", lazy_training, "lazy_drift", scaled(-1.0)),
    "flip_mass": ("3.9 for 4", lazy_training, "expected_flip_mass", scaled(0.975)),
    "input_gradient": ("no initial part", directions, "initial_direction", scaled(0.0)),
    "direction": ("off by a millionth", directions, "representer_coefficients", SLIGHTLY),
    "coefficients": ("forgotten momentum", momentum, "effective_weights", scaled(0.5)),
    "infinite_gradient": ("doubled", directions, "gate_kernel_gradient", scaled(2.0)),
    "decomposition": ("odd part halved", surrogate, "even_odd_split", part(1, 0.5)),
    "signal_sign": (
        "even and odd exchanged",
        surrogate,
        "even_odd_split",
        lambda parts: parts[::-1],
    ),
    "label_noise": ("a quarter", bounds, "label_noise_radius", scaled(0.25)),
    "balanced_noise": ("all labels alike", surrogate, "random_targets", jnp.ones_like),
    "agreement_a": ("odd part reversed", surrogate, "even_odd_split", part(1, -1.0)),
    "agreement_b": ("odd part reversed", surrogate, "even_odd_split", part(1, -1.0)),
    "initial_output": ("a third", bounds, "initial_output_radius", scaled(1 / 3)),
    "threshold_surrogate": ("a fifth", bounds, "threshold_surrogate_bound", scaled(0.2)),
    "threshold_law": ("above by a tenth", surrogate, "threshold_agreement", shifted(0.1)),
}
# Cheap to compile; all others are marked slow.
QUICK = ("width", "flip_mass", "threshold_law")
# What is left of these when the code is wrong: their hypotheses hold nowhere.
VACUOUS = ("agreement_a", "agreement_b")
