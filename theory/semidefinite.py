"""The check of kernel matrices: symmetric and positive semi-definite, to rounding."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from twolayer.theory.precision import rounding
from twolayer.theory.validation import holds, matrix

# Most rows of a kernel matrix that is factorised for a check, in a second or two.
_FACTORISED = 4096


def kernel_matrix(name: str, value: Any, *, size: int | None = None) -> Array:
    """A symmetric positive semi-definite matrix, as a kernel gives it for a set of points.

    Symmetric to 1e-10 of its largest entry, and no eigenvalue below minus as much; with more room
    where rounding needs it: a thousand units of rounding (1e-4 in float32), or ten a row; one a row
    for short floats. Beyond 4096 rows, where eigenvalues take long, pairs of rows are looked at.
    """
    result = matrix(name, value, rows=size, columns=size)
    n = result.shape[0]
    if result.shape[1] != n:
        raise ValueError(f"{name} must be square (N, N); got shape {result.shape}.")
    room = max(1e-10, max(1000, 10 * n) * rounding(result), n * rounding(value))

    def scaled(known: Array) -> Array:
        largest = jnp.max(jnp.abs(known))
        return known / jnp.where(largest > 0, largest, 1).astype(known.dtype)

    def symmetric(known: Array) -> Array:
        return jnp.abs(scaled(known) - scaled(known).T) <= room

    def semidefinite(known: Array) -> Array:
        known = scaled(known)
        if n > _FACTORISED:
            diagonal = jnp.diagonal(known)
            pairs = diagonal[:, None] * diagonal[None, :] - known**2
            return (diagonal >= -room)[:, None] & (pairs >= -room)
        # Factorising another matrix gives NaN, for a fraction of the work of eigenvalues.
        return jnp.isfinite(jnp.linalg.cholesky(known + jnp.asarray(room * np.eye(n), known.dtype)))

    if not holds(symmetric, result):
        raise ValueError(f"{name} must be symmetric to {room:.0e} of its largest entry.")
    if not holds(semidefinite, result):
        raise ValueError(f"{name} must be positive semi-definite; it has a negative eigenvalue.")
    return result
