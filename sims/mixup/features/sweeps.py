"""Studies ``sigma0``, ``lambda`` and ``phase``: the ends of trainings over a grid of settings.

Every cell trains its grid point after point from one draw of data and filters.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from twolayer.sims.engine.experiment import traced
from twolayer.sims.mixup.features import patches
from twolayer.sims.mixup.features.patches import FEATURES, KINDS, PatchConfig
from twolayer.theory import validation
from twolayer.theory.mixup.features import dynamics, filters
from twolayer.theory.mixup.features.data import PatchData
from twolayer.theory.mixup.features.filters import Noise, State


def standard_training(state: State, data: PatchData, lr: Any, noise: Noise, *, steps: int) -> State:
    """The state after standard steps."""

    def step(state: State, _: None) -> tuple[State, None]:
        return dynamics.standard_step(state, data, lr, noise)[0], None

    return jax.lax.scan(step, state, length=steps)[0]


def mixup_training(
    state: State, data: PatchData, lr: Any, noise: Noise, lam_x: Any, lam_y: Any, *, steps: int
) -> State:
    """The state after Mixup steps; their losses are not computed."""

    def step(state: State, _: None) -> tuple[State, None]:
        return dynamics.mixup_step(state, data, lr, noise, lam_x, lam_y)[0], None

    return jax.lax.scan(step, state, length=steps)[0]


# Initial size ------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScaleConfig(PatchConfig):
    """Both trainings over initial sizes ``scales``; ``init_scale`` does not count."""

    scales: tuple[float, ...] = traced((3e-2, 1e-2, 3e-3, 1e-3, 3e-4))
    lam_x: float = traced(0.7)
    lam_y: float = traced(0.7)
    steps: int = 1500

    def __post_init__(self) -> None:
        super().__post_init__()
        patches.positive("scales", self.scales)
        patches.weights(self.lam_x, self.lam_y)
        validation.integer("steps", self.steps)


SCALE_DIMS = {
    "signal_gap": ("kind", "scale", "feature"),
    "rare_error": ("kind", "scale"),
    "common_error": ("kind", "scale"),
    "ratio": ("kind", "scale"),
}


def scale_coords(config: ScaleConfig) -> dict[str, list]:
    """Values along each axis of the results."""
    return {"kind": list(KINDS), "scale": list(config.scales), "feature": list(FEATURES)}


def simulate_scales(key: Array, config: ScaleConfig, inputs: dict[str, Array]) -> dict[str, Array]:
    """What both trainings have learned at the end, from the same filters times each size."""
    data, at = patches.start(key, config)
    unit = jax.tree.map(lambda leaf: leaf / config.init_scale, at)
    args = (data, config.lr, config.noise_energy)

    def ends(scale: Array) -> Array:
        state = jax.tree.map(lambda leaf: scale * leaf, unit)
        plain = standard_training(state, *args, steps=config.steps)
        mixed = mixup_training(state, *args, config.lam_x, config.lam_y, steps=config.steps)
        return jnp.stack([dynamics.signal_gap(end.a) for end in (plain, mixed)])

    gap = jax.lax.map(ends, jnp.asarray(config.scales, float)).swapaxes(0, 1)
    return {"signal_gap": gap, **patches.errors(gap, config)}


# Mixing weights ----------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, kw_only=True)
class WeightConfig(PatchConfig):
    """Mixup over the grid of input weights ``lam_x`` and label weights ``lam_y``."""

    lam_x: tuple[float, ...] = traced((0.6, 0.7, 0.8, 0.9))
    lam_y: tuple[float, ...] = traced((0.6, 0.7, 0.8, 0.9))
    steps: int = 1500

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("lam_x", "lam_y"):
            values = getattr(self, name)
            patches.positive(name, values)
            patches.weights(values, values)
        validation.integer("steps", self.steps)


WEIGHT_DIMS = {
    "signal_gap": ("lam_x", "lam_y", "feature"),
    "rare_error": ("lam_x", "lam_y"),
    "common_error": ("lam_x", "lam_y"),
    "ratio": ("lam_x", "lam_y"),
    "control": (),
}


def weight_coords(config: WeightConfig) -> dict[str, list]:
    """Values along each axis of the results."""
    return {
        "lam_x": list(config.lam_x),
        "lam_y": list(config.lam_y),
        "feature": list(FEATURES),
    }


def simulate_weights(
    key: Array, config: WeightConfig, inputs: dict[str, Array]
) -> dict[str, Array]:
    """What Mixup has learned at the end, for each pair of weights.

    ``control``: largest distance of the state after Mixup with both weights 1 from that after
    standard training, in units of the largest entry.
    """
    data, at = patches.start(key, config)
    args = (data, config.lr, config.noise_energy)
    axes = (jnp.asarray(values, float) for values in (config.lam_x, config.lam_y))
    grid = jnp.stack(jnp.meshgrid(*axes, indexing="ij"), axis=-1)
    pairs = jnp.concatenate([grid.reshape(-1, 2), jnp.ones((1, 2))])
    ends = jax.lax.map(
        lambda pair: mixup_training(at, *args, pair[0], pair[1], steps=config.steps), pairs
    )
    plain = standard_training(at, *args, steps=config.steps)
    apart = [
        jnp.max(jnp.abs(mixed[-1] - exact)) / jnp.max(jnp.abs(exact))
        for mixed, exact in ((ends.a, plain.a), (ends.q, plain.q))
    ]
    gap = jax.vmap(dynamics.signal_gap)(ends.a[:-1]).reshape(*grid.shape[:2], 4)
    return {
        "signal_gap": gap,
        **patches.errors(gap, config),
        "control": jnp.maximum(*apart),
    }


# Noise energy against rare samples ---------------------------------------------------------------


@dataclasses.dataclass(frozen=True, kw_only=True)
class PhaseConfig(PatchConfig):
    """Standard training over noise energies and numbers of rare samples of a class.

    ``noise_energy`` and ``rho`` do not count.
    """

    energies: tuple[float, ...] = traced((1.0, 2.0, 3.0, 5.0, 8.0, 15.0, 30.0))
    counts: tuple[int, ...] = traced((1, 2, 3, 5, 8, 15, 25))
    steps: int = 1500

    def __post_init__(self) -> None:
        super().__post_init__()
        patches.positive("energies", self.energies)
        if not self.counts:
            raise ValueError("counts must hold at least one value.")
        for count in self.counts:
            if validation.integer("counts", count) >= self.n // 2:
                raise ValueError(f"counts must be less than n/2, {self.n // 2}; got {count}.")
        validation.integer("steps", self.steps)


PHASE_DIMS = {
    "signal_gap": ("count", "energy", "feature"),
    "rare_error": ("count", "energy"),
    "common_error": ("count", "energy"),
    "train_error": ("count", "energy"),
}


def phase_coords(config: PhaseConfig) -> dict[str, list]:
    """Values along each axis of the results."""
    return {
        "count": list(config.counts),
        "energy": list(config.energies),
        "feature": list(FEATURES),
    }


def simulate_phase(key: Array, config: PhaseConfig, inputs: dict[str, Array]) -> dict[str, Array]:
    """What standard training has learned at the end, for each number and energy.

    Filters and noise are the same over the grid, but for their sizes.
    """
    key_data, key_state = jax.random.split(key)

    def end(data: PatchData, energy: Array) -> tuple[Array, Array]:
        at = filters.init_state(key_state, data, config.width, config.init_scale, energy)
        state = standard_training(at, data, config.lr, energy, steps=config.steps)
        return dynamics.signal_gap(state.a), patches.train_error(state, data)

    def row(count: Array) -> tuple[Array, Array]:
        data = patches.draw_data(key_data, config, count)
        energies = jnp.asarray(config.energies, float)
        return jax.lax.map(functools.partial(end, data), energies)

    gap, train = jax.lax.map(row, jnp.asarray(config.counts))
    found = patches.errors(gap, config)
    return {
        "signal_gap": gap,
        "rare_error": found["rare_error"],
        "common_error": found["common_error"],
        "train_error": train,
    }
