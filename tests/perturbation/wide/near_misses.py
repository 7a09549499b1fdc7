"""False theorems that the search must refute: a wrong constant, a term or hypothesis less."""

import dataclasses

from tests.theory.weakenings import largest, smallest, tightened, without
from twolayer.theory.perturbation.wide import lazy_training as lazy
from twolayer.theory.perturbation.wide.theorems import agreement as wide_agreement
from twolayer.theory.perturbation.wide.theorems import (
    direction,
    instances,
    lazy_training,
    threshold,
)
from twolayer.theory.verification.inequality import strictly_less


def _clear_drift(at):
    bound = lazy.lazy_bound(at.p0, at.x, at.z, at.tau, at.gamma)
    floor = bound + 1e-12 * at.tau
    return {
        loss: strictly_less(floor, abs(lazy_training._drift(at, loss))) for loss in instances.LOSSES
    }


NEAR_MISSES = {
    "lazy bound with 0.75 for 1": smallest(tightened(lazy_training.LAZY_TRAINING, 0.75)),
    "sign of the drift whatever f_0 is": smallest(
        dataclasses.replace(lazy_training.LAZY_SIGN, hypotheses=_clear_drift)
    ),
    "flip mass with 3.999996 for 4": smallest(tightened(lazy_training.FLIP_MASS, 0.999999)),
    "second part of the gradient 0.9": largest(tightened(direction.INFINITE_GRADIENT, 0.9, "rest")),
    "agreement without alignment": smallest(without(wide_agreement.AGREEMENT_A, "(iii)")),
    "threshold law with 0.6 of the radius": smallest(tightened(threshold.THRESHOLD_LAW, 0.6)),
    "label noise with 0.65 of the radius": smallest(tightened(wide_agreement.LABEL_NOISE, 0.65)),
    "threshold surrogate with 0.99": largest(tightened(threshold.THRESHOLD_SURROGATE, 0.99)),
}
# Verification on 1000 random instances sees nothing of these.
RARE = (
    "sign of the drift whatever f_0 is",
    "second part of the gradient 0.9",
    "agreement without alignment",
    "threshold law with 0.6 of the radius",
    "label noise with 0.65 of the radius",
    "threshold surrogate with 0.99",
)
