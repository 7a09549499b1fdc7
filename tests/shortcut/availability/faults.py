"""For every theorem, a change of a function's result that its verification must notice.

What is wrong, the module and the function, and the change. Functions are found through their
modules when a check is traced, so that all uses are changed.
"""

from tests.theory.changes import SLIGHTLY, entry, field, kernel, part, scaled, shifted
from twolayer.theory.shortcut.availability import data as availability_data
from twolayer.theory.shortcut.availability import flows, four_points, shortcut_bias, spectra

FAULTS = {
    "box_reliance": ("a fifth too much", shortcut_bias, "box_reliance", shifted(0.2)),
    "linear_limit": ("off by a millionth", flows, "linear_flow", SLIGHTLY),
    "linear_early": ("a per cent faster", flows, "linear_flow", scaled(1.01)),
    "least_squares": ("b off by a millionth", availability_data, "lda_fit", part(1, 1 + 1e-6)),
    "odd_reduction": (
        "off by a millionth",
        flows,
        "odd_kernel",
        kernel(SLIGHTLY),
    ),
    "relu_linear": ("off by a millionth", flows, "odd_kernel", kernel(SLIGHTLY)),
    "population_limit": (
        "error a per cent smaller",
        flows,
        "population_flow",
        entry("mse", scaled(0.99)),
    ),
    "four_points": (
        "rates off by a millionth",
        four_points,
        "four_point",
        field("lam", SLIGHTLY),
    ),
    "shorter_phase": (
        "a tenth larger",
        four_points,
        "four_point",
        field("kappa", scaled(1.1)),
    ),
    "circle": ("off by a millionth", spectra, "angular_coefficients", SLIGHTLY),
    "clusters": (
        "off by a millionth",
        spectra,
        "mixture_linear_spectrum",
        part(0, 1 + 1e-6),
    ),
    "narrow_clusters": ("a per cent larger", spectra, "centre_spectrum", scaled(1.01)),
}
# Cheap to compile; all others are marked slow.
QUICK = ("box_reliance",)
