"""In which floats numbers are read, computed and handed on, and to what rounding.

Floats of fewer than 32 bits are read in float32, which holds each of them exactly.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike


def wider(*dtypes: DTypeLike) -> DTypeLike:
    """The dtype to compute in: float64 if one of these is, else float32."""
    return jnp.float64 if any(jnp.dtype(each) == jnp.float64 for each in dtypes) else jnp.float32


def long(value: Any) -> Any:
    """Floats of fewer than 32 bits in float32, which has all of them; anything else as it is."""
    return value.astype(jnp.float32) if is_short(getattr(value, "dtype", None)) else value


def rounding(*values: Any) -> float:
    """The largest rounding error, relative, of the dtypes in which numbers came.

    What is asked of numbers within rounding (sums of 1, equal norms) is asked within this one, as
    short floats have it after they were read in float32 too.
    """
    dtypes = [getattr(value, "dtype", jnp.result_type(float)) for value in values]
    return max(
        float(jnp.finfo(dtype if jnp.issubdtype(dtype, jnp.floating) else float).eps)
        for dtype in dtypes
    )


def rounded(result: Any, *given: Any) -> Any:
    """A model's result in the dtype of what the model was given, where all of that is short.

    Networks are stored in short floats and hand their outputs on in them. What they are computed
    from was read in float32 (:func:`twolayer.theory.validation.real`); here the result is rounded,
    once.
    """
    dtype, *others = {getattr(leaf, "dtype", None) for leaf in jax.tree.leaves(given)}
    if others or not is_short(dtype):
        return result
    return jax.tree.map(lambda leaf: leaf.astype(dtype), result)


def is_short(dtype: Any) -> bool:
    """Whether a dtype is one of floats of fewer than 32 bits."""
    return (
        dtype is not None
        and jnp.issubdtype(dtype, jnp.floating)
        and jnp.finfo(dtype).bits < jnp.finfo(jnp.float32).bits
    )
