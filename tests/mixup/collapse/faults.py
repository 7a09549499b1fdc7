"""For every theorem, a change of a function's result that its verification must notice.

What is wrong, the module and the function, and the change. Functions are found through their
modules when a check is traced, so that all uses are changed.
"""

from tests.theory.changes import SLIGHTLY, scaled
from twolayer.theory.mixup.collapse import dual, free_classifier, optimal_features

FAULTS = {
    "optimum": ("off by a millionth", dual, "ufm_logits", SLIGHTLY),
    "dual": ("off by a millionth", dual, "ufm_probs", SLIGHTLY),
    "same_class": ("off by a millionth", optimal_features, "ufm_features", SLIGHTLY),
    "channels": ("a tenth larger", optimal_features, "ufm_coefficients", scaled(1.1)),
    "boundary": ("half as large again", dual, "ufm_logits", scaled(1.5)),
    "squared_loss": ("off by a millionth", optimal_features, "ufm_mse_features", SLIGHTLY),
    "balance": ("a per cent larger", free_classifier, "free_loss", scaled(1.01)),
    "free_classifier": ("0.1 too much", free_classifier, "ufm_free_loss", scaled(1.1)),
}
# Cheap to compile; all others are marked slow.
QUICK = ("balance",)
