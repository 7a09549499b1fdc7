"""Equally valid cues: accuracies of any model off the diagonal, and what a kernel machine predicts.

All [derived]. Theorem B1 is checked on kernel regression with the kernels of wide networks: one
flow with ridge, solved by the eigenvectors of its Gram matrix, against a vote that only counts.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jax import Array

from twolayer.theory.kernels import activations, deep
from twolayer.theory.kernels.deep import Kernel
from twolayer.theory.shortcut.cues import accuracy
from twolayer.theory.verification.inequality import Bound, Bounds, equal
from twolayer.theory.verification.sampling import below, normals
from twolayer.theory.verification.theorem import Control, Parameters, Size, Theorem

SIZES = ({"cues": 2, "levels": 3}, {"cues": 4, "levels": 3})


# Accuracies of any model -------------------------------------------------------------------------


@struct.dataclass
class Model:
    """A model of the off-diagonal cells, and a mixture of models that use one cue each."""

    logits: Array  # (cells, levels)
    shares_raw: Array  # (cues,), logarithms of the mixture up to a constant

    @property
    def cells(self) -> tuple[Array, int, int]:
        """The cells, and the numbers of cues and levels."""
        num_cues, num_levels = self.shares_raw.shape[0], self.logits.shape[1]
        return jnp.asarray(accuracy.wcst_cells(num_cues, num_levels)[1]), num_cues, num_levels


def _sample_model(key: Array, size: Size, parameters: Parameters) -> Model:
    k, l_ = size["cues"], size["levels"]
    logits, shares = normals(key, (l_**k - l_, l_), (k,))
    return Model(logits=parameters["sharpness"] * logits, shares_raw=2 * shares)


def _single_cue(at: Model, *, chance: bool = False) -> Bounds:
    cells, k, size = at.cells
    shares = jax.nn.softmax(at.shares_raw)
    accuracies = jnp.stack([accuracy.cue_accuracy(cells[:, cue], cells) for cue in range(k)])
    found = shares @ accuracies
    baseline = 1 / size if chance else accuracy.cue_baseline(k, size)
    return {
        "cue": equal(found, shares + (1 - shares) * baseline, 1e-12),
        "sum": equal(jnp.sum(found), jnp.asarray(1 + (k - 1) * baseline), 1e-12),
    }


SINGLE_CUE = Theorem(
    name="cues.single_cue",
    statement="On uniform off-diagonal cells a model that uses cue j with probability p_j, and "
    "then it alone, has acc_k = p_k + (1 - p_k) b with b = (L^(K-2) - 1)/(L^(K-1) - 1), which sum "
    "to 1 + (K - 1) b.",
    source="[derived] B.2",
    sizes=SIZES,
    parameters={"sharpness": (0.0, 8.0)},
    sample=_sample_model,
    conclusions=_single_cue,
    searchable=("shares_raw",),
    controls={
        "chance for the baseline": Control(conclusions=functools.partial(_single_cue, chance=True))
    },
)


def _majority(at: Model, *, single: bool = False) -> Bounds:
    cells, k, size = at.cells
    bound = jnp.asarray(1 + (k - 1) * accuracy.cue_baseline(k, size))
    if not single:
        bound = jnp.asarray(accuracy.majority_baseline(k, size))
    probs = jax.nn.softmax(at.logits, axis=1)
    soft = jnp.sum(jnp.mean(jnp.take_along_axis(probs, cells, axis=1), axis=0))
    hard = jnp.sum(accuracy.cue_accuracy(jnp.argmax(at.logits, axis=1), cells))
    # Cues that are nearly alike vote for the most common level, and never tie.
    weight = 1 + 1e-3 * jnp.arange(1, k + 1) ** 2
    vote = jnp.sum(accuracy.cue_accuracy(accuracy.cue_vote(jnp.sqrt(weight), cells), cells))
    return {
        "in the mean": Bound(lhs=soft, rhs=bound),
        "predicted": Bound(lhs=hard, rhs=bound),
        "attained": equal(vote, bound, 1e-12),
    }


MAJORITY = Theorem(
    name="cues.majority",
    statement="On uniform off-diagonal cells the accuracies of any model sum over cues to at most "
    "E[max_l #{k: l_k = l}], which the majority vote of the cues has.",
    source="[derived] B.2",
    sizes=({"cues": 3, "levels": 3}, {"cues": 4, "levels": 3}),
    parameters={"sharpness": (0.0, 8.0)},
    sample=_sample_model,
    conclusions=_majority,
    searchable=("logits",),
    controls={
        "sum of a single cue": Control(conclusions=functools.partial(_majority, single=True))
    },
)


# Kernel machines ---------------------------------------------------------------------------------


@struct.dataclass
class Machine:
    """Availabilities of the cues, and how kernel regression is run."""

    log_alpha: Array  # (cues,)
    alike: Array  # whether all cues are equally available
    log_sizes: Array  # (levels,), of the features of each level: 0 where norms are equal
    counts: Array  # (levels,), training points of each level: equal where balanced
    bias: Array
    log_time: Array  # in units of the inverse of the eigenvalue that matters
    log_ridge: Array  # in the same units

    @property
    def alpha(self) -> Array:
        """Availabilities."""
        return jnp.exp(jnp.where(self.alike, self.log_alpha[0], self.log_alpha))


def _sample_machine(
    key: Array, size: Size, parameters: Parameters, *, bend: float = 0.0, copies: float = 1.0
) -> Machine:
    """``bend`` breaks equal norms, ``copies`` of the first level's point the balance."""
    raw, sizes, rest = normals(key, (size["cues"],), (size["levels"],), (1,))
    return Machine(
        log_alpha=parameters["spread"] * raw,
        alike=below(4, rest[0]) == 0,
        log_sizes=bend * sizes,
        counts=jnp.ones(size["levels"]).at[0].set(copies),
        bias=parameters["bias"],
        log_time=parameters["log_time"],
        log_ridge=parameters["log_ridge"],
    )


def _kernels(bias: Array) -> tuple[Kernel, ...]:
    relu, tangent = activations.relu(), deep.neural_tangent_kernel
    return (
        deep.linear_kernel,
        functools.partial(tangent, activation=relu),
        functools.partial(tangent, activation=relu, depth=2, bias=bias),
        functools.partial(tangent, activation=activations.erf(), bias=bias),
    )


def _inputs(alpha: Array, levels: np.ndarray, num_levels: int, sizes: Array) -> Array:
    """One row of ``alpha_k sizes_l`` in the place of level l for each cue k."""
    rows = jax.nn.one_hot(levels, num_levels) * (alpha[:, None] * sizes[None, :])[None]
    return rows.reshape(levels.shape[0], -1)


def _filter(eigenvalues: Array, at: Machine, unit: Array) -> Array:
    """Gradient flow with ridge after the time, as a function of the Gram matrix."""
    rate = eigenvalues + 10.0**at.log_ridge * unit
    time = 10.0**at.log_time / unit
    return -jnp.expm1(-time * rate) / rate


def _vote(at: Machine) -> Bounds:
    num_cues, num_levels = at.log_alpha.shape[0], at.counts.shape[0]
    diagonal, cells = accuracy.wcst_cells(num_cues, num_levels)
    train, probes = (
        _inputs(at.alpha, levels, num_levels, jnp.exp(at.log_sizes)) for levels in (diagonal, cells)
    )
    one_hot = jnp.eye(num_levels)
    share = at.counts / jnp.sum(at.counts)
    # Equal points act as one whose pull is their number.
    root = jnp.sqrt(at.counts)
    targets = root[:, None] * (one_hot - share[None])

    weight = at.alpha**2
    total = jnp.sum(weight)
    agree = jnp.asarray(cells[:, :, None] == np.arange(num_levels))
    votes = jnp.sum(jnp.where(agree, weight[None, :, None], 0), axis=1)
    # On a circle of the same radius: the point at inner product u with the first, for u = R^2, 0
    # and all votes.
    products = jnp.concatenate([jnp.stack([total, jnp.zeros_like(total)]), votes.ravel()])
    across = jnp.sqrt(jnp.where(products < total, total - products**2 / total, 0))
    circle = jnp.stack([products / jnp.sqrt(total), across], axis=1)
    grams, profiles = [], []
    for kernel in _kernels(at.bias):
        grams.append(kernel(jnp.concatenate([train, probes]), train))
        profiles.append(kernel(circle[:1], circle)[0])
    gram, profile = jnp.stack(grams), jnp.stack(profiles)
    whole, unit = profile[:, :1], profile[:, :1] - profile[:, 1:2]

    gram *= root[None, None]
    eigenvalues, vectors = jnp.linalg.eigh(root[None, :, None] * gram[:, :num_levels])
    parts = jnp.swapaxes(vectors, 1, 2) @ targets[None]
    weights = vectors @ (_filter(eigenvalues, at, unit)[:, :, None] * parts)
    shape = _filter(unit, at, unit)
    scale = (shape * whole)[:, :, None]
    scores = gram[:, num_levels:] @ weights / scale
    grown = profile[:, 2:].reshape(-1, *votes.shape)
    expected = shape[:, :, None] * (grown - jnp.mean(grown, axis=2, keepdims=True)) / scale

    winner = accuracy.cue_vote(at.alpha, jnp.asarray(cells))
    most = jnp.max(votes, axis=1, keepdims=True)
    decided = jnp.sum(votes >= most * (1 - 1e-6), axis=1, keepdims=True) == 1
    chosen = jnp.take_along_axis(scores, jnp.maximum(winner, 0)[None, :, None], axis=2)
    apart = jnp.abs(scores[:, :, :, None] - scores[:, :, None, :])
    tied = jnp.abs(votes[:, :, None] - votes[:, None, :]) <= 1e-14 * total
    several = jnp.sum(votes >= most - 1e-14 * total, axis=1) > 1
    # Rounding of the Gram matrix is of the size of the whole kernel; the eigenvalue may be less.
    room = 1e-13 * (10 + whole / unit)[:, :, None]
    return {
        "scores": equal(scores, expected, room),
        "vote": Bound(
            lhs=jnp.where(decided[None], scores, 0), rhs=jnp.where(decided[None], chosen, 0)
        ),
        "no vote": equal(jnp.where(several, winner, -1), -jnp.ones_like(winner), 0.5),
        "ties": equal(jnp.where(tied[None], apart, 0), jnp.zeros_like(apart), room[..., None]),
    }


KERNEL_VOTE = Theorem(
    name="cues.kernel_vote",
    statement="Kernel regression on the L diagonal points with centred targets, a kernel kappa "
    "that grows with the inner product on the sphere, at any time and ridge: the score of level l "
    "is c (kappa(u_l) - mean), u_l = sum_k alpha_k^2 1[l_k = l], c > 0, so that the level of the "
    "largest u_l is predicted, and equal u_l tie.",
    source="[derived] Theorem B1",
    sizes=({"cues": 3, "levels": 3},),
    parameters={
        "spread": (0.05, 1.0),
        "bias": (0.0, 2.0),
        "log_time": (-3.0, 3.0),
        "log_ridge": (-4.0, 2.0),
    },
    sample=_sample_machine,
    conclusions=_vote,
    searchable=("log_alpha",),
    controls={
        "four points of the first level": Control(
            sample=functools.partial(_sample_machine, copies=4.0)
        ),
        "levels of unequal norms": Control(sample=functools.partial(_sample_machine, bend=0.5)),
    },
)

THEOREMS = (SINGLE_CUE, MAJORITY, KERNEL_VOTE)
