"""For every theorem, a change of a function's result that its verification must notice.

What is wrong, the module and the function, and the change. Functions are found through their
modules when a check is traced, so that all uses are changed.
"""

import jax.numpy as jnp

from tests.theory.changes import scaled
from twolayer.theory.shortcut.cues import accuracy

FAULTS = {
    "single_cue": ("a thousandth larger", accuracy, "cue_baseline", scaled(1.001)),
    "majority": ("a thousandth smaller", accuracy, "majority_baseline", scaled(0.999)),
    "kernel_vote": ("always the first level", accuracy, "cue_vote", jnp.zeros_like),
}
