"""Which of several equally valid cues a network learns from images on the diagonal.

Source: protocol [paper] of Scimeca et al., ICLR 2022 (arXiv 2110.03095), on images made here.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import optax
from jax import Array

from twolayer.sims.components import training
from twolayer.sims.engine.experiment import traced, word_index
from twolayer.sims.shortcut.cues import images as cue_images
from twolayer.sims.shortcut.cues import networks
from twolayer.sims.shortcut.cues.images import CUES
from twolayer.sims.shortcut.cues.networks import NETS, Cells, Sample
from twolayer.theory import validation

IMAGES = ("colour", "grey")
LABELS = ("true", "shuffled")


@dataclasses.dataclass(frozen=True, kw_only=True)
class PreferenceConfig:
    """One training on the diagonal, from random parameters.

    ``images = "grey"`` hides colour; ``labels = "shuffled"`` hides what all cues say. Adam of rate
    ``rate`` goes ``epochs`` times over ``num_train`` images in batches.
    """

    net: str = "mlp"
    size: int = 16
    num_cues: int = 3
    images: str = traced("colour", IMAGES)
    labels: str = traced("true", LABELS)
    num_train: int = 900
    num_test: int = 240
    batch: int = 100
    epochs: int = 24
    rate: float = traced(1e-3)

    def __post_init__(self) -> None:
        check_images(self.net, self.size, self.num_cues)
        validation.choice("images", self.images, IMAGES)
        validation.choice("labels", self.labels, LABELS)
        for name in ("num_train", "num_test", "batch", "epochs"):
            validation.integer(name, getattr(self, name))
        if self.batch > self.num_train:
            raise ValueError(
                f"batch must be at most num_train, {self.num_train}; got {self.batch}."
            )
        validation.number("rate", self.rate, low=0.0, open_low=True)


def check_images(net: str, size: int, num_cues: int) -> None:
    """What both studies of networks share."""
    validation.choice("net", net, NETS)
    if size not in (16, 32):
        raise ValueError(f"size must be 16 or 32; got {size}.")
    if num_cues not in (3, 4):
        raise ValueError(f"num_cues must be 3 or 4; got {num_cues}.")


DIMS = {
    "loss": ("epoch",),
    "diagonal": ("epoch",),
    "accuracy": ("epoch", "cue"),
}


def coords(config: PreferenceConfig) -> dict[str, list]:
    """Values along each axis of the results."""
    return {
        "epoch": list(range(1, config.epochs + 1)),
        "cue": list(CUES[: config.num_cues]),
    }


def simulate(key: Array, config: PreferenceConfig, inputs: dict[str, Array]) -> dict[str, Array]:
    """Train in float32 and test after every epoch.

    Results, along the axes of :data:`DIMS`:

    - ``loss``: mean over the epoch's batches;
    - ``diagonal``: accuracy on fresh images of the diagonal;
    - ``accuracy``: on fresh images off the diagonal, for the label of each cue.
    """
    key_net, key_train, key_labels, key_shuffle, key_on, key_off = jax.random.split(key, 6)
    cells = Cells.of(config.num_cues)
    net = networks.network(config.net, config.size)
    grey = word_index(config, "images") == IMAGES.index("grey")
    is_shuffled = word_index(config, "labels") == LABELS.index("shuffled")

    def sample(key: Array, rows: Array, n: int) -> Sample:
        return Sample(*cue_images.wcst_images(key, rows, n, config.size, grey=grey))

    train = sample(key_train, cells.diagonal, config.num_train)
    on, off = (
        sample(key, rows, config.num_test)
        for key, rows in ((key_on, cells.diagonal), (key_off, cells.off))
    )
    label = train.levels[:, 0]
    label = jnp.where(is_shuffled, jax.random.permutation(key_labels, label), label)

    def score(params: Array) -> tuple[Array, Array]:
        return (
            networks.accuracies(net, params, on)[0],
            networks.accuracies(net, params, off),
        )

    fit = training.train(
        key_shuffle,
        net.initialise(key_net),
        networks.cross_entropy(net),
        train.x,
        label,
        optimizer=optax.adam(jnp.asarray(config.rate, train.x.dtype)),
        batch=config.batch,
        epochs=config.epochs,
        score=score,
    )
    return {"loss": fit.loss, "diagonal": fit.scores[0], "accuracy": fit.scores[1]}
