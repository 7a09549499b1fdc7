"""Overlapping pairs from finite samples: the best temperature of a nearest neighbour, and mixup.

Training points and test points are drawn from the paired law. The nearest neighbour's logits get
the temperature that is best for the true probabilities of the test points; mixup's prediction is
the minimiser of its loss on the sample, in closed form.
"""

from __future__ import annotations

import dataclasses
import math

import jax
import jax.numpy as jnp
from jax import Array

from twolayer.sims.engine.experiment import traced
from twolayer.sims.mixup.calibration.exact import places
from twolayer.theory import validation
from twolayer.theory.mixup.calibration import mixup_posterior, overlapping_pairs, scores

# Height of the nearest neighbour's logit; the temperature makes any gap the same.
_GAP = 50.0
# log of a probability that is 0, where only its product with 0 is needed.
_TINY = 1e-300


@dataclasses.dataclass(frozen=True, kw_only=True)
class SampleConfig:
    """``per_class`` training points for each of k classes on average; the shifts are inside."""

    k: int = 10
    alphas: tuple[float, ...] = traced((0.0, 0.5, 1.0))
    per_class: int = 40
    num_test: int = 1000
    num_places: int = 300

    def __post_init__(self) -> None:
        overlapping_pairs.even_classes(self.k)
        if not self.alphas:
            raise ValueError("alphas must hold at least one value.")
        for value in self.alphas:
            validation.number("alphas", value, low=0.0, high=1.0)
        for name in ("per_class", "num_test", "num_places"):
            validation.integer(name, getattr(self, name))


DIMS = {
    "ts": ("alpha",),
    "mixup": ("alpha",),
    "beta": ("alpha",),
    "ts_left": ("alpha", "place"),
    "mixup_left": ("alpha", "place"),
}


def coords(config: SampleConfig) -> dict[str, list]:
    """Values along each axis of the results; places are shares of a pair's length."""
    return {"alpha": list(config.alphas), "place": places(config.num_places)}


def simulate(key: Array, config: SampleConfig, inputs: dict[str, Array]) -> dict[str, Array]:
    """Expected KL over the test points, in float64.

    - ``ts``: of the nearest neighbour after the best temperature, and ``beta`` its inverse times
      the gap; ``mixup``: of mixup's optimal prediction;
    - ``ts_left``, ``mixup_left``: probability of the left class along the first pair.
    """
    alphas = jnp.asarray(config.alphas, jnp.float64)
    keys = jax.random.split(key, alphas.shape[0])
    return jax.lax.map(lambda pair: _one(pair[0], pair[1], config), (keys, alphas))


def _one(key: Array, alpha: Array, config: SampleConfig) -> dict[str, Array]:
    key_train, key_test = jax.random.split(key)
    k, number = config.k, config.per_class * config.k
    x, y = overlapping_pairs.sample_paired(key_train, number, k, alpha)
    z, _ = overlapping_pairs.sample_paired(key_test, config.num_test, k, alpha)
    truth = overlapping_pairs.paired_posterior(z, k, alpha)
    line = jnp.asarray(places(config.num_places), z.dtype) * (1 + alpha)
    queries = jnp.concatenate([z, line])
    logits = overlapping_pairs.nn_logits(queries, x, y, k, _GAP)
    beta = scores.fit_temperature(logits[: config.num_test], truth)
    phi = mixup_posterior.mixup_predict_1d(
        queries, x, y, k, per_pair=min(number, _most_in_a_pair(config.per_class))
    )
    smoothed = jnp.log(jnp.maximum(phi, _TINY))
    return {
        "ts": scores.expected_kl(truth, beta * logits[: config.num_test]),
        "mixup": scores.expected_kl(truth, smoothed[: config.num_test]),
        "beta": beta * _GAP,
        "ts_left": jax.nn.softmax(beta * logits[config.num_test :])[:, 0],
        "mixup_left": phi[config.num_test :, 0],
    }


def _most_in_a_pair(per_class: int) -> int:
    """More points than a pair gets, but with a probability below 1e-12."""
    mean = 2 * per_class
    return math.ceil(mean + 9 * mean**0.5 + 20)
