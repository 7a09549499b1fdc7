r"""The loss around a solution: how flat it is, and paths from one solution to another.

Source: measures [paper] of Scimeca et al., ICLR 2022 (arXiv 2110.03095); curves as in Garipov et
al., NeurIPS 2018.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Key

from twolayer.theory import validation


def unit_directions(key: Key[Array, ""], number: int, like: Float[Array, "p"]) -> Array:
    """Independent directions, uniform on the unit sphere of all parameters jointly.

    Args:
      key: random key.
      number: of directions, at least 1.
      like: a vector of their length and dtype; float32 for shorter floats.

    Returns:
      Rows of norm 1, shape ``(number, p)``.
    """
    number = validation.integer("number", number)
    like = validation.vector("like", like)
    normal = jax.random.normal(validation.key("key", key), (number, *like.shape), like.dtype)
    return normal / jnp.linalg.norm(normal, axis=1, keepdims=True)


def flatness(
    loss: Callable[[Array], Array],
    params: Float[Array, "p"],
    key: Key[Array, ""],
    radii: Float[Array, "r"],
    num_directions: int,
) -> Float[Array, "r num_directions"]:
    r"""Rise of the loss at distances r, :math:`L(\theta + r u) - L(\theta)`, in random directions.

    Its mean over directions is :math:`S(r)`; a lower one is flatter. For a quadratic loss with
    Hessian H it is :math:`r^2\, \mathrm{tr} H / 2p`. It changes where layers are rescaled without
    changing the function, so that it should be shown against :math:`r / |\theta|` too.

    Args:
      loss: ``(p,) -> ()``; called in float32 where params are shorter floats.
      params: theta, all parameters as one vector.
      key: of the directions, which all radii share.
      radii: shape ``(r,)``, each at least 0.
      num_directions: at least 1.

    Returns:
      Shape ``(r, num_directions)``.

    Raises:
      ValueError: for a negative radius, shapes that are no vectors, or no direction.
    """
    params = validation.vector("params", params)
    radii = validation.vector("radii", validation.number("radii", radii, low=0.0))
    num_directions = validation.integer("num_directions", num_directions)
    directions = unit_directions(key, num_directions, params)
    start = loss(params)
    points = radii.shape[0] * num_directions

    def rise(index: Array) -> Array:
        row, column = jnp.divmod(index, num_directions)
        return loss(params + radii[row].astype(params.dtype) * directions[column]) - start

    return jax.lax.map(rise, jnp.arange(points)).reshape(radii.shape[0], num_directions)


def bezier(start: Array, bend: Array, end: Array, t: Array) -> Array:
    r"""Quadratic curve :math:`(1-t)^2 \theta_0 + 2t(1-t)\, w + t^2 \theta_1` at one t in [0, 1].

    Args:
      start: theta_0, at t = 0.
      bend: w, where the curve is drawn to; the middle of both ends makes it straight.
      end: theta_1, at t = 1.
      t: shape ``()``.
    """
    start = validation.vector("start", start)
    bend = validation.vector("bend", bend, length=start.shape[0])
    end = validation.vector("end", end, length=start.shape[0])
    t = jnp.asarray(validation.scalar("t", t)).astype(start.dtype)
    return (1 - t) ** 2 * start + 2 * t * (1 - t) * bend + t**2 * end


def barrier(losses: Float[Array, "t"]) -> Float[Array, ""]:
    """How far the loss along a path rises above the larger one of its ends; at least 0.

    Args:
      losses: along the path, ends included, shape ``(t,)`` with t >= 2.

    Raises:
      ValueError: for fewer than two losses.
    """
    losses = validation.vector("losses", losses)
    if losses.shape[0] < 2:
        raise ValueError(f"losses must have length 2 or more; got {losses.shape[0]}.")
    return jnp.max(losses) - jnp.maximum(losses[0], losses[-1])
