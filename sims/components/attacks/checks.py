"""Checks of the arguments of attacks, and bounds and radii as rows."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import DTypeLike

from twolayer.theory import validation

NORMS = ("l2", "linf", "l0")
LINF_STYLES = ("rescale", "sign")


def check_options(norm: Any, eps: Any, linf_style: str, random_start: Any, restarts: Any) -> None:
    validation.choice("linf_style", linf_style, LINF_STYLES)
    if isinstance(norm, str):
        validation.choice("norm", norm, NORMS)
    else:
        index = validation.integers("norm", norm, shape=())
        if not validation.holds(lambda known: (known >= 0) & (known < len(NORMS)), index):
            raise ValueError(f"norm must be one of {', '.join(NORMS)}, or its index; got {norm}.")
    if (eps is None) != (isinstance(norm, str) and norm == "l0"):
        raise ValueError(f"eps must be a radius for l2 and linf, None for l0; got {eps} ({norm}).")
    if validation.integer("restarts", restarts) > 1 and random_start is None:
        raise ValueError(f"restarts must be 1 without a key random_start; got {restarts}.")
    if random_start is not None:
        validation.key("random_start", random_start)
        if eps is None:
            raise ValueError("random_start must be None for l0, which has no ball to start in.")


def number_of_steps(steps: Any) -> Any:
    """Steps as an integer to which another can be added, which may be traced."""
    if validation.is_known(steps):
        return validation.integer("steps", steps, low=0)
    return validation.integers("steps", steps, shape=())


def box(x: Array, low: Any, high: Any, dtype: DTypeLike) -> tuple[Array, Array]:
    """Both bounds of the coordinates of rows, of which x must keep within."""
    bounds = []
    for name, value in (("low", low), ("high", high)):
        # Rounded as x is: else the shorter of two floats of one number could be below the other.
        bound = validation.real(name, value).astype(dtype).astype(x.dtype)
        try:
            bound = jnp.broadcast_to(bound, x.shape)
        except ValueError as error:
            raise ValueError(
                f"{name} must be a number or of a shape that broadcasts to that of x, {x.shape}; "
                f"got shape {bound.shape}."
            ) from error
        bounds.append(bound)
    if not validation.holds(lambda low, high: low < high, *bounds):
        raise ValueError(f"low must be below high; got {low!s:.80} and {high!s:.80}.")
    if not validation.holds(lambda x, low, high: (low <= x) & (x <= high), x, *bounds):
        raise ValueError(
            f"x must be in the box from low to high, {low!s:.80} to {high!s:.80}; "
            f"got values from {jnp.min(x)} to {jnp.max(x)}."
        )
    return bounds[0].reshape(x.shape[0], -1), bounds[1].reshape(x.shape[0], -1)


def radius(eps: Any, clean: Array) -> Array:
    """The radius of every row, as a column; 0 for l0, which has none."""
    n = clean.shape[0]
    if np.shape(eps) not in ((), (n,)):
        raise ValueError(f"eps must be a number or of shape ({n},); got shape {np.shape(eps)}.")
    eps = 0 if eps is None else validation.number("eps", eps, low=0.0)
    return jnp.asarray(eps).astype(clean.dtype).reshape(-1, 1)


def values_dtype(objective: Any, shape: tuple[int, ...], dtype: DTypeLike) -> DTypeLike:
    """The dtype of the objective's values, of which there must be one for each point."""
    values = jax.eval_shape(objective, jax.ShapeDtypeStruct(shape, dtype))
    if getattr(values, "shape", None) != shape[:1]:
        raise ValueError(
            f"objective must give one value for each point, shape {shape[:1]}; got {values!s:.80}."
        )
    if not jnp.issubdtype(values.dtype, jnp.floating):
        raise ValueError(f"objective must give floats; got values of dtype {values.dtype}.")
    return values.dtype
