"""Train f, perturb its samples towards random targets, train g on the result, compare both.

One cell is one seed of one setting; its results span training rates, training times, perturbation
lengths and kinds of target labels, for which f, its data and its Gram matrix are shared.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from twolayer.sims.components import data
from twolayer.sims.engine.experiment import Inputs, map_seeds, traced, word_index
from twolayer.theory import geometry, networks, validation
from twolayer.theory.networks import TwoLayer
from twolayer.theory.perturbation.wide import surrogate
from twolayer.theory.training import gradient_descent
from twolayer.theory.training.momentum import LOSSES

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


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Setting):
    """One point, or several along an axis, of the published sweeps."""

    eps: tuple[float, ...] = traced((0.01,))
    rates_f: tuple[float, ...] = traced((1.0,))
    rates_g: tuple[float, ...] = traced((1.0,))
    epochs_f: tuple[int, ...] = traced((1000,))
    epochs_g: tuple[int, ...] = traced((1000,))
    targets: tuple[str, ...] = TARGETS
    num_test: int = 1000

    def __post_init__(self) -> None:
        super().__post_init__()
        validation.integer("num_test", self.num_test)
        if self.num_test % 2:
            raise ValueError(f"num_test must be even, as n; got {self.num_test}.")
        for name in ("eps", "rates_f", "rates_g", "epochs_f", "epochs_g", "targets"):
            if not getattr(self, name):
                raise ValueError(f"{name} must hold at least one value.")
        for name in ("eps", "rates_f", "rates_g"):
            for value in getattr(self, name):
                validation.number(name, value, low=0.0)
        for name in ("epochs_f", "epochs_g"):
            epochs = getattr(self, name)
            for value in epochs:
                validation.integer(name, value, low=0)
            if list(epochs) != sorted(epochs):
                raise ValueError(f"{name} must be ascending; got {epochs}.")
        for word in self.targets:
            validation.choice("targets", word, TARGETS)


DIMS = {
    "acc": ("rate_f", "epoch_f"),
    "cosine": ("rate_f", "epoch_f"),
    "label_imbalance": ("targets",),
    "law": ("targets", "eps"),
    "threshold": ("targets", "rate_f", "epoch_f", "eps"),
    "adv_acc": ("targets", "rate_f", "epoch_f", "eps", "rate_g", "epoch_g"),
    "agreement": ("targets", "rate_f", "epoch_f", "eps", "rate_g", "epoch_g"),
}


def coords(config: Config) -> dict[str, list]:
    """Values along each axis of the results."""
    return {
        "targets": list(config.targets),
        "rate_f": list(config.rates_f),
        "epoch_f": list(config.epochs_f),
        "eps": list(config.eps),
        "rate_g": list(config.rates_g),
        "epoch_g": list(config.epochs_g),
    }


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


def simulate(key: Array, config: Config, inputs: dict[str, Array]) -> dict[str, Array]:
    r"""Accuracy of f, cosine of its gradients, and what g learns from the perturbations.

    Results, along the axes of :data:`DIMS`:

    - ``acc``: share of training samples with :math:`y f(x) > 0`;
    - ``cosine``: mean :math:`|\cos(r_n, P(x_n))|` over samples with a non-zero gradient;
    - ``adv_acc``: share of natural training samples with :math:`y g(x) > 0`;
    - ``agreement``: share of fresh points (test images) with sgn f = sgn g;
    - ``label_imbalance``: drawn mean :math:`\bar y` of the targets;
    - ``law``: agreement after the closed form B4 (scenario a, shifted Gauss; else NaN);
    - ``threshold``: share of fresh points where sgn f is that of
      :math:`\varepsilon \bar u \cdot z + \bar y`, B4 without its assumption on the data.
    """
    key_data, key_nets, key_targets = jax.random.split(key, 3)
    x, y, z = draw_data(key_data, config, inputs, config.num_test)
    rates_f, rates_g, eps = (
        jnp.asarray(values, x.dtype) for values in (config.rates_f, config.rates_g, config.eps)
    )
    epochs_f, epochs_g = jnp.asarray(config.epochs_f), jnp.asarray(config.epochs_g)
    start_f, start_g = two_networks(key_nets, x.shape[1], config)
    train = trainer(config)
    gram = gram_if_cheaper(x)

    def fit_f(rate: Array) -> TwoLayer:
        return train(start_f, x, y, lr=rate, at=epochs_f, gram=gram)

    nets = map_seeds(fit_f, rates_f)
    num_f, num_times = rates_f.shape[0], epochs_f.shape[0]
    flat = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), nets)
    representer = surrogate.representer_direction(x, y, x, config.gamma)
    targets = jnp.stack(
        [
            surrogate.random_targets(
                jax.random.fold_in(key_targets, index), x.shape[0], balanced=word == "balanced"
            ).astype(x.dtype)
            for index, word in enumerate(config.targets)
        ]
    )
    imbalance = jnp.mean(targets, axis=1)
    is_b = jnp.asarray(word_index(config, "scenario"), x.dtype)

    def first(net: TwoLayer) -> dict[str, Array]:
        u = geometry.unit_rows(networks.input_gradient(net, x, config.gamma), zero="keep")
        known = jnp.any(u != 0, axis=1)
        aligned = geometry.row_cosines(jnp.where(known[:, None], u, representer), representer)
        return {
            "acc": jnp.mean(y * networks.forward(net, x, config.gamma) > 0, dtype=x.dtype),
            "cosine": jnp.sum(jnp.abs(aligned) * known) / jnp.sum(known),
            "u": u,
            "sign_z": jnp.sign(networks.forward(net, z, config.gamma)),
        }

    firsts = jax.lax.map(first, flat)

    def second(index: tuple[Array, Array, Array]) -> dict[str, Array]:
        which_targets, which_f, which_eps = index
        u, sign_z = firsts["u"][which_f], firsts["sign_z"][which_f]
        labels, length = targets[which_targets], eps[which_eps]
        perturbed = is_b * x + length * labels[:, None] * u
        perturbed_gram = gram_if_cheaper(perturbed)

        def fit_g(rate: Array) -> dict[str, Array]:
            g = train(start_g, perturbed, labels, lr=rate, at=epochs_g, gram=perturbed_gram)
            on_x = jax.lax.map(lambda net: networks.forward(net, x, config.gamma), g)
            on_z = jax.lax.map(lambda net: networks.forward(net, z, config.gamma), g)
            return {
                "adv_acc": jnp.mean(on_x * y[None, :] > 0, axis=1, dtype=x.dtype),
                "agreement": jnp.mean(jnp.sign(on_z) == sign_z[None, :], axis=1, dtype=x.dtype),
            }

        score = length * (z @ jnp.mean(u, axis=0)) + imbalance[which_targets]
        return {
            **map_seeds(fit_g, rates_g),
            "threshold": jnp.mean(jnp.sign(score) == sign_z, dtype=x.dtype),
        }

    shape = (len(config.targets), num_f, num_times, eps.shape[0])
    grid = jnp.meshgrid(
        jnp.arange(shape[0]), jnp.arange(num_f * num_times), jnp.arange(shape[3]), indexing="ij"
    )
    seconds = jax.lax.map(second, tuple(axis.ravel() for axis in grid))
    seconds = {name: leaf.reshape(*shape, *leaf.shape[1:]) for name, leaf in seconds.items()}
    law = jax.vmap(
        jax.vmap(surrogate.threshold_agreement, (None, None, 0, None)), (None, None, None, 0)
    )
    is_shifted = jnp.asarray(word_index(config, "law") == 0) & (config.dataset == "synthetic")
    return {
        "acc": firsts["acc"].reshape(num_f, num_times),
        "cosine": firsts["cosine"].reshape(num_f, num_times),
        "label_imbalance": imbalance,
        "law": jnp.where(
            is_shifted & (is_b == 0), law(config.mu, x.shape[1], eps, imbalance), jnp.nan
        ).astype(x.dtype),
        **seconds,
    }


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
