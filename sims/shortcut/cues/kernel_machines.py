r"""Cues as coordinates: kernel regression against the vote of availabilities, beside networks.

An item with levels :math:`(l_k)` is :math:`x = (\alpha_k e_{l_k})_k`, without noise. A machine or a
network sees the diagonal alone, one item a level, and is asked for all other cells.

Source: Theorem B1 [derived]; alpha = (1, 1.3, 0.8) with five kernels at three times [measured].
"""

from __future__ import annotations

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from twolayer.sims.components import models, training
from twolayer.sims.engine.experiment import traced
from twolayer.sims.shortcut.cues.images import CUES, LEVELS
from twolayer.sims.shortcut.cues.networks import Cells, cross_entropy
from twolayer.theory import validation
from twolayer.theory.kernels import activations, deep
from twolayer.theory.kernels.deep import Kernel
from twolayer.theory.shortcut.cues import accuracy
from twolayer.theory.training import kernel_flow

_tangent = deep.neural_tangent_kernel
KERNELS: dict[str, Kernel] = {
    "linear": deep.linear_kernel,
    "ReLU": functools.partial(_tangent, activation=activations.relu()),
    "ReLU, biases": functools.partial(_tangent, activation=activations.relu(), bias=1.0),
    "ReLU, 2 hidden": functools.partial(_tangent, activation=activations.relu(), depth=2),
    "erf": functools.partial(_tangent, activation=activations.erf()),
}
# Points of each level, for the control.
_UNBALANCED = (4, 1, 1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class MachineConfig:
    """Kernels at ``times``, in units of the inverse of the eigenvalue that matters, for ``alpha``;
    and at the last one for ``alpha`` with its first entry replaced by each of ``first``, beside
    networks of one hidden layer trained by Adam for ``steps`` full batches.
    """

    alpha: tuple[float, ...] = traced((1.0, 1.3, 0.8))
    times: tuple[float, ...] = traced((1e-3, 1.0, 1e6))
    first: tuple[float, ...] = traced(tuple(float(2**power) for power in np.linspace(-2, 2, 21)))
    width: int = 256
    steps: int = 200
    rate: float = traced(3e-3)

    def __post_init__(self) -> None:
        if len(self.alpha) != 3:
            raise ValueError(f"alpha must have one entry for each of 3 cues; got {self.alpha}.")
        for name in ("alpha", "times", "first"):
            values = getattr(self, name)
            if not values:
                raise ValueError(f"{name} must hold at least one value.")
            for value in values:
                validation.number(name, value, low=0.0, open_low=True)
        for name in ("width", "steps"):
            validation.integer(name, getattr(self, name))
        validation.number("rate", self.rate, low=0.0, open_low=True)


DIMS = {
    "wrong": ("kernel", "time"),
    "unbalanced_wrong": ("kernel", "time"),
    "cells": (),
    "vote": ("first", "cue"),
    "kernel": ("kernel", "first", "cue"),
    "network": ("first", "cue"),
    "agreement": ("first",),
}


def coords(config: MachineConfig) -> dict[str, list]:
    """Values along each axis of the results."""
    return {
        "kernel": list(KERNELS),
        "time": list(config.times),
        "first": list(config.first),
        "cue": list(CUES[: len(config.alpha)]),
    }


def simulate(key: Array, config: MachineConfig, inputs: dict[str, Array]) -> dict[str, Array]:
    """Kernels in float64, networks in float32.

    Results, along the axes of :data:`DIMS`:

    - ``wrong``: off-diagonal cells, out of ``cells``, where a kernel machine does not predict the
      vote's level; ``unbalanced_wrong``: with four copies of the item of the first level;
    - ``vote``, ``kernel``, ``network``: accuracies off the diagonal for the label of each cue, as
      the availability of the first varies; ``agreement``: share of cells where networks predict the
      vote's level.
    """
    alpha = jnp.asarray(config.alpha, jnp.float64)
    cells = Cells.of(alpha.shape[0])
    vote = accuracy.cue_vote(alpha, cells.off)

    def wrong(kernel: Kernel, time: Array, copies: tuple[int, ...]) -> Array:
        return jnp.sum(_predict(kernel, time, alpha, cells, copies) != vote)

    def table(copies: tuple[int, ...]) -> Array:
        times = jnp.asarray(config.times, jnp.float64)
        columns = [
            jax.lax.map(functools.partial(wrong, kernel, copies=copies), times)
            for kernel in KERNELS.values()
        ]
        return jnp.stack(columns)

    first = jnp.asarray(config.first, jnp.float64)
    rows = jax.vmap(lambda value: alpha.at[0].set(value))(first)
    net = models.flatten(models.MLP((config.width,), LEVELS), (alpha.shape[0] * LEVELS,))
    last = jnp.asarray(config.times, jnp.float64)[-1]

    def at_row(pair: tuple[Array, Array]) -> tuple[Array, ...]:
        row, key = pair
        voted = accuracy.cue_vote(row, cells.off)
        machines = [_predict(kernel, last, row, cells) for kernel in KERNELS.values()]
        learned = _train(key, net, row, cells, config)
        by_kernel = jnp.stack([accuracy.cue_accuracy(each, cells.off) for each in machines])
        return (
            accuracy.cue_accuracy(voted, cells.off),
            by_kernel,
            accuracy.cue_accuracy(learned, cells.off),
            jnp.mean(learned == voted),
        )

    keys = jax.random.split(key, first.shape[0])
    voted, machines, learned, agreement = jax.lax.map(at_row, (rows, keys))
    return {
        "wrong": table((1,) * LEVELS),
        "unbalanced_wrong": table(_UNBALANCED),
        "cells": jnp.asarray(cells.off.shape[0]),
        "vote": voted,
        "kernel": jnp.swapaxes(machines, 0, 1),
        "network": learned,
        "agreement": agreement,
    }


def items(alpha: Array, levels: Array) -> Array:
    """One row ``(alpha_k e_{l_k})_k`` for each item, shape ``(n, 3 k)``."""
    rows = jax.nn.one_hot(levels, LEVELS, dtype=alpha.dtype) * alpha[None, :, None]
    return rows.reshape(levels.shape[0], -1)


def _predict(
    kernel: Kernel, time: Array, alpha: Array, cells: Cells, copies: tuple[int, ...] = (1,) * LEVELS
) -> Array:
    """Levels that gradient flow of kernel regression on the diagonal predicts off it."""
    labels = jnp.asarray(np.repeat(np.arange(LEVELS), copies))
    train = items(alpha, cells.diagonal[labels])
    one_hot = jax.nn.one_hot(labels, LEVELS, dtype=alpha.dtype)
    targets = one_hot - jnp.mean(one_hot, axis=0, keepdims=True)
    ends = kernel(train[:1], train)[0]
    rate = time / (ends[0] - ends[-1])
    rows = kernel(items(alpha, cells.off), train)

    def score(target: Array) -> Array:
        return kernel_flow.kernel_flow(kernel(train, train), rows, target, rate[None])[0]

    return jnp.argmax(jax.vmap(score, in_axes=1, out_axes=1)(targets), axis=1)


def _train(
    key: Array, net: models.Flat, alpha: Array, cells: Cells, config: MachineConfig
) -> Array:
    """Levels that a network trained on the diagonal predicts off it."""
    key_net, key_order = jax.random.split(key)
    alpha = alpha.astype(jnp.float32)
    fit = training.train(
        key_order,
        net.initialise(key_net),
        cross_entropy(net),
        items(alpha, cells.diagonal),
        cells.diagonal[:, 0],
        optimizer=optax.adam(jnp.float32(config.rate)),
        batch=LEVELS,
        epochs=config.steps,
        score=lambda params: (),
    )
    return jnp.argmax(net.apply(fit.params, items(alpha, cells.off)), axis=1)
