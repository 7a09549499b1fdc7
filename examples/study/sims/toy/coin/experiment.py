"""Deviations of the mean of coin flips, for several numbers of flips."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from twolayer.theory.toy.coin import hoeffding

from twolayer.sims.engine.claims import Claim
from twolayer.sims.engine.experiment import Experiment, Study, traced
from twolayer.sims.engine.results import StemResults
from twolayer.theory import validation

DELTA = 0.05


@dataclasses.dataclass(frozen=True, kw_only=True)
class FlipsConfig:
    """Some repetitions of n flips."""

    n: int = 100
    repetitions: int = 400
    p: float = traced(0.5)

    def __post_init__(self) -> None:
        for name in ("n", "repetitions"):
            validation.integer(name, getattr(self, name))
        validation.number("p", self.p, low=0.0, high=1.0)


def simulate(key: Array, config: FlipsConfig, inputs: dict[str, Array]) -> dict[str, Array]:
    """Distances of the mean from p, one for each repetition."""
    heads = jax.random.bernoulli(key, config.p, (config.repetitions, config.n))
    return {"distance": jnp.abs(jnp.mean(heads, axis=1, dtype=jnp.float32) - config.p)}


def _cells(numbers: tuple[int, ...], seeds: int) -> dict[str, tuple[FlipsConfig, int]]:
    return {f"n={n}": (FlipsConfig(n=n), seeds) for n in numbers}


FLIPS = Study(
    name="flips",
    config_type=FlipsConfig,
    simulate=simulate,
    cells={
        "smoke": _cells((10, 100), 3),
        "default": _cells((10, 30, 100, 300, 1000), 5),
        "paper": _cells((10, 30, 100, 300, 1000, 3000, 10000), 20),
    },
    dims={"distance": ("repetition",)},
    coords=lambda config: {"repetition": list(range(config.repetitions))},
)


def claims(results: StemResults) -> list[Claim]:
    """Deviations beyond the radius are as rare as Hoeffding says."""
    found = []
    for run in results.runs("flips"):
        beyond = run.arrays["distance"] > float(hoeffding.radius(run.config.n, DELTA))
        found.append(
            Claim(
                name=f"share of means beyond the radius, {run.label}",
                source="[paper] Hoeffding 1963",
                expected=DELTA,
                measured=float(np.mean(beyond)),
                kind="at_most",
            )
        )
    return found


EXPERIMENT = Experiment(
    stem="toy.coin", title="The mean of coin flips", studies=(FLIPS,), claims=claims
)
