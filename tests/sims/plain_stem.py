"""A stem for tests of precision and random generator: it names no dtype and no generator."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from twolayer.sims.engine.claims import Claim
from twolayer.sims.engine.experiment import Experiment, Inputs, Study, traced


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    size: int = 16
    power: float = traced(0.5)


def simulate(key, config, inputs):
    drawn = jax.random.normal(key, (config.size, config.size))
    more = jax.random.normal(jax.random.key(3), (config.size, config.size))
    third = jnp.linspace(0.0, 1.0, config.size) / 3
    return {
        "rows": jnp.sum(drawn @ more, axis=0) + third + inputs["table"],
        "power": jnp.asarray(2.0) ** config.power,
        "third": jnp.ones(()) / 3,
    }


def inputs(config):
    table = np.asarray(jnp.arange(config.size) / 7)
    return Inputs({"table": table}, f"{table.dtype}", "made here")


def claims(results):
    third = jnp.ones(()) / 3
    return [Claim("plain.third", "made up", 1 / 3, float(third), tolerance=1e-15)]


EXPERIMENT = Experiment(
    stem="plain",
    title="Numbers without a dtype",
    studies=(
        Study(
            name="plain",
            config_type=Config,
            simulate=simulate,
            cells={"smoke": {"a": (Config(), 2), "b": (Config(power=0.25), 1)}},
            dims={"rows": ("row",), "power": (), "third": ()},
            coords=lambda config: {"row": list(range(config.size))},
            inputs=inputs,
        ),
    ),
    claims=claims,
)
