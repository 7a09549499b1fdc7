"""What standard training on patch data learns: memorisation against rare features.

Trainings are those of :mod:`twolayer.theory.mixup.features.theorems.growth`. All [derived].
"""

from __future__ import annotations

import dataclasses
import functools

import jax
import jax.numpy as jnp
from jax import Array

from twolayer.theory.mixup.features import dynamics, laws
from twolayer.theory.mixup.features.filters import State
from twolayer.theory.mixup.features.theorems.growth import (
    KNOBS,
    descend,
    log_growth,
    positive_factors,
    sample_long_steps,
    sample_shares,
)
from twolayer.theory.mixup.features.theorems.instances import SIZES, Training, class_signs
from twolayer.theory.verification.inequality import Bound, Bounds, within_rounding
from twolayer.theory.verification.theorem import Control, Parameters, Size, Theorem

# A2, A3: memorising freezes the rare feature ------------------------------------------------------


def _rare_own(growth: Array) -> Array:
    """Log growth of the rare feature of each class by its own filters, shape (2, m)."""
    return jnp.stack([growth[0, :, 2], growth[1, :, 3]])


def _exponent(at: Training, slack: bool) -> Array:
    kappa = laws.memorization_factor(at.lr, at.energy, at.y.shape[0])
    return (kappa if slack else jnp.ones(())) / at.energy


def _memorization(at: Training, *, slack: bool = True) -> Bounds:
    path = descend(at)
    first, last = (jax.tree.map(lambda leaf, i=i: leaf[i], path) for i in (0, -1))
    memorised = laws.noise_growth(first, last, at.data)
    members = at.rare[None, :] & (class_signs(at.y) > 0)
    bound = _exponent(at, slack) * jnp.sum(jnp.where(members, memorised, 0), axis=1)
    growth = _rare_own(log_growth(path.a))
    return {"log growth": within_rounding(growth, bound[:, None], 1 + bound[:, None])}


MEMORIZATION_BOUND = Theorem(
    name="features.memorization_bound",
    statement="Under standard descent with positive factors the log growth of u_y in filters of "
    "class y is at most (kappa/s^2) sum over i in R_y of G_yi, kappa = x/log(1+x), "
    "x = 2 lr s^2/n.",
    source="[derived] A2, descent",
    sizes=SIZES,
    parameters=KNOBS,
    sample=sample_shares,
    hypotheses=positive_factors,
    conclusions=_memorization,
    searchable=("weights",),
    controls={
        "no kappa": Control(
            sample=sample_long_steps, conclusions=functools.partial(_memorization, slack=False)
        )
    },
)


def _rare_frozen(at: Training, *, slack: bool = True, members: float = 1.0) -> Bounds:
    path, data = descend(at), at.data
    patch = jnp.argmax(data.noise_mask, axis=1)  # any one noise patch of each sample
    noise = jnp.abs(jnp.take_along_axis(path.q, patch[None, None, None, :, None], axis=4))[..., 0]
    rare = at.rare[None, :] & (class_signs(at.y) > 0)
    largest = jnp.max(jnp.where(rare[None, :, None], noise, 0), axis=(0, 3))
    room = jnp.log(largest)[..., None] - jnp.log(noise[0])
    exponent = members * _exponent(at, slack)
    bound = exponent * jnp.sum(jnp.where(rare[:, None], room, 0), axis=2)
    growth = _rare_own(log_growth(path.a))
    return {"log growth": within_rounding(growth, bound, 1 + jnp.abs(bound))}


RARE_FROZEN = Theorem(
    name="features.rare_frozen",
    statement="Under standard descent with positive factors, if |q_yrip| <= Q for i in R_y then "
    "|a_yru(T)| <= |a(0)| prod over i in R_y of (Q/|q_yrip(0)|)^(kappa/s^2), any one p per i.",
    source="[derived] A3, descent",
    sizes=SIZES,
    parameters=KNOBS,
    sample=sample_shares,
    hypotheses=positive_factors,
    conclusions=_rare_frozen,
    searchable=("weights",),
    controls={
        "no kappa": Control(
            sample=sample_long_steps, conclusions=functools.partial(_rare_frozen, slack=False)
        ),
        "half the exponent": Control(conclusions=functools.partial(_rare_frozen, members=0.5)),
    },
)


# A7: what is learned stays ------------------------------------------------------------------------


def _sample_any_state(
    key: Array, size: Size, parameters: Parameters, *, factor: float = 1.0, scale: float = 2.0
) -> Training:
    """Filters of any size; steps up to the largest that keeps the rare features' factors positive.

    Common features and noise may take steps that are far too long for them.
    """
    at = sample_shares(key, size, {**parameters, "log_scale": parameters["log_scale"] + scale})
    largest = at.y.shape[0] / jnp.sum(at.rare)
    return dataclasses.replace(at, lr=factor * parameters["share"] * largest)


def _step_fits(at: Training) -> Bounds:
    return {"step": Bound(lhs=at.lr * jnp.sum(at.rare), rhs=jnp.asarray(float(at.y.shape[0])))}


def _never_unlearns(at: Training, *, mixup: bool = False) -> Bounds:
    data = at.data

    def step(state: State, _: None) -> tuple[State, Array]:
        if mixup:
            after = dynamics.mixup_step(state, data, at.lr, at.energy, at.lam_x, at.lam_y)[0]
        else:
            after = dynamics.standard_step(state, data, at.lr, at.energy)[0]
        return after, state.a

    _, path = jax.lax.scan(step, at.project(at.weights), length=8)
    squares = path[..., 2:] ** 2  # (T, class of the filters, m, class of the feature)
    before, after = squares[:-1], squares[1:]
    gaps = jax.vmap(dynamics.signal_gap)(path)
    sizes = jnp.sum(squares, axis=(1, 2))[1:]
    errors = jax.vmap(lambda gap: laws.rare_error(gap, 0.0, 1))(gaps)
    return {
        "own class 0": Bound(lhs=before[:, 0, :, 0], rhs=after[:, 0, :, 0]),
        "own class 1": Bound(lhs=before[:, 1, :, 1], rhs=after[:, 1, :, 1]),
        "other class 0": Bound(lhs=after[:, 1, :, 0], rhs=before[:, 1, :, 0]),
        "other class 1": Bound(lhs=after[:, 0, :, 1], rhs=before[:, 0, :, 1]),
        "gap of class 0": within_rounding(gaps[:-1, 2] - gaps[1:, 2], jnp.zeros(()), sizes[:, 0]),
        "gap of class 1": within_rounding(gaps[1:, 3] - gaps[:-1, 3], jnp.zeros(()), sizes[:, 1]),
        "error without feature noise": Bound(lhs=errors[1:], rhs=errors[:-1]),
    }


NEVER_UNLEARNS = Theorem(
    name="features.never_unlearns",
    statement="From any filters on, standard descent with 2 lr |R_y| <= n never shrinks a_yru of "
    "filters of the class of u and never grows it in the others: D_u0 is nondecreasing, D_u1 "
    "nonincreasing, and the rare error without feature noise never rises.",
    source="[derived] A7",
    sizes=SIZES,
    parameters=KNOBS,
    sample=_sample_any_state,
    hypotheses=_step_fits,
    conclusions=_never_unlearns,
    searchable=("weights",),
    controls={
        "Mixup": Control(conclusions=functools.partial(_never_unlearns, mixup=True)),
        "ten times the step": Control(
            sample=functools.partial(_sample_any_state, factor=10.0), hypotheses=lambda _: {}
        ),
    },
)

THEOREMS = (MEMORIZATION_BOUND, RARE_FROZEN, NEVER_UNLEARNS)
