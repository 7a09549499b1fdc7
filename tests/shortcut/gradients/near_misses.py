"""False theorems that the search must refute: a wrong constant, a term or hypothesis less."""

import dataclasses
import functools

import jax.numpy as jnp

from tests.theory.weakenings import largest, smallest, tightened
from twolayer.theory.shortcut.gradients.theorems import max_margin, robust, uniqueness
from twolayer.theory.verification.inequality import Bound


def _nearly_beyond(at):
    return {"radius": Bound(lhs=jnp.asarray(0.99), rhs=at.excess)}


NEAR_MISSES = {
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
# Verification on 1000 random instances sees nothing of these.
RARE = ("margin of a network at most 0.99999 of the largest",)
