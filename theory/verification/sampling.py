"""Draw random arrays for instances of theorems."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.scipy.stats import norm


def normals(key: Array, *shapes: tuple[int, ...]) -> list[Array]:
    """Independent normal arrays from one draw: a draw is what takes long to compile."""
    sizes = [math.prod(shape) for shape in shapes]
    parts = jnp.split(jax.random.normal(key, (sum(sizes),)), np.cumsum(sizes)[:-1])
    return [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]


def uniform(normal: Array) -> Array:
    """Independent uniform numbers in (0, 1) from independent normal ones."""
    return norm.cdf(normal)


def below(number: int, normal: Array) -> Array:
    """Independent uniform integers in 0 .. number - 1 from independent normal numbers."""
    return jnp.minimum((number * uniform(normal)).astype(int), number - 1)
