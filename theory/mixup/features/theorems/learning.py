"""What standard training on patch data learns: memorisation against rare features.

Filters trained by differentiating the loss of explicit samples are compared with what the residuals
imply. All [derived].
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array

from twolayer.theory.mixup.features import dynamics, laws
from twolayer.theory.mixup.features.data import PatchData, Scalar
from twolayer.theory.mixup.features.dynamics import State
from twolayer.theory.mixup.features.theorems.dynamics import (
    SIZES,
    Training,
    class_signs,
    sample_training,
)
from twolayer.theory.verification.inequality import (
    Bound,
    Bounds,
    equal,
    strictly_less,
    within_rounding,
)
from twolayer.theory.verification.theorem import Control, Knobs, Size, Theorem

STEPS = 30
# Steps of the flow, each a share of the time in which a filter or a residual can change.
FLOW_STEPS, FLOW_SHARE = 100, 0.1
KNOBS = {
    "alpha": (0.0, 1.0),
    "log_energy": (-1.0, 2.0),
    "log_scale": (-4.0, 0.0),
    "share": (0.05, 1.0),  # of the largest step
}


def standard_flow(
    state: State, data: PatchData, energy: Scalar, *, dt: Scalar, steps: int, field: Callable
) -> State:
    """Gradient flow over a time of ``dt * steps``, by the classical Runge-Kutta method.

    Args:
      state: start.
      data: the training set.
      energy: s^2 of ideal noise.
      dt: step, traced; the error is of fourth order in it.
      steps: their number, static.
      field: what flows, (state, data, lr, energy) -> (state after a step, loss).
    """

    def slope(at: State) -> State:
        # The difference of a step of length one is the field, whatever its size.
        return jax.tree.map(jnp.subtract, field(at, data, 1.0, energy)[0], at)

    def along(at: State, direction: State, length: Scalar) -> State:
        return jax.tree.map(lambda x, v: x + length * v, at, direction)

    def step(at: State, _: None) -> tuple[State, None]:
        # One stage after another in a scan, so that the field is compiled once.
        def stage(carry: tuple[State, State], weights: Array) -> tuple[tuple[State, State], None]:
            point, total = carry
            found = slope(point)
            return (along(at, found, weights[0] * dt), along(total, found, weights[1] * dt)), None

        table = jnp.array([[0.5, 1 / 6], [0.5, 1 / 3], [1.0, 1 / 3], [0.0, 1 / 6]])
        return jax.lax.scan(stage, (at, at), table)[0][1], None

    return jax.lax.scan(step, state, length=steps)[0]


# Training by explicit samples --------------------------------------------------------------------


def sample_loss(weights: Array, inputs: Array, y: Array) -> Array:
    """Mean cross-entropy of the samples, from filters and samples as vectors."""
    outputs = jnp.sum(jnp.tensordot(weights, inputs, axes=(2, 2)) ** 2, axis=(1, 3))
    log_probs = jax.nn.log_softmax(outputs, axis=0)
    return -jnp.mean(jnp.where(y == 0, log_probs[0], log_probs[1]))


def descend(at: Training) -> State:
    """Inner products before each step of standard descent and after the last, leading axis."""
    inputs = at.inputs

    def step(weights: Array, _: None) -> tuple[Array, Array]:
        return weights - at.lr * jax.grad(sample_loss)(weights, inputs, at.y), weights

    last, path = jax.lax.scan(step, at.weights, length=STEPS)
    return jax.vmap(at.project)(jnp.concatenate([path, last[None]]))


def _residuals(at: Training, path: State) -> Array:
    """Residuals t - sigma(F_0 - F_1) with the sign of each class, at each step, (T, 2, n)."""
    data = at.data
    gaps = jax.vmap(lambda state: dynamics.output_gaps(state, data))(path)[:-1]
    residual = data.target[None, :] - jax.nn.sigmoid(gaps)
    return jnp.stack([residual, -residual], axis=1)


def _growth(values: Array) -> Array:
    """Log growth of entries from the first to the last state; 0 where they are 0."""
    first, last = jnp.abs(values[0]), jnp.abs(values[-1])
    used = first > 0
    return jnp.where(used, jnp.log(jnp.where(used, last, 1) / jnp.where(used, first, 1)), 0.0)


def _sample(key: Array, size: Size, knobs: Knobs, *, layout: str = "random") -> Training:
    """Steps of a share of the largest that keeps all factors positive."""
    drawn = {**knobs, "lam_x": jnp.asarray(0.7), "lam_y": jnp.asarray(0.7), "lr": knobs["share"]}
    at = sample_training(key, size, drawn, layout=layout)
    return dataclasses.replace(at, lr=0.99 * at.lr / _fastest(at))


def _sample_long_steps(key: Array, size: Size, knobs: Knobs) -> Training:
    """Almost the largest steps, of the noise above all."""
    full = {"share": jnp.ones(()), "log_energy": jnp.asarray(3.0)}
    return _sample(key, size, {**knobs, **full})


def _fastest(at: Training) -> Array:
    """Bound of twice the rate at which any filter can grow."""
    n, b = at.coins.shape
    return 2 * jnp.maximum(1 + b * at.alpha**2, at.energy / n)


def _positive_factors(at: Training) -> Bounds:
    patches = at.data.noise_mask[None, None] > 0
    start = at.project(at.weights)
    return {
        "steps": strictly_less(at.lr * _fastest(at), jnp.ones(())),
        "features of filters": strictly_less(jnp.zeros(()), jnp.min(jnp.abs(start.a))),
        "noise of filters": strictly_less(
            jnp.zeros(()), jnp.min(jnp.where(patches, jnp.abs(start.q), 1.0))
        ),
    }


# A2: one law for features and noise --------------------------------------------------------------


def _conservation(at: Training, *, factor: float = 1.0, mixup: bool = False) -> Bounds:
    data, start = at.data, at.project(at.weights)

    def mixed(state: State, data: PatchData, lr: Scalar, noise: Scalar) -> tuple[State, Array]:
        return dynamics.mixup_step(state, data, lr, noise, 0.7, 0.7)

    outputs = jnp.max(jnp.sum(dynamics.preactivations(start, data) ** 2, axis=(0, 1, 3)))
    end = standard_flow(
        start,
        data,
        at.energy,
        dt=FLOW_SHARE / (_fastest(at) * (1 + outputs)),
        steps=FLOW_STEPS,
        field=mixed if mixup else dynamics.standard_step,
    )
    residual = laws.conservation_residual(start, end, data, factor * at.energy)
    return {"law": equal(residual, jnp.zeros_like(residual), 1e-6)}


CONSERVATION = Theorem(
    name="features.conservation",
    statement="Standard gradient flow with ideal noise, any layout, conserves "
    "log|a_krf| - (1/s^2) sum_i nu_if log|q_krip|: log growth of a feature is the sum of the log "
    "growths of its samples' noise over s^2.",
    source="[derived] A2, flow; by Runge-Kutta steps, hence to 1e-6",
    sizes=SIZES,
    knobs=KNOBS | {"log_scale": (-4.0, -1.0)},
    sample=_sample,
    hypotheses=_positive_factors,
    conclusions=_conservation,
    free=("weights",),
    controls={
        "twice the noise energy": Control(conclusions=functools.partial(_conservation, factor=2.0)),
        "Mixup": Control(conclusions=functools.partial(_conservation, mixup=True)),
    },
)


def _multiplicative(at: Training, *, discrete: bool = True, power: float = 1.0) -> Bounds:
    path, n, data = descend(at), at.y.shape[0], at.data
    residual = 2 * at.lr / n * _residuals(at, path)
    log1p = jnp.log1p if discrete else (lambda z: z)
    feature = jnp.sum(log1p(residual @ data.power), axis=0)[:, None, :]
    noise = jnp.sum(log1p(at.energy**power * residual), axis=0)[:, None, :, None]
    return {
        "features": equal(_growth(path.a), jnp.broadcast_to(feature, path.a.shape[1:]), 1e-11),
        "noise": equal(_growth(path.q), noise * data.noise_mask[None, None], 1e-11),
    }


MULTIPLICATIVE_LAW = Theorem(
    name="features.multiplicative_law",
    statement="Under standard descent with positive factors, "
    "log a_krf(T)/a_krf(0) = sum_t log(1 + (2 lr/n) sum_i (+-)l_i nu_if) and "
    "log q_krip(T)/q_krip(0) = sum_t log(1 + (2 lr s^2/n) (+-)l_i): one growth for all filters of "
    "a class and all noise patches of a sample.",
    source="[derived] A2, descent",
    sizes=SIZES,
    knobs=KNOBS,
    sample=_sample,
    hypotheses=_positive_factors,
    conclusions=_multiplicative,
    free=("weights",),
    controls={
        "sums for logarithms": Control(
            conclusions=functools.partial(_multiplicative, discrete=False)
        ),
        "s in place of s^2": Control(conclusions=functools.partial(_multiplicative, power=0.5)),
    },
)


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
    growth = _rare_own(_growth(path.a))
    return {"log growth": within_rounding(growth, bound[:, None], 1 + bound[:, None])}


MEMORIZATION_BOUND = Theorem(
    name="features.memorization_bound",
    statement="Under standard descent with positive factors the log growth of u_y in filters of "
    "class y is at most (kappa/s^2) sum over i in R_y of G_yi, kappa = x/log(1+x), "
    "x = 2 lr s^2/n.",
    source="[derived] A2, descent",
    sizes=SIZES,
    knobs=KNOBS,
    sample=_sample,
    hypotheses=_positive_factors,
    conclusions=_memorization,
    free=("weights",),
    controls={
        "no kappa": Control(
            sample=_sample_long_steps, conclusions=functools.partial(_memorization, slack=False)
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
    growth = _rare_own(_growth(path.a))
    return {"log growth": within_rounding(growth, bound, 1 + jnp.abs(bound))}


RARE_FROZEN = Theorem(
    name="features.rare_frozen",
    statement="Under standard descent with positive factors, if |q_yrip| <= Q for i in R_y then "
    "|a_yru(T)| <= |a(0)| prod over i in R_y of (Q/|q_yrip(0)|)^(kappa/s^2), any one p per i.",
    source="[derived] A3, descent",
    sizes=SIZES,
    knobs=KNOBS,
    sample=_sample,
    hypotheses=_positive_factors,
    conclusions=_rare_frozen,
    free=("weights",),
    controls={
        "no kappa": Control(
            sample=_sample_long_steps, conclusions=functools.partial(_rare_frozen, slack=False)
        ),
        "half the exponent": Control(conclusions=functools.partial(_rare_frozen, members=0.5)),
    },
)


# A7: what is learned stays ------------------------------------------------------------------------


def _sample_any_state(
    key: Array, size: Size, knobs: Knobs, *, factor: float = 1.0, scale: float = 2.0
) -> Training:
    """Filters of any size; steps up to the largest that keeps the rare features' factors positive.

    Common features and noise may take steps that are far too long for them.
    """
    at = _sample(key, size, {**knobs, "log_scale": knobs["log_scale"] + scale})
    largest = at.y.shape[0] / jnp.sum(at.rare)
    return dataclasses.replace(at, lr=factor * knobs["share"] * largest)


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
    knobs=KNOBS,
    sample=_sample_any_state,
    hypotheses=_step_fits,
    conclusions=_never_unlearns,
    free=("weights",),
    controls={
        "Mixup": Control(conclusions=functools.partial(_never_unlearns, mixup=True)),
        "ten times the step": Control(
            sample=functools.partial(_sample_any_state, factor=10.0), hypotheses=lambda _: {}
        ),
    },
)


THEOREMS = (
    CONSERVATION,
    MULTIPLICATIVE_LAW,
    MEMORIZATION_BOUND,
    RARE_FROZEN,
    NEVER_UNLEARNS,
)
