"""Training on patch data through phases, and what is recorded on the way.

A phase is a scan over blocks of steps, compiled once for its length; rates and mixing weights are
traced. For a hand-over at a traced step scan :func:`theory.mixup.features.mixup_step` with both
weights 1 from then on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from flax import struct
from jax import Array
from jaxtyping import Float

from theory import arguments
from theory.mixup import features
from theory.mixup.features import Noise, State
from theory.mixup.features_data import PatchData, Scalar

KINDS = ("standard", "mixup")


@struct.dataclass
class Trace:
    """What was recorded before blocks of steps and after the last, shapes ``(records, ...)``.

    Attributes:
      step: number of steps taken, ``(records,)``.
      loss: that of the steps that follow; at the end that of the last phase.
      signal_gap: D of :func:`theory.mixup.features.signal_gap`, ``(records, 4)``.
      noise_square: mean over noise patches of the sum over filters of both classes of q^2.
    """

    step: Array
    loss: Array
    signal_gap: Array
    noise_square: Array


def run(
    state: State,
    data: PatchData,
    schedule: Sequence[tuple[str, int]],
    lr: Scalar,
    noise: Noise,
    lam_x: Scalar = 1.0,
    lam_y: Scalar = 1.0,
    record_every: int = 1,
) -> tuple[State, Trace]:
    """Train through phases of standard and Mixup steps.

    Args:
      state: start.
      data: the training set.
      schedule: phases ``("standard" | "mixup", steps)`` in order; static.
      lr: step length, traced.
      noise: as for :func:`theory.mixup.features.standard_step`.
      lam_x: weight of inputs in Mixup phases, traced.
      lam_y: weight of labels there, traced.
      record_every: steps between records; divides the steps of every phase. Static.

    Returns:
      The last state and the records at steps ``0, record_every, ...`` to the end.

    Raises:
      ValueError: for an empty schedule, an unknown phase, steps that are no multiple of
        ``record_every``, and as the steps.
    """
    record_every = arguments.integer("record_every", record_every)
    if not schedule:
        raise ValueError("schedule must hold at least one phase; got none.")
    traces, taken = [], 0
    for kind, steps in schedule:
        arguments.choice("schedule", kind, KINDS)
        blocks, rest = divmod(arguments.integer("schedule", steps), record_every)
        if rest:
            raise ValueError(
                f"schedule must have steps in multiples of record_every, {record_every}; "
                f"got {steps}."
            )
        step = _stepper(kind, data, lr, noise, lam_x, lam_y)

        # Losses of steps between the records are not used; the compiler leaves them out.
        def block(state: State, at: Array, step: Callable = step) -> tuple[State, Trace]:
            after, _ = jax.lax.scan(
                lambda state, _: (step(state)[0], None), state, length=record_every
            )
            return after, _record(state, data, at, step(state)[1])

        state, trace = jax.lax.scan(block, state, taken + record_every * jnp.arange(blocks))
        traces.append(trace)
        taken += steps
    last = _record(state, data, jnp.asarray(taken), step(state)[1])
    traces.append(jax.tree.map(lambda leaf: leaf[None], last))
    return state, jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *traces)


def noise_square(q: Float[Array, "2 m n P"], data: PatchData) -> Float[Array, ""]:
    """Mean over the noise patches of the sum of q^2 over all filters of both classes."""
    return jnp.sum(q**2) / jnp.sum(data.noise_mask)


def _stepper(
    kind: str, data: PatchData, lr: Scalar, noise: Noise, lam_x: Scalar, lam_y: Scalar
) -> Callable[[State], tuple[State, Array]]:
    if kind == "standard":
        return lambda state: features.standard_step(state, data, lr, noise)
    return lambda state: features.mixup_step(state, data, lr, noise, lam_x, lam_y)


def _record(state: State, data: PatchData, at: Array, loss: Array) -> Trace:
    return Trace(
        step=at,
        loss=loss,
        signal_gap=features.signal_gap(state.a),
        noise_square=noise_square(state.q, data),
    )
