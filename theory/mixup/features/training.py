"""Training on patch data through phases, and what is recorded on the way.

A phase is a scan over blocks of steps, compiled once for its length; rates and mixing weights are
traced. For a hand-over at a traced step scan
:func:`twolayer.theory.mixup.features.dynamics.mixup_step` with both weights 1 from then on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from jax import Array
from jaxtyping import Float

from twolayer.theory import validation
from twolayer.theory.mixup.features import data as features_data
from twolayer.theory.mixup.features import dynamics, filters
from twolayer.theory.mixup.features.data import PatchData, Scalar
from twolayer.theory.mixup.features.dynamics import Weight
from twolayer.theory.mixup.features.filters import Noise, State

KINDS = ("standard", "mixup")


@struct.dataclass
class Trace:
    """What was recorded before blocks of steps and after the last, shapes ``(records, ...)``.

    Attributes:
      step: number of steps taken, ``(records,)``.
      loss: that of the steps that follow; at the end that of the last phase.
      signal_gap: D of :func:`twolayer.theory.mixup.features.dynamics.signal_gap`, ``(records, 4)``.
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
    lam_x: Weight = 1.0,
    lam_y: Weight = 1.0,
    record_every: int = 1,
    shares: Float[Array, "k"] | None = None,
) -> tuple[State, Trace]:
    """Train through phases of standard and Mixup steps.

    Args:
      state: start.
      data: the training set.
      schedule: phases ``("standard" | "mixup", steps)`` in order; static.
      lr: step length, traced.
      noise: as for :func:`twolayer.theory.mixup.features.dynamics.standard_step`.
      lam_x: weight of inputs in Mixup phases, traced.
      lam_y: weight of labels there, traced.
      record_every: steps between records; divides the steps of every phase. Static.
      shares: probabilities of several mixing weights, as for
        :func:`twolayer.theory.mixup.features.dynamics.mixup_step`.

    Returns:
      The last state and the records at steps ``0, record_every, ...`` to the end.

    Raises:
      ValueError: for an empty schedule, an unknown phase, steps that are no multiple of
        ``record_every``, and as the steps.
    """
    state, data = filters.checked("state", state, data)
    record_every = validation.integer("record_every", record_every)
    if not schedule:
        raise ValueError("schedule must hold at least one phase; got none.")
    try:
        phases = [(kind, steps) for kind, steps in schedule]
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"schedule must hold pairs of a phase and its steps; got {schedule!r:.80}."
        ) from error
    traces, taken = [], 0
    for kind, steps in phases:
        validation.choice("schedule", kind, KINDS)
        blocks, rest = divmod(validation.integer("schedule", steps), record_every)
        if rest:
            raise ValueError(
                f"schedule must have steps in multiples of record_every, {record_every}; "
                f"got {steps}."
            )
        step = _stepper(kind, data, lr, noise, (lam_x, lam_y, shares))

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


def beta_nodes(concentration: Scalar, num_nodes: int) -> tuple[Array, Array]:
    r"""Mixing weights :math:`\lambda \sim \mathrm{Beta}(c, c)`, of inputs and labels, as nodes.

    Gauss-Jacobi quadrature with 2k nodes, of which those in [1/2, 1] are kept at twice their
    weight: :math:`\lambda` and :math:`1-\lambda` train alike, as all ordered pairs are mixed. Means
    of polynomials of degree below 4k in :math:`\lambda` that are symmetric about 1/2 are exact.

    Args:
      concentration: c, positive; 1 is uniform. Traced.
      num_nodes: k, static.

    Returns:
      Nodes in (1/2, 1) and their shares, which sum to 1, shapes ``(k,)``.

    Raises:
      ValueError: for numbers outside these ranges.
    """
    concentration = validation.scalar("concentration", concentration, low=0.0, open_low=True)
    total = 2 * validation.integer("num_nodes", num_nodes)
    # Recurrence of the orthogonal polynomials (Golub and Welsch); the first one is simplified, as
    # its numerator and denominator vanish together at c = 1/2.
    power = 2 * (jnp.asarray(concentration, float) - 1)
    j = jnp.arange(2.0, total)
    later = j * (j + power) / ((2 * j + power - 1) * (2 * j + power + 1))
    side = jnp.sqrt(jnp.concatenate([1 / (3 + power)[None], later]))
    nodes, vectors = jnp.linalg.eigh(jnp.diag(side, 1) + jnp.diag(side, -1))
    shares = 2 * vectors[0, num_nodes:] ** 2
    return (1 + nodes[num_nodes:]) / 2, shares / jnp.sum(shares)


def noise_square(q: Float[Array, "2 m n P"], data: PatchData) -> Float[Array, ""]:
    """Mean over the noise patches of the sum of q^2 over all filters of both classes."""
    data = features_data.checked("data", data)
    q = validation.shaped("q", q, (2, None, *data.noise_mask.shape))
    return jnp.sum(q**2) / jnp.sum(data.noise_mask)


def _stepper(
    kind: str, data: PatchData, lr: Scalar, noise: Noise, weights: tuple[Any, ...]
) -> Callable[[State], tuple[State, Array]]:
    if kind == "standard":
        return lambda state: dynamics.standard_step(state, data, lr, noise)
    return lambda state: dynamics.mixup_step(state, data, lr, noise, *weights)


def _record(state: State, data: PatchData, at: Array, loss: Array) -> Trace:
    return Trace(
        step=at,
        loss=loss,
        signal_gap=dynamics.signal_gap(state.a),
        noise_square=noise_square(state.q, data),
    )
