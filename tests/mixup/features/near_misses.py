"""False theorems that the search must refute: a wrong constant, a term or hypothesis less."""

import dataclasses
import functools

from tests.theory.weakenings import largest, smallest, tightened, without
from twolayer.theory.mixup.features.theorems import error, learning
from twolayer.theory.verification.inequality import Bound

# Up to twice the step a filter of the other class changes its sign but still shrinks; beyond, it
# grows where all rare samples are as wrong as can be.
_STEPS = 2.002


def _longer_steps(at):
    found = learning._step_fits(at)["step"]
    return {"step": Bound(lhs=found.lhs, rhs=_STEPS * found.rhs)}


NEAR_MISSES = {
    "rare features kept with steps 2.002 times as long": smallest(
        dataclasses.replace(
            learning.NEVER_UNLEARNS,
            sample=functools.partial(learning._sample_any_state, factor=_STEPS),
            hypotheses=_longer_steps,
        )
    ),
    "growth of rare features at most 0.99 of its bound": largest(
        tightened(learning.MEMORIZATION_BOUND, 0.99)
    ),
    "rare error 1/2 without the favourable coins": smallest(
        without(error.HALF_ERROR, "favourable")
    ),
}
# Verification on 1000 random instances sees nothing of these.
RARE = ("rare features kept with steps 2.002 times as long",)
