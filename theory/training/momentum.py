r"""The heavy-ball loop on a two-layer network, whatever coordinates its parameters have.

Losses are means over the N samples: identity :math:`-y f`, logistic :math:`\log(1 + e^{-y f})`.
Momentum: :math:`v \leftarrow \beta v + g,\ \theta \leftarrow \theta - \eta v`, v = 0 at the start.

Source: [code] for losses, optimiser and plateau rule.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import struct
from jax import Array

from twolayer.theory import validation
from twolayer.theory.kernels import activations
from twolayer.theory.kernels.activations import ActivationLike
from twolayer.theory.training.function_space import effective_weights
from twolayer.theory.training.losses import LOSSES, factors_and_loss

# Reduce on plateau: the rate falls tenfold after more than ten steps without progress.
_FACTOR, _PATIENCE, _THRESHOLD, _SMALLEST_CHANGE = 0.1, 10, 1e-4, 1e-8


@struct.dataclass
class TrainTrace:
    r"""What a run of S steps leaves behind besides its weights.

    ``weights`` are the :math:`\omega_j` of
    :func:`twolayer.theory.training.function_space.effective_weights` at the rates used;
    ``loss_factors`` the :math:`q_k = \sum_j \omega_j s_k(j)` with s = 1 (identity) or
    :math:`\sigma(-y_k f_j(x_k))` (logistic); ``gate_average`` the :math:`\bar A_{ik} = \sum_j
    \omega_j s_k(j) \phi'(\theta_i(j) \cdot \tilde x_k)`.
    """

    rates: Array  # (S,)
    losses: Array  # (S,), each before its step
    weights: Array  # (S,)
    loss_factors: Array  # (N,)
    gate_average: Array  # (m, N)


@struct.dataclass
class _Schedule:
    rate: Array
    best: Array
    waited: Array


class Rule(NamedTuple):
    """How a run descends: loss, rate, momentum, activation, scheduler."""

    loss: str
    lr: Any
    beta: Any
    gamma: ActivationLike
    scheduler: str | None
    torch_plateau: bool

    def check(self) -> Rule:
        """Itself, as read, or a ``ValueError`` that names the argument."""
        validation.choice("loss", self.loss, LOSSES)
        lr = validation.scalar("lr", self.lr, low=0.0)
        beta = validation.scalar("beta", self.beta, low=0.0, high=1.0, open_high=True)
        if self.scheduler not in (None, "plateau"):
            raise ValueError(f"scheduler must be None or 'plateau'; got {self.scheduler!r}.")
        return self._replace(lr=lr, beta=beta)


class Coordinates(NamedTuple):
    """What the loop needs to know of a coordinate system for the trained parameters."""

    position: Any
    velocity: Any
    read: Callable[[Any], Array]  # position -> pre-activations (m, N)
    push: Callable[[Array], Any]  # force on each gate (m, N), without a_i -> change of velocity
    advance: Callable[[Any, Any, Array], Any]  # position, velocity, rate -> position


@struct.dataclass
class State:
    """Position, velocity, schedule, and the sums that the trace reports."""

    position: Any
    velocity: Any
    schedule: _Schedule
    factor_velocity: Array  # (N,)
    factor_sum: Array
    gate_velocity: Array  # (m, N)
    gate_sum: Array


def loop(
    coordinates: Coordinates, a: Array, y: Array, rule: Rule
) -> tuple[State, Callable[[State], tuple[State, tuple[Array, Array]]]]:
    """Start and step of a run; a step returns the new state, its rate, and the loss before it."""
    activation = activations.resolve(rule.gamma)
    beta = jnp.asarray(rule.beta, y.dtype)
    no_gates = jnp.zeros((a.shape[0], y.shape[0]), y.dtype)
    start = State(
        position=coordinates.position,
        velocity=coordinates.velocity,
        schedule=_Schedule(
            rate=jnp.asarray(rule.lr, y.dtype),
            # Any loss is better; infinity would be taken for a fault by who looks for one.
            best=jnp.asarray(jnp.finfo(y.dtype).max, y.dtype),
            waited=jnp.zeros((), jnp.int32),
        ),
        factor_velocity=jnp.zeros_like(y),
        factor_sum=jnp.zeros_like(y),
        gate_velocity=no_gates,
        gate_sum=no_gates,
    )

    def step(state: State) -> tuple[State, tuple[Array, Array]]:
        pre = coordinates.read(state.position)
        margin = y * (a @ activation.value(pre))
        factor, value = factors_and_loss(rule.loss, margin)
        gate = activation.derivative(pre) * factor[None, :]
        force = coordinates.push(gate * (y / y.shape[0])[None, :])
        velocity = jax.tree.map(lambda old, new: beta * old + new, state.velocity, force)
        rate = state.schedule.rate
        factor_velocity = beta * state.factor_velocity + factor
        gate_velocity = beta * state.gate_velocity + gate
        schedule = state.schedule
        if rule.scheduler == "plateau":
            schedule = _after_loss(schedule, value, rule.torch_plateau)
        return State(
            position=coordinates.advance(state.position, velocity, rate),
            velocity=velocity,
            schedule=schedule,
            factor_velocity=factor_velocity,
            factor_sum=state.factor_sum + rate * factor_velocity,
            gate_velocity=gate_velocity,
            gate_sum=state.gate_sum + rate * gate_velocity,
        ), (rate, value)

    return start, step


def trace(state: State, rates: Array, losses: Array, beta: Any) -> TrainTrace:
    """The trace of a finished run of ``len(rates)`` steps."""
    return TrainTrace(
        rates=rates,
        losses=losses,
        weights=effective_weights(rates, jnp.asarray(beta, rates.dtype), rates.shape[0]),
        loss_factors=state.factor_sum,
        gate_average=state.gate_sum,
    )


def _after_loss(schedule: _Schedule, value: Array, torch_plateau: bool) -> _Schedule:
    """Reduce-on-plateau after a step's loss.

    With ``torch_plateau`` progress means ``loss < best * (1 - 1e-4)``. For a negative loss an equal
    or slightly worse value passes that test, so that the rate never falls once the identity loss is
    negative; the published experiments ran so. Without it the threshold is 1e-4 of ``|best|``
    below the best value.
    """
    best = schedule.best
    if torch_plateau:
        better = value < best * (1 - _THRESHOLD)
    else:
        better = value < best - _THRESHOLD * jnp.abs(best)
    waited = jnp.where(better, 0, schedule.waited + 1)
    reduce = waited > _PATIENCE
    lower = schedule.rate * _FACTOR
    worthwhile = schedule.rate - lower > _SMALLEST_CHANGE
    return _Schedule(
        rate=jnp.where(reduce & worthwhile, lower, schedule.rate),
        best=jnp.where(better, value, best),
        waited=jnp.where(reduce, 0, waited),
    )
