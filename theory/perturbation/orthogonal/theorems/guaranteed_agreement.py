"""Learning from perturbations of nearly orthogonal data: where both networks must agree.

Certificates that need not know the second network's multipliers, only bounds of them (A1): the
sharper bounds or the paper's. All [derived]; the paper's bounds are [paper].
"""

from __future__ import annotations

import functools
from collections.abc import Mapping

import jax
import jax.numpy as jnp
from flax import struct
from jax import Array

from twolayer.theory import geometry
from twolayer.theory.perturbation.orthogonal import agreement as orthogonal_agreement
from twolayer.theory.perturbation.orthogonal import conditions, data, limit, multipliers, perturbed
from twolayer.theory.perturbation.orthogonal.theorems.agreement import CLEAR, outputs, signs
from twolayer.theory.verification.inequality import (
    Bound,
    Bounds,
    same_sign,
    strictly_less,
    within_rounding,
)
from twolayer.theory.verification.theorem import Control, Parameters, Size, Theorem


@struct.dataclass
class Trained:
    """Both data sets; their multipliers follow."""

    x: Array
    y: Array
    base: Array
    targets: Array
    z: Array
    eps: Array
    gamma: Array

    @property
    def normal(self) -> Array:
        """Normal of the first boundary."""
        return limit.boundary_normal(self.x, self.y, self.lam)

    @property
    def unit(self) -> Array:
        """The Euclidean direction of attack."""
        return geometry.direction(self.normal, "l2")

    @property
    def lam(self) -> Array:
        """Multipliers of the first network."""
        return multipliers.solve_multipliers(self.x @ self.x.T, self.y, self.gamma)

    @property
    def inputs(self) -> Array:
        """What the second network is trained on."""
        return perturbed.perturb(self.base, self.targets, self.unit, self.eps)

    @property
    def lam_adv(self) -> Array:
        """Multipliers of the second network, from those inputs."""
        gram = self.inputs @ self.inputs.T
        return multipliers.solve_multipliers(gram, self.targets, self.gamma)

    @property
    def gram_adv(self) -> Array:
        """Gram matrix of those inputs, from that of the base points."""
        return perturbed.perturbed_gram(
            self.base @ self.base.T, self.base @ self.unit, 1.0, self.targets, self.eps
        )


def _sample_trained(
    key: Array, size: Size, parameters: Parameters, *, stretch: float = 1.0, harm: float = 1.0
) -> Trained:
    """Base points of two norms, and points z at which the multipliers' spread does most harm."""
    n, n_adv, d, points = size["n"], size["n_adv"], size["d"], size["points"]
    raw = jax.random.normal(key, (n + n_adv + points, d + 1))
    label, rows = signs(raw[:, 0]), raw[: n + n_adv, 1:]
    # Orthonormal but for cosines of about 0.1 / d.
    rows = data.orthonormal_rows(rows) + 0.05 * rows / float(d)
    short = jnp.arange(n_adv) < n_adv // 2
    radii = jnp.where(short, 1 / parameters["ratio"], 1.0)
    x, base = rows[:n], radii[:, None] * rows[n:]
    targets, gamma = label[n : n + n_adv], parameters["slope"]
    eps = stretch * parameters["share"] * gamma / float(n_adv) ** 0.5 / parameters["ratio"]
    lam_base = 2 / ((1 + gamma**2) * radii**2)
    spread = jnp.where(short, -1.0, 1.0) * targets / radii**2
    unit = geometry.unit_rows((label[:n] @ x)[None])
    # At strength 1 the noise of multipliers lam_base cancels the feature.
    worst = eps * jnp.sum(lam_base) / jnp.sum(jnp.where(short, lam_base, -lam_base))
    strength = harm * parameters["strength"] * worst * (1 + 0.3 * raw[n + n_adv :, :1])
    side = 0.1 * eps * raw[n + n_adv :, 1:]
    return Trained(
        x=x,
        y=label[:n],
        base=base,
        targets=targets,
        z=unit + strength * (spread @ base)[None, :] + side,
        eps=eps,
        gamma=gamma,
    )


def interval(at: Trained, constants: str) -> tuple[Array, Array, Bounds]:
    """Bounds of the second network's multipliers, and the hypotheses that they need."""
    known = conditions.orthogonality(at.gram_adv, at.gamma)
    square = known.r_min**2
    if constants == "paper":
        tier = {
            "no zero sample": strictly_less(jnp.zeros_like(square), square),
            "overlap": strictly_less(known.p_max, known.paper_lhs),
        }
        return 1 / (2 * known.r_max**2), 3 / (2 * at.gamma**2 * square), tier
    tier = {
        "dominant": strictly_less(known.row_sum, at.gamma * square),
        "bounded": strictly_less(known.lam_hi * known.row_sum, known.lam_lo * at.gamma * square),
    }
    return known.lam_lo, known.lam_hi, tier


def _certified(
    at: Trained, *, constants: str = "sharp", noise: float = 1.0, spread: float = 1.0
) -> Bounds:
    lo, hi, tier = interval(at, constants)
    signed, absolute = orthogonal_agreement.correlations(at.z, at.base, at.targets)
    reach = noise * orthogonal_agreement.noise_reach(signed, spread * absolute, lo, hi)
    n_adv = at.base.shape[0]
    feature = orthogonal_agreement.feature_floor(at.z, at.unit, at.eps, n_adv, lo)
    size = jnp.abs(at.z) @ (jnp.sum(jnp.abs(at.base), axis=0) + n_adv * at.eps * jnp.abs(at.unit))
    certified = strictly_less(reach + CLEAR * hi * size, feature)
    return tier | off_boundary(at) | {"certified": certified}


def _formulas(at: Trained) -> Bounds:
    """The certificate with the formulas of lo and hi used where the tier fails."""
    known = conditions.orthogonality(at.gram_adv, at.gamma)
    hi = 2 / ((1 + at.gamma**2) * known.r_min**2 - (1 + at.gamma) * known.row_sum)
    lo = (2 - (1 + at.gamma) * hi * known.row_sum) / ((1 + at.gamma**2) * known.r_max**2)
    sums = orthogonal_agreement.correlations(at.z, at.base, at.targets)
    noise = orthogonal_agreement.noise_reach(*sums, lo, hi)
    feature = orthogonal_agreement.feature_floor(at.z, at.unit, at.eps, at.base.shape[0], lo)
    return {"certified": strictly_less(noise, feature)}


def off_boundary(at: Trained) -> Bounds:
    """Points at which rounding does not decide what the first network says."""
    scale = jnp.abs(at.z) @ (jnp.abs(at.lam) @ jnp.abs(at.x))
    linear = limit.boundary(at.z, at.normal)
    return {"off the boundary": strictly_less(CLEAR * scale, jnp.abs(linear))}


def agreement(at: Trained) -> Bounds:
    """Both closed forms classify z alike."""
    second = outputs(at.z, at.inputs, at.targets, at.lam_adv, at.gamma)
    return {"sign": same_sign(second, outputs(at.z, at.x, at.y, at.lam, at.gamma))}


def _agreement_and_terms(at: Trained, *, constants: str) -> Bounds:
    lo, hi, _ = interval(at, constants)
    terms = orthogonal_agreement.decompose(at.z, at.base, at.targets, at.lam_adv, at.unit, at.eps)
    noise, feature = (jnp.abs(term) * jnp.sum(at.lam_adv) for term in terms)
    sums = orthogonal_agreement.correlations(at.z, at.base, at.targets)
    reach = orthogonal_agreement.noise_reach(*sums, lo, hi)
    floor = orthogonal_agreement.feature_floor(at.z, at.unit, at.eps, at.base.shape[0], lo)
    scale = hi * (jnp.abs(at.z) @ jnp.sum(jnp.abs(at.base), axis=0))
    return agreement(at) | {
        "noise": within_rounding(noise, reach, scale),
        "feature": Bound(lhs=floor, rhs=feature),
    }


def _agreement_theorem(
    constants: str,
    name: str,
    sizes: tuple[Size, ...],
    parameters: Mapping[str, tuple[float, float]],
    controls: Mapping[str, Control],
) -> Theorem:
    tier = {
        "sharp": "S1, S2 hold on X^a, and lo, hi are their bounds (C8)",
        "paper": "gamma^3 R_min^4 / (3 N R_max^2) >= p_max holds on X^a, lo = 1/(2 R_max^2) and "
        "hi = 3/(2 gamma^2 R_min^2) (C7)",
    }[constants]
    return Theorem(
        name=name,
        statement=f"If {tier}, the second network classifies z as the first wherever eps N lo "
        "|<w/|w|, z>| > (lo+hi)/2 |sum_n y^a_n <b_n, z>| + (hi-lo)/2 sum_n |<b_n, z>|: the left "
        "side is at most Lambda |T2|, the right side at least Lambda |T1|.",
        source="[derived] Theorem A1",
        sizes=sizes,
        parameters=parameters,
        sample=_sample_trained,
        hypotheses=functools.partial(_certified, constants=constants),
        conclusions=functools.partial(_agreement_and_terms, constants=constants),
        searchable=("x", "base", "z"),
        controls=controls,
    )


_RATIOS = (1.1, 1.4)
_SIZES = (
    {"n": 2, "n_adv": 2, "d": 6, "points": 4},
    {"n": 4, "n_adv": 6, "d": 24, "points": 12},
)

CERTIFIED_AGREEMENT = _agreement_theorem(
    "sharp",
    "orthogonal.certified_agreement",
    _SIZES,
    {"slope": (0.2, 0.9), "ratio": _RATIOS, "share": (0.1, 0.9), "strength": (0.0, 1.2)},
    {
        "not certified": Control(hypotheses=functools.partial(_certified, noise=0.0)),
        "spread of the multipliers ignored": Control(
            hypotheses=functools.partial(_certified, spread=0.0)
        ),
        "outside the tier": Control(
            sample=functools.partial(_sample_trained, stretch=6.0),
            hypotheses=_formulas,
        ),
    },
)

PAPER_AGREEMENT = _agreement_theorem(
    "paper",
    "orthogonal.certified_agreement_paper",
    _SIZES[1:],
    {"slope": (0.7, 0.95), "ratio": _RATIOS, "share": (0.05, 0.35), "strength": (0.0, 0.08)},
    {
        "spread of the multipliers ignored": Control(
            sample=functools.partial(_sample_trained, harm=30.0),
            hypotheses=functools.partial(_certified, constants="paper", spread=0.0),
        ),
    },
)

THEOREMS = (CERTIFIED_AGREEMENT, PAPER_AGREEMENT)
