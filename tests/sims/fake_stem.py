"""A stem for the tests of the runner: cheap, with a synthetic study and one of images."""

import dataclasses
import hashlib

import jax
import jax.numpy as jnp
import numpy as np

from twolayer.sims.components.data import load_images
from twolayer.sims.engine.claims import Claim
from twolayer.sims.engine.experiment import Experiment, Inputs, Study, traced
from twolayer.theory import validation

TRACES: list[str] = []


@dataclasses.dataclass(frozen=True, kw_only=True)
class WalkConfig:
    gamma: float = traced(0.0)
    rates: tuple[float, ...] = traced((1.0, 0.1))
    width: int = 3
    work: int = 1

    def __post_init__(self) -> None:
        validation.slope(self.gamma)
        validation.integer("width", self.width)


def walk(key, config, inputs):
    TRACES.append("walk")
    steps = jax.random.normal(key, (config.width,), jnp.float32)

    def turn(_, state):
        return jnp.sin(state + config.gamma)

    steps = jax.lax.fori_loop(0, config.work, turn, steps)
    outer = config.rates[:, None] * steps[None, :]
    return {"outer": outer, "mean": jnp.mean(outer)}


@dataclasses.dataclass(frozen=True, kw_only=True)
class PixelConfig:
    images: str = "tiny"
    gamma: float = traced(0.5)


def pixels(key, config, inputs):
    TRACES.append("pixels")
    return {"sums": jnp.sum(inputs["x"], axis=1) * config.gamma}


def pixel_inputs(config):
    images = load_images(config.images)
    arrays = {"x": images.train_x[:4]}
    return Inputs(arrays, hashlib.sha256(images.checksum.encode()).hexdigest(), images.source)


def sweep(work, num_seeds):
    configs = {f"gamma {g}": WalkConfig(gamma=g, work=work) for g in (0.0, 0.25, 0.5)}
    return {label: (config, num_seeds) for label, config in configs.items()}


def claims(results):
    gap = results["walk", "gamma 0.5"].arrays["mean"] - results["walk", "gamma 0.0"].arrays["mean"]
    return [Claim("fake.gap", "made up", 0.0, float(np.mean(gap)), tolerance=10.0)]


EXPERIMENT = Experiment(
    stem="fake",
    title="A random walk and some pixels",
    studies=(
        Study(
            name="walk",
            config_type=WalkConfig,
            simulate=walk,
            cells={
                "smoke": sweep(1, 2),
                # Some ten milliseconds, and minutes, a cell.
                "default": sweep(2_000_000, 8),
                "paper": {"long": (WalkConfig(work=2_000_000_000), 1)},
            },
            dims={"outer": ("rate", "unit"), "mean": ()},
            coords=lambda config: {
                "rate": list(config.rates),
                "unit": list(range(config.width)),
            },
        ),
        Study(
            name="pixels",
            config_type=PixelConfig,
            simulate=pixels,
            cells={"smoke": {"tiny": (PixelConfig(), 1)}},
            dims={"sums": ("image",)},
            coords=lambda config: {"image": list(range(4))},
            inputs=pixel_inputs,
        ),
    ),
    claims=claims,
)
