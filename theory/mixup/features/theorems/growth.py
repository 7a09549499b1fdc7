"""How filters grow under standard training on patch data: one law for features and noise.

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
from twolayer.theory.mixup.features.filters import State
from twolayer.theory.mixup.features.theorems.instances import SIZES, Training, sample_training
from twolayer.theory.verification.inequality import Bounds, equal, strictly_less
from twolayer.theory.verification.theorem import Control, Parameters, Size, Theorem

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


def residuals(at: Training, path: State) -> Array:
    """Residuals t - sigma(F_0 - F_1) with the sign of each class, at each step, (T, 2, n)."""
    data = at.data
    gaps = jax.vmap(lambda state: dynamics.output_gaps(state, data))(path)[:-1]
    residual = data.target[None, :] - jax.nn.sigmoid(gaps)
    return jnp.stack([residual, -residual], axis=1)


def log_growth(values: Array) -> Array:
    """Log growth of entries from the first to the last state; 0 where they are 0."""
    first, last = jnp.abs(values[0]), jnp.abs(values[-1])
    used = first > 0
    return jnp.where(used, jnp.log(jnp.where(used, last, 1) / jnp.where(used, first, 1)), 0.0)


def sample_shares(
    key: Array, size: Size, parameters: Parameters, *, layout: str = "random"
) -> Training:
    """Steps of a share of the largest that keeps all factors positive."""
    drawn = {
        **parameters,
        "lam_x": jnp.asarray(0.7),
        "lam_y": jnp.asarray(0.7),
        "lr": parameters["share"],
    }
    at = sample_training(key, size, drawn, layout=layout)
    return dataclasses.replace(at, lr=0.99 * at.lr / fastest(at))


def sample_long_steps(key: Array, size: Size, parameters: Parameters) -> Training:
    """Almost the largest steps, of the noise above all."""
    full = {"share": jnp.ones(()), "log_energy": jnp.asarray(3.0)}
    return sample_shares(key, size, {**parameters, **full})


def fastest(at: Training) -> Array:
    """Bound of twice the rate at which any filter can grow."""
    n, b = at.coins.shape
    return 2 * jnp.maximum(1 + b * at.alpha**2, at.energy / n)


def positive_factors(at: Training) -> Bounds:
    """The hypothesis of short steps: no factor by which a filter grows reaches zero."""
    patches = at.data.noise_mask[None, None] > 0
    start = at.project(at.weights)
    return {
        "steps": strictly_less(at.lr * fastest(at), jnp.ones(())),
        "features of filters": strictly_less(jnp.zeros(()), jnp.min(jnp.abs(start.a))),
        "noise of filters": strictly_less(
            jnp.zeros(()), jnp.min(jnp.where(patches, jnp.abs(start.q), 1.0))
        ),
    }


def _conservation(at: Training, *, factor: float = 1.0, mixup: bool = False) -> Bounds:
    data, start = at.data, at.project(at.weights)

    def mixed(state: State, data: PatchData, lr: Scalar, noise: Scalar) -> tuple[State, Array]:
        return dynamics.mixup_step(state, data, lr, noise, 0.7, 0.7)

    outputs = jnp.max(jnp.sum(dynamics.preactivations(start, data) ** 2, axis=(0, 1, 3)))
    end = standard_flow(
        start,
        data,
        at.energy,
        dt=FLOW_SHARE / (fastest(at) * (1 + outputs)),
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
    parameters=KNOBS | {"log_scale": (-4.0, -1.0)},
    sample=sample_shares,
    hypotheses=positive_factors,
    conclusions=_conservation,
    searchable=("weights",),
    controls={
        "twice the noise energy": Control(conclusions=functools.partial(_conservation, factor=2.0)),
        "Mixup": Control(conclusions=functools.partial(_conservation, mixup=True)),
    },
)


def _multiplicative(at: Training, *, discrete: bool = True, power: float = 1.0) -> Bounds:
    path, n, data = descend(at), at.y.shape[0], at.data
    residual = 2 * at.lr / n * residuals(at, path)
    log1p = jnp.log1p if discrete else (lambda z: z)
    feature = jnp.sum(log1p(residual @ data.power), axis=0)[:, None, :]
    noise = jnp.sum(log1p(at.energy**power * residual), axis=0)[:, None, :, None]
    return {
        "features": equal(log_growth(path.a), jnp.broadcast_to(feature, path.a.shape[1:]), 1e-11),
        "noise": equal(log_growth(path.q), noise * data.noise_mask[None, None], 1e-11),
    }


MULTIPLICATIVE_LAW = Theorem(
    name="features.multiplicative_law",
    statement="Under standard descent with positive factors, "
    "log a_krf(T)/a_krf(0) = sum_t log(1 + (2 lr/n) sum_i (+-)l_i nu_if) and "
    "log q_krip(T)/q_krip(0) = sum_t log(1 + (2 lr s^2/n) (+-)l_i): one growth for all filters of "
    "a class and all noise patches of a sample.",
    source="[derived] A2, descent",
    sizes=SIZES,
    parameters=KNOBS,
    sample=sample_shares,
    hypotheses=positive_factors,
    conclusions=_multiplicative,
    searchable=("weights",),
    controls={
        "sums for logarithms": Control(
            conclusions=functools.partial(_multiplicative, discrete=False)
        ),
        "s in place of s^2": Control(conclusions=functools.partial(_multiplicative, power=0.5)),
    },
)

THEOREMS = (CONSERVATION, MULTIPLICATIVE_LAW)
