r"""Two overlapping Gaussians in many dimensions: plain training and mixup, with temperatures.

Classes :math:`N(0, I)` and :math:`N(\mu 1, I)` in d = 300 dimensions. The published experiment
trains a residual network on 3 x 10 x 10 arrays [code]; here a perceptron with 64 hidden units is
the stand-in, and the published scores are context. With two classes an infinite temperature has
NLL log 2, so that an exact fit cannot do worse on its calibration set, whatever the network.
"""

from __future__ import annotations

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from twolayer.sims.engine.experiment import traced
from twolayer.sims.mixup.calibration import networks
from twolayer.theory import validation
from twolayer.theory.mixup.calibration import overlapping_pairs, scores


@dataclasses.dataclass(frozen=True, kw_only=True)
class GaussConfig:
    """One distance ``mu`` of the means in each coordinate; the numbers of mixed points inside."""

    mu: float = traced(0.05)
    d: int = 300
    num_train: int = 3600
    num_calibration: int = 400
    num_test: int = 1000
    points: tuple[int, ...] = (1, 2, 3, 5)
    hidden: int = 64
    batch: int = 500
    epochs: int = 80
    rate: float = traced(1e-3)

    def __post_init__(self) -> None:
        for name in ("mu", "rate"):
            validation.number(name, getattr(self, name), low=0.0, open_low=True)
        for name in ("d", "num_calibration", "num_test", "hidden", "batch", "epochs"):
            validation.integer(name, getattr(self, name))
        validation.integer("num_train", self.num_train, low=self.batch)
        networks.check_points(self.points)


DIMS = {
    **dict.fromkeys(networks.SCORES, ("points",)),
    "bayes_nll": (),
    "bayes_error": (),
}


def coords(config: GaussConfig) -> dict[str, list]:
    """Values along each axis of the results."""
    return {"points": list(config.points)}


def simulate(key: Array, config: GaussConfig, inputs: dict[str, Array]) -> dict[str, Array]:
    """Scores of trained networks, and of the true posterior on the same test set.

    Results are :data:`twolayer.sims.mixup.calibration.networks.SCORES`, one vector of mixing
    weights for each batch as in the published code; ``bayes_nll`` and ``bayes_error`` are of the
    posterior.
    """
    key_labels, key_noise, key_net = jax.random.split(key, 3)
    sizes = (config.num_train, config.num_calibration, config.num_test)
    labels = jax.random.bernoulli(key_labels, 0.5, (sum(sizes),)).astype(jnp.int32)
    noise = jax.random.normal(key_noise, (sum(sizes), config.d), jnp.float32)
    x = noise + labels[:, None].astype(jnp.float32) * jnp.asarray(config.mu, jnp.float32)
    ends = np.cumsum(sizes)[:-1]
    (train, calibrate, test) = zip(jnp.split(x, ends), jnp.split(labels, ends), strict=True)
    posterior = overlapping_pairs.gaussian_posterior(test[0].astype(jnp.float64), config.mu)
    truth = jax.scipy.special.logit(posterior)
    truth = jnp.stack([jnp.zeros_like(truth), truth], axis=1)
    return {
        **networks.trained(
            key_net,
            train,
            calibrate,
            test,
            classes=2,
            hidden=config.hidden,
            points=config.points,
            batch=config.batch,
            epochs=config.epochs,
            rate=config.rate,
        ),
        "bayes_nll": scores.nll(truth, test[1]),
        "bayes_error": jnp.mean(jnp.argmax(truth, axis=1) != test[1]),
    }


def population(mu: float, d: int) -> tuple[float, float, float]:
    r"""NLL of the true posterior in the population, the NLL's deviation at a point, and the error.

    The posterior's logit is :math:`N(\pm \delta^2 / 2, \delta^2)` with
    :math:`\delta = \mu \sqrt d`: the error is :math:`\Phi(-\delta/2)`, the others are sums over
    a fine grid of the line.
    """
    delta = mu * d**0.5
    nodes = np.linspace(-12, 12, 4001)
    weights = np.exp(-(nodes**2) / 2)
    weights = weights / weights.sum()
    costs = np.logaddexp(0, -(delta**2 / 2 + delta * nodes))
    mean = float(weights @ costs)
    deviation = float(weights @ (costs - mean) ** 2) ** 0.5
    return mean, deviation, math.erfc(delta / 8**0.5) / 2
