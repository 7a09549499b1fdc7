"""Train f, perturb its samples towards random targets, train g on the result, compare both.

One cell is one seed of one setting; its results span training rates, training times, perturbation
lengths and kinds of target labels, for which f, its data and its Gram matrix are shared.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
from jax import Array

from twolayer.sims.engine.experiment import map_seeds, traced, word_index
from twolayer.sims.perturbation.wide.setting import (
    TARGETS,
    Setting,
    draw_data,
    gram_if_cheaper,
    trainer,
    two_networks,
)
from twolayer.theory import geometry, networks, validation
from twolayer.theory.networks import TwoLayer
from twolayer.theory.perturbation.wide import directions, surrogate


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
    representer = directions.representer_direction(x, y, x, config.gamma)
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
