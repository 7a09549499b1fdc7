"""Networks on images of cues: which there are, training until a rule is learned, and accuracies.

Batches are drawn anew at every step, so that what is learned is not a finite set of images.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from flax import struct
from jax import Array

from twolayer.sims.components import models, training
from twolayer.sims.components.models import Flat
from twolayer.sims.shortcut.cues import images
from twolayer.sims.shortcut.cues.images import LEVELS
from twolayer.theory.shortcut.cues import accuracy

NETS = ("mlp", "conv")
# A solution is accepted if both accuracies are above this [paper].
ACCEPTED = 0.99


class SmallConv(nn.Module):
    """Two 3 x 3 convolutions without padding, the first of stride 2, then two dense layers.

    Places are kept, as they are in the perceptron: no pooling.
    """

    channels: tuple[int, ...] = (12, 24)
    hidden: int = 32

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Logits ``(n, 3)`` of images ``(n, height, width, 3)``."""
        x = x.transpose(3, 1, 2, 0)
        for layer, features in enumerate(self.channels):
            x = models.Convolution(features, stride=1 if layer else 2)(x)
        x = x.reshape(-1, x.shape[-1]).T
        return nn.Dense(LEVELS)(nn.relu(nn.Dense(self.hidden)(x)))


def network(net: str, size: int) -> Flat:
    """The perceptron 768-64-32-3 (on 16 x 16 pixels), or the small convolutional network."""
    body: nn.Module = models.MLP((64, 32), LEVELS) if net == "mlp" else SmallConv()
    return models.flatten(body, (size, size, 3))


class Cells(NamedTuple):
    """Levels on the diagonal ``(L, K)`` and off it ``(L^K - L, K)``."""

    diagonal: Array
    off: Array

    @classmethod
    def of(cls, num_cues: int) -> Cells:
        """All combinations of this many cues."""
        return cls(*map(jnp.asarray, accuracy.wcst_cells(num_cues, LEVELS)))


class Sample(NamedTuple):
    """Images ``(n, size, size, 3)`` and their levels ``(n, K)``."""

    x: Array
    levels: Array


def cross_entropy(net: Flat) -> Callable[[Array, Array, Array], Array]:
    """Mean cross-entropy of parameters, images and labels."""

    def loss(params: Array, x: Array, y: Array) -> Array:
        logits = net.apply(params, x)
        return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits, y))

    return loss


def accuracies(net: Flat, params: Array, sample: Sample) -> Array:
    """Share of predictions that equal the level of each cue, ``(K,)``."""
    return accuracy.cue_accuracy(jnp.argmax(net.apply(params, sample.x), axis=1), sample.levels)


@struct.dataclass
class Solution:
    """What a training came to."""

    params: Array
    stretches: Array  # of training, until it was accepted or time was up
    accepted: Array  # whether both accuracies on fresh images are above 0.99


def solve(
    key: Array,
    net: Flat,
    start: Array,
    cue: Array,
    cells: Cells,
    *,
    size: int,
    batch: int,
    stretch: int,
    stretches: int,
    rate: float | Array,
    checked: int,
) -> Solution:
    """Train stretch by stretch until the labels are learned.

    Args:
      key: of images and their order.
      net: a network.
      start: its parameters to begin with.
      cue: its levels are the labels; half of the images are on the diagonal, half off it. All are
        on the diagonal if it is negative.
      cells: the combinations of cues.
      size: of the images.
      batch: images of a step, Adam's, which begins anew with every stretch.
      stretch: steps of a stretch.
      stretches: at most.
      rate: of Adam; halved for every quarter of the stretches that has passed.
      checked: images, on the diagonal and off it each, that say after a stretch whether both
        accuracies are above 0.99.
    """
    key_train, key_on, key_off = jax.random.split(key, 3)
    rows = jnp.arange(batch * stretch)
    diagonal = cells.diagonal[rows // 2 % cells.diagonal.shape[0]]
    off = cells.off[rows // 2 % cells.off.shape[0]]
    is_off = (rows % 2 == 1) & (cue >= 0)
    levels = jnp.where(is_off[:, None], off, diagonal)
    column = jnp.maximum(cue, 0)
    on_check = Sample(*images.wcst_images(key_on, cells.diagonal, checked, size))
    off_check = Sample(*images.wcst_images(key_off, cells.off, checked, size))

    def train(index: Array, params: Array) -> Array:
        key_rows, key_images = jax.random.split(jax.random.fold_in(key_train, index))

        def prepare(step: Array, levels: Array, y: Array) -> tuple[Array, Array]:
            places = images.centres(jax.random.fold_in(key_images, step), levels, size)
            return images.draw(levels, places, size), y

        fit = training.train(
            key_rows,
            params,
            cross_entropy(net),
            levels,
            levels[:, column],
            optimizer=optax.adam(jnp.asarray(rate, start.dtype) * 0.5 ** (4 * index // stretches)),
            batch=batch,
            epochs=1,
            score=lambda params: (),
            prepare=prepare,
        )
        return fit.params

    def body(state: Solution) -> Solution:
        params = train(state.stretches, state.params)
        learned = accuracies(net, params, on_check)[0] > ACCEPTED
        follows = accuracies(net, params, off_check)[column] > ACCEPTED
        return Solution(params, state.stretches + 1, learned & (follows | (cue < 0)))

    return jax.lax.while_loop(
        lambda state: (state.stretches < stretches) & ~state.accepted,
        body,
        Solution(start, jnp.zeros((), int), jnp.zeros((), bool)),
    )
