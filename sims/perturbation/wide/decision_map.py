"""Decision maps of a trained pair f, g and of their surrogates, in the plane of class means."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from twolayer.sims.engine.experiment import traced, word_index
from twolayer.sims.perturbation.wide import setting
from twolayer.theory import networks, validation
from twolayer.theory.perturbation.wide import decision_map, surrogate


@dataclasses.dataclass(frozen=True, kw_only=True)
class MapConfig(setting.Setting):
    """One panel: a setting, one rate and time for both networks, and the window."""

    eps: float = traced(0.01)
    rate: float = traced(1.0)
    epochs: int = traced(1000)
    targets: str = traced("iid", words=setting.TARGETS)
    limits: tuple[float, float] = (-7.0, 7.0)
    resolution: int = 400

    def __post_init__(self) -> None:
        super().__post_init__()
        validation.choice("targets", self.targets, setting.TARGETS)
        validation.number("eps", self.eps, low=0.0)
        validation.number("rate", self.rate, low=0.0)
        validation.integer("epochs", self.epochs, low=0)
        validation.integer("resolution", self.resolution, low=2)
        if not self.limits[0] < self.limits[1]:
            raise ValueError(f"limits must be (low, high) with low < high; got {self.limits}.")


DIMS = {
    "f": ("beta", "alpha"),
    "g": ("beta", "alpha"),
    "fh": ("beta", "alpha"),
    "gh": ("beta", "alpha"),
    "window": ("axis",),
    "samples": ("shown", "plane"),
    "sample_labels": ("shown",),
    "label_imbalance": (),
    "agreement": (),
}
# Every panel shows this many samples of each class, or fewer if there are fewer.
SHOWN = 100


def coords(config: MapConfig) -> dict[str, list]:
    """Values along each axis of the results."""
    axis = jnp.linspace(*config.limits, config.resolution).tolist()
    return {
        "beta": axis,
        "alpha": axis,
        "axis": ["cosine of the axes"],
        "shown": list(range(2 * SHOWN)),
        "plane": ["alpha", "beta"],
    }


def simulate(key: Array, config: MapConfig, inputs: dict[str, Array]) -> dict[str, Array]:
    """Maps of f, g, fh, gh, some samples in the plane, and the agreement of f and g on the map."""
    key_data, key_nets, key_targets = jax.random.split(key, 3)
    x, y, _ = setting.draw_data(key_data, config, inputs, num_test=2)
    start_f, start_g = setting.two_networks(key_nets, x.shape[1], config)
    train = setting.trainer(config)

    def last(start: networks.TwoLayer, points: Array, labels: Array) -> networks.TwoLayer:
        at = jnp.stack([jnp.asarray(config.epochs)])
        run = train(start, points, labels, lr=config.rate, at=at)
        return jax.tree.map(lambda leaf: leaf[0], run)

    f = last(start_f, x, y)
    kinds = [
        surrogate.random_targets(key_targets, x.shape[0], balanced=word == "balanced")
        for word in setting.TARGETS
    ]
    targets = jnp.stack(kinds)[word_index(config, "targets")].astype(x.dtype)
    steps = surrogate.perturbations(f, x, targets, config.eps, config.gamma, zero="keep")
    perturbed = jnp.asarray(word_index(config, "scenario"), x.dtype) * x + steps
    g = last(start_g, perturbed, targets)
    found: dict[str, Any] = decision_map.decision_map(
        f, g, x, y, perturbed, config.gamma, config.limits, config.resolution
    )
    # The samples come class by class: equally many of each from both ends.
    half = jnp.arange(SHOWN) % (x.shape[0] // 2)
    shown = jnp.concatenate([half, x.shape[0] - 1 - half])
    return {
        **{name: found[name] for name in ("f", "g", "fh", "gh")},
        "window": (found["axes"][0] @ found["axes"][1])[None],
        "samples": found["samples"][shown],
        "sample_labels": y[shown],
        "label_imbalance": jnp.mean(targets),
        "agreement": jnp.mean(jnp.sign(found["f"]) == jnp.sign(found["g"]), dtype=x.dtype),
    }
