"""Study ``dynamics``: training from one start with and without Mixup, in time.

With what the conservation law of standard training says of both ends, and of the flow.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from twolayer.sims.engine.experiment import traced
from twolayer.sims.mixup.features import patches
from twolayer.sims.mixup.features.patches import FEATURES, KINDS, PatchConfig
from twolayer.theory import validation
from twolayer.theory.mixup.features import dynamics, laws, training
from twolayer.theory.mixup.features.data import PatchData
from twolayer.theory.mixup.features.filters import State
from twolayer.theory.mixup.features.theorems import growth as growth_law

LAWS = ("fixed", "beta")
# Steps of the flow and its horizon, over which features grow by factors of e^5.
FLOW_STEPS, FLOW_TIMES = (0.2, 0.1), 300
# [measured] Ratios agree with those of 16 nodes to 1e-4.
_NODES = 4


@dataclasses.dataclass(frozen=True, kw_only=True)
class DynamicsConfig(PatchConfig):
    """Standard training and Mixup, recorded every ``record_every`` steps.

    ``law`` says which Mixup: "fixed" weights ``lam_x`` and ``lam_y``, or "beta", the same random
    weight for inputs and labels, Beta with both parameters ``concentration``, by its mean over all
    pairs. ``concentration`` counts for "beta" alone, the weights for "fixed" alone.
    """

    law: str = "fixed"
    lam_x: float = traced(0.7)
    lam_y: float = traced(0.7)
    concentration: float = traced(1.0)
    steps: int = 2500
    record_every: int = 25

    def __post_init__(self) -> None:
        super().__post_init__()
        validation.choice("law", self.law, LAWS)
        patches.weights(self.lam_x, self.lam_y)
        validation.number("concentration", self.concentration, low=0.0, open_low=True)
        patches.multiple("steps", self.steps, self.record_every, "record_every")


DIMS = {
    "loss": ("kind", "step"),
    "signal_gap": ("kind", "step", "feature"),
    "noise_square": ("kind", "step"),
    "rare_error": ("kind", "step"),
    "common_error": ("kind", "step"),
    "ratio": ("kind", "step"),
    "train_error": ("kind",),
    "growth": ("kind", "feature"),
    "memorised": ("kind", "feature"),
    "memorised_spread": ("kind",),
    "frozen_slack": (),
    "flow_gap": ("dt",),
    "flow_control": (),
}


def coords(config: DynamicsConfig) -> dict[str, list]:
    """Values along each axis of the results."""
    return {
        "kind": list(KINDS),
        "step": list(range(0, config.steps + 1, config.record_every)),
        "feature": list(FEATURES),
        "dt": list(FLOW_STEPS),
    }


def simulate(key: Array, config: DynamicsConfig, inputs: dict[str, Array]) -> dict[str, Array]:
    r"""Both trainings from one start, in float64.

    - ``loss``, ``signal_gap``, ``noise_square``: before each recorded step, over the kinds;
    - ``rare_error``, ``common_error``, ``ratio``: by the closed forms, fresh noise neglected;
    - ``train_error``: share of training samples on the wrong side at the end;
    - ``growth``, ``memorised``: log growth of each feature, mean over filters of its class, and
      :math:`(1/s^2) \sum_i \nu_{if} G_{ki}`, to which the flow's is equal;
    - ``memorised_spread``: standard deviation within a sample, over its noise patches and the
      filters of its class, of the log growth of noise; 0 for standard training;
    - ``frozen_slack``: how far below its bound the growth of the rare features stayed in standard
      training, in logarithms, least over filters;
    - ``flow_gap``: largest error of the conservation law along the standard flow, for two lengths
      of Runge-Kutta steps, and ``flow_control`` the same with twice the noise energy.
    """
    data, at = patches.start(key, config)
    energy = config.noise_energy
    weights: dict[str, Any] = {"lam_x": config.lam_x, "lam_y": config.lam_y}
    if config.law == "beta":
        lam, shares = training.beta_nodes(config.concentration, _NODES)
        weights = {"lam_x": lam, "lam_y": lam, "shares": shares}
    ends, traces = zip(
        *(
            training.run(
                at,
                data,
                ((kind, config.steps),),
                config.lr,
                energy,
                record_every=config.record_every,
                **weights,
            )
            for kind in KINDS
        ),
        strict=True,
    )
    trace = jax.tree.map(lambda *leaves: jnp.stack(leaves), *traces)
    end = jax.tree.map(lambda *leaves: jnp.stack(leaves), *ends)
    growth, memorised, spread = jax.vmap(lambda state: _law(at, state, data, energy))(end)
    return {
        "loss": trace.loss,
        "signal_gap": trace.signal_gap,
        "noise_square": trace.noise_square,
        **patches.errors(trace.signal_gap, config),
        "train_error": jax.vmap(lambda state: patches.train_error(state, data))(end),
        "growth": jnp.mean(growth, axis=1),
        "memorised": memorised,
        "memorised_spread": spread,
        "frozen_slack": _frozen_slack(growth[0], memorised[0], config),
        **_flow(at, data, energy),
    }


def _own(values: Array) -> Array:
    """Of ``(2, ..., 4)`` what filters have of their own class's features, ``(..., 4)``."""
    return jnp.where(jnp.arange(4) % 2 == 0, values[0], values[1])


def _law(
    first: State, last: State, data: PatchData, energy: Array | float
) -> tuple[Array, Array, Array]:
    """Log growth of features by filter, what noise says of it, and how unequal noise grew."""
    grown = _own(jnp.log(jnp.abs(last.a)) - jnp.log(jnp.abs(first.a)))
    noise = laws.noise_growth(first, last, data)
    memorised = _own(noise @ data.power / energy)
    own = jnp.arange(2)[:, None] == data.y[None, :]
    used = (data.noise_mask[None, None] > 0) & own[:, None, :, None]
    logs = jnp.log(jnp.where(used, jnp.abs(last.q), 1)) - jnp.log(
        jnp.where(used, jnp.abs(first.q), 1)
    )
    deviation = jnp.where(used, logs - noise[:, None, :, None], 0)
    spread = jnp.sqrt(jnp.sum(deviation**2) / (first.q.shape[1] * jnp.sum(used)))
    return grown, memorised, spread


def _frozen_slack(growth: Array, memorised: Array, config: DynamicsConfig) -> Array:
    """Bound minus growth of the rare features: A2 for descent, with its factor kappa."""
    kappa = laws.memorization_factor(config.lr, config.noise_energy, config.n)
    return jnp.min((kappa * memorised[None, :] - growth)[:, 2:])


def _flow(at: State, data: PatchData, energy: Array | float) -> dict[str, Array]:
    """Error of the law along the flow up to one horizon, for each length of steps."""
    coarse, fine = FLOW_STEPS

    def leg(state: State, dt: Any) -> State:
        return growth_law.standard_flow(
            state, data, energy, dt=dt, steps=FLOW_TIMES, field=dynamics.standard_step
        )

    def gap(state: State, factor: float = 1.0) -> Array:
        residual = laws.conservation_residual(at, state, data, factor * energy)
        return jnp.max(jnp.abs(residual))

    # Legs of one length, so that the flow is compiled once.
    def after(carry: State, dt: Array) -> tuple[State, State]:
        state = leg(carry, dt)
        return state, state

    lengths = jnp.array([fine] * round(coarse / fine))
    slow, _ = jax.lax.scan(after, at, lengths)
    fast = leg(at, coarse)
    return {
        "flow_gap": jnp.stack([gap(fast), gap(slow)]),
        "flow_control": gap(slow, 2.0),
    }
