"""Learning from perturbations of nearly orthogonal data: the statements about agreement.

What moves a boundary most, what the second network's boundary is made of, and where it must agree
with the first network's: at a point (A0), without the second network's multipliers (A1), with
probability over noise (A2), and on average over isotropic points. The cases that can be solved
exactly are in :mod:`theory.perturbation.orthogonal_exact_theorems`.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from flax import struct
from jax import Array

from theory import geometry
from theory.perturbation import orthogonal, orthogonal_agreement, orthogonal_data
from theory.theorem import (
    Bound,
    Bounds,
    Control,
    Knobs,
    Size,
    Theorem,
    equal,
    same_sign,
    strictly_less,
    within_rounding,
)

DELTA = 0.05
NORMS = ("l2", "linf", "l0")
SLOPES = (0.05, 0.9)
WIDTH = 2
# Share of the natural scale below which rounding may decide a sign.
CLEAR = 1e-11


def signs(values: Array) -> Array:
    """Labels from the signs of numbers."""
    return jnp.where(values < 0, -1.0, 1.0)


def outputs(z: Array, x: Array, y: Array, lam: Array, gamma: Array) -> Array:
    """The network that the closed form makes of samples, labels and multipliers, at z."""
    v, u = orthogonal.limit_rows(x, y, lam, gamma, WIDTH)
    return orthogonal.predict(z, v, u, gamma, WIDTH)


def step(normal: Array, norm: str) -> Array:
    """The direction in one of the three norms, a third of the entries for ``l0``."""
    k = max(1, normal.shape[0] // 3) if norm == "l0" else None
    return geometry.direction(normal, norm, k)


# Any multipliers ---------------------------------------------------------------------------------


@struct.dataclass
class Weighted:
    """Both data sets with multipliers that need not solve anything."""

    x: Array
    y: Array
    log_lam: Array
    base: Array
    targets: Array
    log_lam_adv: Array
    rivals: Array  # other directions of attack, one a base point
    z: Array
    eps: Array
    gamma: Array

    @property
    def normal(self) -> Array:
        """Normal of the first boundary."""
        return orthogonal.boundary_normal(self.x, self.y, jnp.exp(self.log_lam))


def _sample_weighted(key: Array, size: Size, knobs: Knobs) -> Weighted:
    n, n_adv, d, points = size["n"], size["n_adv"], size["d"], size["points"]
    rows = jax.random.normal(key, (n + 2 * n_adv + points, d + 2))
    x, base, rivals, z = jnp.split(rows[:, 2:], (n, n + n_adv, n + 2 * n_adv))
    log_lam, label = rows[:, 0], signs(rows[:, 1])
    return Weighted(
        x=x,
        y=label[:n],
        log_lam=log_lam[:n],
        base=base,
        targets=label[n : n + n_adv],
        log_lam_adv=log_lam[n : n + n_adv],
        rivals=rivals,
        z=z,
        eps=10.0 ** knobs["log_eps"],
        gamma=knobs["slope"],
    )


WEIGHTED_SIZES = (
    {"n": 2, "n_adv": 1, "d": 3, "points": 2},
    {"n": 4, "n_adv": 6, "d": 10, "points": 6},
)
WEIGHTED_KNOBS = {"log_eps": (-2.0, 1.0), "slope": SLOPES}
WEIGHTED_FREE = ("x", "log_lam", "base", "log_lam_adv", "z")


def _attack(at: Weighted, *, shrink: float = 1.0, largest: bool = True) -> Bounds:
    bounds = {}
    normal = at.normal
    for norm in NORMS:
        d = normal.shape[0]
        direction = shrink * step(normal if largest else 1 / normal, norm)
        gain = geometry.direction_gain(normal, direction)
        moved = orthogonal_agreement.perturb(at.base, at.targets, direction, at.eps)
        before, after = orthogonal.boundary(at.base, normal), orthogonal.boundary(moved, normal)
        scale = (jnp.abs(at.base) + at.eps * jnp.abs(direction)[None, :]) @ jnp.abs(normal)
        bounds[f"{norm}: moved"] = equal(
            at.targets * (after - before), at.eps * gain, 1e-12 * scale
        )
        # The dual norm of the normal, by sums over its sorted entries.
        entries = jnp.sort(jnp.abs(normal))
        kept = entries[d - max(1, d // 3) :] if norm == "l0" else entries
        dual = jnp.sum(entries) if norm == "linf" else jnp.sqrt(jnp.sum(kept**2))
        bounds[f"{norm}: gain"] = equal(jnp.broadcast_to(gain, before.shape), dual, 1e-12 * dual)
        rivals = jax.vmap(functools.partial(_feasible, norm=norm))(
            step(normal, norm)[None] + at.rivals
        )
        bounds[f"{norm}: largest"] = within_rounding(rivals @ normal, gain, dual)
        network = outputs(moved, at.x, at.y, jnp.exp(at.log_lam), at.gamma)
        success = at.targets * before + at.eps * gain
        bounds[f"{norm}: success"] = same_sign(at.targets * network, success)
    return bounds


def _feasible(step_raw: Array, norm: str) -> Array:
    """A step of size one that a vector is nearest to, in one way or another."""
    if norm == "linf":
        return jnp.clip(step_raw, -1, 1)
    return step(step_raw, norm)


def _clear_attack(at: Weighted) -> Bounds:
    normal = at.normal
    size = jnp.exp(at.log_lam) @ jnp.abs(at.x)
    bounds = {}
    for norm in NORMS:
        direction = step(normal, norm)
        after = at.targets * (at.base @ normal) + at.eps * (direction @ normal)
        scale = (jnp.abs(at.base) + at.eps * jnp.abs(direction)[None, :]) @ size
        bounds[norm] = strictly_less(CLEAR * scale, jnp.abs(after))
    return bounds


ATTACK = Theorem(
    name="orthogonal.attack",
    statement="Of all steps of size one (Euclidean, largest entry, Euclidean with k entries) D(w) "
    "raises <w, .> most, by the dual norm of w; a base point b moved by eps t D(w) is classified "
    "as t by the first network if and only if t <w, b> + eps <D, w> > 0.",
    source="[derived] section 2.2",
    sizes=WEIGHTED_SIZES,
    knobs=WEIGHTED_KNOBS,
    sample=_sample_weighted,
    hypotheses=_clear_attack,
    conclusions=_attack,
    free=(*WEIGHTED_FREE, "rivals"),
    controls={
        "steps of size 0.9": Control(conclusions=functools.partial(_attack, shrink=0.9)),
        "entries by their inverse": Control(conclusions=functools.partial(_attack, largest=False)),
    },
)


def _second_boundary(at: Weighted, direction: Array) -> tuple[Array, Array]:
    """Second boundary function over the sum of multipliers, and the size of its terms."""
    lam = jnp.exp(at.log_lam_adv)
    inputs = orthogonal_agreement.perturb(at.base, at.targets, direction, at.eps)
    normal = orthogonal.boundary_normal(inputs, at.targets, lam)
    size = lam @ jnp.abs(at.base) / jnp.sum(lam) + at.eps * jnp.abs(direction)
    return orthogonal.boundary(at.z, normal) / jnp.sum(lam), jnp.abs(at.z) @ size


def _terms(at: Weighted, direction: Array) -> tuple[Array, Array]:
    lam = jnp.exp(at.log_lam_adv)
    return orthogonal_agreement.decompose(at.z, at.base, at.targets, lam, direction, at.eps)


def _decomposition(at: Weighted, *, noise: float = 1.0) -> Bounds:
    bounds = {}
    for norm in NORMS:
        direction = step(at.normal, norm)
        first, second = _terms(at, direction)
        total, scale = _second_boundary(at, direction)
        bounds[norm] = equal(total, noise * first + second, 1e-12 * scale)
    return bounds


DECOMPOSITION = Theorem(
    name="orthogonal.decomposition",
    statement="sum_n lambda_n y^a_n <x^a_n, z> / sum_n lambda_n = T1(z) + eps <D, z> with T1 the "
    "same mean of y^a_n <b_n, z>, for any base points, targets, multipliers and norm.",
    source="[derived] section 2.3",
    sizes=WEIGHTED_SIZES,
    knobs=WEIGHTED_KNOBS,
    sample=_sample_weighted,
    conclusions=_decomposition,
    free=WEIGHTED_FREE,
    controls={"feature alone": Control(conclusions=functools.partial(_decomposition, noise=0.0))},
)


def _gram(at: Weighted, *, cross: float = 1.0, unit: bool = False) -> Bounds:
    bounds = {}
    for norm in NORMS:
        direction = step(at.normal, norm)
        inputs = orthogonal_agreement.perturb(at.base, at.targets, direction, at.eps)
        updated = orthogonal_agreement.perturbed_gram(
            at.base @ at.base.T,
            cross * (at.base @ direction),
            1.0 if unit else direction @ direction,
            at.targets,
            at.eps,
        )
        size = jnp.abs(at.base) + at.eps * jnp.abs(direction)[None, :]
        bounds[norm] = equal(updated, inputs @ inputs.T, 1e-12 * (size @ size.T))
    return bounds


PERTURBED_GRAM = Theorem(
    name="orthogonal.perturbed_gram",
    statement="<x^a_n, x^a_k> = <b_n, b_k> + eps (y^a_k <b_n, D> + y^a_n <b_k, D>) "
    "+ eps^2 |D|^2 y^a_n y^a_k.",
    source="[derived] section 2.3",
    sizes=WEIGHTED_SIZES,
    knobs=WEIGHTED_KNOBS,
    sample=_sample_weighted,
    conclusions=_gram,
    free=WEIGHTED_FREE,
    controls={
        "without the mixed terms": Control(conclusions=functools.partial(_gram, cross=0.0)),
        "|D| = 1 in every norm": Control(conclusions=functools.partial(_gram, unit=True)),
    },
)


def _feature_wins(at: Weighted, *, norm: str = "l2") -> Bounds:
    direction = step(at.normal, norm)
    first, second = _terms(at, direction)
    _, scale = _second_boundary(at, direction)
    return {"feature": strictly_less(jnp.abs(first) + CLEAR * scale, jnp.abs(second))}


def _pointwise(at: Weighted, *, norm: str = "l2") -> Bounds:
    total, _ = _second_boundary(at, step(at.normal, norm))
    return {"sign": same_sign(total, orthogonal.boundary(at.z, at.normal))}


POINTWISE_AGREEMENT = Theorem(
    name="orthogonal.pointwise_agreement",
    statement="Where |T1(z)| < |eps <D, z>| for the Euclidean step D, both boundaries classify z "
    "alike; so where they disagree, |T1| >= |T2|.",
    source="[derived] Theorem A0",
    sizes=WEIGHTED_SIZES,
    knobs=WEIGHTED_KNOBS,
    sample=_sample_weighted,
    hypotheses=_feature_wins,
    conclusions=_pointwise,
    free=WEIGHTED_FREE,
    controls={
        "anywhere": Control(hypotheses=lambda _: {}),
        "sign(w) in place of w": Control(
            hypotheses=functools.partial(_feature_wins, norm="linf"),
            conclusions=functools.partial(_pointwise, norm="linf"),
        ),
    },
)


# Trained multipliers -----------------------------------------------------------------------------


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
        return orthogonal.boundary_normal(self.x, self.y, self.lam)

    @property
    def unit(self) -> Array:
        """The Euclidean direction of attack."""
        return geometry.direction(self.normal, "l2")

    @property
    def lam(self) -> Array:
        """Multipliers of the first network."""
        return orthogonal.solve_multipliers(self.x @ self.x.T, self.y, self.gamma)

    @property
    def inputs(self) -> Array:
        """What the second network is trained on."""
        return orthogonal_agreement.perturb(self.base, self.targets, self.unit, self.eps)

    @property
    def lam_adv(self) -> Array:
        """Multipliers of the second network, from those inputs."""
        gram = self.inputs @ self.inputs.T
        return orthogonal.solve_multipliers(gram, self.targets, self.gamma)

    @property
    def gram_adv(self) -> Array:
        """Gram matrix of those inputs, from that of the base points."""
        return orthogonal_agreement.perturbed_gram(
            self.base @ self.base.T, self.base @ self.unit, 1.0, self.targets, self.eps
        )


def _sample_trained(
    key: Array, size: Size, knobs: Knobs, *, stretch: float = 1.0, harm: float = 1.0
) -> Trained:
    """Base points of two norms, and points z at which the multipliers' spread does most harm."""
    n, n_adv, d, points = size["n"], size["n_adv"], size["d"], size["points"]
    raw = jax.random.normal(key, (n + n_adv + points, d + 1))
    label, rows = signs(raw[:, 0]), raw[: n + n_adv, 1:]
    # Orthonormal but for cosines of about 0.1 / d.
    rows = orthogonal_data.orthonormal_rows(rows) + 0.05 * rows / float(d)
    short = jnp.arange(n_adv) < n_adv // 2
    radii = jnp.where(short, 1 / knobs["ratio"], 1.0)
    x, base = rows[:n], radii[:, None] * rows[n:]
    targets, gamma = label[n : n + n_adv], knobs["slope"]
    eps = stretch * knobs["share"] * gamma / float(n_adv) ** 0.5 / knobs["ratio"]
    lam_base = 2 / ((1 + gamma**2) * radii**2)
    spread = jnp.where(short, -1.0, 1.0) * targets / radii**2
    unit = geometry.unit_rows((label[:n] @ x)[None])
    # At strength 1 the noise of multipliers lam_base cancels the feature.
    worst = eps * jnp.sum(lam_base) / jnp.sum(jnp.where(short, lam_base, -lam_base))
    strength = harm * knobs["strength"] * worst * (1 + 0.3 * raw[n + n_adv :, :1])
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


def _interval(at: Trained, constants: str) -> tuple[Array, Array, Bounds]:
    """Bounds of the second network's multipliers, and the hypotheses that they need."""
    known = orthogonal.orthogonality(at.gram_adv, at.gamma)
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
    lo, hi, tier = _interval(at, constants)
    signed, absolute = orthogonal_agreement.correlations(at.z, at.base, at.targets)
    reach = noise * orthogonal_agreement.noise_reach(signed, spread * absolute, lo, hi)
    n_adv = at.base.shape[0]
    feature = orthogonal_agreement.feature_floor(at.z, at.unit, at.eps, n_adv, lo)
    size = jnp.abs(at.z) @ (jnp.sum(jnp.abs(at.base), axis=0) + n_adv * at.eps * jnp.abs(at.unit))
    return tier | {"certified": strictly_less(reach + CLEAR * hi * size, feature)}


def _formulas(at: Trained) -> Bounds:
    """The certificate with the formulas of lo and hi used where the tier fails."""
    known = orthogonal.orthogonality(at.gram_adv, at.gamma)
    hi = 2 / ((1 + at.gamma**2) * known.r_min**2 - (1 + at.gamma) * known.row_sum)
    lo = (2 - (1 + at.gamma) * hi * known.row_sum) / ((1 + at.gamma**2) * known.r_max**2)
    sums = orthogonal_agreement.correlations(at.z, at.base, at.targets)
    noise = orthogonal_agreement.noise_reach(*sums, lo, hi)
    feature = orthogonal_agreement.feature_floor(at.z, at.unit, at.eps, at.base.shape[0], lo)
    return {"certified": strictly_less(noise, feature)}


def _agreement(at: Trained) -> Bounds:
    second = outputs(at.z, at.inputs, at.targets, at.lam_adv, at.gamma)
    return {"sign": same_sign(second, outputs(at.z, at.x, at.y, at.lam, at.gamma))}


def _agreement_and_terms(at: Trained, *, constants: str) -> Bounds:
    lo, hi, _ = _interval(at, constants)
    terms = orthogonal_agreement.decompose(at.z, at.base, at.targets, at.lam_adv, at.unit, at.eps)
    noise, feature = (jnp.abs(term) * jnp.sum(at.lam_adv) for term in terms)
    sums = orthogonal_agreement.correlations(at.z, at.base, at.targets)
    reach = orthogonal_agreement.noise_reach(*sums, lo, hi)
    floor = orthogonal_agreement.feature_floor(at.z, at.unit, at.eps, at.base.shape[0], lo)
    scale = hi * (jnp.abs(at.z) @ jnp.sum(jnp.abs(at.base), axis=0))
    return _agreement(at) | {
        "noise": within_rounding(noise, reach, scale),
        "feature": Bound(lhs=floor, rhs=feature),
    }


TRAINED_FREE = ("x", "base", "z")


def _agreement_theorem(constants: str, name: str, knobs: dict, controls: dict) -> Theorem:
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
        sizes=(
            {"n": 2, "n_adv": 2, "d": 6, "points": 4},
            {"n": 4, "n_adv": 6, "d": 24, "points": 12},
        ),
        knobs=knobs,
        sample=_sample_trained,
        hypotheses=functools.partial(_certified, constants=constants),
        conclusions=functools.partial(_agreement_and_terms, constants=constants),
        free=TRAINED_FREE,
        controls=controls,
    )


_RATIOS = (1.1, 1.4)

CERTIFIED_AGREEMENT = _agreement_theorem(
    "sharp",
    "orthogonal.certified_agreement",
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
    {"slope": (0.7, 0.95), "ratio": _RATIOS, "share": (0.05, 0.35), "strength": (0.0, 0.08)},
    {
        "spread of the multipliers ignored": Control(
            sample=functools.partial(_sample_trained, harm=30.0),
            hypotheses=functools.partial(_certified, constants="paper", spread=0.0),
        ),
    },
)


# Noise that is independent of the labels ---------------------------------------------------------


@struct.dataclass
class _Noise:
    z: Array
    targets: Array
    base: Array
    scale: Array


def _sample_noise(key: Array, size: Size, knobs: Knobs, *, follow: bool = False) -> _Noise:
    n_adv, d, points = size["n_adv"], size["d"], size["points"]
    raw = jax.random.normal(key, (n_adv + points, d + 1))
    # Uniform in [-1, 1].
    base = knobs["scale"] * (2 * jax.scipy.stats.norm.cdf(raw[:n_adv, 1:]) - 1)
    z = raw[n_adv:, 1:]
    return _Noise(
        z=z,
        targets=signs(base @ z[0] if follow else raw[:n_adv, 0]),
        base=base,
        scale=knobs["scale"],
    )


def _noise_bounds(at: _Noise, *, share: float = 1.0) -> Bounds:
    points, n_adv = at.z.shape[0], at.base.shape[0]
    signed, absolute = orthogonal_agreement.correlations(at.z, at.base, at.targets)
    bounds = orthogonal_agreement.noise_bounds(at.z, n_adv, at.scale, DELTA / points)
    return {
        "signed": Bound(lhs=signed, rhs=share * bounds[0]),
        "absolute": Bound(lhs=absolute, rhs=share * bounds[1]),
    }


NOISE_BOUNDS = Theorem(
    name="orthogonal.noise_bounds",
    statement="For base points with independent entries of mean 0 in [-B, B], independent of z and "
    "of the targets, |sum_n y^a_n <b_n, z>| <= B |z| sqrt(2 N ln(4k/delta)) and sum_n |<b_n, z>| "
    "<= N B |z| sqrt(2 ln(4Nk/delta)) at all k points at once with probability 1 - delta.",
    source="[derived] Theorem A2",
    sizes=({"n_adv": 3, "d": 2, "points": 1}, {"n_adv": 200, "d": 10, "points": 4}),
    knobs={"scale": (0.1, 10.0)},
    sample=_sample_noise,
    conclusions=_noise_bounds,
    failure_rate=DELTA,
    free=("z",),
    controls={
        "targets that follow the noise": Control(
            sample=functools.partial(_sample_noise, follow=True)
        ),
        "a quarter of the bounds": Control(
            conclusions=functools.partial(_noise_bounds, share=0.25)
        ),
    },
)


def _sample_noise_agreement(
    key: Array, size: Size, knobs: Knobs, *, shrink: float = 1.0
) -> Trained:
    n, n_adv, d, points = size["n"], size["n_adv"], size["d"], size["points"]
    raw = jax.random.normal(key, (n + n_adv + points, d + 1))
    label, rows = signs(raw[:, 0]), raw[:, 1:]
    x, base = rows[:n], 2 * jax.scipy.stats.norm.cdf(rows[n : n + n_adv]) - 1
    unit = geometry.unit_rows((label[:n] @ x)[None])
    gamma = knobs["slope"]
    return Trained(
        x=x,
        y=label[:n],
        base=base,
        targets=label[n : n + n_adv],
        z=unit + 0.5 * rows[n + n_adv :] / float(d) ** 0.5,
        # A share of sqrt(gamma / N) base norms, the size up to which the tier may hold.
        eps=shrink * knobs["share"] * jnp.sqrt(gamma * d / (3 * n_adv)),
        gamma=gamma,
    )


def _certified_over_noise(at: Trained, *, noise: float = 1.0) -> Bounds:
    lo, hi, tier = _interval(at, "sharp")
    n_adv = at.base.shape[0]
    sums = orthogonal_agreement.noise_bounds(at.z, n_adv, 1.0, DELTA / at.z.shape[0])
    reach = noise * orthogonal_agreement.noise_reach(*sums, lo, hi)
    feature = orthogonal_agreement.feature_floor(at.z, at.unit, at.eps, n_adv, lo)
    return tier | {"certified": strictly_less(reach, feature)}


NOISE_AGREEMENT = Theorem(
    name="orthogonal.noise_agreement",
    statement="For base points of noise as in A2, independent of the samples, if S1, S2 hold on "
    "X^a the second network classifies z as the first wherever eps N lo |<w/|w|, z>| exceeds "
    "(lo+hi)/2 and (hi-lo)/2 times the bounds of A2, at all points at once with probability "
    "1 - delta.",
    source="[derived] Theorems A1 and A2",
    sizes=(
        {"n": 2, "n_adv": 2, "d": 400, "points": 2},
        {"n": 4, "n_adv": 4, "d": 2000, "points": 4},
    ),
    knobs={"slope": (0.5, 0.9), "share": (0.2, 0.7)},
    sample=_sample_noise_agreement,
    hypotheses=_certified_over_noise,
    conclusions=_agreement,
    failure_rate=DELTA,
    free=("x", "z"),
    controls={
        "noise ignored": Control(
            sample=functools.partial(_sample_noise_agreement, shrink=0.02),
            hypotheses=functools.partial(_certified_over_noise, noise=0.0),
        ),
    },
)


# Isotropic points --------------------------------------------------------------------------------


@struct.dataclass
class _Isotropic:
    w1: Array
    w2: Array
    z: Array


def _sample_isotropic(key: Array, size: Size, knobs: Knobs, *, stretch: float = 1.0) -> _Isotropic:
    raw = jax.random.normal(key, (2 + size["points"], size["d"]))
    w1, z = raw[0], raw[2:]
    w2 = knobs["share"] * w1 + (1 - jnp.abs(knobs["share"])) * raw[1]
    return _Isotropic(w1=w1, w2=w2, z=z.at[:, 0].multiply(stretch))


def _isotropic(at: _Isotropic, *, cosine: bool = False) -> Bounds:
    agree = (at.z @ at.w1 > 0) == (at.z @ at.w2 > 0)
    law = orthogonal_agreement.isotropic_agreement(at.w1, at.w2)
    if cosine:
        law = (1 + geometry.row_cosines(at.w1[None], at.w2[None])[0]) / 2
    radius = jnp.sqrt(jnp.log(2 / DELTA) / (2 * at.z.shape[0]))
    return {"share": equal(jnp.mean(agree.astype(float)), law, radius)}


ISOTROPIC_AGREEMENT = Theorem(
    name="orthogonal.isotropic_agreement",
    statement="Two planes of normals w1, w2 classify an isotropic point alike with probability "
    "1 - angle(w1, w2)/pi; the share among k independent points is within sqrt(ln(2/delta)/(2k)) "
    "of it with probability 1 - delta.",
    source="[derived] A4; the tail by Hoeffding",
    sizes=({"points": 1000, "d": 2}, {"points": 4000, "d": 6}),
    knobs={"share": (-0.9, 0.9)},
    sample=_sample_isotropic,
    conclusions=_isotropic,
    failure_rate=DELTA,
    free=("w1", "w2"),
    controls={
        "cosine in place of the angle": Control(
            conclusions=functools.partial(_isotropic, cosine=True)
        ),
        "one coordinate stretched": Control(
            sample=functools.partial(_sample_isotropic, stretch=10.0)
        ),
    },
)

THEOREMS = (
    ATTACK,
    DECOMPOSITION,
    PERTURBED_GRAM,
    POINTWISE_AGREEMENT,
    CERTIFIED_AGREEMENT,
    PAPER_AGREEMENT,
    NOISE_BOUNDS,
    NOISE_AGREEMENT,
    ISOTROPIC_AGREEMENT,
)
