"""Errors on fresh patch data: closed forms against the enumeration of all fresh samples.

An instance is what filters have learned, by any training; the fresh noise of a sample is neglected.
All [derived].
"""

from __future__ import annotations

import functools
import itertools

import jax
import jax.numpy as jnp
from flax import struct
from jax import Array

from twolayer.theory.mixup.features import data, dynamics, laws
from twolayer.theory.mixup.features.filters import State
from twolayer.theory.verification.inequality import Bound, Bounds, equal, same_sign, strictly_less
from twolayer.theory.verification.theorem import Control, Parameters, Size, Theorem

SIZES = ({"coins": 1, "width": 1}, {"coins": 3, "width": 2})
KNOBS = {"alpha": (0.1, 1.5)}


@struct.dataclass
class Learned:
    """Inner products of filters with the features, and every draw of feature noise."""

    a: Array  # (2, m, 4)
    coins: Array  # (2^b, b)
    alpha: Array

    @property
    def gap(self) -> Array:
        """D."""
        return dynamics.signal_gap(self.a)

    @property
    def b(self) -> int:
        """Number of patches of feature noise."""
        return self.coins.shape[1]


def _sample_learned(
    key: Array, size: Size, parameters: Parameters, *, common: float = 1.0, rare: float = 1.0
) -> Learned:
    """Normal filters; those of a feature's class times a factor, those of the other over it."""
    b, width = size["coins"], size["width"]
    factor = jnp.array([common, common, rare, rare])
    own = jnp.array([[1.0, -1.0, 1.0, -1.0], [-1.0, 1.0, -1.0, 1.0]])
    return Learned(
        a=jax.random.normal(key, (2, width, 4)) * (factor[None, :] ** own)[:, None],
        coins=jnp.asarray(list(itertools.product((0, 1), repeat=b)), jnp.int32),
        alpha=parameters["alpha"],
    )


def _enumerated(at: Learned, rare: bool) -> Array:
    """Error over both classes and all coins, from the network's outputs at these samples."""
    coins = jnp.concatenate([at.coins, at.coins])
    n, patches = coins.shape[0], 1 + at.b
    y = (jnp.arange(n) >= n // 2).astype(jnp.int32)
    order = jnp.broadcast_to(jnp.arange(patches), (n, patches))
    fresh = data.assemble(y, jnp.full(n, rare), coins, order, at.alpha)
    state = State(a=at.a, q=jnp.zeros((*at.a.shape[:2], n, patches)))
    outputs = dynamics.output_gaps(state, fresh)
    return jnp.mean(jnp.where(y == 0, outputs < 0, outputs > 0))


def _off_ties(at: Learned) -> Bounds:
    gap = at.gap
    j = jnp.arange(at.b + 1.0)
    shift = at.alpha**2 * (j * gap[0] + (at.b - j) * gap[1])
    nearest = jnp.min(jnp.abs(gap[:, None] + shift[None, :]))
    size = jnp.sum(at.a**2) * (1 + at.b * at.alpha**2)
    return {"no tie": strictly_less(1e-9 * size, nearest)}


def _errors(at: Learned, *, power: float = 1.0, b: int | None = None) -> Bounds:
    b = at.b if b is None else b
    alpha = at.alpha**power
    return {
        "rare": equal(laws.rare_error(at.gap, alpha, b), _enumerated(at, True), 1e-12),
        "common": equal(laws.common_error(at.gap, alpha, b), _enumerated(at, False), 1e-12),
    }


TEST_ERROR = Theorem(
    name="features.test_error",
    statement="The error on a fresh sample without its fresh noise is the mean over classes and "
    "j = 0 ... b, with weights binom(b, j)/2^b, of whether D_uy + alpha^2 (j D_v0 + (b-j) D_v1) "
    "has the wrong sign; with D_vy for D_uy on a common sample.",
    source="[derived] A4",
    sizes=SIZES,
    parameters=KNOBS,
    sample=_sample_learned,
    hypotheses=_off_ties,
    conclusions=_errors,
    searchable=("a",),
    controls={
        "alpha in place of its square": Control(conclusions=functools.partial(_errors, power=0.5)),
        "one patch of feature noise": Control(conclusions=functools.partial(_errors, b=1)),
    },
)


def _common_learned(at: Learned) -> Bounds:
    zero = jnp.zeros(())
    return _off_ties(at) | {
        "common of class 0": strictly_less(zero, at.gap[0]),
        "common of class 1": strictly_less(zero, -at.gap[1]),
        "feature noise": strictly_less(zero, at.alpha),
    }


def _yes(condition: Array) -> Array:
    return jnp.where(condition, 1.0, -1.0)


def _ratio(at: Learned, *, threshold: float | None = None) -> Bounds:
    ratio = laws.rare_ratio(at.gap, at.alpha)
    threshold = at.b if threshold is None else threshold
    return {"error 0": same_sign(_yes(_enumerated(at, True) == 0), _yes(ratio >= threshold))}


RARE_RATIO = Theorem(
    name="features.rare_ratio",
    statement="Where D_v0 > 0 > D_v1 and alpha > 0 the rare error is 0 if and only if "
    "min(D_u0/(alpha^2 |D_v1|), -D_u1/(alpha^2 D_v0)) >= b.",
    source="[derived] A4",
    sizes=SIZES,
    parameters=KNOBS,
    sample=functools.partial(_sample_learned, common=2.0),
    hypotheses=_common_learned,
    conclusions=_ratio,
    searchable=("a",),
    controls={
        "1 in place of b": Control(
            sample=functools.partial(_sample_learned, common=2.0, rare=2.5),
            conclusions=functools.partial(_ratio, threshold=1.0),
        ),
    },
)


def _favourable(at: Learned) -> Bounds:
    gap, strength = at.gap, at.alpha**2
    return _common_learned(at) | {
        "favourable coin 0": Bound(lhs=-strength * gap[0], rhs=gap[2]),
        "favourable coin 1": Bound(lhs=strength * gap[1], rhs=-gap[3]),
    }


def _half(at: Learned) -> Bounds:
    gap, strength = at.gap, at.alpha**2
    both = (gap[2] < -strength * gap[1]) & (-gap[3] < strength * gap[0])
    return {"error 1/2": same_sign(_yes(_enumerated(at, True) == 0.5), _yes(both))}


HALF_ERROR = Theorem(
    name="features.half_error",
    statement="With one patch of feature noise, D_v0 > 0 > D_v1 and every rare sample with its own "
    "class's feature noise classified, the rare error is 1/2 if and only if D_u0 < alpha^2 |D_v1| "
    "and -D_u1 < alpha^2 D_v0.",
    source="[derived] A4",
    sizes=({"coins": 1, "width": 1}, {"coins": 1, "width": 3}),
    parameters=KNOBS,
    sample=functools.partial(_sample_learned, common=2.0, rare=1.2),
    hypotheses=_favourable,
    conclusions=_half,
    searchable=("a",),
    controls={
        "favourable side left out": Control(
            sample=functools.partial(_sample_learned, common=2.0, rare=0.5),
            hypotheses=_common_learned,
        )
    },
)

THEOREMS = (TEST_ERROR, RARE_RATIO, HALF_ERROR)
