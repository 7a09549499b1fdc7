"""Wrong labels in training: plain training and mixup on images, tested on clean labels.

With probability ``noise`` a training label c becomes m(c), where m is a map from classes to other
classes that is drawn once for each seed [code]. Temperatures are fitted to labels that are wrong in
the same way, and tested on clean ones: a shift that no theorem here is about. A perceptron on the
digits of scikit-learn stands in for the published networks and images, as does a part of
Fashion-MNIST.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from twolayer.sims.components import data
from twolayer.sims.engine.experiment import Inputs, traced
from twolayer.sims.mixup.calibration import networks
from twolayer.theory import validation


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageConfig:
    """One data set and share of wrong labels; the numbers of mixed points are inside.

    Of ``num_images`` images (0 for all), training images first, every seed draws another division
    into training set, calibration set and, of what is left, test set.
    """

    dataset: str = "digits"
    noise: float = traced(0.0)
    num_images: int = 0
    num_train: int = 1170
    num_calibration: int = 130
    points: tuple[int, ...] = (1, 2)
    hidden: int = 64
    batch: int = 117
    epochs: int = 400
    rate: float = traced(1e-3)

    def __post_init__(self) -> None:
        validation.number("noise", self.noise, low=0.0, high=1.0)
        validation.number("rate", self.rate, low=0.0, open_low=True)
        for name in ("num_calibration", "hidden", "batch", "epochs"):
            validation.integer(name, getattr(self, name))
        validation.integer("num_train", self.num_train, low=self.batch)
        validation.integer("num_images", self.num_images, low=0)
        networks.check_points(self.points)


DIMS = {
    **dict.fromkeys(networks.SCORES, ("points",)),
    "wrong": (),
    "classes": ("class",),
}


def coords(config: ImageConfig) -> dict[str, list]:
    """Values along each axis of the results."""
    return {"points": list(config.points), "class": list(range(data.CLASSES))}


def images(config: ImageConfig) -> Inputs:
    """Images as rows, less the mean of all pixels and over their deviation, and their classes.

    Raises:
      ValueError: if there are fewer images than asked for, or none are left to test on.
    """
    loaded = data.load_ten_classes(config.dataset)
    total = len(loaded.train_x) + len(loaded.test_x)
    if config.num_images > total:
        raise ValueError(
            f"num_images must be at most {total} for {config.dataset}; got {config.num_images}."
        )
    number = config.num_images or total
    used = config.num_train + config.num_calibration
    if used >= number:
        raise ValueError(
            f"num_train and num_calibration must leave some of {number} images for the test; "
            f"got {used}."
        )
    x = np.concatenate([loaded.train_x[:number], loaded.test_x])[:number]
    y = np.concatenate([loaded.train_y[:number], loaded.test_y])[:number]
    mean, deviation = x.mean(dtype=float), x.std(dtype=float)
    return Inputs(
        arrays={"x": ((x - mean) / deviation).astype(np.float32), "y": y.astype(np.int32)},
        checksum=loaded.checksum,
        source=loaded.source,
    )


def simulate(key: Array, config: ImageConfig, inputs: dict[str, Array]) -> dict[str, Array]:
    """Scores of networks trained on wrong labels.

    Results are :data:`twolayer.sims.mixup.calibration.networks.SCORES` on clean labels, the share
    ``wrong`` of training labels, and ``classes``, the class that each becomes where it is wrong.
    """
    key_order, key_map, key_wrong, key_net = jax.random.split(key, 4)
    order = jax.random.permutation(key_order, inputs["x"].shape[0])
    x, y = inputs["x"][order], inputs["y"][order]
    # Never the class itself.
    k = data.CLASSES
    becomes = (jnp.arange(k) + jax.random.randint(key_map, (k,), 1, k)) % k
    used = config.num_train + config.num_calibration
    is_wrong = jax.random.bernoulli(key_wrong, config.noise, (used,))
    noisy = jnp.where(is_wrong, becomes[y[:used]], y[:used])
    n = config.num_train
    return {
        **networks.trained(
            key_net,
            (x[:n], noisy[:n]),
            (x[n:used], noisy[n:]),
            (x[used:], y[used:]),
            classes=k,
            hidden=config.hidden,
            points=config.points,
            batch=config.batch,
            epochs=config.epochs,
            rate=config.rate,
        ),
        "wrong": jnp.mean(noisy[:n] != y[:n]),
        "classes": becomes,
    }
