"""Learning from perturbations of nearly orthogonal data: what the second boundary is made of.

What moves the first boundary most, and that the second network's boundary is a noise term plus the
feature that every perturbation shares, for any multipliers. All [derived]. Statements about the
multipliers of a training are in
:mod:`twolayer.theory.perturbation.orthogonal.theorems.guaranteed_agreement`.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from flax import struct
from jax import Array

from twolayer.theory import geometry
from twolayer.theory.perturbation.orthogonal import agreement, limit, perturbed
from twolayer.theory.verification.inequality import (
    Bounds,
    equal,
    same_sign,
    strictly_less,
    within_rounding,
)
from twolayer.theory.verification.theorem import Control, Parameters, Size, Theorem

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
    v, u = limit.limit_rows(x, y, lam, gamma, WIDTH)
    return limit.predict(z, v, u, gamma, WIDTH)


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
        return limit.boundary_normal(self.x, self.y, jnp.exp(self.log_lam))


def _sample_weighted(key: Array, size: Size, parameters: Parameters) -> Weighted:
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
        eps=10.0 ** parameters["log_eps"],
        gamma=parameters["slope"],
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
        moved = perturbed.perturb(at.base, at.targets, direction, at.eps)
        before, after = limit.boundary(at.base, normal), limit.boundary(moved, normal)
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
    parameters=WEIGHTED_KNOBS,
    sample=_sample_weighted,
    hypotheses=_clear_attack,
    conclusions=_attack,
    searchable=(*WEIGHTED_FREE, "rivals"),
    controls={
        "steps of size 0.9": Control(conclusions=functools.partial(_attack, shrink=0.9)),
        "entries by their inverse": Control(conclusions=functools.partial(_attack, largest=False)),
    },
)


def _second_boundary(at: Weighted, direction: Array) -> tuple[Array, Array]:
    """Second boundary function over the sum of multipliers, and the size of its terms."""
    lam = jnp.exp(at.log_lam_adv)
    inputs = perturbed.perturb(at.base, at.targets, direction, at.eps)
    normal = limit.boundary_normal(inputs, at.targets, lam)
    size = lam @ jnp.abs(at.base) / jnp.sum(lam) + at.eps * jnp.abs(direction)
    return limit.boundary(at.z, normal) / jnp.sum(lam), jnp.abs(at.z) @ size


def _terms(at: Weighted, direction: Array) -> tuple[Array, Array]:
    lam = jnp.exp(at.log_lam_adv)
    return agreement.decompose(at.z, at.base, at.targets, lam, direction, at.eps)


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
    parameters=WEIGHTED_KNOBS,
    sample=_sample_weighted,
    conclusions=_decomposition,
    searchable=WEIGHTED_FREE,
    controls={"feature alone": Control(conclusions=functools.partial(_decomposition, noise=0.0))},
)


def _gram(at: Weighted, *, cross: float = 1.0, unit: bool = False) -> Bounds:
    bounds = {}
    for norm in NORMS:
        direction = step(at.normal, norm)
        inputs = perturbed.perturb(at.base, at.targets, direction, at.eps)
        updated = perturbed.perturbed_gram(
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
    sizes=WEIGHTED_SIZES[1:],
    parameters=WEIGHTED_KNOBS,
    sample=_sample_weighted,
    conclusions=_gram,
    searchable=WEIGHTED_FREE,
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
    return {"sign": same_sign(total, limit.boundary(at.z, at.normal))}


POINTWISE_AGREEMENT = Theorem(
    name="orthogonal.pointwise_agreement",
    statement="Where |T1(z)| < |eps <D, z>| for the Euclidean step D, both boundaries classify z "
    "alike; so where they disagree, |T1| >= |T2|.",
    source="[derived] Theorem A0",
    sizes=WEIGHTED_SIZES[1:],
    parameters=WEIGHTED_KNOBS,
    sample=_sample_weighted,
    hypotheses=_feature_wins,
    conclusions=_pointwise,
    searchable=WEIGHTED_FREE,
    controls={
        "anywhere": Control(hypotheses=lambda _: {}),
        "sign(w) in place of w": Control(
            hypotheses=functools.partial(_feature_wins, norm="linf"),
            conclusions=functools.partial(_pointwise, norm="linf"),
        ),
    },
)

THEOREMS = (ATTACK, DECOMPOSITION, PERTURBED_GRAM, POINTWISE_AGREEMENT)
