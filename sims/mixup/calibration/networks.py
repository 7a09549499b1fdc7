r"""Training on mixed samples, and the scores of what comes out: the common part of two studies.

A network is trained with cross-entropy on mixtures of 1 (plain training), 2 or more points with
Dirichlet(1) weights, and scored on a test set as it is and after two temperature fits to a
calibration set: the exact one, and one that stops early, a labelled variant.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import Array

from twolayer.sims.components import mixing, models, training
from twolayer.theory import validation
from twolayer.theory.mixup.calibration import scores as calibration

# One call of a quasi-Newton optimiser as in the published code: 20 iterations, damped [code].
WEAK_STEPS, WEAK_RATE = 20, 0.01

# Results of :func:`trained`, each one number for each number of mixed points.
SCORES = (
    "error",
    "nll_raw",
    "nll_exact",
    "nll_weak",
    "nll_calibration",
    "ece_raw",
    "ece_exact",
    "beta_exact",
    "beta_weak",
)


def check_points(points: Sequence[int]) -> None:
    """Numbers of mixed points are distinct, at least one of them, each at least 1."""
    for number in points:
        validation.integer("points", number)
    if not points or len(set(points)) < len(points):
        raise ValueError(f"points must be distinct, at least one; got {points}.")


def trained(
    key: Array,
    train: tuple[Array, Array],
    calibrate: tuple[Array, Array],
    test: tuple[Array, Array],
    *,
    classes: int,
    hidden: int,
    points: tuple[int, ...],
    batch: int,
    epochs: int,
    rate: float | Array,
) -> dict[str, Array]:
    """Scores of a perceptron with one hidden layer for each number of mixed points.

    All start from the same parameters and see the same batches. Training is in float32, scores are
    in float64.

    Args:
      key: random key.
      train: inputs, shape ``(n, d)``, and integer labels; ``calibrate`` and ``test`` likewise.
      calibrate: what temperatures are fitted to.
      test: what is scored.
      classes: number of outputs.
      hidden: width of the hidden layer.
      points: numbers of mixed points; 1 is plain training.
      batch: samples per step.
      epochs: passes over the training set.
      rate: of Adam.

    Returns:
      :data:`SCORES`, each of shape ``(len(points),)``: the test error; the test set's NLL raw,
      after the exact fit and after the weak one; the calibration set's NLL after the exact fit;
      expected calibration errors; inverse temperatures.
    """
    key_start, key_order, key_mix = jax.random.split(key, 3)
    x, labels = train
    net = models.flatten(models.MLP((hidden,), classes), x.shape[1:])
    start = net.initialise(key_start)
    networks = range(len(points))

    def loss(params: Array, inputs: Any, targets: Any) -> Array:
        """The sum over the networks, which leaves each one's gradient its own."""
        losses = [
            jnp.mean(optax.softmax_cross_entropy(net.apply(params[i], inputs[i]), targets[i]))
            for i in networks
        ]
        return jnp.sum(jnp.stack(losses))

    def prepare(step: Array, x: Array, targets: Array) -> Any:
        return mixtures(jax.random.fold_in(key_mix, step), x, targets, points)

    # [measured] Side by side networks share shuffles and a scan; one after another takes half as
    # long again. Adam acts on every parameter alone.
    fit = training.train(
        key_order,
        jnp.tile(start, (len(points), 1)),
        loss,
        x,
        jax.nn.one_hot(labels, classes, dtype=x.dtype),
        optimizer=optax.adam(rate),
        batch=batch,
        epochs=epochs,
        score=lambda params: (),
        prepare=prepare,
    )

    def outputs(inputs: Array) -> Array:
        found = jnp.stack([net.apply(fit.params[i], inputs) for i in networks])
        return found.astype(jnp.float64)

    return jax.lax.map(
        lambda pair: scores(pair[0], calibrate[1], pair[1], test[1]),
        (outputs(calibrate[0]), outputs(test[0])),
    )


def mixtures(
    key: Array, x: Array, targets: Array, points: tuple[int, ...]
) -> tuple[list[Array], list[Array]]:
    """A batch mixed for each number of points, with one vector of weights as published [code].

    Mixtures of fewer points use the first shuffles of those of more, and the first weights over
    their sum, so that each law is Dirichlet(1).

    Returns:
      For each number of points the mixed inputs, and the mixed targets, of the shapes that came.
    """
    key_rows, key_weights = jax.random.split(key)
    rows = mixing.partners(key_rows, x.shape[0], max(points))
    # [measured] The sampler of any Dirichlet law takes a second to compile; this one is uniform.
    shares = mixing.shares(key_weights, (max(points), 1), x.dtype)
    weights = [shares[:number] / jnp.sum(shares[:number]) for number in points]
    inputs, labels = (
        [mixing.combine(values, rows[: len(each)], each) for each in weights]
        for values in (x, targets)
    )
    return inputs, labels


def scores(fitted: Array, fitted_labels: Array, scored: Array, labels: Array) -> dict[str, Array]:
    """:data:`SCORES` of one network's logits on a calibration set and on a test set."""
    exact = calibration.fit_temperature(fitted, fitted_labels)
    weak = calibration.ts_weak(fitted, fitted_labels, steps=WEAK_STEPS, rate=WEAK_RATE)
    return {
        "error": jnp.mean(jnp.argmax(scored, axis=1) != labels),
        "nll_raw": calibration.nll(scored, labels),
        "nll_exact": calibration.nll(exact * scored, labels),
        "nll_weak": calibration.nll(weak * scored, labels),
        "nll_calibration": calibration.nll(exact * fitted, fitted_labels),
        "ece_raw": calibration.ece(scored, labels),
        "ece_exact": calibration.ece(exact * scored, labels),
        "beta_exact": exact,
        "beta_weak": weak,
    }
