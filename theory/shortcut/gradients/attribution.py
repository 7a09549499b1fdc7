r"""Do input gradients highlight the signal? Measures of attributions.

An attribution ranks the coordinates of an input by the size of the gradient of a network's output.
It *leaks* where coordinates that carry no signal in this input rank as high as the one that does.
DiffROAR asks the same of data without known signals: is more of the label left in the top of the
ranking than in its bottom, for a network retrained on what was kept?

Source: measures [paper] of Shah, Jain, Netrapalli, NeurIPS 2021 (arXiv 2102.12781); leakage in
numbers [derived].
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Bool, Float, Int, Key

from twolayer.theory import geometry, validation


def input_gradient(f: Callable[[Array], Array], x: Float[Array, "n d"]) -> Float[Array, "n d"]:
    """Gradients of a scalar function at points, one a row.

    Args:
      f: ``(d,) -> ()``, for instance a logit of one input.
      x: points, shape ``(n, d)``.

    At a kink it is the element of the subdifferential that automatic differentiation takes: for a
    ReLU at 0 the slope 0.
    """
    return jax.vmap(jax.grad(f))(validation.matrix("x", x))


def leakage_stats(
    g: Float[Array, "n d"], x: Float[Array, "n d"], j: Int[Array, " n"], m: int | Int[Array, ""]
) -> dict[str, Array]:
    r"""How far gradients single out the coordinate that carries the signal, means over points.

    With :math:`S` the first m coordinates, of which only :math:`j_i` carries the signal of point i,

    - ``ratio``: :math:`|g_{j}|` over the mean of :math:`|g|` on the others of S;
    - ``null_ratio``: mean of :math:`|g|` outside of S over that on the others of S;
    - ``cos``: :math:`|\cos(x, g)|` on S;
    - ``top1``: share of points where j has the largest :math:`|g|` of all coordinates;
    - ``bottom1``: share where it has the smallest of S.

    Args:
      g: gradients, shape ``(n, d)``.
      x: points, of the same shape.
      j: places of the signal, integers in 0 .. m - 1.
      m: number of signal coordinates, 2 <= m <= d; may be traced.

    Returns:
      Scalars by name. A ratio over others that are all 0 is infinite (NaN for 0 over 0);
      ``null_ratio`` is NaN where m = d. Of equal entries the first one is largest, and smallest.

    Raises:
      ValueError: for shapes that do not fit, or m or j out of range.

    Source: [derived], spec C.2, the columns of its table.
    """
    g, x = validation.pair(g, x, ("g", "x"))
    n, d = g.shape
    if x.shape != g.shape:
        raise ValueError(f"x must have the shape of g, {g.shape}; got {x.shape}.")
    if validation.is_known(m):
        validation.integer("m", m, low=2)
    if not validation.holds(lambda m: m <= d, m):
        raise ValueError(f"m must be at most {d}, the number of coordinates; got {m}.")
    j = validation.integers("j", j, shape=(n,))
    if not validation.holds(lambda j, m: (j >= 0) & (j < m), j, m):
        raise ValueError(f"j must be below m and not negative; got {j} with m = {m}.")
    size = jnp.abs(g)
    place = jnp.arange(d)[None, :]
    signal, own = place < m, place == j[:, None]

    def mean(where: Array, number: ArrayLike) -> Array:
        return jnp.sum(jnp.where(where, size, 0), axis=1) / number

    others = mean(signal & ~own, m - 1)
    x, inside = jnp.where(signal, x, 0), jnp.where(signal, g, 0)
    unit_x, unit_g = (rows / geometry.norms(rows)[:, None] for rows in (x, inside))
    beyond = jnp.finfo(size.dtype).max
    largest, smallest = jnp.argmax(size, axis=1), jnp.argmin(jnp.where(signal, size, beyond), 1)
    return {
        "ratio": jnp.mean(mean(own, 1) / others),
        "null_ratio": jnp.mean(mean(~signal, jnp.asarray(d - m, g.dtype)) / others),
        "cos": jnp.mean(jnp.abs(jnp.sum(unit_x * unit_g, axis=1))),
        "top1": jnp.mean(largest == j, dtype=g.dtype),
        "bottom1": jnp.mean(smallest == j, dtype=g.dtype),
    }


def block_leakage(
    g: Float[Array, "n d"], signal: Bool[Array, "n d"]
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    r"""Mean size of gradients on the pixels without signal over that on those with it.

    Args:
      g: gradients, shape ``(n, d)``.
      signal: which coordinates belong to the block with the signal, of the same shape; every point
        has some that do and some that do not.

    Returns:
      Mean over points of :math:`\mathrm{mean}_{null} |g| / \mathrm{mean}_{signal} |g|`: 0 where
      gradients keep to the signal, 1 where they do not tell the blocks apart. And the share of
      points where the null block has the larger mean. A mean over gradients that are all 0 is
      infinite, and NaN for 0 over 0.

    Raises:
      ValueError: for shapes that do not fit, or a point that lacks one of the two.

    Source: [derived], spec C.3.
    """
    g = validation.matrix("g", g)
    signal = validation.flags("signal", signal, g.shape)
    if not validation.holds(lambda known: jnp.any(known, 1) & jnp.any(~known, 1), signal):
        raise ValueError("signal must have coordinates with and without it in every row.")
    size = jnp.abs(g)
    inside, outside = (
        jnp.sum(jnp.where(mask, size, 0), axis=1) / jnp.sum(mask, axis=1, dtype=g.dtype)
        for mask in (signal, ~signal)
    )
    return jnp.mean(outside / inside), jnp.mean(outside > inside, dtype=g.dtype)


def keep_top(
    x: Float[Array, "n d"], g: Float[Array, "n d"], k: float | Float[Array, ""]
) -> Float[Array, "n d"]:
    """Inputs with the share k of coordinates of largest ``|g|`` kept and all others 0.

    Args:
      x: inputs, shape ``(n, d)``.
      g: attributions, of the same shape; only the order of their sizes counts.
      k: share of the coordinates, 0 < k <= 1. ``max(1, round(k d))`` are kept, halves rounded to
        the even number; of equal sizes the one of lower index ranks higher.

    Raises:
      ValueError: for shapes that do not fit or k out of range.

    Source: [paper], x^{A_top^k}.
    """
    x = validation.matrix("x", x)
    rank, count = _ranking(x, g, k)
    return jnp.where(rank < count, x, 0)


def keep_bottom(
    x: Float[Array, "n d"], g: Float[Array, "n d"], k: float | Float[Array, ""]
) -> Float[Array, "n d"]:
    """As :func:`keep_top`, with the last coordinates of the same ranking kept.

    Source: [paper], x^{A_bot^k}.
    """
    x = validation.matrix("x", x)
    rank, count = _ranking(x, g, k)
    return jnp.where(rank >= x.shape[1] - count, x, 0)


def diffroar(
    train_eval: Callable[[Array, Any, Array], Array],
    x: Float[Array, "n d"],
    g: Float[Array, "n d"],
    y: Any,
    ks: ArrayLike,
    key: Key[Array, ""],
) -> Float[Array, " ks"]:
    r"""Predictive power of the top of a ranking of coordinates, less that of its bottom.

    .. math:: \mathrm{DiffROAR}(k) = \mathrm{acc}(x^{A_{top}^k}) - \mathrm{acc}(x^{A_{bot}^k}),

    each the test accuracy of a model trained anew on inputs of which only this part is left. It is
    positive where large gradients mean discriminative coordinates. The ranking of random
    attributions is exchangeable from top to bottom, so that its expectation is 0 exactly.

    Args:
      train_eval: ``(x_masked, y, key) -> ()``: splits the rows, trains on some with this key, and
        gives the accuracy on the others. Both parts of one k are trained with the same key, so that
        a retraining's luck cancels in part.
      x: inputs, shape ``(n, d)``.
      g: attributions, of the same shape.
      y: labels, handed on as they are.
      ks: shares, shape ``(ks,)``, each in (0, 1].
      key: random key; its fold with the index of k goes to ``train_eval``.

    Raises:
      ValueError: for shapes that do not fit or ks out of range.

    Source: [paper]; accuracies of retrained models stand for the supremum over a class of models.
    """
    x, g = validation.pair(x, g, ("x", "g"))
    shares = validation.vector("ks", ks)
    validation.number("ks", shares, low=0.0, high=1.0, open_low=True)
    key = validation.key("key", key)

    def at(item: tuple[Array, Array]) -> Array:
        k, index = item
        parts = jnp.stack([keep_top(x, g, k), keep_bottom(x, g, k)])
        fresh = jax.random.fold_in(key, index)
        top, bottom = jax.lax.map(lambda part: train_eval(part, y, fresh), parts)
        return top - bottom

    return jax.lax.map(at, (shares, jnp.arange(shares.shape[0])))


def _ranking(x: Array, g: Array, k: Any) -> tuple[Array, Array]:
    """Rank of every coordinate by decreasing size, and how many are kept."""
    x, g = validation.pair(x, g, ("x", "g"))
    if x.shape != g.shape:
        raise ValueError(f"g must have the shape of x, {x.shape}; got {g.shape}.")
    k = validation.scalar("k", k, low=0.0, high=1.0, open_low=True)
    order = jnp.argsort(-jnp.abs(g), axis=1, stable=True)
    count = jnp.maximum(1, jnp.round(k * x.shape[1])).astype(int)
    return jnp.argsort(order, axis=1), count
