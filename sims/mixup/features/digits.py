"""Study ``digits``: Mixup of images up to an epoch, plain training from then on.

A stand-in for the published experiments with deep networks on natural images, which are out of
reach here: a perceptron with one hidden layer on the digits of scikit-learn (8 x 8), and on a part
of Fashion-MNIST. No published number is compared with; what is asked is whether early-stopped Mixup
is as good as Mixup throughout, and what other weights for labels than for inputs do.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from twolayer.sims.components import data, mixing, models, training
from twolayer.sims.engine.experiment import Inputs, traced
from twolayer.sims.mixup.features import patches
from twolayer.theory import validation


@dataclasses.dataclass(frozen=True, kw_only=True)
class DigitsConfig:
    """One data set: trainings that stop Mixup at several epochs, and with several fixed weights.

    The first have weights uniform in [0, 1] and alike for inputs and labels; a stop at 0 is plain
    training, one at ``epochs`` Mixup throughout. The others mix throughout, with the weights
    ``lam_x[i]`` and ``lam_y[i]``. ``num_train = 0`` takes all training images, ``num_test = 0`` all
    test images.
    """

    dataset: str = "digits"
    num_train: int = 0
    num_test: int = 0
    hidden: int = 64
    stops: tuple[int, ...] = traced((0, 5, 10, 20, 30, 40, 50, 60))
    lam_x: tuple[float, ...] = traced((0.7, 0.7, 0.7, 0.9))
    lam_y: tuple[float, ...] = traced((0.7, 0.8, 0.9, 0.7))
    rate: float = traced(1e-3)
    batch: int = 64
    epochs: int = 60

    def __post_init__(self) -> None:
        for name in ("num_train", "num_test"):
            validation.integer(name, getattr(self, name), low=0)
        for name in ("hidden", "batch", "epochs"):
            validation.integer(name, getattr(self, name))
        for stop in self.stops:
            if validation.integer("stops", stop, low=0) > self.epochs:
                raise ValueError(f"stops must be at most epochs, {self.epochs}; got {stop}.")
        if not {0, self.epochs} <= set(self.stops):
            raise ValueError(f"stops must include 0 and epochs, {self.epochs}; got {self.stops}.")
        patches.weights(self.lam_x or 0.5, self.lam_y or 0.5)
        if len(self.lam_x) != len(self.lam_y):
            raise ValueError(f"lam_y must be one for each of {self.lam_x}; got {self.lam_y}.")
        validation.number("rate", self.rate, low=0.0)


DIMS = {
    "test_error": ("stop", "epoch"),
    "train_loss": ("stop", "epoch"),
    "pair_error": ("pair", "epoch"),
}


def coords(config: DigitsConfig) -> dict[str, list]:
    """Values along each axis of the results."""
    return {
        "stop": list(config.stops),
        "pair": [f"{x:g},{y:g}" for x, y in zip(config.lam_x, config.lam_y, strict=True)],
        "epoch": list(range(1, config.epochs + 1)),
    }


def images(config: DigitsConfig) -> Inputs:
    """All images of a data set as float32 rows in [0, 1]."""
    loaded = data.load_ten_classes(
        config.dataset, num_train=config.num_train, num_test=config.num_test
    )
    return Inputs(
        arrays={
            "train_x": loaded.train_x,
            "train_y": loaded.train_y.astype(np.int32),
            "test_x": loaded.test_x,
            "test_y": loaded.test_y.astype(np.int32),
        },
        checksum=loaded.checksum,
        source=loaded.source,
    )


def simulate(key: Array, config: DigitsConfig, inputs: dict[str, Array]) -> dict[str, Array]:
    """Test errors after each epoch, in float32.

    A seed draws the training images where they are a part, the first weights and the batches, which
    all of its trainings share, so that they differ in the mixing alone.

    - ``test_error``, ``train_loss``: share of test images classified wrongly, and mean loss on the
      batches as trained on, for each stop;
    - ``pair_error``: test error for each pair of fixed weights.
    """
    key_data, key_net, key_batches, key_mix = jax.random.split(key, 4)
    x, y = inputs["train_x"], inputs["train_y"]
    if config.num_train:
        chosen = jax.random.permutation(key_data, x.shape[0])[: config.num_train]
        x, y = x[chosen], y[chosen]
    num_test = config.num_test or inputs["test_x"].shape[0]
    test_x, test_y = inputs["test_x"][:num_test], inputs["test_y"][:num_test]
    net = models.flatten(models.MLP(hidden=(config.hidden,), outputs=data.CLASSES), x.shape[1:])
    first = net.initialise(key_net)
    targets = jax.nn.one_hot(y, data.CLASSES, dtype=x.dtype)
    steps_per_epoch = x.shape[0] // config.batch

    def loss(params: Array, x: Array, targets: Array) -> Array:
        return jnp.mean(optax.softmax_cross_entropy(net.apply(params, x), targets))

    def error(params: Array) -> Array:
        found = jnp.argmax(net.apply(params, test_x), axis=1)
        return jnp.mean(found != test_y, dtype=x.dtype)

    def draw(key: Array) -> tuple[Array, Array]:
        key_partners, key_weights = jax.random.split(key)
        rows = mixing.partners(key_partners, config.batch, 2)
        return rows, jax.random.uniform(key_weights, (config.batch,), x.dtype)

    # Once for all trainings of a seed: [measured] shuffles took 40 % of their time.
    keys = jax.random.split(key_mix, config.epochs * steps_per_epoch)
    all_rows, all_drawn = jax.lax.map(draw, keys)

    def fit(setting: tuple[Array, Array, Array]) -> tuple[Array, Array]:
        stop, lam_x, lam_y = setting

        def prepare(step: Array, x: Array, targets: Array) -> tuple[Array, Array]:
            # NaN is for weights that are drawn.
            both = [jnp.where(jnp.isnan(lam), all_drawn[step], lam) for lam in (lam_x, lam_y)]
            both = [jnp.where(step < stop * steps_per_epoch, lam, 1.0) for lam in both]
            mixed = [
                mixing.combine(values, all_rows[step], jnp.stack([lam, 1 - lam]))
                for values, lam in zip((x, targets), both, strict=True)
            ]
            return mixed[0], mixed[1]

        run = training.train(
            key_batches,
            first,
            loss,
            x,
            targets,
            optimizer=optax.adam(config.rate),
            batch=config.batch,
            epochs=config.epochs,
            prepare=prepare,
            score=error,
        )
        return run.scores, run.loss

    stops = jnp.asarray(config.stops, jnp.int32)
    lam_x, lam_y = (jnp.asarray(values, x.dtype) for values in (config.lam_x, config.lam_y))
    num_stops = stops.shape[0]
    unset = jnp.full(num_stops, jnp.nan, x.dtype)
    settings = (
        jnp.concatenate([stops, jnp.full(lam_x.shape, config.epochs, jnp.int32)]),
        jnp.concatenate([unset, lam_x]),
        jnp.concatenate([unset, lam_y]),
    )
    errors, losses = jax.lax.map(fit, settings)
    return {
        "test_error": errors[:num_stops],
        "train_loss": losses[:num_stops],
        "pair_error": errors[num_stops:],
    }
