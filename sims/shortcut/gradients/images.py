r"""Study ``images``: gradients on images of two blocks, one of which has a label.

An image is a block with a digit above or below one without a label: a fixed glyph, or another image
with its pixels in random order. The block with the digit is on top in half of the images, or in
all. A perceptron is trained as usual, or against l_2 or l_inf attacks. How large are the gradients
of the winning logit in the block without a label?

Stand-ins for the published BlockMNIST [paper], with the digits of scikit-learn (16 x 8) and
Fashion-MNIST (56 x 28), and much smaller networks.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from twolayer.sims.components import data, models, training
from twolayer.sims.components.attacks import pgd
from twolayer.sims.engine.experiment import Inputs, traced, word_index
from twolayer.theory import validation
from twolayer.theory.shortcut.gradients import attribution as gradients

ATTACKS = ("none", "l2", "linf")
NULLS = ("glyph", "inset", "permuted")
POSITIONS = ("random", "top")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImagesConfig:
    """One training on block images.

    ``number`` images of the classes are taken, all if it is 0, 70 % of them to train on. The
    ``attack`` has radius ``eps`` and ``attack_steps`` steps on pixels in [0, 1]. ``pictures`` test
    images are stored with their gradients.
    """

    dataset: str = "digits"
    side: int = 8
    classes: tuple[int, ...] = tuple(range(10))
    number: int = 0
    hidden: int = 64
    null: str = traced("glyph", NULLS)
    position: str = traced("random", POSITIONS)
    attack: str = traced("none", ATTACKS)
    eps: float = traced(0.0)
    attack_steps: int = traced(0)
    rate: float = traced(3e-3)
    batch: int = 64
    epochs: int = 30
    pictures: int = 4

    def __post_init__(self) -> None:
        for name, allowed in (("null", NULLS), ("position", POSITIONS), ("attack", ATTACKS)):
            validation.choice(name, getattr(self, name), allowed)
        if len(self.classes) < 2 or len(set(self.classes)) < len(self.classes):
            raise ValueError(f"classes must be distinct, at least two; got {self.classes}.")
        for name in ("side", "hidden", "batch", "epochs", "pictures"):
            validation.integer(name, getattr(self, name))
        for name in ("number", "attack_steps"):
            validation.integer(name, getattr(self, name), low=0)
        validation.number("rate", self.rate, low=0.0, open_low=True)
        validation.number("eps", self.eps, low=0.0)
        is_attacked = self.attack != "none"
        if (self.eps > 0) != is_attacked or (self.attack_steps > 0) != is_attacked:
            raise ValueError(
                "eps and attack_steps must be positive with an attack, 0 without; "
                f"got {self.eps} and {self.attack_steps} for {self.attack}."
            )


_PICTURE = ("picture", "row", "column")
DIMS: dict[str, tuple[str, ...]] = {
    "accuracy": (),
    "leakage": (),
    "null_larger": (),
    "picture": _PICTURE,
    "gradient": _PICTURE,
    "on_top": ("picture",),
}


def coords(config: ImagesConfig) -> dict[str, list]:
    """Values along each axis of the results."""
    return {
        "picture": list(range(config.pictures)),
        "row": list(range(2 * config.side)),
        "column": list(range(config.side)),
    }


def images(config: ImagesConfig) -> Inputs:
    """Images of the classes as float32 rows in [0, 1], split once for all seeds."""
    loaded = data.load_images(config.dataset)
    if loaded.shape[:2] != (config.side, config.side):
        raise ValueError(f"side must fit images of {loaded.shape}; got {config.side}.")
    x = np.concatenate([loaded.train_x, loaded.test_x])
    y = np.concatenate([loaded.train_y, loaded.test_y])
    if missing := set(config.classes) - set(y.tolist()):
        raise ValueError(f"classes must be among those of {config.dataset}; lacks {missing}.")
    chosen = np.flatnonzero(np.isin(y, config.classes))
    number = config.number or len(chosen)
    if number > len(chosen):
        raise ValueError(f"number must be at most {len(chosen)}; got {number}.")
    chosen = np.random.default_rng(0).permutation(chosen)[:number]
    if config.pictures > number - round(0.7 * number) or config.batch > round(0.7 * number):
        raise ValueError(f"batch and pictures must fit {number} images, 70 % to train on.")
    places = {label: place for place, label in enumerate(config.classes)}
    return Inputs(
        arrays={
            "x": x[chosen],
            "y": np.array([places[label] for label in y[chosen].tolist()], np.int32),
        },
        checksum=loaded.checksum,
        source=loaded.source,
    )


def glyph(side: int, inset: bool = False) -> np.ndarray:
    """A square outline with a diagonal cross, lines an eighth of the side wide.

    It ends at the block's edge, or, if ``inset``, one line's width away from it.
    """
    unit = max(1, side // 8)
    if inset:
        return np.pad(glyph(side - 2 * unit), unit)
    row, column = np.indices((side, side))
    edge = np.minimum(np.minimum(row, column), side - 1 - np.maximum(row, column))
    cross = (np.abs(row - column) < unit) | (np.abs(row + column - (side - 1)) < unit)
    return ((edge < unit) | cross).astype(np.float32)


def simulate(key: Array, config: ImagesConfig, inputs: dict[str, Array]) -> dict[str, Array]:
    """Train in float32, then look at the test images.

    - ``accuracy``: on test images;
    - ``leakage``: mean size of gradients in the block without a label over that in the block with
      it, mean over test images; ``null_larger``: share of them where it is above 1;
    - ``picture``, ``gradient``, ``on_top``: some test images, their gradients, and whether the
      block with the label is the upper one.
    """
    key_blocks, key_fit = jax.random.split(key)
    x, signal = blocks(key_blocks, config, inputs["x"])
    y = inputs["y"]
    n = num_train(x)
    net = network(config)
    params = fit(key_fit, config, net, x[:n], y[:n], attacked=True)
    test_x, test_y = x[n:], y[n:]
    g = attribution(net, params, test_x)
    leakage, larger = gradients.block_leakage(g, signal[n:])
    shape = (config.pictures, 2 * config.side, config.side)
    return {
        "accuracy": accuracy(net, params, test_x, test_y),
        "leakage": leakage,
        "null_larger": larger,
        "picture": test_x[: config.pictures].reshape(shape),
        "gradient": g[: config.pictures].reshape(shape),
        "on_top": signal[n : n + config.pictures, 0].astype(x.dtype),
    }


def num_train(x: Array) -> int:
    return round(0.7 * x.shape[0])


def blocks(key: Array, config: ImagesConfig, x: Array) -> tuple[Array, Array]:
    """Rows of two blocks each, and which pixels belong to the block with the label."""
    key_other, key_order, key_side = jax.random.split(key, 3)
    n, pixels = x.shape
    # The other image is drawn whatever its label; its pixels' order is drawn anew each time.
    other = x[jax.random.randint(key_other, (n,), 0, n)]
    order = jnp.argsort(jax.random.uniform(key_order, x.shape), axis=1)
    permuted = jnp.take_along_axis(other, order, axis=1)
    fixed = [
        jnp.broadcast_to(jnp.asarray(glyph(config.side, inset)).reshape(1, pixels), x.shape)
        for inset in (False, True)
    ]
    null = jax.lax.select_n(jnp.asarray(word_index(config, "null"), jnp.int32), *fixed, permuted)
    always = word_index(config, "position") == POSITIONS.index("top")
    on_top = (jax.random.bernoulli(key_side, 0.5, (n, 1)) | always).astype(bool)
    both = jnp.concatenate([jnp.where(on_top, x, null), jnp.where(on_top, null, x)], axis=1)
    upper = jnp.arange(2 * pixels)[None, :] < pixels
    return both, upper == on_top


def network(config: ImagesConfig) -> models.Flat:
    net = models.MLP((config.hidden,), len(config.classes))
    return models.flatten(net, (2 * config.side**2,))


def fit(
    key: Array, config: ImagesConfig, net: models.Flat, x: Array, y: Array, *, attacked: bool
) -> Array:
    key_net, key_batches = jax.random.split(key)

    def loss(params: Array, x: Array, y: Array) -> Array:
        if attacked:
            x = _attacked(config, net, jax.lax.stop_gradient(params), x, y)
        logits = net.apply(params, x)
        return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits, y))

    fit = training.train(
        key_batches,
        net.initialise(key_net),
        loss,
        x,
        y,
        optimizer=optax.adam(jnp.asarray(config.rate, x.dtype)),
        batch=config.batch,
        epochs=config.epochs,
        score=lambda params: None,
    )
    return fit.params


def _attacked(config: ImagesConfig, net: models.Flat, params: Any, x: Array, y: Array) -> Array:
    """Images moved so that their class wins by as little as the attack can do."""

    def move() -> Array:
        moved, _ = pgd.pgd(
            lambda x: -pgd.logit_gap(net.apply(params, x), y),
            x,
            norm=jnp.maximum(word_index(config, "attack") - 1, 0),
            steps=config.attack_steps,
            eps=config.eps,
            low=0.0,
            high=1.0,
            linf_style="sign",
            skip_bound=False,
        )
        return moved

    return jax.lax.stop_gradient(jax.lax.cond(config.attack_steps > 0, move, lambda: x))


def attribution(net: models.Flat, params: Array, x: Array) -> Array:
    """Gradients of the winning logit."""
    return gradients.input_gradient(lambda row: jnp.max(net.apply(params, row[None])[0]), x)


def accuracy(net: models.Flat, params: Array, x: Array, y: Array) -> Array:
    return jnp.mean(jnp.argmax(net.apply(params, x), axis=1) == y, dtype=x.dtype)
