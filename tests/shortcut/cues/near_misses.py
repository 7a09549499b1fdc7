"""False theorems that the search must refute: a wrong constant, a term or hypothesis less."""

import dataclasses
import functools

from tests.theory.weakenings import largest, tightened
from twolayer.theory.shortcut.cues.theorems import accuracy


def _only(theorem, name):
    """One of the conclusions."""
    return lambda at: {name: theorem.conclusions(at)[name]}


NEAR_MISSES = {
    "accuracies that sum to 0.97 of the majority vote's": largest(
        tightened(accuracy.MAJORITY, 0.97, "mean")
    ),
    "kernel vote with 1.03 points of one level": dataclasses.replace(
        accuracy.KERNEL_VOTE,
        sample=functools.partial(accuracy._sample_machine, copies=1.03),
        conclusions=_only(accuracy.KERNEL_VOTE, "vote"),
    ),
}
# Verification on 1000 random instances sees nothing of these.
RARE = ("accuracies that sum to 0.97 of the majority vote's",)
