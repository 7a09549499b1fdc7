"""Training on patch data: the reduced dynamics and what Mixup changes in them.

One side of each statement forms every mixed input and differentiates the loss by the filters; the
other works in inner products. Instances are those of
:mod:`twolayer.theory.mixup.features.theorems.instances`. All [derived].
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from jax import Array

from twolayer.theory.mixup.features import dynamics, laws
from twolayer.theory.mixup.features import noise as features_noise
from twolayer.theory.mixup.features.theorems.instances import (
    KNOBS,
    SIZES,
    Noisy,
    Training,
    class_signs,
    close,
    mixed_loss,
    mixed_output_gaps,
    sample_noisy,
    sample_training,
)
from twolayer.theory.verification.inequality import Bound, Bounds, equal
from twolayer.theory.verification.theorem import Control, Theorem

# The reduced step --------------------------------------------------------------------------------


def _gram_step(at: Noisy, *, labels_as_inputs: bool = False, ideal: bool = False) -> Bounds:
    loss, gradient = jax.value_and_grad(mixed_loss)(at.weights, at.inputs, at.y, at.lam_x, at.lam_y)
    wanted = at.project(at.weights - at.lr * gradient)
    vectors = at.noise_vectors
    noise = at.energy if ideal else features_noise.noise_gram(vectors, vectors)
    lam_y = at.lam_x if labels_as_inputs else at.lam_y
    state, reduced_loss = dynamics.mixup_step(
        at.project(at.weights), at.data, at.lr, noise, at.lam_x, lam_y
    )
    return {
        "features": close(at, state.a, wanted.a),
        "noise": close(at, state.q, wanted.q),
        "loss": close(at, reduced_loss, loss, 1.0),
    }


GRAM_STEP = Theorem(
    name="features.gram_step",
    statement="For any noise patches orthogonal to the features, one step in inner products, "
    "c_k = +-(2/n^2) S Z_k, is the step of gradient descent by the filters on the mean loss over "
    "all n^2 mixed inputs.",
    source="[derived] exact dynamics",
    sizes=SIZES,
    parameters=KNOBS,
    sample=sample_noisy,
    conclusions=_gram_step,
    searchable=("weights", "noise"),
    controls={
        "labels mixed as inputs": Control(
            conclusions=functools.partial(_gram_step, labels_as_inputs=True)
        ),
        "noise taken for orthogonal": Control(
            conclusions=functools.partial(_gram_step, ideal=True)
        ),
    },
)


# A0: features and noise meet only in S -----------------------------------------------------------


def _block_structure(at: Training, *, driven: bool = True) -> Bounds:
    data, state = at.data, at.project(at.weights)
    gradient = jax.grad(mixed_loss)(at.weights, at.inputs, at.y, at.lam_x, at.lam_y)
    field = at.project(-gradient)
    weights = dynamics.mixup_weights(
        dynamics.mixed_gaps(state, data, at.lam_x), data.target, at.lam_x, at.lam_y
    )
    matrix = laws.signal_matrix(data, weights)
    sign = jnp.array([1.0, -1.0])[:, None, None]
    n = at.y.shape[0]
    noise = 2 * at.energy / n**2 * jnp.einsum("ij,krjp->krip", weights, state.q)

    # The drive, from the residuals of pairs of one class: its label is pure.
    target = data.target
    residual = target[:, None] - jax.nn.sigmoid(mixed_output_gaps(at))
    pair = (
        at.lam_x * (1 - at.lam_x) * (residual + residual.T) * (at.rare[:, None] & ~at.rare[None, :])
    )
    same = target[:, None] * target[None, :], (1 - target[:, None]) * (1 - target[None, :])
    drive = 2 / n**2 * jnp.stack([jnp.sum(pair * block) for block in same])
    found = jnp.stack([matrix[0, 2], matrix[1, 3]])
    standard = laws.signal_matrix(data, dynamics.mixup_weights(jnp.zeros((n, n)), target, 1.0, 1.0))
    size = jnp.max(jnp.abs(at.weights))
    return {
        "features": close(at, field.a, sign * jnp.einsum("fg,krg->krf", matrix, state.a), size),
        "noise": close(at, field.q, sign[..., None] * noise, size * at.energy),
        "drive": close(at, found, drive if driven else jnp.zeros_like(drive)),
        "drive of class 0": Bound(lhs=jnp.zeros(()), rhs=found[0]),
        "drive of class 1": Bound(lhs=found[1], rhs=jnp.zeros(())),
        "none in standard training": equal(standard, jnp.diag(jnp.diagonal(standard)), 0.0),
    }


BLOCK_STRUCTURE = Theorem(
    name="features.block_structure",
    statement="In the fixed layout with ideal noise features and noise couple only through S: "
    "da_k/dt = +-M a_k, M = (2/n^2) sum_p C_p' S C_p, and dq_p/dt = +-(2 s^2/n^2) S q_p. The "
    "common feature drives the rare one: M_v0u0 = (2 lx (1-lx)/n^2) sum over i in R_0, j in C_0 "
    "of L_ij + L_ji >= 0, which is 0 in standard training.",
    source="[derived] A0",
    sizes=SIZES,
    parameters=KNOBS,
    sample=sample_training,
    conclusions=_block_structure,
    searchable=("weights",),
    controls={
        "random layout": Control(sample=functools.partial(sample_training, layout="random")),
        "no drive": Control(conclusions=functools.partial(_block_structure, driven=False)),
    },
)


# A1: rates at zero -------------------------------------------------------------------------------


def _initial_rates(at: Training, *, coherent: bool = True, slowed: bool = True) -> Bounds:
    data, n = at.data, at.y.shape[0]
    lam = (at.lam_x, at.lam_y) if slowed else (jnp.ones(()), jnp.ones(()))
    # Filters that do not know the common features: these would drive the rare ones.
    small = at.weights.at[..., :2].set(0.0)

    def force(weights: Array) -> Array:
        return -jax.grad(mixed_loss)(weights, at.inputs, at.y, at.lam_x, at.lam_y)

    _, grown = jax.jvp(force, (jnp.zeros_like(small),), (small,))
    state, field = at.project(small), at.project(grown)
    sign = class_signs(at.y)[:, None, :, None]
    feature = laws.feature_rate(jnp.sum(at.rare) / 2, n, *lam)
    noise = laws.noise_rates(n, at.energy, *lam)
    own = jnp.array([[1.0, -1.0], [-1.0, 1.0]])[:, None, :]

    def class_mean(values: Array) -> Array:
        same = (at.y[:, None] == at.y[None, :]).astype(values.dtype) * 2 / n
        return jnp.einsum("ij,krjp->krip", same, values)

    mean, mean_field = class_mean(state.q), class_mean(field.q)
    return {
        "S": close(
            at,
            dynamics.mixup_weights(jnp.zeros((n, n)), data.target, at.lam_x, at.lam_y),
            laws.initial_weights(data.target, *lam),
        ),
        "rare features": close(at, field.a[..., 2:], feature * own * state.a[..., 2:]),
        "noise of mean zero": close(
            at,
            field.q - mean_field,
            noise.within * sign * (state.q - mean),
            jnp.max(jnp.abs(field.q)),
        ),
        "mean noise": close(
            at,
            mean_field,
            (noise.mean if coherent else noise.within) * sign * mean,
            jnp.max(jnp.abs(field.q)),
        ),
    }


INITIAL_RATES = Theorem(
    name="features.initial_rates",
    statement="Filters of zero size learn a feature of n_f samples at the rate g n_f/n + "
    "2 lx (1-lx) n_f^2/n^2, g = lx^2 ly + (1-lx)^2 (1-ly), noise in one patch at s^2 g/n on "
    "directions that sum to zero over each class and at s^2 (g + lx (1-lx))/n on the class means.",
    source="[derived] A1",
    sizes=SIZES[1:],
    parameters=KNOBS,
    sample=sample_training,
    conclusions=_initial_rates,
    searchable=("weights",),
    controls={
        "class means as other noise": Control(
            conclusions=functools.partial(_initial_rates, coherent=False)
        ),
        "rates of standard training": Control(
            conclusions=functools.partial(_initial_rates, slowed=False)
        ),
    },
)


# A6: which weights are the same training ---------------------------------------------------------


def _equivalent_weights(at: Training, *, both: bool = True, end: float = 1.0) -> Bounds:
    data, state = at.data, at.project(at.weights)

    # Three pairs of weights as one compiled step: both at the end, as drawn, and exchanged.
    lam_x = jnp.stack([jnp.ones(()), at.lam_x, 1 - at.lam_x])
    lam_y = jnp.stack([jnp.full((), end), at.lam_y, 1 - at.lam_y if both else at.lam_y])
    mixed, mixed_losses = jax.vmap(
        lambda x, y: dynamics.mixup_step(state, data, at.lr, at.energy, x, y)
    )(lam_x, lam_y)
    standard, loss = dynamics.standard_step(state, data, at.lr, at.energy)
    return {
        "standard features": close(at, mixed.a[0], standard.a),
        "standard noise": close(at, mixed.q[0], standard.q),
        "standard loss": close(at, mixed_losses[0], loss, 1.0),
        "exchanged features": close(at, mixed.a[2], mixed.a[1]),
        "exchanged noise": close(at, mixed.q[2], mixed.q[1]),
        "exchanged loss": close(at, mixed_losses[2], mixed_losses[1], 1.0),
    }


EQUIVALENT_WEIGHTS = Theorem(
    name="features.equivalent_weights",
    statement="Mixup over all pairs with both weights 1 is standard training, and the weights "
    "(lx, ly) train as (1-lx, 1-ly).",
    source="[derived] A6",
    sizes=SIZES,
    parameters=KNOBS,
    sample=functools.partial(sample_training, layout="random"),
    conclusions=_equivalent_weights,
    searchable=("weights",),
    controls={
        "inputs exchanged, not labels": Control(
            conclusions=functools.partial(_equivalent_weights, both=False)
        ),
        "labels mixed, not inputs": Control(
            conclusions=functools.partial(_equivalent_weights, end=0.9)
        ),
    },
)

THEOREMS = (GRAM_STEP, BLOCK_STRUCTURE, INITIAL_RATES, EQUIVALENT_WEIGHTS)
