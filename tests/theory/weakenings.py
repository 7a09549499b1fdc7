"""Ways to make a false theorem of a true one: a smaller bound, a hypothesis less, fewer sizes."""

import dataclasses

from twolayer.theory.verification.inequality import Bound


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
