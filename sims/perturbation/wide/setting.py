"""What one pair of networks is trained on and how: data, widths, rates."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from twolayer.sims.components import data
from twolayer.sims.engine.experiment import Inputs, traced, word_index
from twolayer.theory import networks, validation
from twolayer.theory.networks import TwoLayer
from twolayer.theory.training import gradient_descent
from twolayer.theory.training.losses import LOSSES

LAWS = ("shifted-gauss", "gauss")


SCENARIOS = ("a", "b")


TARGETS = ("iid", "balanced")


PRECISIONS = ("float32", "bfloat16", "float64")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Setting:
    """Data, networks and training, shared by the studies of this stem.

    ``n = 0`` takes all training images of the two classes (one less if odd). ``precision`` bfloat16
    rounds the factors of matrix products and keeps everything else in float32.
    """

    dataset: str = "synthetic"
    law: str = traced("shifted-gauss", words=LAWS)
    scenario: str = traced("a", words=SCENARIOS)
    d: int = 100
    n: int = 1000
    mu: float = traced(0.3)
    width: int = 100
    gamma: float = traced(0.0)
    loss: str = "identity"
    beta: float = traced(0.9)
    classes: tuple[int, int] = (1, 2)
    centre: float = 0.0
    precision: str = "float32"

    def __post_init__(self) -> None:
        validation.choice("law", self.law, LAWS)
        validation.choice("scenario", self.scenario, SCENARIOS)
        validation.choice("loss", self.loss, LOSSES)
        validation.choice("precision", self.precision, PRECISIONS)
        validation.slope(self.gamma)
        validation.number("beta", self.beta, low=0.0, high=1.0, open_high=True)
        validation.number("mu", self.mu)
        validation.number("centre", self.centre)
        validation.integer("width", self.width)
        validation.integer("d", self.d)
        validation.integer("n", self.n, low=2 if self.dataset == "synthetic" else 0)
        if self.n % 2:
            raise ValueError(f"n must be even, for classes of one size; got {self.n}.")

    @property
    def dtype(self) -> Any:
        """Dtype of all arrays."""
        return jnp.float64 if self.precision == "float64" else jnp.float32

    @property
    def products(self) -> Any:
        """Dtype of the factors of matrix products, None for that of the arrays."""
        return jnp.bfloat16 if self.precision == "bfloat16" else None


def images(config: Setting) -> Inputs | None:
    """The two classes of an image set, or None for synthetic data."""
    if config.dataset == "synthetic":
        return None
    loaded = data.load_images(config.dataset)
    train_x, train_y, test_x, test_y = data.binary_task(loaded, *config.classes, config.centre)
    available = min(np.sum(train_y > 0), np.sum(train_y < 0))
    if config.n > 2 * available:
        raise ValueError(f"n must be at most {2 * available} for {config.dataset}; got {config.n}.")
    return Inputs(
        arrays={
            "positive": train_x[train_y > 0],
            "negative": train_x[train_y < 0],
            "test_x": test_x,
            "test_y": test_y,
        },
        checksum=loaded.checksum,
        source=loaded.source,
    )


def draw_data(
    key: Array, config: Setting, inputs: dict[str, Array], num_test: int
) -> tuple[Array, Array, Array]:
    """Training samples, their labels, and fresh points (all test images where there are any)."""
    if inputs:
        return (*_choose(key, config.n, inputs), inputs["test_x"].astype(config.dtype))
    total = config.n + num_test
    x, y = jax.lax.switch(
        word_index(config, "law"),
        [
            lambda key: data.shifted_gauss(key, total, config.d, config.mu, config.dtype),
            lambda key: data.gauss(key, total, config.d, config.dtype),
        ],
        key,
    )
    return data.train_test(x, y, config.n)


def _choose(key: Array, n: int, inputs: dict[str, Array]) -> tuple[Array, Array]:
    """n/2 random images of each class; for n = 0 all, less the last if their number is odd."""
    positive, negative = inputs["positive"], inputs["negative"]
    if n:
        key_positive, key_negative = jax.random.split(key)
        positive = jax.random.permutation(key_positive, positive)[: n // 2]
        negative = jax.random.permutation(key_negative, negative)[: n // 2]
    elif (positive.shape[0] + negative.shape[0]) % 2:
        negative = negative[:-1]
    y = jnp.concatenate([jnp.ones(positive.shape[0]), -jnp.ones(negative.shape[0])])
    x = jnp.concatenate([positive, negative])
    return x, y.astype(x.dtype)


def two_networks(key: Array, d: int, config: Setting) -> tuple[TwoLayer, TwoLayer]:
    """Independent initial networks f and g."""
    init = functools.partial(networks.init_two_layer, d=d, m=config.width, dtype=config.dtype)
    both = jax.vmap(init)(jax.random.split(key))
    return jax.tree.map(lambda leaf: leaf[0], both), jax.tree.map(lambda leaf: leaf[1], both)


def trainer(config: Setting) -> Any:
    """Training along a run as the published experiments did it."""
    return functools.partial(
        gradient_descent.snapshots,
        loss=config.loss,
        beta=config.beta,
        gamma=config.gamma,
        scheduler="plateau",
        products=config.products,
    )


def gram_if_cheaper(x: Array) -> Array | None:
    """The Gram matrix, where training will use it: computed once for all rates."""
    return (
        gradient_descent.gram_matrix(x)
        if gradient_descent.cheaper_coordinates(*x.shape) == "gram"
        else None
    )
