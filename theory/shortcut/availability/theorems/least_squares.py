"""Least squares on a sample of two classes, which is linear discriminant analysis.

[derived], Theorem A1 (iii).
"""

from __future__ import annotations

import functools

import jax.numpy as jnp
from flax import struct
from jax import Array

from twolayer.theory.shortcut.availability import data
from twolayer.theory.verification.inequality import Bounds, equal, same_sign, strictly_less
from twolayer.theory.verification.sampling import normals
from twolayer.theory.verification.theorem import Control, Parameters, Size, Theorem


@struct.dataclass
class Sample:
    """Items of two classes; what turns and stretches them."""

    x: Array  # (n, 2)
    alpha: Array  # (2,)

    @property
    def y(self) -> Array:
        """Labels, alternating."""
        return jnp.where(jnp.arange(self.x.shape[0]) % 2 == 0, 1.0, -1.0)


def _sample_items(key: Array, size: Size, parameters: Parameters) -> Sample:
    (x,) = normals(key, (size["n"], 2))
    half = parameters["log_ratio"] / 2
    return Sample(x=x, alpha=10.0 ** jnp.stack([half, -half]))


def _condition(x: Array, y: Array) -> Array:
    """Of the items' covariance within a class."""
    of_class = jnp.stack([y > 0, y < 0]).astype(x.dtype)
    centred = x - of_class.T @ (of_class @ x / jnp.sum(of_class, axis=1, keepdims=True))
    scatter = centred.T @ centred
    determinant = scatter[0, 0] * scatter[1, 1] - scatter[0, 1] ** 2
    # At least the condition, and at most what it is plus 3.
    return (scatter[0, 0] + scatter[1, 1]) ** 2 / determinant


def _is_spread(at: Sample) -> Bounds:
    condition = _condition(at.x, at.y)
    return {"spread": strictly_less(condition, jnp.full_like(condition, 1e4))}


def _least_squares(at: Sample, *, intercept: bool = True, dropped: int = 0) -> Bounds:
    number = at.x.shape[0] - dropped
    x, y = at.x[:number], at.y[:number]
    w, b = data.lda_fit(x, y)
    columns = jnp.concatenate([x, jnp.ones((number, 1))], axis=1) if intercept else x
    solution = jnp.linalg.solve(columns.T @ columns, columns.T @ y)
    difference = (y / jnp.sum(y**2)) @ (x - jnp.mean(x, axis=0, keepdims=True))
    factor = 1 + jnp.sum(difference * w)
    length = jnp.sqrt(jnp.sum(w**2))
    far = 1 + jnp.max(jnp.abs(x))
    room = 1e-14 * number * far**2 * _condition(x, y) * (1 + length) * factor
    stretched, moved = data.lda_fit(x * at.alpha[None, :], y)
    ratio = jnp.max(at.alpha) / jnp.min(at.alpha)
    constant = solution[2] if intercept else jnp.zeros(())
    return {
        "direction": equal(factor * solution[:2], w, room),
        "intercept": equal(factor * constant, b, room * far),
        "stretched": equal(stretched * at.alpha, w, room * ratio**2),
        "stretched intercept": equal(moved, b, room * far * ratio**2),
        "positive": same_sign(factor, jnp.ones_like(factor)),
    }


LEAST_SQUARES = Theorem(
    name="availability.least_squares",
    statement="Least squares with an intercept on balanced labels is 1/(1 + d.w) times linear "
    "discriminant analysis w, b of the same sample, d half the difference of its means; and that "
    "decides alike however the features are stretched.",
    source="[derived] Theorem A1 (iii)",
    sizes=({"n": 8},),
    parameters={"log_ratio": (-1.0, 1.0)},
    sample=_sample_items,
    hypotheses=_is_spread,
    conclusions=_least_squares,
    searchable=("x",),
    controls={
        "no intercept": Control(conclusions=functools.partial(_least_squares, intercept=False)),
        "one label more": Control(conclusions=functools.partial(_least_squares, dropped=1)),
    },
)

THEOREMS = (LEAST_SQUARES,)
