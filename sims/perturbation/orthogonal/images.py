"""Learning from adversarial perturbations of images: ten classes, convolutional networks.

A standard network is trained on images and attacked; a fresh network is trained on what the attack
made, labelled with the attack's targets, and tested on untouched images with their true labels.
Seen by a human its training set is mislabelled, or noise.

The published sets of MNIST and Fashion-MNIST are the scale ``paper``. ``default`` is a small
substitute: every set of the digits of scikit-learn (8 x 8), and of Fashion-MNIST 2048 images
towards random classes in L2; networks with an eighth of the channels, other rates and batches,
fewer epochs and attack steps. Published accuracies are no more than context for it. The published
wide residual networks of CIFAR-10 are left out: no package that this project installs has the
images.
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
from twolayer.sims.engine.experiment import Inputs, traced
from twolayer.theory import validation

BASES = ("random", "deterministic", "noise")
NORMS = (*pgd.NORMS, "none")
MEASURES = ("l2", "linf", "l0")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """One data set; all sets of perturbed samples made from its standard network.

    ``bases`` say what is perturbed towards which targets: images towards another class drawn at
    random, images towards the next class, or uniform noise towards random classes. ``norms`` are
    the attacks; ``"none"`` is the control, the same samples and targets without perturbation.
    ``num_train = 0`` takes all training images, ``num_test = 0`` all test images, and
    ``num_perturbed = 0`` as many samples for each perturbed set as there are training images.
    ``rate`` is of the standard training, ``rates`` of the others, one for each norm; ``steps`` of
    the L2 and Linf attacks, ``coordinates`` of the L0 attack, which changes one more at each step.
    """

    dataset: str = "digits"
    shape: tuple[int, int, int] = (8, 8, 1)
    num_train: int = 0
    num_test: int = 0
    num_perturbed: int = 0
    bases: tuple[str, ...] = BASES
    norms: tuple[str, ...] = NORMS
    width: float = 1.0
    batch: int = 128
    rate: float = traced(0.1)
    rates: tuple[float, ...] = traced((0.01, 0.01, 0.1, 0.01))
    epochs_standard: int = 100
    epochs: int = 100
    eps_l2: float = traced(2.0)
    eps_linf: float = traced(0.3)
    steps: int = traced(100)
    coordinates: int = traced(10)
    linf_style: str = "rescale"
    num_examples: int = 4

    def __post_init__(self) -> None:
        for name, allowed in (("bases", BASES), ("norms", NORMS)):
            words = getattr(self, name)
            for word in words:
                validation.choice(name, word, allowed)
            if not words or len(set(words)) < len(words):
                raise ValueError(f"{name} must be distinct, at least one; got {words}.")
        validation.choice("linf_style", self.linf_style, pgd.LINF_STYLES)
        if len(self.shape) != 3:
            raise ValueError(f"shape must be (height, width, channels); got {self.shape}.")
        for size in self.shape:
            validation.integer("shape", size)
        for name in ("num_train", "num_test", "num_perturbed", "steps", "coordinates"):
            validation.integer(name, getattr(self, name), low=0)
        for name in ("batch", "epochs_standard", "epochs", "num_examples"):
            validation.integer(name, getattr(self, name))
        validation.number("width", self.width, low=0.0, open_low=True)
        for name in ("rate", "eps_l2", "eps_linf"):
            validation.number(name, getattr(self, name), low=0.0)
        if len(self.rates) != len(self.norms):
            raise ValueError(f"rates must be one for each of {self.norms}; got {self.rates}.")
        for rate in self.rates:
            validation.number("rates", rate, low=0.0)


DIMS = {
    "standard_acc": ("epoch_standard",),
    "acc": ("base", "norm", "epoch"),
    "loss": ("base", "norm", "epoch"),
    "success": ("base", "norm"),
    "size": ("base", "norm", "measure"),
    "example": ("base", "example", "row", "column", "channel"),
    "example_perturbed": ("base", "norm", "example", "row", "column", "channel"),
    "example_label": ("example",),
    "example_target": ("base", "example"),
}


def coords(config: Config) -> dict[str, list]:
    """Values along each axis of the results."""
    rows, columns, channels = map(range, config.shape)
    return {
        "base": list(config.bases),
        "norm": list(config.norms),
        "measure": list(MEASURES),
        "epoch_standard": list(range(1, config.epochs_standard + 1)),
        "epoch": list(range(1, config.epochs + 1)),
        "example": list(range(config.num_examples)),
        "row": list(rows),
        "column": list(columns),
        "channel": list(channels),
    }


def images(config: Config) -> Inputs:
    """All images of a data set, as float32 in [0, 1], and mean and deviation of each channel."""
    loaded = data.load_ten_classes(
        config.dataset, num_train=config.num_train, num_test=config.num_test
    )
    channels = loaded.shape[2:] or (1,)
    if (shape := (*loaded.shape[:2], *channels)) != config.shape:
        raise ValueError(f"shape must be {shape} for {config.dataset}; got {config.shape}.")
    num_train = config.num_train or len(loaded.train_x)
    if config.num_perturbed > num_train and set(config.bases) != {"noise"}:
        raise ValueError(
            f"num_perturbed must be at most {num_train}, the number of training images that can be "
            f"perturbed; got {config.num_perturbed}."
        )
    pixels = loaded.train_x.reshape(-1, shape[2])
    return Inputs(
        arrays={
            "train_x": loaded.train_x.reshape(-1, *shape),
            "train_y": loaded.train_y.astype(np.int32),
            "test_x": loaded.test_x.reshape(-1, *shape),
            "test_y": loaded.test_y.astype(np.int32),
            "mean": pixels.mean(axis=0, dtype=float).astype(np.float32).reshape(1, 1, 1, -1),
            "deviation": pixels.std(axis=0, dtype=float).astype(np.float32).reshape(1, 1, 1, -1),
        },
        checksum=loaded.checksum,
        source=loaded.source,
    )


def simulate(key: Array, config: Config, inputs: dict[str, Array]) -> dict[str, Array]:
    """What networks learn from perturbed samples, in float32.

    Results, along the axes of :data:`DIMS`:

    - ``standard_acc``: share of test images that the standard network classifies correctly after
      each epoch;
    - ``acc``: the same of the networks trained on perturbed samples and their targets;
    - ``loss``: mean cross-entropy of the latter during each epoch;
    - ``success``: share of perturbed samples that the standard network assigns to their targets;
    - ``size``: mean L2 and maximum norm of the perturbations, and number of changed values;
    - ``example``, ``example_perturbed``: the first samples of each set, before and after;
    - ``example_label``, ``example_target``: true classes of the first images, and the targets of
      the first samples.
    """
    key_data, key_noise, key_targets, key_nets, key_shuffles = jax.random.split(key, 5)
    x, y = _choose(key_data, config.num_train, inputs)
    num_test = config.num_test or inputs["test_x"].shape[0]
    test_x, test_y = inputs["test_x"][:num_test], inputs["test_y"][:num_test]
    net = models.flatten(models.ConvNet(data.CLASSES, config.width), x.shape[1:])

    def logits(params: Array, x: Array) -> Array:
        return net.apply(params, (x - inputs["mean"]) / inputs["deviation"])

    def loss(params: Array, x: Array, y: Array) -> Array:
        entropies = optax.softmax_cross_entropy_with_integer_labels(logits(params, x), y)
        return jnp.mean(entropies)

    def accuracy(params: Array, x: Array, y: Array) -> Array:
        found = training.in_batches(lambda x: jnp.argmax(logits(params, x), 1), config.batch, x)
        return jnp.mean(found == y, dtype=x.dtype)

    def fit(index: Any, x: Array, y: Array, rate: Array, epochs: int) -> training.Fit:
        return training.train(
            shuffles[index],
            starts[index],
            loss,
            x,
            y,
            optimizer=training.momentum(rate),
            batch=config.batch,
            epochs=epochs,
            on_plateau=True,
            score=lambda params: accuracy(params, test_x, test_y),
        )

    num_norms, num_sets = len(config.norms), len(config.bases) * len(config.norms)
    starts = jax.vmap(net.initialise)(jax.random.split(key_nets, num_sets + 1))
    shuffles = jax.random.split(key_shuffles, num_sets + 1)
    rate, rates = (jnp.asarray(value, x.dtype) for value in (config.rate, config.rates))
    standard = fit(num_sets, x, y, rate, config.epochs_standard)
    n = config.num_perturbed or x.shape[0]
    samples = _samples(key_noise, config.bases, x[:n], n)
    targets = _targets(key_targets, config.bases, y[:n], n)

    # Of every norm, the place among the attacks (the control is any without steps), and its budget.
    places = jnp.array([NORMS.index(norm) % len(pgd.NORMS) for norm in config.norms])
    budgets = {
        "l2": (config.eps_l2, config.steps),
        "linf": (config.eps_linf, config.steps),
        "l0": (0.0, config.coordinates),
        "none": (0.0, 0),
    }
    eps, steps = (
        jnp.stack([jnp.asarray(budgets[norm][i], dtype) for norm in config.norms])
        for i, dtype in ((0, x.dtype), (1, jnp.int32))
    )

    def perturb(base: Array, norm: Array) -> Array:
        def attack(x: Array, towards: Array) -> Array:
            return pgd.pgd(
                lambda x: pgd.logit_gap(logits(standard.params, x), towards),
                x,
                norm=places[norm],
                steps=steps[norm],
                eps=eps[norm],
                low=0.0,
                high=1.0,
                linf_style=config.linf_style,
                skip_bound=False,
            )[0]

        return training.in_batches(attack, config.batch, samples[base], targets[base])

    def learn(index: Array) -> dict[str, Array]:
        base, norm = index // num_norms, index % num_norms
        perturbed = perturb(base, norm)
        run = fit(index, perturbed, targets[base], rates[norm], config.epochs)
        deltas = (perturbed - samples[base]).reshape(n, -1)
        return {
            "acc": run.scores,
            "loss": run.loss,
            "success": accuracy(standard.params, perturbed, targets[base]),
            "size": jnp.stack(
                [
                    jnp.mean(jnp.linalg.norm(deltas, axis=1)),
                    jnp.mean(jnp.max(jnp.abs(deltas), axis=1)),
                    jnp.mean(jnp.sum(deltas != 0, axis=1), dtype=x.dtype),
                ]
            ),
            "example_perturbed": perturbed[: config.num_examples],
        }

    # One set after another: only one is in memory at a time.
    sets = jax.lax.map(learn, jnp.arange(num_sets))
    shape = (len(config.bases), num_norms)
    return {
        **{name: leaf.reshape(*shape, *leaf.shape[1:]) for name, leaf in sets.items()},
        "standard_acc": standard.scores,
        "example": samples[:, : config.num_examples],
        "example_label": y[: config.num_examples],
        "example_target": targets[:, : config.num_examples],
    }


def _choose(key: Array, n: int, inputs: dict[str, Array]) -> tuple[Array, Array]:
    """n random training images and their classes; for n = 0 all, in their order."""
    x, y = inputs["train_x"], inputs["train_y"]
    if not n:
        return x, y
    chosen = jax.random.permutation(key, x.shape[0])[:n]
    return x[chosen], y[chosen]


def _samples(key: Array, bases: tuple[str, ...], x: Array, n: int) -> Array:
    """What is perturbed, shape ``(bases, n, height, width, channels)``: images or noise."""
    if "noise" not in bases:
        return jnp.broadcast_to(x, (len(bases), *x.shape))
    noise = jax.random.uniform(key, (n, *x.shape[1:]), x.dtype)
    return jnp.stack([noise if base == "noise" else x for base in bases])


def _targets(key: Array, bases: tuple[str, ...], y: Array, n: int) -> Array:
    """Target classes, shape ``(bases, n)``; for images never the true class."""
    ends = jnp.array([[data.CLASSES - 1], [data.CLASSES]])
    draws = jax.random.randint(key, (2, n), 0, ends, y.dtype)
    kinds = {
        "random": lambda: (y + 1 + draws[0]) % data.CLASSES,
        "deterministic": lambda: (y + 1) % data.CLASSES,
        "noise": lambda: draws[1],
    }
    return jnp.stack([kinds[base]() for base in bases])
