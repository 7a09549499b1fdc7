"""Mini-batch training as one scan, with any optimiser of optax and any preparation of a batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import struct
from jax import Array

from twolayer.theory import precision, validation

# Published [code]: momentum, weight decay, and a rate that falls tenfold when the loss of an epoch
# has not come down by 1e-4 of its best value for more than ten epochs.
MOMENTUM, WEIGHT_DECAY = 0.9, 5e-4
_FACTOR, _PATIENCE, _THRESHOLD = 0.1, 10, 1e-4


@struct.dataclass
class Fit:
    """A finished training: its parameters, and what was seen after each of E epochs."""

    params: Any
    loss: Array  # (E,), mean over the epoch's batches, each before its step; at least float32
    scale: Array  # (E,), the plateau rule's factor on the steps of the epoch
    scores: Any  # what ``score`` gave, with a leading axis (E,)


def momentum(rate: Any) -> optax.GradientTransformation:
    """The published optimiser [code]: Nesterov momentum 0.9 and weight decay 5e-4.

    Args:
      rate: the learning rate, non-negative, which may be traced; or optax's schedule of it.

    Raises:
      ValueError: for a rate that is no number, negative or not finite.
    """
    if not callable(rate):
        rate = validation.scalar("rate", rate, low=0.0)
    return optax.chain(
        optax.add_decayed_weights(WEIGHT_DECAY), optax.sgd(rate, MOMENTUM, nesterov=True)
    )


def train(
    key: Array,
    params: Any,
    loss: Callable[[Any, Array, Array], Array],
    x: Array,
    y: Array,
    *,
    optimizer: optax.GradientTransformation,
    batch: int,
    epochs: int,
    score: Callable[[Any], Any],
    prepare: Callable[[Array, Array, Array], tuple[Array, Array]] | None = None,
    on_plateau: bool = False,
) -> Fit:
    """Train on shuffled batches; samples that do not fill the last batch of an epoch sit it out.

    Args:
      key: of the shuffles.
      params: where to start, a pytree of one dtype.
      loss: ``(params, x, y) -> ()``, the mean over a batch.
      x: inputs, shape ``(n, ...)``.
      y: labels, or targets as rows, shape ``(n, ...)``.
      optimizer: for instance ``optax.adam(1e-3)`` or :func:`momentum`; its rate may be traced.
      batch: samples per step.
      epochs: passes over the data.
      score: recorded of the parameters after each epoch.
      prepare: ``(step, x, y) -> (x, y)`` of every batch before its gradient, as
        :func:`twolayer.sims.components.mixing.mix` with a key folded with the number of the step.
      on_plateau: reduce the rate tenfold where the loss of an epoch no longer falls [code].

    Raises:
      ValueError: if x and y differ in length, or hold fewer samples than a batch.
    """
    batch = validation.integer("batch", batch)
    epochs = validation.integer("epochs", epochs)
    # NumPy's own arrays cannot be indexed by what is traced.
    x, y = jnp.asarray(x), jnp.asarray(y)
    if x.ndim < 1 or x.shape[:1] != y.shape[:1] or x.shape[0] < batch:
        raise ValueError(
            f"x and y must hold the same number of samples, at least a batch of {batch}; "
            f"got shapes {x.shape} and {y.shape}."
        )
    num_batches = x.shape[0] // batch
    # It counts one epoch less: that in which the rate falls is the last of them, not the next.
    plateau = optax.contrib.reduce_on_plateau(_FACTOR, _PATIENCE + 1, rtol=_THRESHOLD)

    def epoch(
        carry: tuple[Any, Any, Any], scanned: tuple[Array, Array]
    ) -> tuple[tuple[Any, Any, Any], Any]:
        (params, moments, schedule), (key, first) = carry, scanned
        order = jax.random.permutation(key, x.shape[0])[: num_batches * batch]

        def step(
            carry: tuple[Any, Any], scanned: tuple[Array, Array]
        ) -> tuple[tuple[Any, Any], Array]:
            (params, moments), (index, at) = carry, scanned
            samples = x[index], y[index]
            if prepare is not None:
                samples = prepare(at, *samples)
            value, gradient = jax.value_and_grad(loss)(params, *samples)
            updates, moments = optimizer.update(gradient, moments, params)
            if on_plateau:
                scale = schedule.scale
                updates = jax.tree.map(lambda leaf: scale.astype(leaf.dtype) * leaf, updates)
            return (optax.apply_updates(params, updates), moments), value

        batches = order.reshape(num_batches, batch), first + jnp.arange(num_batches)
        (params, moments), values = jax.lax.scan(step, (params, moments), batches)
        mean = jnp.mean(values, dtype=precision.wider(values.dtype))
        with jax.numpy_dtype_promotion("standard"):  # optax multiplies integers by floats
            _, after = plateau.update({}, schedule, value=mean)
        return (params, moments, after), (mean, schedule.scale, score(params))

    start = (params, optimizer.init(params), plateau.init(params))
    firsts = num_batches * jnp.arange(epochs)
    (params, _, _), history = jax.lax.scan(epoch, start, (jax.random.split(key, epochs), firsts))
    return Fit(params, *history)


def in_batches(fn: Callable[..., Any], size: int, *arrays: Array) -> Any:
    """``fn`` of rows, ``size`` of them at a time, so that memory does not grow with their number.

    ``fn`` must treat rows independently. The last batch is filled up with zeros, whose results are
    dropped, so that ``fn`` is compiled for one shape.

    Raises:
      ValueError: for no arrays, no rows, or other numbers of them.
    """
    lengths = [np.shape(array)[:1] for array in arrays]
    if not lengths or lengths[0] in ((), (0,)) or len(set(lengths)) > 1:
        raise ValueError(
            "arrays must hold the same number of rows, at least one; "
            f"got shapes {[np.shape(array) for array in arrays]}."
        )
    n = lengths[0][0]
    size = min(validation.integer("size", size), n)
    short = -n % size

    def split(array: Array) -> Array:
        padded = jnp.pad(array, ((0, short), *((0, 0),) * (array.ndim - 1)))
        return padded.reshape(-1, size, *array.shape[1:])

    results = jax.lax.map(lambda parts: fn(*parts), tuple(map(split, arrays)))
    return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:])[:n], results)
