"""Learning from perturbations of orthogonal samples towards the opposite of their labels.

Everything can be solved (A3): the second boundary is the first one or its negative, and at one
length of the perturbations they are reflections. All [derived]. Instances are those of
:mod:`twolayer.theory.perturbation.orthogonal.theorems.targeted`.
"""

from __future__ import annotations

import dataclasses
import functools

import jax.numpy as jnp
from jax import Array

from twolayer.theory.perturbation.orthogonal import conditions, data, exact, limit
from twolayer.theory.perturbation.orthogonal.theorems.agreement import WIDTH, outputs
from twolayer.theory.perturbation.orthogonal.theorems.targeted import (
    KNOBS,
    NEAR,
    SIZES,
    SOLVED,
    Targeted,
    both,
    sample_flipped,
    sample_targeted,
    yes,
)
from twolayer.theory.verification.inequality import Bound, Bounds, equal, same_sign
from twolayer.theory.verification.theorem import Control, Parameters, Size, Theorem


def _solved(at: Targeted) -> exact.FlippedOrthogonal:
    return exact.flipped_orthogonal(at.tau, at.y.shape[0], at.radius, at.gamma)


def _off_one(at: Targeted) -> Bounds:
    # At tau = 1 the perturbed samples leave no boundary.
    return {"tau is not 1": Bound(lhs=jnp.full_like(at.tau, 1e-4), rhs=jnp.abs(at.tau - 1))}


def _flipped(at: Targeted, *, shift: float = 1.0) -> Bounds:
    second, solved = both(at), _solved(at)
    normal = solved.lam_adv * (at.tau - shift) * (at.y @ second.x)
    scale = solved.lam_adv * (1 + at.tau) * at.radius
    network = outputs(second.inputs, second.x, at.y, second.lam, at.gamma)
    return {
        "multipliers": equal(second.lam_adv, solved.lam_adv, SOLVED * solved.lam_adv),
        "normal": equal(second.normal_adv, normal, SOLVED * scale),
        "classified as targets": same_sign(at.targets * network, solved.sign),
    }


FLIPPED_LABELS = Theorem(
    name="orthogonal.flipped_labels",
    statement="For N orthogonal samples of norm R, balanced, perturbed by eps = tau R/sqrt(N) "
    "towards the opposite labels, lambda^a_n = 2/[(1+gamma^2) R^2 + (1+gamma)^2 R^2 (tau^2 - 2 tau)"
    "/2] and w^a = lambda^a (tau - 1) sum_n y_n x_n; the first network classifies them as their "
    "targets if tau > 1, as their labels if tau < 1.",
    source="[derived] Theorem A3",
    sizes=SIZES,
    parameters=KNOBS,
    sample=sample_flipped,
    hypotheses=_off_one,
    conclusions=_flipped,
    searchable=("raw",),
    controls={
        "one label in four kept": Control(sample=functools.partial(sample_flipped, share=0.25)),
        "normal of tau - 1/2": Control(conclusions=functools.partial(_flipped, shift=0.5)),
    },
)


def _off_boundary(at: Targeted) -> Bounds:
    normal = at.y @ at.x
    scale = jnp.linalg.norm(at.z, axis=1) * jnp.linalg.norm(normal)
    return _off_one(at) | {
        "off the boundary": Bound(lhs=1e-4 * scale, rhs=jnp.abs(at.z @ normal)),
    }


def _flipped_agreement(at: Targeted, *, coincide: bool = False) -> Bounds:
    second = both(at)
    first = outputs(at.z, second.x, at.y, second.lam, at.gamma)
    found = outputs(at.z, second.inputs, at.targets, second.lam_adv, at.gamma)
    return {"sign": same_sign(found, first if coincide else _solved(at).sign * first)}


FLIPPED_AGREEMENT = Theorem(
    name="orthogonal.flipped_agreement",
    statement="In the setting of A3 the second network classifies every point as the first if "
    "tau > 1, and every point opposite to it if tau < 1.",
    source="[derived] Theorem A3",
    sizes=SIZES[1:],
    parameters=KNOBS,
    sample=sample_flipped,
    hypotheses=_off_boundary,
    conclusions=_flipped_agreement,
    searchable=("raw", "z"),
    controls={
        "too weak an attack, tau = 0.99": Control(
            sample=functools.partial(sample_flipped, tau=0.99),
            conclusions=functools.partial(_flipped_agreement, coincide=True),
        ),
    },
)


def _off_switches(at: Targeted) -> Bounds:
    n = at.y.shape[0]
    square = (at.tau - 1) ** 2
    change = at.tau**2 - 2 * at.tau
    certificate = square - (1 - at.gamma) / (1 + at.gamma)
    paper = jnp.abs(change) - at.gamma**3 / 3 * (1 + change / n)
    return {
        "certificate": Bound(lhs=jnp.full_like(at.tau, NEAR), rhs=jnp.abs(certificate)),
        "paper": Bound(lhs=jnp.full_like(at.tau, NEAR), rhs=jnp.abs(paper)),
    }


def _tiers(at: Targeted, *, root: bool = True, everywhere: bool = False) -> Bounds:
    second, solved = both(at), _solved(at)
    certified = solved.certificate
    if not root:
        certified = jnp.abs(at.tau - 1) > (1 - at.gamma) / (1 + at.gamma)
    known = conditions.orthogonality(second.gram, at.gamma)
    found = conditions.certificate(second.gram, at.targets, second.lam_adv, at.gamma)
    v, u = limit.limit_rows(second.inputs, at.targets, second.lam_adv, at.gamma, WIDTH)
    weights = limit.limit_weights(v, u, WIDTH)
    residual = limit.kkt_residual(weights, second.inputs, at.targets, second.lam_adv, at.gamma)
    # Multipliers have the unit of 1 / radius^2; the residual takes the larger of theirs and 1.
    size = SOLVED * (1 + solved.lam_adv)
    return {
        "certificate": same_sign(yes(found.holds), yes(certified)),
        "paper": same_sign(yes(known.paper), yes(solved.paper)),
        "KKT": Bound(lhs=jnp.where(certified | everywhere, residual, 0.0), rhs=size),
    }


FLIPPED_TIERS = Theorem(
    name="orthogonal.flipped_tiers",
    statement="In the setting of A3 the certificate holds on the perturbed samples if and only if "
    "|tau - 1| > sqrt((1-gamma)/(1+gamma)), where the closed form is a KKT point; the paper's "
    "hypothesis if and only if |tau^2 - 2 tau| <= (gamma^3/3)(1 + (tau^2 - 2 tau)/N).",
    source="[derived] Theorem A3",
    sizes=SIZES,
    parameters=KNOBS,
    sample=sample_flipped,
    hypotheses=_off_switches,
    conclusions=_tiers,
    searchable=("raw",),
    controls={
        "switch without the root": Control(conclusions=functools.partial(_tiers, root=False)),
        "KKT point outside the tiers": Control(
            sample=functools.partial(sample_flipped, tau=1.2),
            conclusions=functools.partial(_tiers, everywhere=True),
        ),
    },
)


def _sample_reflected(
    key: Array, size: Size, parameters: Parameters, *, tau: float = 2.0
) -> Targeted:
    """Any classes and opposite targets."""
    at = sample_targeted(key, size, {**parameters, "tau": jnp.full_like(parameters["slope"], tau)})
    return dataclasses.replace(at, targets=-at.y)


def _reflection(at: Targeted) -> Bounds:
    second = both(at)
    mirror = data.reflect(second.x, second.normal)
    gram = second.x @ second.x.T
    before, after = (conditions.orthogonality(matrix, at.gamma) for matrix in (gram, second.gram))
    square = 1e-12 * at.radius**2
    return {
        "reflected": equal(second.inputs, mirror, 1e-12 * at.radius),
        "gram": equal(second.gram, gram, square),
        "row sums": equal(after.row_sum, before.row_sum, at.y.shape[0] * square),
        "lo": equal(after.lam_lo, before.lam_lo, 1e-11 * before.lam_lo),
        "hi": equal(after.lam_hi, before.lam_hi, 1e-11 * before.lam_hi),
    }


REFLECTION = Theorem(
    name="orthogonal.reflection",
    statement="Orthogonal samples of norm R perturbed by eps = 2 R/sqrt(N) towards the opposite "
    "labels are their reflections x_n - 2 <x_n, w> w/|w|^2 at the boundary: X^a has the Gram "
    "matrix of X, and every hypothesis with it.",
    source="[derived] Theorem A3, tau = 2",
    sizes=SIZES,
    parameters={name: KNOBS[name] for name in ("slope", "log_radius")},
    sample=_sample_reflected,
    conclusions=_reflection,
    searchable=("raw",),
    controls={"tau = 1.9": Control(sample=functools.partial(_sample_reflected, tau=1.9))},
)

THEOREMS = (FLIPPED_LABELS, FLIPPED_AGREEMENT, FLIPPED_TIERS, REFLECTION)
