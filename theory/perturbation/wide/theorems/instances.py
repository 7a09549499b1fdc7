"""Instances of the statements about wide networks: samples of two classes, and trained networks."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import struct
from jax import Array

from twolayer.theory import networks
from twolayer.theory.networks import TwoLayer
from twolayer.theory.perturbation.wide.theorems.constants import SCALES, SLOPES
from twolayer.theory.training import gradient_descent
from twolayer.theory.training.momentum import TrainTrace
from twolayer.theory.verification.theorem import Parameters, Size

STEPS = 10
LOSSES = ("identity", "logistic")


def two_classes(
    key: Array, n: int, d: int, scale: Array, shift: float = 0.5
) -> tuple[Array, Array]:
    """N samples around +-shift in every coordinate, the first half labelled +1, times a scale."""
    y = jnp.where(jnp.arange(n) < n // 2, 1.0, -1.0)
    return scale * (jax.random.normal(key, (n, d)) + shift * y[:, None]), y


def far_slope(gamma: Array) -> Array:
    """A slope far from gamma, for controls."""
    return jnp.where(gamma > 0.45, 0.0, 0.9)


@struct.dataclass
class Start:
    """A network, its training samples, and how it is going to be trained."""

    x: Array
    y: Array
    z: Array
    p0: TwoLayer
    lr: Array
    beta: Array
    gamma: Array


@struct.dataclass
class Trained:
    """A network before and after a few steps, under both losses."""

    x: Array
    y: Array
    z: Array
    p0: TwoLayer
    p: dict[str, TwoLayer]
    trace: dict[str, TrainTrace]
    gamma: Array

    @property
    def tau(self) -> Array:
        """Effective time, the same for both losses."""
        return jnp.sum(self.trace["identity"].weights)


TRAIN_SIZES = (
    {"n": 4, "d": 2, "m": 16, "points": 2},
    {"n": 8, "d": 5, "m": 400, "points": 5},
)
TRAIN_KNOBS = {"slope": SLOPES, "scale": SCALES, "log_rate": (-3.0, 0.0), "beta": (0.0, 0.9)}


def sample_start(key: Array, size: Size, parameters: Parameters, *, silent: bool = False) -> Start:
    """``silent`` pairs every unit with its negative, so that the initial outputs vanish."""
    key_p, key_x, key_z = jax.random.split(key, 3)
    x, y = two_classes(key_x, size["n"], size["d"], parameters["scale"])
    p0 = networks.init_two_layer(key_p, size["d"], size["m"])
    if silent:
        half = jax.tree.map(lambda leaf: leaf[: size["m"] // 2], p0)
        p0 = TwoLayer(*(jnp.concatenate([a, b]) for a, b in (
            (half.w, half.w), (half.b, half.b), (half.a, -half.a))))  # fmt: skip
    return Start(
        x=x,
        y=y,
        z=parameters["scale"] * jax.random.normal(key_z, (size["points"], size["d"])),
        p0=p0,
        lr=10.0 ** parameters["log_rate"],
        beta=parameters["beta"],
        gamma=parameters["slope"],
    )


def train(start: Start) -> Trained:
    """The start, and what a few steps make of it under both losses."""
    runs = {
        loss: gradient_descent.train(
            start.p0,
            start.x,
            start.y,
            loss=loss,
            lr=start.lr,
            beta=start.beta,
            steps=STEPS,
            gamma=start.gamma,
            coordinates="weights",
        )
        for loss in LOSSES
    }
    return Trained(
        x=start.x,
        y=start.y,
        z=start.z,
        p0=start.p0,
        p={loss: run[0] for loss, run in runs.items()},
        trace={loss: run[1] for loss, run in runs.items()},
        gamma=start.gamma,
    )
