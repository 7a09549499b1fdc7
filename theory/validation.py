"""Eager checks of shapes, labels and ranges: one place for the error messages.

Each check returns the value as an array (or number) and raises ``ValueError`` naming the
argument, what came, and what is allowed. Shapes and dtypes are checked always; values only when
they are known, that is outside ``jit``, ``vmap`` and ``grad``.

Floats of fewer than 32 bits come back in float32, which holds each of them exactly: their few
digits are good enough to store numbers, not to add, divide or compare them.
"""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Callable, Collection
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from twolayer.theory.precision import long, wider

Record = TypeVar("Record")


def array(name: str, value: Any) -> Array:
    """``value`` as a floating array of finite entries; integers and bools become floats."""
    result = real(name, value)
    if not holds(jnp.isfinite, result):
        raise ValueError(f"{name} must be finite; got NaN or infinity.")
    return result


def real(name: str, value: Any) -> Array:
    """As :func:`array`, but entries may be NaN or infinite. Short floats come back in float32."""
    result = _numbers(name, value)
    if jnp.issubdtype(result.dtype, jnp.complexfloating):
        raise ValueError(f"{name} must be real; got dtype {result.dtype}.")
    if not jnp.issubdtype(result.dtype, jnp.floating):
        result = result.astype(jnp.result_type(float))
    return long(result)


def integers(name: str, value: Any, *, shape: tuple[int | None, ...]) -> Array:
    """An array of integers, of a shape where None stands for any length.

    In JAX's integer, as an array of a shorter one meets numbers that it cannot hold.
    """
    result = _numbers(name, value)
    fits = result.ndim == len(shape) and all(
        wanted in (None, size) for wanted, size in zip(shape, result.shape, strict=True)
    )
    if not fits or not jnp.issubdtype(result.dtype, jnp.integer):
        sizes = ", ".join("any" if size is None else str(size) for size in shape)
        raise ValueError(
            f"{name} must be integers of shape ({sizes}); "
            f"got dtype {result.dtype}, shape {result.shape}."
        )
    return result.astype(jnp.result_type(int))


def shaped(name: str, value: Any, shape: tuple[int | None, ...]) -> Array:
    """As :func:`real`, of a shape where None stands for any length of at least 1."""
    result = real(name, value)
    if result.ndim != len(shape) or any(
        size == 0 or wanted not in (None, size)
        for wanted, size in zip(shape, result.shape, strict=True)
    ):
        sizes = ", ".join("any" if size is None else str(size) for size in shape)
        raise ValueError(f"{name} must be of shape ({sizes}); got shape {result.shape}.")
    return result


def flags(name: str, value: Any, shape: tuple[int | None, ...]) -> Array:
    """An array of bools, of a shape where None stands for any length."""
    result = _numbers(name, value)
    if (
        result.dtype != bool
        or result.ndim != len(shape)
        or any(wanted not in (None, size) for wanted, size in zip(shape, result.shape, strict=True))
    ):
        sizes = ", ".join("any" if size is None else str(size) for size in shape)
        raise ValueError(
            f"{name} must be bools of shape ({sizes}); "
            f"got dtype {result.dtype}, shape {result.shape}."
        )
    return result


def matrix(name: str, value: Any, *, columns: int | None = None, rows: int | None = None) -> Array:
    """A finite array of shape (rows, columns), both at least 1."""
    result = array(name, value)
    if result.ndim != 2 or 0 in result.shape:
        raise ValueError(f"{name} must be a non-empty matrix (N, d); got shape {result.shape}.")
    for axis, wanted in enumerate((rows, columns)):
        if wanted is not None and result.shape[axis] != wanted:
            raise ValueError(
                f"{name} must have {wanted} {('rows', 'columns')[axis]}; got shape {result.shape}."
            )
    return result


def pair(x: Any, z: Any, names: tuple[str, str] = ("x", "z")) -> tuple[Array, Array]:
    """Two sets of points of one dimension, shapes (N, d) and (M, d), in the wider dtype of both."""
    first, second = alike(matrix(names[0], x), matrix(names[1], z))
    if first.shape[1] != second.shape[1]:
        raise ValueError(
            f"{names[0]} and {names[1]} must have the same number of columns; "
            f"got shapes {first.shape} and {second.shape}."
        )
    return first, second


def alike(*arrays: Array) -> tuple[Array, ...]:
    """Floating arrays of different dtypes in the widest of them."""
    dtype = wider(*(array.dtype for array in arrays))
    return tuple(array.astype(dtype) for array in arrays)


def vector(name: str, value: Any, *, length: int | None = None) -> Array:
    """A finite array of shape (length,), at least 1."""
    result = array(name, value)
    if result.ndim != 1 or result.size == 0:
        raise ValueError(f"{name} must be a non-empty vector; got shape {result.shape}.")
    if length is not None and result.shape[0] != length:
        raise ValueError(f"{name} must have length {length}; got {result.shape[0]}.")
    return result


def labels(name: str, value: Any, *, length: int | None = None) -> Array:
    """A vector of -1 and +1."""
    result = vector(name, value, length=length)
    if not holds(lambda known: jnp.abs(known) == 1, result):
        values = np.unique(np.asarray(result))
        raise ValueError(
            f"{name} must hold only -1 and +1; got {values[np.abs(values) != 1][:3].tolist()}."
        )
    return result


def number(
    name: str,
    value: Any,
    *,
    low: float = -np.inf,
    high: float = np.inf,
    open_low: bool = False,
    open_high: bool = False,
) -> Any:
    """A finite number in an interval; arrays of them where a function sweeps over one."""
    if isinstance(value, (str, bytes)) or value is None:
        raise ValueError(f"{name} must be a number; got {value!r}.")
    value = long(value)
    if not is_known(value):
        return value
    try:
        known = np.asarray(value, dtype=float)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must be a number; got {value!r:.80}.") from error
    below = (known <= low) if open_low else (known < low)
    above = (known >= high) if open_high else (known > high)
    if not np.all(np.isfinite(known)) or np.any(below | above):
        left, right = (
            "(" if open_low or low == -np.inf else "[",
            (")" if open_high or high == np.inf else "]"),
        )
        raise ValueError(f"{name} must be in {left}{low:g}, {high:g}{right}; got {value}.")
    # As Python's own number it takes the dtype of the arrays that it meets.
    return value.item() if np.ndim(value) == 0 and hasattr(value, "item") else value


def scalar(name: str, value: Any, **interval: Any) -> Any:
    """One finite number in an interval, given as for :func:`number`."""
    if np.ndim(value) != 0:
        raise ValueError(
            f"{name} must be a scalar (batch by jax.vmap); got shape {np.shape(value)}."
        )
    return number(name, value, **interval)


def slope(value: Any) -> Any:
    """The slope of a leaky ReLU: ``0 <= gamma < 1``."""
    return scalar("gamma", value, low=0.0, high=1.0, open_high=True)


def integer(name: str, value: Any, *, low: int = 1, high: int | None = None) -> int:
    """A Python integer of at least ``low`` and at most ``high``; static under ``jit``."""
    try:
        result = operator.index(value)
    except TypeError as error:
        raise ValueError(f"{name} must be an integer; got {value!r:.80}.") from error
    if result < low:
        raise ValueError(f"{name} must be at least {low}; got {result}.")
    if high is not None and result > high:
        raise ValueError(f"{name} must be at most {high}; got {result}.")
    return result


def choice(name: str, value: Any, allowed: Collection[str]) -> str:
    """One of a few words."""
    if not isinstance(value, str) or value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(allowed)}; got {value!r:.80}.")
    return value


def key(name: str, value: Any) -> Array:
    """One random key, of ``jax.random.key`` or in the raw form of ``jax.random.PRNGKey``."""
    given = value
    try:
        if not jnp.issubdtype(given.dtype, jax.dtypes.prng_key):
            given = jax.random.wrap_key_data(given)
    except (AttributeError, TypeError, ValueError) as error:
        raise ValueError(f"{name} must be a random key; got {value!r:.80}.") from error
    if given.shape:
        raise ValueError(f"{name} must be one key (batch by jax.vmap); got shape {given.shape}.")
    return value


def record(name: str, value: Any, kind: type[Record], **shapes: str) -> Record:
    """A record with floating arrays of fitting shapes in the fields that are named.

    ``record("p", p, TwoLayer, w="m d", b="m", a="m")``: equal letters stand for equal lengths, a
    number for itself. Entries may be NaN or infinite, as those of a network that diverged.
    """
    if not isinstance(value, kind):
        raise ValueError(f"{name} must be a {kind.__name__}; got {value!r:.80}.")
    sizes: dict[str, int] = {}
    leaves = {}
    for field, dims in shapes.items():
        wanted = tuple(int(dim) if dim.isdigit() else sizes.get(dim) for dim in dims.split())
        leaves[field] = shaped(f"{name}.{field}", getattr(value, field), wanted)
        sizes |= dict(zip(dims.split(), leaves[field].shape, strict=True))
    return dataclasses.replace(value, **leaves)  # type: ignore[type-var]


def _numbers(name: str, value: Any) -> Array:
    try:
        return jnp.asarray(value)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must be an array of numbers; got {value!r:.80}.") from error


def is_known(value: Any) -> bool:
    """Whether the entries can be read now, that is, ``value`` is not being traced."""
    return not isinstance(value, jax.core.Tracer)


def holds(condition: Callable[..., Array], *values: Any) -> bool:
    """Whether a condition holds at every entry; taken to hold where a value is being traced.

    Constants that a traced function closes over are known and are checked.
    """
    if not all(is_known(value) for value in values):
        return True
    with jax.ensure_compile_time_eval():
        return bool(jnp.all(condition(*values)))


def times(name: str, value: Any) -> Array:
    """A vector of times that are not negative; infinity is allowed."""
    result = real(name, value)
    if result.ndim != 1 or result.size == 0 or not holds(lambda known: known >= 0, result):
        raise ValueError(f"{name} must be a vector of non-negative times; got {value!r:.80}.")
    return result
