"""False theorems that the search must refute: a wrong constant, a term or hypothesis less."""

import dataclasses
import functools

import jax
import jax.numpy as jnp

from tests.theory.weakenings import smallest
from twolayer.theory.mixup.collapse import dual, optimal_features
from twolayer.theory.mixup.collapse.theorems import class_pairs
from twolayer.theory.mixup.collapse.theorems import optimal_features as collapse_theorems
from twolayer.theory.verification.inequality import Bound


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


NEAR_MISSES = {
    "log odds kept within 0.999 of the distance": smallest(
        dataclasses.replace(
            class_pairs.BOUNDARY,
            conclusions=functools.partial(class_pairs._boundary, crowded=0.999),
        )
    ),
    "dual gap above kappa/2 + 1 by a hundred-thousandth": smallest(
        dataclasses.replace(collapse_theorems.DUAL, conclusions=_above_pinsker)
    ),
    "convexity above mu by a millionth": smallest(
        dataclasses.replace(collapse_theorems.OPTIMUM, conclusions=_more_convex)
    ),
}
# Verification on 1000 random instances sees nothing of these.
RARE = ("log odds kept within 0.999 of the distance",)
