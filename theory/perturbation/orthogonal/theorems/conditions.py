"""Nearly orthogonal samples: bounds on the multipliers, and which hypothesis implies which.

C7 and C8, and the tiers: the paper's hypothesis implies the sharper one, that one the certificate.
Hypotheses are those of :mod:`twolayer.theory.perturbation.orthogonal.theorems.instances`.
"""

from __future__ import annotations

import functools

import jax.numpy as jnp

from twolayer.theory.perturbation.orthogonal import conditions
from twolayer.theory.perturbation.orthogonal.theorems import intervals
from twolayer.theory.perturbation.orthogonal.theorems.instances import (
    BROKEN,
    Samples,
    paper_hypothesis,
    row_sums,
    sharp_hypothesis,
    statement_about_samples,
)
from twolayer.theory.verification.inequality import Bound, Bounds
from twolayer.theory.verification.theorem import Control

# C7, C8: bounds on the multipliers ---------------------------------------------------------------


def _paper_multipliers(at: Samples, *, low: float = 0.5, high: float = 1.5) -> Bounds:
    lam, squares = at.lam, jnp.sum(at.x**2, axis=1)
    return {
        "above": Bound(lhs=low / jnp.max(squares), rhs=lam),
        "below": Bound(lhs=lam, rhs=high / (at.gamma**2 * jnp.min(squares))),
    }


PAPER_MULTIPLIERS = statement_about_samples(
    name="orthogonal.paper_multipliers",
    statement="Under the paper's hypothesis 1/(2 R_max^2) < lambda_n < 3/(2 gamma^2 R_min^2).",
    source="[paper] C7",
    searchable=("x",),
    hypotheses=paper_hypothesis,
    conclusions=_paper_multipliers,
    controls={
        "3 in place of 1 below": Control(
            conclusions=functools.partial(_paper_multipliers, low=1.5)
        ),
        "1 in place of 3 above": Control(
            conclusions=functools.partial(_paper_multipliers, high=0.5)
        ),
    },
    interval_form=intervals.paper_multipliers,
)


def _sharp_multipliers(at: Samples, *, interaction: float = 1.0) -> Bounds:
    off = 1 - jnp.eye(at.x.shape[0], dtype=at.x.dtype)
    gram = at.gram * (1 + (interaction - 1) * off)
    report = conditions.orthogonality(gram, at.gamma)
    lam = at.lam
    return {
        "above": Bound(lhs=report.lam_lo, rhs=lam),
        "below": Bound(lhs=lam, rhs=report.lam_hi),
    }


SHARP_MULTIPLIERS = statement_about_samples(
    name="orthogonal.sharp_multipliers",
    statement="Under the sharp hypothesis lo <= lambda_n <= hi with "
    "hi = 2/[(1+gamma^2) R_min^2 - (1+gamma) P], "
    "lo = [2 - (1+gamma) hi P]/[(1+gamma^2) R_max^2].",
    source="[derived] C8",
    searchable=("x",),
    hypotheses=sharp_hypothesis,
    conclusions=_sharp_multipliers,
    controls={
        "no interaction": Control(
            conclusions=functools.partial(_sharp_multipliers, interaction=0.0)
        ),
    },
    interval_form=intervals.sharp_multipliers,
)


# The tiers ---------------------------------------------------------------------------------------


def _paper_tier(at: Samples) -> Bounds:
    return row_sums(at, conditions.orthogonality(at.gram, at.gamma))


PAPER_TIER = statement_about_samples(
    name="orthogonal.paper_tier",
    statement="The paper's hypothesis gamma^3 R_min^4 / (3 N R_max^2) >= p_max implies the sharp "
    "one: P < gamma R_min^2 and lo gamma R_min^2 > hi P.",
    source="[derived] tiers",
    searchable=("x",),
    hypotheses=paper_hypothesis,
    conclusions=_paper_tier,
    controls=BROKEN,
    interval_form=intervals.paper_tier,
)


def _sharp_tier(at: Samples) -> Bounds:
    report = conditions.orthogonality(at.gram, at.gamma)
    found = conditions.certificate(at.gram, at.y, at.lam, at.gamma)
    margin = report.lam_lo * at.gamma * report.r_min**2 - report.lam_hi * report.row_sum
    # Under the hypothesis the left sides are positive; zero is what the certificate needs.
    return {
        "multipliers": Bound(lhs=jnp.maximum(report.lam_lo, 0), rhs=found.min_lam),
        "positive half": Bound(lhs=jnp.maximum(margin, 0), rhs=found.min_pos_margin),
        "negative half": Bound(lhs=jnp.maximum(margin, 0), rhs=found.min_neg_margin),
    }


SHARP_TIER = statement_about_samples(
    name="orthogonal.sharp_tier",
    statement="The sharp hypothesis implies the certificate: lambda_n >= lo > 0, and "
    "sqrt(m) y_n <v, x_n> and -sqrt(m) y_n <u, x_n> are at least lo gamma R_min^2 - hi P > 0.",
    source="[derived] tiers",
    searchable=("x",),
    hypotheses=sharp_hypothesis,
    conclusions=_sharp_tier,
    controls=BROKEN,
    interval_form=intervals.sharp_tier,
)

THEOREMS = (PAPER_MULTIPLIERS, SHARP_MULTIPLIERS, PAPER_TIER, SHARP_TIER)
