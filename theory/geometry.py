"""Directions, angles and planes."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float

from twolayer.theory import validation


def norms(v: Float[Array, "..."], axis: int | tuple[int, ...] = -1) -> Float[Array, "..."]:
    """Euclidean norms along an axis, also where their squares leave the dtype's range.

    Args:
      v: any array.
      axis: along which to take norms; two for the Frobenius norm of matrices.

    Returns:
      The norms, of the shape without these axes; infinite entries give infinity.
    """
    v = validation.real("v", v)
    _check_axis(axis, v.ndim)
    largest = jax.lax.stop_gradient(jnp.max(jnp.abs(v), axis=axis, keepdims=True))
    size = jnp.where((largest > 0) & (largest < jnp.inf), largest, 1)
    return jnp.squeeze(size, axis) * jnp.linalg.norm(v / size, axis=axis)


def unit_rows(v: Float[Array, "n d"], *, zero: str = "error") -> Float[Array, "n d"]:
    """Rows divided by their Euclidean norms, without a silent floor under the norm.

    Rows are scaled by their largest entry first, so that tiny and huge rows keep their direction.

    Args:
      v: rows, shape ``(n, d)``.
      zero: what to do with a zero row, which has no direction: ``"error"`` or ``"keep"`` it zero.

    Returns:
      Rows of length 1; with ``zero="error"`` under ``jit`` a zero row gives NaN.

    Raises:
      ValueError: for a zero row with ``zero="error"`` (outside ``jit``).
    """
    v = validation.matrix("v", v)
    validation.choice("zero", zero, ("error", "keep"))
    if zero == "error" and not validation.holds(lambda known: jnp.any(known != 0, axis=1), v):
        row = int(np.argmin(np.any(np.asarray(v) != 0, axis=1)))
        raise ValueError(f"v must have no zero row, which has no direction; row {row} is zero.")
    largest = jnp.max(jnp.abs(v), axis=1, keepdims=True)
    if zero == "keep":
        largest = jnp.where(largest == 0, 1, largest)
    scaled = v / largest
    norms = jnp.linalg.norm(scaled, axis=1, keepdims=True)
    return scaled / (jnp.where(norms == 0, 1, norms) if zero == "keep" else norms)


def row_cosines(u: Float[Array, "n d"], v: Float[Array, "n d"]) -> Float[Array, " n"]:
    """Cosine of the angle between row n of u and row n of v; a zero row is an error.

    Raises:
      ValueError: for shapes that differ, or a zero row (outside ``jit``, where it gives NaN).
    """
    u = validation.matrix("u", u)
    v = validation.matrix("v", v, rows=u.shape[0], columns=u.shape[1])
    return jnp.clip(jnp.sum(unit_rows(u) * unit_rows(v), axis=1), -1.0, 1.0)


def row_sines(u: Float[Array, "n d"], v: Float[Array, "n d"]) -> Float[Array, " n"]:
    r"""Sine of the angle between row n of u and row n of v, accurate for small angles.

    The length of the component of :math:`u/|u|` perpendicular to v; the square root of
    ``1 - cosine**2`` would lose half the digits (error 2e-8 in float64).
    """
    u = validation.matrix("u", u)
    v = validation.matrix("v", v, rows=u.shape[0], columns=u.shape[1])
    unit_u, unit_v = unit_rows(u), unit_rows(v)
    along = jnp.sum(unit_u * unit_v, axis=1, keepdims=True)
    return jnp.linalg.norm(unit_u - along * unit_v, axis=1)


def row_angles(u: Float[Array, "n d"], v: Float[Array, "n d"]) -> Float[Array, " n"]:
    r"""Angle between row n of u and row n of v, in [0, pi], accurate at both ends.

    :math:`2 \arctan(|\hat u - \hat v| / |\hat u + \hat v|)` for unit vectors; the inverse cosine
    would lose half the digits at parallel and opposite rows.

    Raises:
      ValueError: for shapes that differ, or a zero row (outside ``jit``, where it gives NaN).
    """
    u = validation.matrix("u", u)
    v = validation.matrix("v", v, rows=u.shape[0], columns=u.shape[1])
    unit_u, unit_v = unit_rows(u), unit_rows(v)
    apart = jnp.linalg.norm(unit_u - unit_v, axis=1)
    return 2 * jnp.arctan2(apart, jnp.linalg.norm(unit_u + unit_v, axis=1))


def direction(normal: Float[Array, " d"], norm: str, k: int | None = None) -> Float[Array, " d"]:
    r"""The step D of size one that raises :math:`\langle D, w\rangle` most.

    ========  ==============================================  ===========================
    norm      D                                               :math:`\langle D, w\rangle`
    ========  ==============================================  ===========================
    ``l2``    :math:`w / |w|_2`                               :math:`|w|_2`
    ``linf``  :math:`\mathrm{sign}(w)`, 0 where w is 0        :math:`|w|_1`
    ``l0``    w at its k largest entries, over the length     length of those k entries
    ========  ==============================================  ===========================

    Its size is the Euclidean norm for ``l2`` and ``l0`` (there among steps with at most k non-zero
    entries) and the largest entry for ``linf``.

    Args:
      normal: w, shape ``(d,)``; its scale does not matter.
      norm: ``"l2"``, ``"linf"`` or ``"l0"``.
      k: number of entries that may change under ``l0``, 1 to d, static; of equal entries those
        with the lowest index.

    Returns:
      D, shape ``(d,)``; a zero normal gives NaN under ``jit``, and 0 for ``linf``.

    Raises:
      ValueError: for another norm, k missing under ``l0`` or given elsewhere, k outside 1 to d, or
        (outside ``jit``) a zero normal.
    """
    normal = validation.vector("normal", normal)
    validation.choice("norm", norm, ("l2", "linf", "l0"))
    if (k is not None) != (norm == "l0"):
        raise ValueError(f"k must be given for norm l0 and only there; got {k} with {norm}.")
    if not validation.holds(lambda known: jnp.any(known != 0), normal):
        raise ValueError("normal must not be zero, which has no direction.")
    if norm == "linf":
        return jnp.sign(normal)
    if k is not None:
        if validation.integer("k", k) > normal.shape[0]:
            raise ValueError(f"k must be at most {normal.shape[0]}, the dimension; got {k}.")
        _, largest = jax.lax.top_k(jnp.abs(normal), k)
        normal = jnp.zeros_like(normal).at[largest].set(normal[largest])
    return unit_rows(normal[None])[0]


def direction_gain(normal: Float[Array, " d"], direction: Float[Array, " d"]) -> Float[Array, ""]:
    r"""How far a step of size one along D moves :math:`\langle w, \cdot\rangle`.

    :math:`\langle D, w\rangle`, in units of ``|normal|``; the dual norm of the normal where D is
    its :func:`direction`.
    """
    normal = validation.vector("normal", normal)
    return normal @ validation.vector("direction", direction, length=normal.shape[0])


def plane_axes(x: Float[Array, "n d"], y: Float[Array, " n"]) -> Float[Array, "2 d"]:
    """Normalised class means, that of label +1 first. They need not be orthogonal.

    Raises:
      ValueError: if a class is empty or its mean is zero (outside ``jit``).
    """
    x = validation.matrix("x", x)
    y = validation.labels("y", y, length=x.shape[0])
    for label in (1, -1):
        if not validation.holds(lambda known, label=label: jnp.any(known == label), y):
            raise ValueError(f"y must hold both classes; {label:+d} is missing.")
    y = y.astype(x.dtype)
    sums = jnp.stack([(1 + y) @ x, (1 - y) @ x]) / 2
    if not validation.holds(lambda known: jnp.any(known != 0, axis=1), sums):
        row = int(np.argmin(np.any(np.asarray(sums) != 0, axis=1)))
        raise ValueError(f"x must have class means that are not zero; row {row} is zero.")
    return unit_rows(sums)


def plane_grid(limits: tuple[float, float], resolution: int) -> Float[Array, " resolution"]:
    """Equally spaced coordinates along one axis, both limits included.

    Args:
      limits: (low, high), low < high.
      resolution: number of coordinates, at least 2.
    """
    if np.shape(limits) != (2,):
        raise ValueError(f"limits must be (low, high); got {limits!r:.80}.")
    low, high = (validation.number("limits", value) for value in limits)
    if not low < high:
        raise ValueError(f"limits must be (low, high) with low < high; got {limits}.")
    return jnp.linspace(low, high, validation.integer("resolution", resolution, low=2))


def plane_points(
    axes: Float[Array, "2 d"], first: Float[Array, " p"], second: Float[Array, " p"]
) -> Float[Array, "p d"]:
    """Points ``first[k] axes[0] + second[k] axes[1]``."""
    axes = validation.matrix("axes", axes, rows=2)
    first = validation.vector("first", first)
    second = validation.vector("second", second, length=first.shape[0])
    return jnp.stack([first, second]).T @ axes


def _check_axis(axis: Any, ndim: int) -> None:
    """See that an axis is there; JAX would take a word for a mesh's axis."""
    try:
        np.lib.array_utils.normalize_axis_tuple(axis, ndim)
    except (TypeError, ValueError):
        raise ValueError(
            f"axis must be one or several of -{ndim} .. {ndim - 1}, each once; got {axis!r}."
        ) from None
