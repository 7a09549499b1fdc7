r"""Last-layer activations of networks on mixed images: a real-data stand-in for the theory.

A network maps images to features h, a linear classifier W without bias maps these to logits. It is
trained with Adam on mixed images, or on the images themselves, and the loss is the mean of

.. math:: \log \sum_c e^{(W h)_c} - \langle t, W h\rangle + \tfrac{\mu}{2} |h|^2

plus :math:`\tfrac{\omega}{2}` times the squared norm of all trained parameters. The classifier is a
simplex frame that stays as it is, or is trained. Unlike in the theory the features of a mixed image
are not free: they are what one network makes of it, and a mixed image does not tell its targets.

The published networks and images [paper] are larger; three classes of the digits of scikit-learn,
or of Fashion-MNIST, stand in for them.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn
from jax import Array

from twolayer.sims.components import data, mixing, models, training
from twolayer.sims.engine.experiment import Inputs, traced, word_index
from twolayer.sims.mixup.collapse import activations
from twolayer.theory import validation
from twolayer.theory.mixup.collapse import optimal_features

SAMPLES = ("plain", "mixup")
CLASSIFIERS = ("fixed", "trained")
NETS = ("mlp", "conv")


@dataclasses.dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """One training, and the activations of mixed training images after it.

    ``per_class = 0`` takes as many training images of each class as there are of the smallest.
    ``width`` is that of the hidden layer of ``mlp``, a factor on all channels of ``conv``.
    ``norm`` is that of the rows of a fixed classifier. ``decay`` is mu, of the features;
    ``weight_decay`` omega. After training ``pairs`` random pairs of images for every ordered pair
    of classes are mixed with every weight of ``lams``.
    """

    dataset: str = "digits"
    shape: tuple[int, int, int] = (8, 8, 1)
    classes: tuple[int, ...] = (0, 1, 2)
    per_class: int = 0
    net: str = "mlp"
    width: float = 128
    dim: int = 16
    samples: str = traced("mixup", SAMPLES)
    classifier: str = traced("fixed", CLASSIFIERS)
    norm: float = traced(1.0)
    decay: float = traced(0.01)
    weight_decay: float = traced(0.0)
    rate: float = traced(1e-3)
    batch: int = 64
    epochs: int = 300
    pairs: int = 20
    lams: tuple[float, ...] = traced(tuple(step / 20 for step in range(21)))

    def __post_init__(self) -> None:
        for name, allowed in (
            ("net", NETS), ("samples", SAMPLES), ("classifier", CLASSIFIERS)
        ):  # fmt: skip
            validation.choice(name, getattr(self, name), allowed)
        if len(self.shape) != 3:
            raise ValueError(f"shape must be (height, width, channels); got {self.shape}.")
        if len(self.classes) < 3 or len(set(self.classes)) < len(self.classes):
            raise ValueError(f"classes must be distinct, at least three; got {self.classes}.")
        validation.integer("dim", self.dim, low=len(self.classes) - 1)
        validation.integer("per_class", self.per_class, low=0)
        for name in ("batch", "epochs", "pairs"):
            validation.integer(name, getattr(self, name))
        for name in ("width", "norm", "rate"):
            validation.number(name, getattr(self, name), low=0.0, open_low=True)
        for name in ("decay", "weight_decay"):
            validation.number(name, getattr(self, name), low=0.0)
        if not self.lams:
            raise ValueError("lams must hold at least one value.")
        for value in self.lams:
            validation.number("lams", value, low=0.0, high=1.0)


_PAIRS = ("first", "second", "lam")
DIMS = {
    "loss": ("epoch",),
    "accuracy": (),
    "row": ("first", "axis"),
    "point": (*_PAIRS, "pair", "axis"),
    "optimum": (*_PAIRS, "axis"),
    "difference": _PAIRS,
    "distance": _PAIRS,
    "optimal_difference": _PAIRS,
    "cosine": ("first",),
    "same_gap": (),
    "etf_error": (),
    "outside": (),
    "kappa": (),
    "optimum_error": (),
}


def coords(config: NetworkConfig) -> dict[str, list]:
    """Values along each axis of the results."""
    return {
        "epoch": list(range(1, config.epochs + 1)),
        "first": list(config.classes),
        "second": list(config.classes),
        "lam": list(config.lams),
        "pair": list(range(config.pairs)),
        "axis": [0, 1],
    }


def images(config: NetworkConfig) -> Inputs:
    """Training images ``(class, n, height, width, channels)``, and the test images of the classes.

    The mean training image is subtracted from all of them.
    """
    loaded = data.load_images(config.dataset)
    shape = (*loaded.shape[:2], *(loaded.shape[2:] or (1,)))
    if shape != config.shape:
        raise ValueError(f"shape must be {shape} for {config.dataset}; got {config.shape}.")
    known = np.unique(loaded.train_y).tolist()
    if missing := set(config.classes) - set(known):
        raise ValueError(
            f"classes must be among {known} for {config.dataset}; got {sorted(missing)}."
        )
    rows = [np.flatnonzero(loaded.train_y == label) for label in config.classes]
    smallest = min(map(len, rows))
    if config.per_class > smallest:
        raise ValueError(
            f"per_class must be at most {smallest} for {config.dataset}; got {config.per_class}."
        )
    number = config.per_class or smallest
    train = np.stack([loaded.train_x[row[:number]].reshape(-1, *shape) for row in rows])
    mean = train.mean(axis=(0, 1), dtype=float).astype(np.float32)
    chosen = np.isin(loaded.test_y, config.classes)
    places = {label: place for place, label in enumerate(config.classes)}
    return Inputs(
        arrays={
            "train_x": train - mean,
            "test_x": loaded.test_x[chosen].reshape(-1, *shape) - mean,
            "test_y": np.array([places[label] for label in loaded.test_y[chosen].tolist()]),
        },
        checksum=loaded.checksum,
        source=loaded.source,
    )


def simulate(key: Array, config: NetworkConfig, inputs: dict[str, Array]) -> dict[str, Array]:
    r"""Train in float32, then measure activations of mixed training images.

    Results, along the axes of :data:`DIMS`, for weights lambda of the first class:

    - ``loss``: mean loss of each epoch; ``accuracy`` on the test images of the classes;
    - ``row``, ``point``: rows of W and features on the plane that follows the rows: the isometry of
      their span, less its mean, that brings the rows nearest to a fixed simplex frame; NaN but for
      three classes, where the plane is all of the span;
    - ``difference``, ``distance``: means of :math:`z_i - z_j` and of :math:`|z_i - z_j|`;
    - ``cosine``: mean cosine of same-class features with the row of their class;
    - ``same_gap``: mean of :math:`z_i - z_o` of images of class i mixed with each other;
    - ``etf_error``: of the classifier, as in :mod:`twolayer.sims.mixup.collapse.free_classifier`;
    - ``outside``: share of the features' squared norm outside of that span;
    - ``kappa``: :math:`A / \mu` with A of the classifier's norm; for :math:`\mu = 0` that at which
      the exact solution has the same ``same_gap``;
    - ``optimum``, ``optimal_difference``: features on the plane and :math:`z_i - z_j` of Theorem B1
      at this kappa, for a frame of this strength;
    - ``optimum_error``: root mean square distance of the logits, less their means, from those of
      Theorem B1, in units of the length of the latter for a single class.
    """
    key_net, key_row, key_shuffle, key_mix, key_pairs = jax.random.split(key, 5)
    k, train_x = len(config.classes), inputs["train_x"]
    n, dtype = train_x.shape[1], train_x.dtype
    x = train_x.reshape(k * n, *config.shape)
    y = jnp.repeat(jnp.eye(k, dtype=dtype), n, axis=0)
    body: nn.Module = models.MLP((round(config.width),), config.dim)
    if config.net == "conv":
        body = models.ConvNet(config.dim, config.width)
    net = models.flatten(body, config.shape)
    frame = optimal_features.simplex_etf(None, k, config.dim, config.norm).astype(dtype)
    is_mixed = word_index(config, "samples") == SAMPLES.index("mixup")
    is_trained = word_index(config, "classifier") == CLASSIFIERS.index("trained")

    def classifier(params: dict[str, Array]) -> Array:
        return jnp.where(is_trained, params["row"], frame)

    def loss(params: dict[str, Array], x: Array, targets: Array) -> Array:
        h, w = net.apply(params["net"], x), classifier(params)
        fit = jnp.mean(optax.softmax_cross_entropy(h @ w.T, targets))
        features = jnp.mean(jnp.sum(h**2, axis=1))
        weights = jnp.sum(params["net"] ** 2) + jnp.sum(params["row"] ** 2)
        return fit + config.decay / 2 * features + config.weight_decay / 2 * weights

    def prepare(step: Array, x: Array, targets: Array) -> tuple[Array, Array]:
        key_partners, key_lam = jax.random.split(jax.random.fold_in(key_mix, step))
        # [measured] A uniform weight costs a fiftieth of a draw of the Dirichlet law in general.
        lam = jax.random.uniform(key_lam, x.shape[:1], dtype)
        lam = jnp.where(is_mixed, lam, 1)
        rows, weights = mixing.partners(key_partners, x.shape[0], 2), jnp.stack([lam, 1 - lam])
        return mixing.combine(x, rows, weights), mixing.combine(targets, rows, weights)

    bound = config.dim**-0.5
    fit = training.train(
        key_shuffle,
        {
            "net": net.initialise(key_net),
            "row": jax.random.uniform(key_row, (k, config.dim), dtype, -bound, bound),
        },
        loss,
        x,
        y,
        optimizer=optax.adam(jnp.asarray(config.rate, dtype)),
        batch=config.batch,
        epochs=config.epochs,
        score=lambda params: None,
        prepare=prepare,
    )
    w = classifier(fit.params)
    found = training.in_batches(
        lambda x: jnp.argmax(net.apply(fit.params["net"], x) @ w.T, axis=1),
        config.batch,
        inputs["test_x"],
    )

    lams = jnp.asarray(config.lams, dtype)
    rows = jax.random.randint(key_pairs, (2, k, k, config.pairs), 0, n)
    first = train_x[jnp.arange(k)[:, None, None], rows[0]]
    second = train_x[jnp.arange(k)[None, :, None], rows[1]]

    def mixed_features(lam: Array) -> Array:
        both = (lam * first + (1 - lam) * second).reshape(-1, *config.shape)
        return net.apply(fit.params["net"], both)

    features = jax.lax.map(mixed_features, lams).reshape(lams.shape[0], k, k, config.pairs, -1)
    features = jnp.moveaxis(features, 0, 2)
    measured = activations.measure(features, w, lams, config.decay)
    return {"loss": fit.loss, "accuracy": jnp.mean(found == inputs["test_y"]), **measured}
