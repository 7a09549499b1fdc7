"""Optimal unconstrained features under mixup: the statements about mixes of two classes.

One class mixed with itself, two classes, and the boundary between them. All [derived], Theorem B1;
instances are those of :mod:`twolayer.theory.mixup.collapse.theorems.optimal_features`.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from twolayer.theory.mixup.collapse import dual, optimal_features
from twolayer.theory.mixup.collapse.theorems.optimal_features import KNOBS, SIZES, Mixed, sample
from twolayer.theory.verification.inequality import Bound, Bounds, equal, strictly_less
from twolayer.theory.verification.theorem import Control, Theorem


def _same_root(k: int, kappa: Array) -> Array:
    """The root of kappa K q = log((1 - (K - 1) q) / q) in (0, 1/K), by bisection of log q."""

    def halve(_: Any, ends: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = ends
        middle = (low + high) / 2
        q = jnp.exp(middle)
        under = kappa * k * q < jnp.log1p(-(k - 1) * q) - middle
        return jnp.where(under, middle, low), jnp.where(under, high, middle)

    ends = -jnp.log(k) - jnp.log1p(kappa) - 40.0, -jnp.log(k) + 0 * kappa
    low, high = jax.lax.fori_loop(0, 80, halve, ends)
    return jnp.exp((low + high) / 2)


def _same_class(at: Mixed, *, row: float = 1.0, second: bool = False) -> Bounds:
    lams = jnp.stack([at.lam, jnp.zeros_like(at.lam), jnp.ones_like(at.lam)])
    target = at.pair(lams) if second else dataclasses.replace(at, second=at.first).pair(lams)
    w = at.w
    h = optimal_features.ufm_features(w, target, at.decay)
    q = _same_root(at.num_classes, at.kappa)
    expected = row * at.num_classes * q / at.decay * w[at.first]
    # q is a root to its last digits; where kappa is small the feature is what 1 - K q leaves.
    size = 1e-12 * at.num_classes / at.decay * at.scale * jnp.maximum(q, 1e-3)
    return {"on the row": equal(h, jnp.broadcast_to(expected, h.shape), size)}


SAME_CLASS = Theorem(
    name="collapse.same_class",
    statement="Two samples of one class i mix to the feature (K q/mu) w_i whatever lambda is, "
    "with kappa K q = log((1 - (K - 1) q)/q), q in (0, 1/K).",
    source="[derived] Theorem B1 (i); that it lies on the row [paper]",
    sizes=SIZES,
    parameters=KNOBS,
    sample=sample,
    conclusions=_same_class,
    searchable=("raw", "lam"),
    controls={
        "a row half as long again": Control(conclusions=functools.partial(_same_class, row=1.5)),
        "two classes": Control(conclusions=functools.partial(_same_class, second=True)),
    },
)


def _channels(at: Mixed, *, linear: bool = False) -> Bounds:
    k, w = at.num_classes, at.w
    lams = jnp.stack([at.lam, 1 - at.lam, jnp.full_like(at.lam, 0.5), jnp.ones_like(at.lam)])
    parts = optimal_features.ufm_coefficients(lams, k, at.scale, at.decay)
    h = optimal_features.ufm_features(w, at.pair(lams), at.decay)
    expected = (
        parts.coef_i[:, None] * w[at.first][None] + parts.coef_j[:, None] * w[at.second][None]
    )
    if linear:
        # Between the features of either class alone.
        alone = parts.coef_i[3] - (parts.coef_j[3] if k == 2 else 0)
        expected = alone * at.pair(lams) @ w
    z = h @ w.T
    room = 1e-12 * (1 + jnp.max(jnp.abs(z), axis=1))
    others = jnp.ones(k).at[at.first].set(0).at[at.second].set(0) > 0
    probs = jax.nn.softmax(z)
    ratio = jnp.log(parts.p_i / parts.p_j)
    swapped = jnp.stack([parts.coef_i[0], parts.coef_i[1], parts.coef_i[2]])
    mirror = jnp.stack([parts.coef_j[1], parts.coef_j[0], parts.coef_j[2]])
    unequal = jnp.where(others[None, :], jnp.abs(probs - parts.p_o[:, None]), 0)
    return {
        "combination": equal(h * at.scale, expected * at.scale, room[:, None]),
        "others alike": Bound(lhs=jnp.max(unequal, axis=1), rhs=jnp.full_like(room, 1e-13) + room),
        "logits": equal(z[:, at.first] - z[:, at.second], ratio, 2 * room),
        "exchange": equal(swapped * at.strength, mirror * at.strength, jnp.max(room)),
    }


CHANNELS = Theorem(
    name="collapse.channels",
    statement="Samples of classes i and j mix to [(lam - p_i + p_o) w_i + (1 - lam - p_j + p_o) "
    "w_j]/mu, all other classes having one probability p_o; exchanging the classes exchanges lam "
    "and 1 - lam, at lam = 1/2 the feature is parallel to w_i + w_j, and z_i - z_j = "
    "log(p_i/p_j).",
    source="[derived] Theorem B1 (ii), (v)",
    sizes=SIZES,
    parameters=KNOBS,
    sample=sample,
    conclusions=_channels,
    searchable=("raw", "lam"),
    controls={"linear in lambda": Control(conclusions=functools.partial(_channels, linear=True))},
)


def _deviation(at: Mixed) -> tuple[Array, Array, Array]:
    """The statement's u, omega and logit lam."""
    crowd = dual.omega_log(jnp.log(at.kappa))
    logit = jnp.log(at.lam) - jnp.log1p(-at.lam)
    room = 2 * at.kappa * jnp.minimum(at.lam, 1 - at.lam)
    return ((at.num_classes - 2) * crowd + jnp.abs(logit)) / room, crowd, logit


def _far_from_uniform(at: Mixed) -> Bounds:
    deviation, _, _ = _deviation(at)
    return {"kappa": strictly_less(deviation, jnp.ones_like(deviation))}


def _boundary(at: Mixed, *, crowded: float = 1.0, gap: float = 1.0) -> Bounds:
    deviation, crowd, logit = _deviation(at)
    z = at.w @ optimal_features.ufm_features(at.w, at.pair(at.lam), at.decay)
    first, second = z[at.first], z[at.second]
    rounding = 1e-12 * (1 + jnp.max(jnp.abs(z)))
    bounds = {
        "logit": Bound(
            lhs=jnp.abs(first - second - logit), rhs=-2 * crowded * jnp.log1p(-deviation) + rounding
        )
    }
    if at.num_classes > 2:
        others = jnp.ones(at.num_classes).at[at.first].set(0).at[at.second].set(0) > 0
        above = first - jnp.max(jnp.where(others, z, -jnp.inf))
        floor = jnp.log(at.kappa * at.lam / crowd) + jnp.log1p(-deviation)
        bounds["channel"] = Bound(lhs=gap * floor, rhs=above + rounding)
    return bounds


BOUNDARY = Theorem(
    name="collapse.boundary",
    statement="Let u = ((K - 2) omega(log kappa) + |logit lam|)/(2 kappa min(lam, 1 - lam)) < 1, "
    "omega + log omega = log kappa. Then |z_i - z_j - logit lam| <= -2 log(1 - u), while "
    "z_i - z_o >= log(kappa lam (1 - u)/omega): the two classes' logits keep the log odds of their "
    "targets, at a distance from all others that grows like log kappa.",
    source="[derived] Theorem B1 (iii), with a rate",
    sizes=SIZES,
    parameters=KNOBS | {"log_kappa": (1.0, 6.0)},
    sample=sample,
    hypotheses=_far_from_uniform,
    conclusions=_boundary,
    searchable=("raw", "lam"),
    controls={
        "a tenth of the distance": Control(conclusions=functools.partial(_boundary, crowded=0.1)),
        "the gap grows faster": Control(conclusions=functools.partial(_boundary, gap=1.5)),
    },
)

THEOREMS = (SAME_CLASS, CHANNELS, BOUNDARY)
