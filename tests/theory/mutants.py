"""False theorems: true ones with a wrong constant, a dropped term or a missing hypothesis.

Every one must be refuted by the search. Most are so nearly true that few random instances show it;
of those named in ``RARE`` verification on 1000 random instances sees nothing.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp

from twolayer.theory.mixup.calibration.theorems import mixup_posterior, temperature
from twolayer.theory.mixup.collapse import dual, optimal_features
from twolayer.theory.mixup.collapse.theorems import optimal_features as collapse_theorems
from twolayer.theory.mixup.features.theorems import error, learning
from twolayer.theory.perturbation.orthogonal import limit
from twolayer.theory.perturbation.orthogonal.theorems import agreement, conditions, instances
from twolayer.theory.perturbation.wide import bounds
from twolayer.theory.perturbation.wide.theorems import agreement as wide_agreement
from twolayer.theory.perturbation.wide.theorems import direction, threshold, training
from twolayer.theory.shortcut.availability.theorems import four_points, linear, spectra
from twolayer.theory.shortcut.cues.theorems import accuracy
from twolayer.theory.shortcut.gradients.theorems import max_margin, robust, uniqueness
from twolayer.theory.verification.inequality import Bound, strictly_less


def tightened(theorem, share, only=""):
    """The conclusions whose names hold a word, with a smaller right side; the others left out."""

    def conclusions(at):
        return {
            name: Bound(lhs=bound.lhs, rhs=share * bound.rhs)
            for name, bound in theorem.conclusions(at).items()
            if only in name
        }

    return dataclasses.replace(theorem, conclusions=conclusions)


def without(theorem, condition):
    """The hypotheses without one."""

    def hypotheses(at):
        return {
            name: bound
            for name, bound in theorem.hypotheses(at).items()
            if not name.startswith(condition)
        }

    return dataclasses.replace(theorem, hypotheses=hypotheses)


def smallest(theorem):
    """At the smallest size alone."""
    return dataclasses.replace(theorem, sizes=theorem.sizes[:1])


def largest(theorem):
    """At the largest size alone."""
    return dataclasses.replace(theorem, sizes=theorem.sizes[-1:])


# Wide networks -----------------------------------------------------------------------------------


def _clear_drift(at):
    bound = bounds.lazy_bound(at.p0, at.x, at.z, at.tau, at.gamma)
    floor = bound + 1e-12 * at.tau
    return {loss: strictly_less(floor, abs(training._drift(at, loss))) for loss in training.LOSSES}


WIDE = {
    "lazy bound with 0.75 for 1": smallest(tightened(training.LAZY_TRAINING, 0.75)),
    "sign of the drift whatever f_0 is": smallest(
        dataclasses.replace(training.LAZY_SIGN, hypotheses=_clear_drift)
    ),
    "flip mass with 3.999996 for 4": smallest(tightened(training.FLIP_MASS, 0.999999)),
    "second part of the gradient 0.9": largest(tightened(direction.INFINITE_GRADIENT, 0.9, "rest")),
    "agreement without alignment": smallest(without(wide_agreement.AGREEMENT_A, "(iii)")),
    "threshold law with 0.6 of the radius": smallest(tightened(threshold.THRESHOLD_LAW, 0.6)),
    "label noise with 0.65 of the radius": smallest(tightened(wide_agreement.LABEL_NOISE, 0.65)),
    "threshold surrogate with 0.99": largest(tightened(threshold.THRESHOLD_SURROGATE, 0.99)),
}

# Nearly orthogonal samples -----------------------------------------------------------------------


def _own_interaction(at):
    report = limit.orthogonality(at.gram, at.gamma)
    hi = 2 / ((1 + at.gamma**2) * report.r_min**2 - 2 * at.gamma * report.row_sum)
    return {"below": Bound(lhs=at.lam, rhs=hi)}


def _wider_overlap(at):
    found = instances.paper_hypothesis(at)
    overlap = found["overlap"]
    return found | {"overlap": Bound(lhs=overlap.lhs, rhs=2.25 * overlap.rhs)}


def _feature_nearly_wins(at):
    found = agreement._feature_wins(at)["feature"]
    return {"feature": strictly_less(found.lhs, 1.001 * found.rhs)}


ORTHOGONAL = {
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

# Rare features under Mixup -----------------------------------------------------------------------

# Up to twice the step a filter of the other class changes its sign but still shrinks; beyond, it
# grows where all rare samples are as wrong as can be.
_STEPS = 2.002


def _longer_steps(at):
    found = learning._step_fits(at)["step"]
    return {"step": Bound(lhs=found.lhs, rhs=_STEPS * found.rhs)}


FEATURES = {
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

# Calibration -------------------------------------------------------------------------------------

CALIBRATION = {
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
        tightened(mixup_posterior.FLOOR, 0.99999, "floor")
    ),
}

# Geometry of the last layer -----------------------------------------------------------------------


def _above_pinsker(at):
    """The gap is at least (kappa/2 + 1)|q - p|^2, by Pinsker's inequality, and no more than 1."""
    t, q = jax.nn.softmax(at.target_raw), jax.nn.softmax(at.other_raw)
    p = dual.ufm_probs(t, at.kappa)
    duals = [jnp.sum(r * jnp.log(r)) + at.kappa / 2 * jnp.sum((r - t) ** 2) for r in (q, p)]
    rounding = 1e-12 * (1 + at.kappa + jnp.max(-jnp.log(p)))
    lhs = (at.kappa / 2 + 1.00001) * jnp.sum((q - p) ** 2)
    return {"gain": Bound(lhs=lhs, rhs=duals[0] - duals[1] + rounding)}


def _more_convex(at):
    """Along what the classifier does not see the decay alone makes the loss convex."""
    t = jax.nn.softmax(at.target_raw)
    h = optimal_features.ufm_features(at.w, t, at.decay)
    away = h + at.shift / at.scale
    here, there = (optimal_features.ufm_objective(point, at.w, t, at.decay) for point in (h, away))
    lhs = (1 + 1e-6) * at.decay / 2 * jnp.sum((away - h) ** 2)
    return {"gain": Bound(lhs=lhs, rhs=there - here + 1e-13 * (1 + jnp.abs(there)))}


COLLAPSE = {
    "log odds kept within 0.999 of the distance": smallest(
        dataclasses.replace(
            collapse_theorems.BOUNDARY,
            conclusions=functools.partial(collapse_theorems._boundary, crowded=0.999),
        )
    ),
    "dual gap above kappa/2 + 1 by a hundred-thousandth": smallest(
        dataclasses.replace(collapse_theorems.DUAL, conclusions=_above_pinsker)
    ),
    "convexity above mu by a millionth": smallest(
        dataclasses.replace(collapse_theorems.OPTIMUM, conclusions=_more_convex)
    ),
}

# Input gradients ----------------------------------------------------------------------------------


def _nearly_beyond(at):
    return {"radius": Bound(lhs=jnp.asarray(0.99), rhs=at.excess)}


GRADIENTS = {
    "margin of a network at most 0.99999 of the largest": largest(
        tightened(max_margin.MARGIN, 0.99999, "bound")
    ),
    "margin that falls with cos^2.1": largest(
        dataclasses.replace(
            uniqueness.UNIQUE,
            conclusions=functools.partial(uniqueness._unique, power=2.1),
        )
    ),
    "gradients alike with 0.45 of the deficit's root": smallest(
        tightened(uniqueness.NEAR, 0.45, "elsewhere")
    ),
    "no robust affine function beyond 0.99/m": largest(
        dataclasses.replace(robust.AFFINE, hypotheses=_nearly_beyond)
    ),
}

# Predictivity and availability --------------------------------------------------------------------

AVAILABILITY = {
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

# Equally valid cues -------------------------------------------------------------------------------


def _only(theorem, name):
    """One of the conclusions."""
    return lambda at: {name: theorem.conclusions(at)[name]}


CUES = {
    "accuracies that sum to 0.97 of the majority vote's": largest(
        tightened(accuracy.MAJORITY, 0.97, "mean")
    ),
    "kernel vote with 1.03 points of one level": dataclasses.replace(
        accuracy.KERNEL_VOTE,
        sample=functools.partial(accuracy._sample_machine, copies=1.03),
        conclusions=_only(accuracy.KERNEL_VOTE, "vote"),
    ),
}

MUTANTS = WIDE | ORTHOGONAL | FEATURES | CALIBRATION | COLLAPSE | AVAILABILITY | CUES | GRADIENTS
RARE = (
    "sign of the drift whatever f_0 is",
    "second part of the gradient 0.9",
    "agreement without alignment",
    "threshold law with 0.6 of the radius",
    "label noise with 0.65 of the radius",
    "threshold surrogate with 0.99",
    "multipliers below 1.05/(gamma R_min)^2",
    "agreement where the feature nearly wins",
    "rare features kept with steps 2.002 times as long",
    "probability of the mate at most 0.995 e^c/k",
    "best temperature dearer by a millionth",
    "KL of mixup at most log 2 on the overlap too",
    "log odds kept within 0.999 of the distance",
    "tail of the angular series 1.96/(pi^2 N)",
    "margin of a network at most 0.99999 of the largest",
    "accuracies that sum to 0.97 of the majority vote's",
)
