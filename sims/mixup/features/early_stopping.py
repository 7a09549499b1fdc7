"""Study ``earlystop``: Mixup up to a step, standard training from then on.

Mixup is run once and its states are kept; every hand-over starts from one of them. The step of a
hand-over is traced, so that all of them share one compile.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
from jax import Array

from twolayer.sims.engine.experiment import traced
from twolayer.sims.mixup.features import patches
from twolayer.sims.mixup.features.patches import FEATURES, PatchConfig
from twolayer.sims.mixup.features.sweeps import mixup_training, standard_training
from twolayer.theory.mixup.features import dynamics
from twolayer.theory.mixup.features.filters import State

# A state is kept, or looked at, after so many steps.
EVERY = 50
PHASES = ("stop", "end")


@dataclasses.dataclass(frozen=True, kw_only=True)
class HandoverConfig(PatchConfig):
    """Hand-overs at the steps ``stops``, multiples of 50 up to ``longest``, then ``steps``."""

    stops: tuple[int, ...] = traced((100, 200, 400, 800, 1200, 1600, 2000, 2500, 3000, 4000))
    longest: int = 4000
    steps: int = 1500
    lam_x: float = traced(0.7)
    lam_y: float = traced(0.7)

    def __post_init__(self) -> None:
        super().__post_init__()
        patches.weights(self.lam_x, self.lam_y)
        if not self.stops:
            raise ValueError("stops must hold at least one value.")
        for name in ("longest", "steps"):
            patches.multiple(name, getattr(self, name), EVERY, "the steps between states")
        for stop in self.stops:
            if patches.multiple("stops", stop, EVERY, "the steps between states") > self.longest:
                raise ValueError(f"stops must be at most longest, {self.longest}; got {stop}.")


DIMS = {
    "signal_gap": ("stop", "phase", "feature"),
    "rare_error": ("stop", "phase"),
    "common_error": ("stop", "phase"),
    "ratio": ("stop", "phase"),
    "unlearned": ("stop",),
}


def coords(config: HandoverConfig) -> dict[str, list]:
    """Values along each axis of the results."""
    return {"stop": list(config.stops), "phase": list(PHASES), "feature": list(FEATURES)}


def simulate(key: Array, config: HandoverConfig, inputs: dict[str, Array]) -> dict[str, Array]:
    """What is known at each hand-over and after the standard training that follows, in float64.

    ``unlearned``: the most by which the signal gap of a rare feature falls, in the direction of its
    class, over 50 standard steps; 0 or less where it never does.
    """
    data, at = patches.start(key, config)
    args = (data, config.lr, config.noise_energy)

    def mixup_leg(state: State, _: None) -> tuple[State, State]:
        after = mixup_training(state, *args, config.lam_x, config.lam_y, steps=EVERY)
        return after, after

    def standard_leg(state: State, _: None) -> tuple[State, Array]:
        after = standard_training(state, *args, steps=EVERY)
        return after, dynamics.signal_gap(after.a)

    _, kept = jax.lax.scan(mixup_leg, at, length=config.longest // EVERY)

    def hand_over(stop: Array) -> tuple[Array, Array]:
        state = jax.tree.map(lambda leaf: leaf[stop // EVERY - 1], kept)
        before = dynamics.signal_gap(state.a)
        _, path = jax.lax.scan(standard_leg, state, length=config.steps // EVERY)
        rare = jnp.concatenate([before[None], path])[:, 2:] * jnp.array([[1.0, -1.0]])
        return jnp.stack([before, path[-1]]), jnp.max(rare[:-1] - rare[1:])

    gap, unlearned = jax.lax.map(hand_over, jnp.asarray(config.stops))
    return {"signal_gap": gap, **patches.errors(gap, config), "unlearned": unlearned}
