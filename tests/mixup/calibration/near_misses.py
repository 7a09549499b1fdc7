"""False theorems that the search must refute: a wrong constant, a term or hypothesis less."""

import dataclasses
import functools

from tests.theory.weakenings import largest, smallest, tightened
from twolayer.theory.mixup.calibration.theorems import midpoint, mixup_posterior, temperature

NEAR_MISSES = {
    "probability of the mate at most 0.995 e^c/k": smallest(
        tightened(temperature.LOWER_BOUND, 0.995, "mate")
    ),
    "best temperature dearer by a millionth": largest(
        tightened(temperature.OPTIMUM, 0.999999, "least")
    ),
    "KL of mixup at most log 2 on the overlap too": smallest(
        dataclasses.replace(
            mixup_posterior.POSTERIOR,
            conclusions=functools.partial(mixup_posterior._posterior, everywhere=True),
        )
    ),
    "floor of the midpoint loss higher by a hundred-thousandth": largest(
        tightened(midpoint.FLOOR, 0.99999, "floor")
    ),
}
# Verification on 1000 random instances sees nothing of these.
RARE = (
    "probability of the mate at most 0.995 e^c/k",
    "best temperature dearer by a millionth",
    "KL of mixup at most log 2 on the overlap too",
)
