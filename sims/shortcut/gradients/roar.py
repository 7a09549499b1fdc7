r"""Study ``roar``: how much of the label is left in the pixels of largest, and smallest, gradient.

Networks are trained anew on block images of :mod:`twolayer.sims.shortcut.gradients.images` of which
only a share of the pixels is kept (DiffROAR). Which pixels are kept is itself a message about the
label,
as far as kept pixels differ from masked ones: the cells of the default scale come with a glyph that
reaches the edge and with one that is inset, whose edge is as black as the mask.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
from jax import Array

from twolayer.sims.engine.experiment import traced, word_index
from twolayer.sims.shortcut.gradients import images
from twolayer.sims.shortcut.gradients.images import ImagesConfig
from twolayer.theory import validation
from twolayer.theory.shortcut.gradients import attribution as gradients

ATTRIBUTIONS = ("gradient", "random")


@dataclasses.dataclass(frozen=True, kw_only=True)
class RoarConfig(ImagesConfig):
    """As :class:`ImagesConfig`; then retrainings on parts of the pixels, for every share of ``ks``.

    The ranking is that of the gradients of the trained network, or a random one.
    """

    attribution: str = traced("gradient", ATTRIBUTIONS)
    ks: tuple[float, ...] = traced((0.05, 0.1, 0.2, 0.4, 0.6))

    def __post_init__(self) -> None:
        super().__post_init__()
        validation.choice("attribution", self.attribution, ATTRIBUTIONS)
        if not self.ks:
            raise ValueError("ks must hold at least one value.")
        for value in self.ks:
            validation.number("ks", value, low=0.0, high=1.0, open_low=True)


DIMS: dict[str, tuple[str, ...]] = {
    "accuracy": (),
    "diffroar": ("k",),
    "signal_share": ("k",),
}


def coords(config: RoarConfig) -> dict[str, list]:
    """Values along each axis of the results."""
    return {"k": list(config.ks)}


def simulate(key: Array, config: RoarConfig, inputs: dict[str, Array]) -> dict[str, Array]:
    """Train in float32, rank pixels, retrain on parts of them without attack.

    - ``accuracy``: of the first training, on test images;
    - ``diffroar``: accuracy of networks retrained on the top of the ranking less that on its
      bottom (:func:`twolayer.theory.shortcut.gradients.attribution.diffroar`);
    - ``signal_share``: share of the kept top pixels that are in the block with the label.
    """
    key_blocks, key_fit, key_rank, key_again = jax.random.split(key, 4)
    x, signal = images.blocks(key_blocks, config, inputs["x"])
    y, n, net = inputs["y"], images.num_train(x), images.network(config)
    params = images.fit(key_fit, config, net, x[:n], y[:n], attacked=True)
    is_random = word_index(config, "attribution") == ATTRIBUTIONS.index("random")
    g = jnp.where(
        is_random,
        jax.random.normal(key_rank, x.shape, x.dtype),
        images.attribution(net, params, x),
    )

    def train_eval(x: Array, y: Array, key: Array) -> Array:
        again = images.fit(key, config, net, x[:n], y[:n], attacked=False)
        return images.accuracy(net, again, x[n:], y[n:])

    def share(k: Array) -> Array:
        kept = gradients.keep_top(jnp.ones_like(x), g, k)
        return jnp.sum(jnp.where(signal, kept, 0)) / jnp.sum(kept)

    ks = jnp.asarray(config.ks, x.dtype)
    return {
        "accuracy": images.accuracy(net, params, x[n:], y[n:]),
        "diffroar": gradients.diffroar(train_eval, x, g, y, ks, key_again),
        "signal_share": jax.lax.map(share, ks),
    }
