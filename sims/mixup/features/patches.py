r"""The reference configuration of the patch model, and what is measured of a training on it.

Reference [derived]: n = 100 samples of P = 4 patches, of each class 5 rare, feature noise of
strength 1/2 in one patch, noise of energy :math:`s^2 = 15`, 5 filters of each class of size
:math:`\sigma_0 = 0.01`, steps of 0.2, mixing weights 0.7. The asymptotic orders of the published
theorems are [not recovered]: this is a finite instance of their setting, not of their hypotheses.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from twolayer.sims.engine.experiment import traced, word_index
from twolayer.theory import validation
from twolayer.theory.mixup.features import data as features_data
from twolayer.theory.mixup.features import dynamics, filters
from twolayer.theory.mixup.features import laws as features_laws
from twolayer.theory.mixup.features.data import LAYOUTS, PatchData
from twolayer.theory.mixup.features.filters import State

KINDS = ("standard", "mixup")
FEATURES = ("v0", "v1", "u0", "u1")


@dataclasses.dataclass(frozen=True, kw_only=True)
class PatchConfig:
    """Patch data, network and step length; what is varied or mixed is left to the studies."""

    n: int = 100
    num_patches: int = 4
    rho: float = 0.1
    alpha: float = traced(0.5)
    num_feature_noise: int = 1
    layout: str = traced("fixed", words=LAYOUTS)
    width: int = 5
    init_scale: float = traced(0.01)
    noise_energy: float = traced(15.0)
    lr: float = traced(0.2)

    def __post_init__(self) -> None:
        features_data.rare_count(self.n, self.rho)
        b = validation.integer("num_feature_noise", self.num_feature_noise, low=0)
        validation.integer("num_patches", self.num_patches, low=2 + b)
        validation.integer("width", self.width)
        validation.choice("layout", self.layout, LAYOUTS)
        for name in ("alpha", "lr"):
            validation.number(name, getattr(self, name), low=0.0)
        for name in ("init_scale", "noise_energy"):
            validation.number(name, getattr(self, name), low=0.0, open_low=True)


def positive(name: str, values: tuple[float, ...]) -> None:
    """At least one value, all positive; ValueError otherwise."""
    if not values:
        raise ValueError(f"{name} must hold at least one value.")
    for value in values:
        validation.number(name, value, low=0.0, open_low=True)


def weights(lam_x: Any, lam_y: Any) -> None:
    """Mixing weights in [0, 1]; ValueError otherwise."""
    validation.number("lam_x", lam_x, low=0.0, high=1.0)
    validation.number("lam_y", lam_y, low=0.0, high=1.0)


def multiple(name: str, steps: int, of: int, unit: str) -> int:
    """Steps that are a multiple of another number; ValueError otherwise."""
    if validation.integer(name, steps) % of:
        raise ValueError(f"{name} must be a multiple of {unit}, {of}; got {steps}.")
    return steps


def draw_data(key: Array, config: PatchConfig, count: Array | int | None = None) -> PatchData:
    """The training set; layout and number of rare samples of a class (by default rho's) are traced.

    The law is that of :func:`twolayer.theory.mixup.features.data.make_patch_data`, for which both
    are fixed.
    """
    n, b = config.n, config.num_feature_noise
    if count is None:
        count = features_data.rare_count(n, config.rho)
    uniform = jax.random.uniform(key, (n, b + config.num_patches))
    random = jnp.argsort(uniform[:, b:], axis=1)
    fixed = jnp.broadcast_to(jnp.arange(config.num_patches), random.shape)
    place = jnp.arange(n)
    return features_data.assemble(
        y=(place >= n // 2).astype(jnp.int32),
        rare=place % (n // 2) < count,
        coins=(uniform[:, :b] >= 0.5).astype(jnp.int32),
        order=jnp.where(word_index(config, "layout") == LAYOUTS.index("fixed"), fixed, random),
        alpha=config.alpha,
    )


def start(key: Array, config: PatchConfig) -> tuple[PatchData, State]:
    """Training set and filters before training."""
    key_data, key_state = jax.random.split(key)
    data = draw_data(key_data, config)
    return data, filters.init_state(
        key_state, data, config.width, config.init_scale, config.noise_energy
    )


def errors(gap: Array, config: PatchConfig) -> dict[str, Array]:
    """Errors on fresh samples and margin ratio by the closed forms, of any array ``(..., 4)``."""
    alpha, b = jnp.asarray(config.alpha, gap.dtype), config.num_feature_noise
    laws = {
        "rare_error": lambda each: features_laws.rare_error(each, alpha, b),
        "common_error": lambda each: features_laws.common_error(each, alpha, b),
        "ratio": lambda each: features_laws.rare_ratio(each, alpha),
    }
    flat = gap.reshape(-1, gap.shape[-1])
    return {name: jax.vmap(law)(flat).reshape(gap.shape[:-1]) for name, law in laws.items()}


def train_error(state: State, data: PatchData) -> Array:
    """Share of training samples with an output on the wrong side."""
    gaps = dynamics.output_gaps(state, data)
    return jnp.mean(jnp.where(data.y == 0, gaps <= 0, gaps >= 0), dtype=gaps.dtype)
