"""The mean of n flips is near its expectation, with probability."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from flax import struct
from jax import Array
from twolayer.theory.toy.coin import hoeffding

from twolayer.theory.verification.inequality import Bound, Bounds
from twolayer.theory.verification.theorem import Control, Parameters, Size, Theorem

DELTA = 0.05


@struct.dataclass
class _Flips:
    heads: Array
    p: Array


def _sample(key: Array, size: Size, parameters: Parameters) -> _Flips:
    return _Flips(heads=jax.random.bernoulli(key, parameters["p"], (size["n"],)), p=parameters["p"])


def _near(at: _Flips, *, share: float = 1.0) -> Bounds:
    distance = jnp.abs(jnp.mean(at.heads) - at.p)
    return {"mean": Bound(lhs=distance, rhs=share * hoeffding.radius(len(at.heads), DELTA))}


MEAN = Theorem(
    name="coin.mean",
    statement="With probability 1 - delta, |mean of n flips - p| <= sqrt(ln(2/delta)/(2n)).",
    source="[paper] Hoeffding 1963, Theorem 2",
    sizes=({"n": 20}, {"n": 500}),
    parameters={"p": (0.3, 0.7)},
    sample=_sample,
    conclusions=_near,
    failure_rate=DELTA,
    controls={"a third of the radius": Control(conclusions=functools.partial(_near, share=1 / 3))},
)

THEOREMS = (MEAN,)
