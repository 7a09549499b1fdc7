"""False theorems that the search must refute: a wrong constant, a term or hypothesis less."""

import dataclasses

from tests.theory.weakenings import smallest, tightened
from twolayer.theory.perturbation.orthogonal import conditions as limit_conditions
from twolayer.theory.perturbation.orthogonal.theorems import agreement, conditions, instances
from twolayer.theory.verification.inequality import Bound, strictly_less


def _own_interaction(at):
    report = limit_conditions.orthogonality(at.gram, at.gamma)
    hi = 2 / ((1 + at.gamma**2) * report.r_min**2 - 2 * at.gamma * report.row_sum)
    return {"below": Bound(lhs=at.lam, rhs=hi)}


def _wider_overlap(at):
    found = instances.paper_hypothesis(at)
    overlap = found["overlap"]
    return found | {"overlap": Bound(lhs=overlap.lhs, rhs=2.25 * overlap.rhs)}


def _feature_nearly_wins(at):
    found = agreement._feature_wins(at)["feature"]
    return {"feature": strictly_less(found.lhs, 1.001 * found.rhs)}


NEAR_MISSES = {
    "multipliers above 1/R_max^2": smallest(tightened(conditions.PAPER_MULTIPLIERS, 0.5, "above")),
    "multipliers below 1.05/(gamma R_min)^2": smallest(
        tightened(conditions.PAPER_MULTIPLIERS, 1.05 / 1.5, "below")
    ),
    "multipliers below hi with 2 gamma for 1 + gamma": smallest(
        dataclasses.replace(conditions.SHARP_MULTIPLIERS, conclusions=_own_interaction)
    ),
    "paper's hypothesis with 4/3 for 3": smallest(
        dataclasses.replace(conditions.PAPER_TIER, hypotheses=_wider_overlap)
    ),
    "agreement where the feature nearly wins": smallest(
        dataclasses.replace(agreement.POINTWISE_AGREEMENT, hypotheses=_feature_nearly_wins)
    ),
}
# Verification on 1000 random instances sees nothing of these.
RARE = ("multipliers below 1.05/(gamma R_min)^2", "agreement where the feature nearly wins")
