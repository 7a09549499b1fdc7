"""Temperature scaling where classes overlap: what the best temperature costs.

The lower bound (Theorem C1) and the exact optimum (Theorem C2), both [derived].
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from flax import struct
from jax import Array

from twolayer.theory.mixup.calibration import overlapping_pairs, scores
from twolayer.theory.verification.inequality import Bound, Bounds, equal
from twolayer.theory.verification.sampling import below, normals, uniform
from twolayer.theory.verification.theorem import Control, Parameters, Size, Theorem

# The lower bound ---------------------------------------------------------------------------------


@struct.dataclass
class Sure:
    """Logits of points in the overlap of two classes and off it, and any temperatures."""

    raw: Array  # (n, k), in (0, 1): logits that do not win, in units of the spread
    gap: Array  # (n,), of the winner above all others, less log k
    in_pair: Array  # (n,), whether the winner is a class of the pair, 0 or 1
    overlaps: Array  # (n,), whether the point lies in the overlap, 0 or 1
    log_beta: Array  # (t,)
    spread: Array

    @property
    def logits(self) -> Array:
        """Logits; the winner is class 0, or class 2 where it is none of the pair."""
        k = self.raw.shape[1]
        others = self.spread * self.raw
        winner = jnp.where(self.in_pair > 0, 0, 2)
        top = jnp.max(others, axis=1) + jnp.log(k) + self.gap
        return jnp.where(jnp.arange(k)[None, :] == winner[:, None], top[:, None], others)

    @property
    def probs(self) -> Array:
        """Truth: both classes of the pair alike in the overlap, else class 0."""
        row = jnp.arange(self.raw.shape[1])[None, :]
        shared = jnp.where(row < 2, 0.5, 0.0)
        alone = jnp.where(row == 0, 1.0, 0.0)
        return jnp.where(self.overlaps[:, None] > 0, shared, alone)


def _sample_sure(
    key: Array, size: Size, parameters: Parameters, *, unsure: bool = False, mate: bool = False
) -> Sure:
    """``unsure`` takes the gap to the mate away, the others staying close to each other.

    ``mate`` puts the mate's logit between the winner's and all others.
    """
    n, k = size["n"], size["k"]
    raw, gap, in_pair, overlaps, log_beta = normals(key, (n, k), (n,), (n,), (n,), (8,))
    raw = uniform(raw)
    if mate:
        spread = 1.0 + parameters["spread"]
        raw = 0.1 * raw.at[:, 0].set(0.5) + 30.0 * (jnp.arange(k) == 1)[None, :]
    else:
        spread = parameters["spread"]
    gap = 3 * uniform(gap)
    if unsure:
        raw = raw.at[:, 1].set(1.0)
        gap = gap / 30 - jnp.log(k)
    return Sure(
        raw=raw,
        gap=gap,
        in_pair=below(4, in_pair).astype(bool).astype(int),
        overlaps=below(4, overlaps).astype(bool).astype(int),
        log_beta=2 * log_beta,
        spread=spread,
    )


def _is_sure(at: Sure, *, gap: bool = True, spread: bool = True) -> Array:
    """Points in the overlap at which the statement's conditions hold."""
    logits, k = at.logits, at.raw.shape[1]
    order = jnp.sort(logits, axis=1)
    conditions = at.overlaps * at.in_pair > 0
    if gap:
        conditions &= order[:, -1] - order[:, -2] >= jnp.log(k) - 1e-12
    if spread:
        conditions &= order[:, -2] - order[:, 0] <= at.spread + 1e-12
    return conditions


def _lower_bound(at: Sure, *, gap: bool = True, spread: bool = True) -> Bounds:
    k = at.raw.shape[1]
    sure = _is_sure(at, gap=gap, spread=spread)
    betas = jnp.exp(at.log_beta)
    mean = jax.vmap(lambda beta: scores.expected_kl(at.probs, beta * at.logits))(betas)
    overlap = jnp.mean(at.overlaps.astype(mean.dtype))
    fraction = jnp.sum(sure) / jnp.maximum(jnp.sum(at.overlaps), 1)
    bound = overlapping_pairs.ts_lower_bound(k, at.spread, overlap, fraction)
    mates = jax.vmap(lambda beta: jax.nn.softmax(beta * at.logits)[:, 1])(betas)
    most = jnp.where(sure, jnp.exp(at.spread) / k, 1.0)
    return {
        "error": Bound(lhs=jnp.full_like(mean, bound), rhs=mean + 1e-12),
        "mate": Bound(lhs=mates, rhs=jnp.broadcast_to(most[None, :], mates.shape) + 1e-12),
    }


LOWER_BOUND = Theorem(
    name="calibration.lower_bound",
    statement="Let the winning logit be of the pair and exceed all others by log k, and let these "
    "be within c of each other, on a fraction f of an overlap of mass o. Then softmax(g/T) gives "
    "the mate at most e^c/k there, and for every T > 0 the expected KL is at least "
    "f o [(log k - c)/2 - log 2]_+.",
    source="[derived] Theorem C1",
    sizes=({"n": 6, "k": 6}, {"n": 8, "k": 60}),
    parameters={"spread": (0.0, 1.0)},
    sample=_sample_sure,
    conclusions=_lower_bound,
    searchable=("raw", "gap", "log_beta"),
    controls={
        "a second logit near the first": Control(
            sample=functools.partial(_sample_sure, mate=True),
            conclusions=functools.partial(_lower_bound, gap=False, spread=False),
        ),
        "no gap": Control(
            sample=functools.partial(_sample_sure, unsure=True),
            conclusions=functools.partial(_lower_bound, gap=False),
        ),
    },
)


# The optimum -------------------------------------------------------------------------------------


@struct.dataclass
class Constant:
    """Points of the paired law with equal weights, one logit above all others at each."""

    truth: Array  # (n,), classes, integers
    shared: Array  # (n,), 0 or 1, whether the mate has half of the probability
    winner: Array  # (n,), classes
    log_beta: Array  # (t,), other temperatures
    gap: Array  # above log k
    num_classes: int = struct.field(pytree_node=False)


def _sample_constant(
    key: Array, size: Size, parameters: Parameters, *, wrong: bool = False
) -> Constant:
    """``wrong`` lets the mate win off the overlap too."""
    n, k = size["n"], size["k"]
    shared, swap, truth, log_beta = normals(key, (n,), (n,), (n,), (8,))
    truth = below(k, truth)
    share = (uniform(shared) < parameters["overlap"]).astype(int)
    swapped = (swap > 0).astype(int) * (jnp.ones_like(share) if wrong else share)
    return Constant(
        truth=truth,
        shared=share,
        winner=jnp.where(swapped > 0, truth // 2 * 2 + 1 - truth % 2, truth),
        log_beta=2 * log_beta,
        gap=parameters["gap"],
        num_classes=k,
    )


def _optimum(at: Constant, *, others: int = 1) -> Bounds:
    k = at.num_classes
    rows = jnp.eye(k)
    mate = rows[at.truth // 2 * 2 + 1 - at.truth % 2]
    half = 0.5 * at.shared[:, None]
    probs = (1 - half) * rows[at.truth] + half * mate
    logits = (jnp.log(k) + at.gap) * rows[at.winner]
    overlap = jnp.mean(at.shared.astype(logits.dtype))
    least, p = overlapping_pairs.oracle_ts_optimum(overlap, k + 1 - others)
    best = scores.fit_temperature(logits, probs)
    fitted = jax.nn.softmax(best * logits)
    mean = jax.vmap(lambda beta: scores.expected_kl(probs, beta * logits))(jnp.exp(at.log_beta))
    bound = overlapping_pairs.ts_lower_bound(k, 0.0, overlap, 1.0)
    return {
        "least": Bound(lhs=jnp.full_like(mean, least), rhs=mean + 1e-12),
        "reached": equal(scores.expected_kl(probs, best * logits), least, 1e-9),
        "probability": equal(jnp.max(fitted, axis=1), jnp.full(at.truth.shape, p), 1e-7),
        "above the lower bound": Bound(lhs=bound, rhs=least + 1e-12),
    }


OPTIMUM = Theorem(
    name="calibration.optimum",
    statement="For logits with one of height Z > log k above equal others, its class in the "
    "overlap either of the pair and off it the true one, every temperature costs at least "
    "F*(o, k) = h(o/2) - o log 2 + (o/2) log(k - 1), reached where the winner has probability "
    "1 - o/2; F* is above the general lower bound.",
    source="[derived] Theorem C2",
    sizes=({"n": 8, "k": 2}, {"n": 16, "k": 10}),
    parameters={"overlap": (0.0, 1.0), "gap": (0.01, 10.0)},
    sample=_sample_constant,
    conclusions=_optimum,
    searchable=("log_beta",),
    controls={
        "wrong off the overlap": Control(sample=functools.partial(_sample_constant, wrong=True)),
        "one other class too few": Control(conclusions=functools.partial(_optimum, others=2)),
    },
)

THEOREMS = (LOWER_BOUND, OPTIMUM)
