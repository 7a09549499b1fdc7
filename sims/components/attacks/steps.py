"""Steps and starting points of attacks, on points as rows.

Nothing depends on the scale of gradients or perturbations: before their length is taken they are
divided by a power of two, which is exact.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

# The published attacks: step as a share of eps, step on L0's coordinates; how far short of eps
# perturbations are rescaled, and their smallest eps.
STEP_SHARE, L0_STEP = 0.2, 0.3
_SHORT, _SMALLEST = 1e-7, 1e-3


def rescaled(rows: Array, clean: Array, gradient: Array, eps: Array, order: Any) -> Array:
    """A step of eps / 5 along -gradient, then the perturbation rescaled into the ball."""
    towards = gradient / _power(gradient)
    length = jnp.linalg.norm(towards, order, axis=1, keepdims=True)
    delta = rows - STEP_SHARE * eps * towards / jnp.where(length > 0, length, 1) - clean
    power = _power(delta)
    reached = power * jnp.linalg.norm(delta / power, order, axis=1, keepdims=True)
    # Of smaller radii than the published ones it would be a part that counts.
    short = jnp.where(eps < _SMALLEST, 0, _SHORT)
    outside = reached > eps
    return clean + delta * jnp.where(outside, eps / jnp.where(outside, reached + short, 1), 1)


def signed(rows: Array, clean: Array, gradient: Array, eps: Array) -> Array:
    """A step of eps / 5 against every sign, then a clip of every coordinate."""
    moved = rows - clean - STEP_SHARE * eps * jnp.sign(gradient)
    return clean + jnp.clip(moved, -eps, eps)


def one_more(rows: Array, clean: Array, gradient: Array) -> Array:
    """Move all changed coordinates and the unchanged one of largest gradient."""
    changed = rows != clean
    joining = jnp.argmax(jnp.where(changed, 0, jnp.abs(gradient)), axis=1)
    moving = changed | jax.nn.one_hot(joining, rows.shape[1], dtype=bool)
    force = jnp.where(moving, gradient, 0)
    force = force / _power(force)
    largest = jnp.max(jnp.abs(force), axis=1, keepdims=True)
    return rows - L0_STEP * force / jnp.where(largest > 0, largest, 1)


def leaving(rows: Array, gradient: Array, low: Array, high: Array) -> Array:
    """Mark coordinates that a step would take out of the box."""
    return ((rows <= low) & (gradient > 0)) | ((rows >= high) & (gradient < 0))


def in_ball(key: Array, clean: Array, eps: Array) -> Array:
    """Points that are uniform in Euclidean balls."""
    key_direction, key_radius = jax.random.split(key)
    normal = jax.random.normal(key_direction, clean.shape, clean.dtype)
    share = jax.random.uniform(key_radius, (clean.shape[0], 1), clean.dtype)
    radius = share ** (1 / clean.shape[1]) / jnp.linalg.norm(normal, axis=1, keepdims=True)
    return clean + eps * (radius * normal)


def in_cube(key: Array, clean: Array, eps: Array) -> Array:
    """Points that are uniform in balls of the maximum norm."""
    return clean + eps * jax.random.uniform(key, clean.shape, clean.dtype, -1, 1)


def _power(rows: Array) -> Array:
    """The power of two at or below the largest entry of each row, 1 for a row of zeros."""
    largest = jnp.max(jnp.abs(rows), axis=1, keepdims=True)
    largest = jnp.where(largest > 0, largest, 1)
    mantissa, _ = jnp.frexp(largest)
    return largest / (2 * mantissa)
