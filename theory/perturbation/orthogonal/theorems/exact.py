"""Learning from perturbations of orthogonal data: other cases that can be solved exactly.

Noise orthogonal to the samples (A4), random targets (A5), and the network's gradient beside the
boundary's normal. All [derived]; instances as in
:mod:`twolayer.theory.perturbation.orthogonal.theorems.flipped`.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from flax import struct
from jax import Array

from twolayer.theory import geometry
from twolayer.theory.perturbation.orthogonal import agreement as orthogonal_agreement
from twolayer.theory.perturbation.orthogonal import (
    conditions,
    data,
    exact,
    limit,
    multipliers,
    perturbed,
)
from twolayer.theory.perturbation.orthogonal.theorems.agreement import SLOPES, WIDTH, outputs, signs
from twolayer.theory.perturbation.orthogonal.theorems.targeted import (
    KNOBS,
    NEAR,
    SIZES,
    SOLVED,
    Targeted,
    balanced,
    sample_flipped,
    sample_targeted,
    yes,
)
from twolayer.theory.verification.inequality import Bound, Bounds, equal, same_sign, strictly_less
from twolayer.theory.verification.theorem import Control, Parameters, Size, Theorem

# Noise orthogonal to the samples -----------------------------------------------------------------


@struct.dataclass
class _Noise:
    raw: Array  # (n + n_adv, d)
    mix: Array  # (n, n), what the samples are beside orthonormal
    radius: Array  # of the base points
    y: Array
    targets: Array
    eps: Array
    gamma: Array


def _sample_noise(
    key: Array, size: Size, parameters: Parameters, *, between: bool = False
) -> _Noise:
    """``between`` puts eps between the switch of the paper's hypothesis and one a little lower."""
    n, n_adv, d = size["n"], size["n_adv"], size["d"]
    raw = jax.random.normal(key, (n + n_adv, d + n + 1))
    gamma = parameters["slope"]
    share = 10.0 ** parameters["log_share"]
    if between:
        switches = 3 * n_adv - jnp.stack([gamma**3, jnp.zeros_like(gamma)])
        share = jnp.mean(jnp.sqrt(gamma**3 / switches))
    radius = 10.0 ** parameters["log_radius"]
    return _Noise(
        raw=raw[:, n + 1 :],
        mix=0.1 * raw[:n, 1 : n + 1],
        radius=radius,
        y=signs(raw[:n, 0]),
        targets=balanced(raw[n:, 0]),
        eps=share * radius,
        gamma=gamma,
    )


def _noise_rows(at: _Noise, lean: float = 0.0) -> tuple[Array, Array, Array]:
    """Samples, multipliers of the first network, base points."""
    n = at.y.shape[0]
    rows = data.orthonormal_rows(at.raw)
    x = rows[:n] + at.mix @ rows[:n]
    lam = multipliers.solve_multipliers(x @ x.T, at.y, at.gamma)
    return x, lam, at.radius * (rows[n:] + lean * rows[:1])


def _samples_fit(at: _Noise) -> Bounds:
    x, lam, _ = _noise_rows(at)
    known = conditions.certificate(x @ x.T, at.y, lam, at.gamma)
    least = jnp.minimum(known.min_lam, jnp.minimum(known.min_pos_margin, known.min_neg_margin))
    switch = jnp.sqrt(at.gamma**3 / (3 * at.targets.shape[0] - at.gamma**3))
    return {
        "certificate on X": Bound(lhs=jnp.full_like(least, 1e-6), rhs=least),
        "off the switch": Bound(
            lhs=jnp.full_like(switch, NEAR), rhs=jnp.abs(at.eps / at.radius - switch)
        ),
    }


def _noise(at: _Noise, *, lean: float = 0.0, growth: bool = True) -> Bounds:
    x, lam, base = _noise_rows(at, lean)
    normal = limit.boundary_normal(x, at.y, lam)
    unit = geometry.direction(normal, "l2")
    inputs = perturbed.perturb(base, at.targets, unit, at.eps)
    gram = inputs @ inputs.T
    lam_adv = multipliers.solve_multipliers(gram, at.targets, at.gamma)
    normal_adv = limit.boundary_normal(inputs, at.targets, lam_adv)
    solved = exact.orthogonal_noise_limit(at.eps, at.targets.shape[0], at.radius, at.gamma)
    paper = solved.paper
    if not growth:
        paper = at.eps <= at.radius * jnp.sqrt(at.gamma**3 / (3 * at.targets.shape[0]))
    noise, _ = orthogonal_agreement.decompose(x, base, at.targets, lam_adv, unit, at.eps)
    known = conditions.orthogonality(gram, at.gamma)
    found = conditions.certificate(gram, at.targets, lam_adv, at.gamma)
    agreement = orthogonal_agreement.isotropic_agreement(normal, normal_adv)
    lengths = jnp.linalg.norm(x, axis=1)
    return {
        "multipliers": equal(lam_adv, solved.lam_adv, SOLVED * solved.lam_adv),
        "agreement": equal(agreement, solved.agreement, 1e-12),
        "angle": equal(agreement, 1 - solved.angle / jnp.pi, 1e-12),
        "noise term": equal(noise, jnp.zeros_like(noise), 1e-12 * at.radius * lengths),
        "samples": same_sign(outputs(x, inputs, at.targets, lam_adv, at.gamma), at.y),
        "certificate": same_sign(yes(found.holds), jnp.ones(())),
        "paper": same_sign(yes(known.paper), yes(paper)),
    }


ORTHOGONAL_NOISE = Theorem(
    name="orthogonal.orthogonal_noise",
    statement="For base points orthogonal to each other and to the samples, of norm R_b, and "
    "balanced targets: lambda^a_n = 2/[(1+gamma^2) R_b^2 + (1+gamma)^2 eps^2 N/2], the noise term "
    "vanishes at the samples, which the second network classifies correctly for every eps > 0 if "
    "the first one's certificate holds; tan angle(w, w^a) = R_b/(eps sqrt N); the certificate "
    "holds, and the paper's hypothesis if and only if eps <= R_b sqrt(gamma^3/(3N - gamma^3)).",
    source="[derived] Theorem A4",
    sizes=({"n": 2, "n_adv": 2, "d": 4}, {"n": 4, "n_adv": 6, "d": 16}),
    parameters={"slope": (0.2, 0.9), "log_radius": (-1.0, 1.0), "log_share": (-2.0, 0.5)},
    sample=_sample_noise,
    hypotheses=_samples_fit,
    conclusions=_noise,
    searchable=("raw", "mix"),
    controls={
        "noise that leans on a sample": Control(conclusions=functools.partial(_noise, lean=0.3)),
        "norms that do not grow": Control(
            sample=functools.partial(_sample_noise, between=True),
            conclusions=functools.partial(_noise, growth=False),
        ),
    },
)


# Random targets ----------------------------------------------------------------------------------


def _perturbed(at: Targeted) -> Array:
    """Perturbed samples alone: no second training."""
    x = at.x
    lam = multipliers.solve_multipliers(x @ x.T, at.y, at.gamma)
    unit = geometry.direction(limit.boundary_normal(x, at.y, lam), "l2")
    return perturbed.perturb(x, at.targets, unit, at.eps)


def _cross_terms(at: Targeted, *, squared: float = 1.0) -> Bounds:
    inputs = _perturbed(at)
    formula = exact.targeted_gram(at.y, at.targets, at.tau, at.radius)
    formula -= (1 - squared) * at.eps**2 * at.targets[:, None] * at.targets[None, :]
    scale = 1e-12 * (at.radius * (1 + at.tau)) ** 2
    return {"gram": equal(inputs @ inputs.T, formula, scale)}


TARGETED_GRAM = Theorem(
    name="orthogonal.targeted_gram",
    statement="For orthogonal samples of norm R perturbed by eps = tau R/sqrt(N) towards any "
    "targets, with s_n = y_n y^a_n: G^a_nk = R^2 delta_nk + y_n y_k (R^2/N) [tau (s_n + s_k) + "
    "tau^2 s_n s_k].",
    source="[derived] Theorem A5",
    sizes=SIZES[1:],
    parameters=KNOBS,
    sample=sample_targeted,
    conclusions=_cross_terms,
    searchable=("raw",),
    controls={
        "without the squared term": Control(
            conclusions=functools.partial(_cross_terms, squared=0.0)
        ),
    },
)


def _sample_weak(key: Array, size: Size, parameters: Parameters) -> Targeted:
    """Any targets and tau about the largest that the paper's hypothesis allows."""
    largest = exact.largest_random_tau(size["n"], parameters["slope"])
    return sample_targeted(key, size, {**parameters, "tau": parameters["share"] * largest})


def _two_kept(at: Targeted) -> Bounds:
    kept = jnp.sum((at.y == at.targets).astype(at.tau.dtype))
    return {"two targets are labels": Bound(lhs=jnp.full_like(kept, 2.0), rhs=kept)}


def _near_orthogonal(at: Targeted) -> Bounds:
    inputs = _perturbed(at)
    known = conditions.orthogonality(inputs @ inputs.T, at.gamma)
    return _two_kept(at) | {"overlap": strictly_less(known.p_max, known.paper_lhs)}


def _weak(at: Targeted, *, share: float = 1.0) -> Bounds:
    largest = exact.largest_random_tau(at.y.shape[0], at.gamma)
    return {"tau": Bound(lhs=at.tau, rhs=share * largest)}


RANDOM_TARGETS = Theorem(
    name="orthogonal.random_targets",
    statement="If the paper's hypothesis holds on orthogonal samples of one norm perturbed by "
    "eps = tau R/sqrt(N) towards targets of which two are labels, then q = tau^2 + 2 tau is at "
    "most (gamma^3/3)(1 + q/N).",
    source="[derived] Theorem A5",
    sizes=({"n": 4, "d": 4, "points": 1}, {"n": 8, "d": 12, "points": 1}),
    parameters={"slope": SLOPES, "log_radius": (-1.0, 1.0), "share": (0.1, 1.3)},
    sample=_sample_weak,
    hypotheses=_near_orthogonal,
    conclusions=_weak,
    searchable=("raw",),
    controls={
        "any perturbation": Control(hypotheses=_two_kept),
        "gamma^3/12": Control(conclusions=functools.partial(_weak, share=0.25)),
    },
)


# The gradient beside the normal ------------------------------------------------------------------


def _rows(at: Targeted) -> tuple[Array, Array, Array]:
    x = at.x
    lam = multipliers.solve_multipliers(x @ x.T, at.y, at.gamma)
    v, u = limit.limit_rows(x, at.y, lam, at.gamma, WIDTH)
    return v, u, limit.boundary_normal(x, at.y, lam)


def _off_kinks(at: Targeted) -> Bounds:
    v, u, _ = _rows(at)
    size = NEAR * jnp.linalg.norm(at.z, axis=1)
    return {
        name: strictly_less(size * jnp.linalg.norm(row), jnp.abs(at.z @ row))
        for name, row in (("v", v), ("u", u))
    }


def _gradient(at: Targeted, *, parallel: bool = False) -> Bounds:
    v, u, normal = _rows(at)

    def total(z: Array) -> Array:
        return jnp.sum(limit.predict(z, v, u, at.gamma, WIDTH))

    gradient = jax.grad(total)(at.z)
    cosine = geometry.row_cosines(gradient, jnp.broadcast_to(normal, gradient.shape))
    apart = (at.z @ v > 0) != (at.z @ u > 0)
    between = 1.0 if parallel else exact.gradient_cosine(at.gamma)
    return {"cosine": equal(cosine, jnp.where(apart, between, 1.0), 1e-12)}


GRADIENT = Theorem(
    name="orthogonal.gradient",
    statement="For balanced orthogonal samples of one norm the network's gradient is parallel to "
    "the boundary's normal where <v, z> and <u, z> have one sign; elsewhere the cosine between "
    "both is (1+gamma)^2 / sqrt(2 [(1+gamma^2)^2 + 4 gamma^2]).",
    source="[derived] section 2.2",
    sizes=SIZES[1:],
    parameters=KNOBS,
    sample=sample_flipped,
    hypotheses=_off_kinks,
    conclusions=_gradient,
    searchable=("raw", "z"),
    controls={
        "parallel everywhere": Control(conclusions=functools.partial(_gradient, parallel=True)),
    },
)

THEOREMS = (ORTHOGONAL_NOISE, TARGETED_GRAM, RANDOM_TARGETS, GRADIENT)
