"""What midpoint mixup needs: the floor of its loss and how it is reached.

All [derived], Proposition D1.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from flax import struct
from jax import Array

from twolayer.theory.mixup.calibration import midpoint as calibration_midpoint
from twolayer.theory.verification.inequality import Bound, Bounds, equal, strictly_less
from twolayer.theory.verification.sampling import normals
from twolayer.theory.verification.theorem import Control, Parameters, Size, Theorem


@struct.dataclass
class Views:
    """Correlations of a linear score with both features of the own class."""

    raw: Array  # (2 k, 2 k), of what turns the features
    first: Array
    second: Array


def _sample_views(key: Array, size: Size, parameters: Parameters) -> Views:
    k = size["k"]
    (raw,) = normals(key, (2 * k, 2 * k))
    return Views(raw=raw, first=parameters["first"], second=parameters["second"])


def _explicit(at: Views, nodes: int, *, same: bool = True) -> Array:
    """The midpoint loss from features, mixed inputs and a softmax over all classes."""
    k = at.raw.shape[0] // 2
    features, _ = jnp.linalg.qr(at.raw)
    one, two = features[:k], features[k:]
    w = at.first * one + at.second * two
    share, weights = calibration_midpoint.shares(nodes)
    points = share[:, None, None] * one[None] + (1 - share)[:, None, None] * two[None]
    mixed = (points[:, :, None, None, :] + points[None, None, :, :, :].swapaxes(2, 3)) / 2
    log_probs = jax.nn.log_softmax(mixed @ w.T)  # (nodes, k, k, nodes, k)
    label = (jnp.eye(k)[:, None, :] + jnp.eye(k)[None, :, :]) / 2
    losses = -jnp.sum(log_probs * label[None, :, :, None, :], axis=-1)
    counted = jnp.ones((k, k)) if same else 1 - jnp.eye(k)
    each = jnp.einsum("aijb,a,b->ij", losses, weights, weights)
    return jnp.sum(each * counted) / jnp.sum(counted)


def _floor(at: Views, *, same: bool = True, single: bool = False) -> Bounds:
    k = at.raw.shape[0] // 2
    midpoint, erm = calibration_midpoint.midpoint_losses(at.first, at.second, k, nodes=8)
    floor = (1 - 1 / k) * jnp.log(2.0)
    loss = erm if single else midpoint
    size = 1 + jnp.abs(at.first) + jnp.abs(at.second)
    return {
        "floor": Bound(lhs=floor, rhs=loss + 1e-12),
        "reduced": equal(midpoint, _explicit(at, 8, same=same), 1e-12 * size),
    }


FLOOR = Theorem(
    name="calibration.midpoint_floor",
    statement="For two features a class and a linear score with correlations a_1, a_2 the midpoint "
    "loss over all ordered pairs of k classes is at least (1 - 1/k) log 2, whatever a_1 and a_2.",
    source="[derived] Proposition D1",
    sizes=({"k": 2}, {"k": 4}),
    parameters={"first": (-10.0, 40.0), "second": (-10.0, 40.0)},
    sample=_sample_views,
    conclusions=_floor,
    searchable=("raw",),
    controls={
        "different classes alone": Control(conclusions=functools.partial(_floor, same=False)),
        "single samples": Control(conclusions=functools.partial(_floor, single=True)),
    },
)


def _positive(at: Views) -> Bounds:
    return {
        name: strictly_less(jnp.zeros_like(value), value)
        for name, value in (("first", at.first), ("second", at.second))
    }


def _limit(at: Views, *, alike: bool = True) -> Bounds:
    k = at.raw.shape[0] // 2
    least = jnp.minimum(at.first, at.second)
    both = at.first, at.first if alike else at.second
    midpoint, _ = calibration_midpoint.midpoint_losses(*both, k)
    _, single = calibration_midpoint.midpoint_losses(at.first, at.second, k)
    # Of a midpoint's softmax the other classes get at most (k - 1) exp(-a/2).
    rest = (k - 1) * jnp.exp(-jnp.minimum(*both) / 2)
    return {
        "midpoint": Bound(lhs=midpoint, rhs=(1 - 1 / k) * jnp.log(2.0) + rest + 1e-12),
        "single samples": Bound(lhs=single, rhs=(k - 1) * jnp.exp(-least) + 1e-12),
    }


LIMIT = Theorem(
    name="calibration.midpoint_limit",
    statement="With both features learned alike, a_1 = a_2 = a > 0, the midpoint loss is within "
    "(k - 1) e^(-a/2) of its floor; training on single samples has loss at most "
    "(k - 1) e^(-min(a_1, a_2)) for any positive correlations.",
    source="[derived] Proposition D1, with a rate",
    sizes=({"k": 2}, {"k": 4}),
    parameters={"first": (-2.0, 40.0), "second": (-4.0, 80.0)},
    sample=_sample_views,
    hypotheses=_positive,
    conclusions=_limit,
    controls={
        "features learned unlike": Control(conclusions=functools.partial(_limit, alike=False))
    },
)

THEOREMS = (FLOOR, LIMIT)
