r"""Mixing of samples: pairs or more points, any weights, other weights for labels than for inputs.

.. math:: \tilde x_i = \sum_{p=1}^{k} \lambda_p\, x_{\sigma_p(i)}, \qquad
          \tilde t_i = \sum_{p=1}^{k} \mu_p\, t_{\sigma_p(i)}

with targets t as distributions over classes (one-hot rows of labels) and :math:`\mu = \lambda` in
the usual mixup. In a training step, before the gradient::

    x, targets = mixing.mix(key, x, jax.nn.one_hot(y, 10))
    loss = optax.softmax_cross_entropy(logits(params, x), targets).mean()

Midpoint mixup is ``weights=(0.5, 0.5)``; mixup of k points with Dirichlet weights ``points=k``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from twolayer.theory import precision, validation

Weights = Sequence[float] | Array
_ROUNDING = 1e-5


def mix(
    key: Array,
    x: Array,
    targets: Array,
    *,
    points: int = 2,
    concentration: float | Array = 1.0,
    per_batch: bool = False,
    weights: Weights | None = None,
    label_weights: Weights | None = None,
) -> tuple[Array, Array]:
    """A batch, mixed with shuffles of itself.

    Weights are in the wider dtype of inputs and targets, at least in float32, and the last one is 1
    less the others: mixed distributions sum to 1 to the rounding of their own dtype.

    Args:
      key: of the shuffles and the weights.
      x: inputs, shape ``(n, ...)``.
      targets: what is mixed alongside, shape ``(n, classes)``; or ``(n,)``, of any floats, but of
        integers labels -1 and +1 alone.
      points: number of samples in each mixture; 1 leaves the batch as it is.
      concentration: of the symmetric Dirichlet law of the weights, positive; 1 is uniform on the
        simplex, and Beta(c, c) for two points.
      per_batch: draw one vector of weights for the whole batch, not one for each sample.
      weights: fixed weights of the inputs, ``points`` numbers of sum 1, in place of drawn ones.
      label_weights: fixed weights of the targets, likewise; by default those of the inputs.

    Returns:
      Mixed inputs and targets, of the shapes and dtypes that came; of integers floats.

    Raises:
      ValueError: for other numbers of inputs than targets, for weights that are negative, do not
        sum to 1 or are not ``points`` many, for a concentration that is not positive, and for
        classes as integers, whose means are no labels.
    """
    key = validation.key("key", key)
    points = validation.integer("points", points)
    validation.scalar("concentration", concentration, low=0.0, open_low=True)
    x, targets = jnp.asarray(x), jnp.asarray(targets)
    if x.ndim < 1 or x.shape[:1] != targets.shape[:1] or x.shape[0] == 0:
        raise ValueError(
            "x and targets must hold the same number of samples, at least one; "
            f"got shapes {x.shape} and {targets.shape}."
        )
    if targets.shape[1:] in ((), (1,)) and not jnp.issubdtype(targets.dtype, jnp.floating):
        if not validation.holds(lambda known: jnp.abs(known.astype(float)) == 1, targets):
            raise ValueError(
                "targets must be labels -1 and +1, or classes as rows (one-hot, for instance "
                f"jax.nn.one_hot(targets, classes)); got {targets.dtype} of shape {targets.shape}."
            )
    n, dtype = x.shape[0], precision.wider(x.dtype, targets.dtype)
    key_partners, key_weights = jax.random.split(key)
    rows = partners(key_partners, n, points)
    if weights is None:
        inputs = dirichlet(key_weights, points, 1 if per_batch else n, concentration, dtype)
    else:
        inputs = _fixed("weights", weights, points, dtype)
    labels = inputs
    if label_weights is not None:
        labels = _fixed("label_weights", label_weights, points, dtype)
    return combine(x, rows, inputs), combine(targets, rows, labels)


def partners(key: Array, n: int, points: int) -> Array:
    """Rows that are mixed, shape ``(points, n)``: every sample, and shuffles independent of it."""
    key = validation.key("key", key)
    n, points = validation.integer("n", n), validation.integer("points", points)
    shuffles = [jax.random.permutation(key, n) for key in jax.random.split(key, max(points - 1, 1))]
    return jnp.stack([jnp.arange(n), *shuffles[: points - 1]])


def dirichlet(
    key: Array, points: int, n: int, concentration: float | Array, dtype: DTypeLike
) -> Array:
    """Weights of n mixtures by the symmetric Dirichlet law, shape ``(points, n)``.

    In the dtype that is asked for, in float32 for shorter ones. A concentration to 0 gives one
    point all the weight, one to infinity equal weights; none gives NaN.
    """
    key = validation.key("key", key)
    points, n = validation.integer("points", points), validation.integer("n", n)
    validation.scalar("concentration", concentration, low=0.0, open_low=True)
    dtype = precision.wider(dtype)
    if validation.is_known(concentration) and float(concentration) == 1:
        # [measured] The sampler of the law in general takes fifty times as long, and a second to
        # compile; exponential numbers over their sum are uniform on the simplex.
        drawn = shares(key, (points, n), dtype)
        return _last(drawn / jnp.sum(drawn, axis=0, keepdims=True))
    # Beyond these the law has reached its limits, and its sampler leaves the range of the dtype.
    limit = 2.0 ** (jnp.finfo(dtype).maxexp // 2)
    level = jnp.clip(jnp.asarray(concentration).astype(dtype), 1 / limit, limit)
    return _last(jax.random.dirichlet(key, jnp.full(points, level), (n,), dtype).T)


def shares(key: Array, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
    """Exponential numbers, none of them 0: over their sum they are uniform on the simplex."""
    key, dtype = validation.key("key", key), precision.wider(dtype)
    # One draw in 2^23 of float32 is 0: it becomes half of the smallest of the others.
    return jnp.maximum(jax.random.exponential(key, shape, dtype), jnp.finfo(dtype).eps / 2)


def all_pairs(n: int) -> Array:
    """Rows of all ordered pairs, shape ``(2, n * n)``, each sample with itself among them."""
    return jnp.indices((validation.integer("n", n), n)).reshape(2, -1)


def combine(values: Array, rows: Array, weights: Array) -> Array:
    """Weighted sums of rows of ``values``.

    Args:
      values: shape ``(n, ...)``.
      rows: indices, shape ``(points, k)``.
      weights: shape ``(points, k)``, or ``(points, 1)`` for all alike.

    Returns:
      Shape ``(k, ...)``, in the dtype of ``values``, or float where that is an integer. Sums are
      taken in the dtype of ``values``, in float32 for short floats.

    Raises:
      ValueError: for no values, for weights of another shape, and for rows that there are not
        (outside ``jit``, where they are taken for the nearest).
    """
    values, weights = jnp.asarray(values), jnp.asarray(weights)
    rows = validation.integers("rows", rows, shape=(None, None))
    if values.ndim < 1 or values.shape[0] == 0:
        raise ValueError(f"values must have at least one row; got shape {values.shape}.")
    if weights.shape[:1] != rows.shape[:1] or weights[0].size not in (1, rows.shape[1]):
        raise ValueError(
            f"weights must be of the shape of rows, {rows.shape}, or of one column; "
            f"got shape {weights.shape}."
        )
    if not validation.holds(lambda rows: (rows >= 0) & (rows < values.shape[0]), rows):
        raise ValueError(f"rows must be in [0, {values.shape[0]}), those of values; got others.")
    dtype = precision.wider(values.dtype)
    total: Any = 0
    for index, weight in zip(rows, weights, strict=True):
        weight = weight.astype(dtype).reshape(-1, *(1,) * (values.ndim - 1))
        total = total + weight * values[index].astype(dtype)
    return total.astype(values.dtype) if jnp.issubdtype(values.dtype, jnp.floating) else total


def _fixed(name: str, weights: Weights, points: int, dtype: DTypeLike) -> Array:
    """Fixed weights as a column, shape ``(points, 1)``."""
    vector = validation.vector(name, weights, length=points)
    if not validation.holds(
        lambda vector: (vector >= 0) & (jnp.abs(jnp.sum(vector) - 1) <= _ROUNDING), vector
    ):
        raise ValueError(f"{name} must be non-negative and sum to 1; got {weights}.")
    return _last(vector[:, None].astype(dtype))


def _last(weights: Array) -> Array:
    """Weights of mixtures in columns, the last of each as what the others leave of 1."""
    return jnp.concatenate(
        [weights[:-1], jnp.maximum(1 - jnp.sum(weights[:-1], axis=0, keepdims=True), 0)]
    )
