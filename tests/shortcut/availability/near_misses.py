"""False theorems that the search must refute: a wrong constant, a term or hypothesis less."""

import dataclasses
import functools

from tests.theory.weakenings import tightened
from twolayer.theory.shortcut.availability.theorems import four_points, linear, spectra

NEAR_MISSES = {
    "reliance on a grid within 1.9/n of the box": tightened(linear.BOX, 0.95, "box"),
    "early drift with 0.49995 t for t/2": tightened(linear.EARLY, 0.9999, "slope"),
    "tail of the angular series 1.96/(pi^2 N)": tightened(spectra.CIRCLE, 0.98, "series"),
    "shortcut first iff kappa > 1.01 g": dataclasses.replace(
        four_points.FOUR_POINTS,
        conclusions=functools.partial(four_points._four_points, threshold=1.01),
    ),
    "kappa at most 0.999 of the linear kernel's": tightened(
        four_points.SHORTER, 0.999, "relu below"
    ),
}
# Verification on 1000 random instances sees nothing of these.
RARE = ("tail of the angular series 1.96/(pi^2 N)",)
