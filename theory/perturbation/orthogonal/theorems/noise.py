"""Learning from perturbations of noise: agreement with probability.

Noise that knows neither the points nor the targets (A2), what the certificate becomes with it, and
the agreement of two planes on isotropic points. All [derived].
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from flax import struct
from jax import Array

from twolayer.theory import geometry
from twolayer.theory.perturbation.orthogonal import agreement as orthogonal_agreement
from twolayer.theory.perturbation.orthogonal.theorems.agreement import signs
from twolayer.theory.perturbation.orthogonal.theorems.guaranteed_agreement import (
    Trained,
    agreement,
    interval,
    off_boundary,
)
from twolayer.theory.verification.inequality import Bound, Bounds, equal, strictly_less
from twolayer.theory.verification.theorem import Control, Parameters, Size, Theorem

DELTA = 0.05

# Noise that is independent of the labels ---------------------------------------------------------


@struct.dataclass
class _Noise:
    z: Array
    targets: Array
    base: Array
    scale: Array


def _sample_noise(
    key: Array, size: Size, parameters: Parameters, *, follow: bool = False
) -> _Noise:
    n_adv, d, points = size["n_adv"], size["d"], size["points"]
    raw = jax.random.normal(key, (n_adv + points, d + 1))
    # Uniform in [-1, 1].
    base = parameters["scale"] * (2 * jax.scipy.stats.norm.cdf(raw[:n_adv, 1:]) - 1)
    z = raw[n_adv:, 1:]
    return _Noise(
        z=z,
        targets=signs(base @ z[0] if follow else raw[:n_adv, 0]),
        base=base,
        scale=parameters["scale"],
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
    parameters={"scale": (0.1, 10.0)},
    sample=_sample_noise,
    conclusions=_noise_bounds,
    failure_rate=DELTA,
    searchable=("z",),
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
    key: Array, size: Size, parameters: Parameters, *, shrink: float = 1.0
) -> Trained:
    n, n_adv, d, points = size["n"], size["n_adv"], size["d"], size["points"]
    raw = jax.random.normal(key, (n + n_adv + points, d + 1))
    label, rows = signs(raw[:, 0]), raw[:, 1:]
    x, base = rows[:n], 2 * jax.scipy.stats.norm.cdf(rows[n : n + n_adv]) - 1
    unit = geometry.unit_rows((label[:n] @ x)[None])
    gamma = parameters["slope"]
    return Trained(
        x=x,
        y=label[:n],
        base=base,
        targets=label[n : n + n_adv],
        z=unit + 0.5 * rows[n + n_adv :] / float(d) ** 0.5,
        # A share of sqrt(gamma / N) base norms, the size up to which the tier may hold.
        eps=shrink * parameters["share"] * jnp.sqrt(gamma * d / (3 * n_adv)),
        gamma=gamma,
    )


def _certified_over_noise(at: Trained, *, noise: float = 1.0) -> Bounds:
    lo, hi, tier = interval(at, "sharp")
    n_adv = at.base.shape[0]
    sums = orthogonal_agreement.noise_bounds(at.z, n_adv, 1.0, DELTA / at.z.shape[0])
    reach = noise * orthogonal_agreement.noise_reach(*sums, lo, hi)
    feature = orthogonal_agreement.feature_floor(at.z, at.unit, at.eps, n_adv, lo)
    return tier | off_boundary(at) | {"certified": strictly_less(reach, feature)}


NOISE_AGREEMENT = Theorem(
    name="orthogonal.noise_agreement",
    statement="For base points of noise as in A2, independent of the samples, if S1, S2 hold on "
    "X^a the second network classifies z as the first wherever eps N lo |<w/|w|, z>| exceeds "
    "(lo+hi)/2 and (hi-lo)/2 times the bounds of A2, at all points at once with probability "
    "1 - delta.",
    source="[derived] Theorems A1 and A2",
    sizes=(
        {"n": 2, "n_adv": 2, "d": 600, "points": 2},
        {"n": 4, "n_adv": 4, "d": 1000, "points": 4},
    ),
    parameters={"slope": (0.5, 0.9), "share": (0.35, 0.7)},
    sample=_sample_noise_agreement,
    hypotheses=_certified_over_noise,
    conclusions=agreement,
    failure_rate=DELTA,
    searchable=("x", "z"),
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


def _sample_isotropic(
    key: Array, size: Size, parameters: Parameters, *, stretch: float = 1.0
) -> _Isotropic:
    raw = jax.random.normal(key, (2 + size["points"], size["d"]))
    w1, z = raw[0], raw[2:]
    w2 = parameters["share"] * w1 + (1 - jnp.abs(parameters["share"])) * raw[1]
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
    parameters={"share": (-0.9, 0.9)},
    sample=_sample_isotropic,
    conclusions=_isotropic,
    failure_rate=DELTA,
    searchable=("w1", "w2"),
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
    NOISE_BOUNDS,
    NOISE_AGREEMENT,
    ISOTROPIC_AGREEMENT,
)
