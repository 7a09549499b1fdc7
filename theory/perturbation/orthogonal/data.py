r"""Samples that are orthogonal, or as nearly as wanted, so that the hypotheses' truth is known.

All are smooth functions of a raw Gaussian matrix: :func:`orthonormal_rows` makes it orthonormal and
:func:`rows_with_gram` gives it a Gram matrix exactly. The generators draw the raw matrix.

Source: [derived].
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Key

from twolayer.theory import semidefinite, validation

Radii = float | Float[Array, ""] | Float[Array, "n"]


def orthonormal_rows(raw: Float[Array, "n d"]) -> Float[Array, "n d"]:
    r"""Gram-Schmidt on the rows of a matrix, by QR; differentiable.

    Row k is the part of raw row k across the rows before it, normalised. Rows of a Gaussian matrix
    become a uniformly distributed orthonormal frame.

    Args:
      raw: linearly independent rows, shape ``(n, d)`` with ``d >= n``.

    Raises:
      ValueError: for more rows than columns.
    """
    raw = validation.matrix("raw", raw)
    if raw.shape[0] > raw.shape[1]:
        raise ValueError(f"raw must have at most as many rows as columns; got shape {raw.shape}.")
    q, r = jnp.linalg.qr(raw.T)
    # QR leaves the sign of each column open.
    return (q * jnp.where(jnp.diagonal(r) < 0, -1, 1).astype(q.dtype)[None, :]).T


def rows_with_gram(raw: Float[Array, "n d"], gram: Float[Array, "n n"]) -> Float[Array, "n d"]:
    """Samples with a given positive definite Gram matrix: Cholesky factor times orthonormal rows.

    Under ``jit`` a matrix that is not positive definite gives NaN.
    """
    raw = validation.matrix("raw", raw)
    n = raw.shape[0]
    gram = semidefinite.kernel_matrix("gram", gram, size=n)
    factor = jnp.linalg.cholesky(gram)
    if not validation.holds(jnp.isfinite, factor):
        raise ValueError("gram must be positive definite; its Cholesky factorisation fails.")
    return factor @ orthonormal_rows(raw)


def signed_gram(
    signs: Float[Array, "n n"], rho: float | Float[Array, ""], radii: Radii
) -> Float[Array, "n n"]:
    r"""Gram matrix :math:`r_i r_j\, (\delta_{ij} + \rho\, s_{ij} (1 - \delta_{ij}))`.

    Args:
      signs: s, shape ``(n, n)``; its strict upper triangle counts.
      rho: cosine between any two samples; positive definite for ``rho (n - 1) < 1``.
      radii: norms r, positive; one, or one a sample.
    """
    signs = validation.matrix("signs", signs)
    n = signs.shape[0]
    upper = jnp.triu(validation.matrix("signs", signs, rows=n, columns=n), 1)
    radii = _radii(radii, n, signs.dtype)
    rho = validation.scalar("rho", rho)
    cosines = jnp.eye(n, dtype=signs.dtype) + rho * (upper + upper.T)
    return radii[:, None] * radii[None, :] * cosines


def orthogonal(key: Key[Array, ""], n: int, d: int, radii: Radii = 1.0) -> Float[Array, "n d"]:
    """Random exactly orthogonal samples, :math:`|G_{ik}|` of the size of rounding.

    Args:
      key: random key.
      n: number of samples.
      d: dimension, at least n.
      radii: norms, positive; one, or one a sample.
    """
    n, d = _check_room(n, d)
    raw = jax.random.normal(validation.key("key", key), (n, d))
    return _radii(radii, n, raw.dtype)[:, None] * orthonormal_rows(raw)


def near_orthogonal(
    key: Key[Array, ""], n: int, d: int, rho: float | Float[Array, ""], radii: Radii = 1.0
) -> Float[Array, "n d"]:
    r"""Random samples of which any two have cosine :math:`\pm\rho`, with random signs.

    The paper's hypothesis holds if and only if
    :math:`\rho \max_{i \ne j} r_i r_j \le \gamma^3 R_{\min}^4 / (3 n R_{\max}^2)`.

    Args:
      key: random key.
      n: number of samples.
      d: dimension, at least n.
      rho: size of the cosines, with ``0 <= rho (n - 1) < 1``.
      radii: norms, positive; one, or one a sample.

    Raises:
      ValueError: for rho outside its range, too few dimensions, or radii that are not positive.
    """
    n, d = _check_room(n, d)
    rho = validation.scalar("rho", rho, low=0.0, high=1 / max(n - 1, 1), open_high=True)
    raw = jax.random.normal(validation.key("key", key), (n, d + n))
    signs = jnp.where(raw[:, d:] < 0, -1.0, 1.0)
    return rows_with_gram(raw[:, :d], signed_gram(signs, rho, radii))


def balanced_labels(n: int) -> Float[Array, "n"]:
    """Labels +1 for the first half of an even number of samples, -1 for the second."""
    n = validation.integer("n", n, low=2)
    if n % 2:
        raise ValueError(f"n must be even for balanced labels; got {n}.")
    return jnp.where(jnp.arange(n) < n // 2, 1.0, -1.0)


def reflect(x: Float[Array, "n d"], normal: Float[Array, "d"]) -> Float[Array, "n d"]:
    r"""Householder reflections :math:`x - 2 \langle x, \hat w\rangle\, \hat w` of rows.

    Args:
      x: rows, shape ``(n, d)``.
      normal: w, shape ``(d,)``, of any length but 0.
    """
    x = validation.matrix("x", x)
    normal = validation.vector("normal", normal, length=x.shape[1])
    largest = jnp.max(jnp.abs(normal))
    if not validation.holds(lambda largest: largest > 0, largest):
        raise ValueError("normal must not be zero, which has no direction.")
    # A length whose square would be rounded to 0 or infinity is brought near 1.
    square, limits = normal @ normal, jnp.finfo(normal.dtype)
    regular = (square > limits.tiny / limits.eps) & jnp.isfinite(square)
    normal = jnp.where(regular, normal, normal / largest)
    return x - (2 * (x @ normal) / (normal @ normal))[:, None] * normal[None, :]


def householder(
    key: Key[Array, ""], n: int, d: int, radius: float | Float[Array, ""] = 1.0
) -> tuple[Float[Array, "n d"], Float[Array, "n"], Float[Array, "n d"]]:
    r"""Orthogonal samples of one norm and their reflections at the boundary that is learnt.

    The boundary normal is parallel to :math:`\sum_n y_n x_n`, so that the reflections are the
    samples perturbed towards the opposite label by :math:`\varepsilon = 2 R / \sqrt N`. Their Gram
    matrix is that of the samples, and the labels to train on with them are the opposite ones.

    Args:
      key: random key.
      n: number of samples, even.
      d: dimension, at least n.
      radius: norm of every sample, positive.

    Returns:
      (x, y, reflected): samples, balanced labels, reflections.
    """
    y = balanced_labels(n)
    x = orthogonal(key, n, d, validation.scalar("radius", radius, low=0.0, open_low=True))
    return x, y, reflect(x, y.astype(x.dtype) @ x)


def orthogonal_noise(
    key: Key[Array, ""],
    n: int,
    n_adv: int,
    d: int,
    *,
    radii: Radii = 1.0,
    noise_radii: Radii = 1.0,
) -> tuple[Float[Array, "n d"], Float[Array, "n_adv d"]]:
    """Samples and noise base points, all orthogonal to each other.

    Args:
      key: random key.
      n: number of samples.
      n_adv: number of base points.
      d: dimension, at least ``n + n_adv``.
      radii: norms of the samples; one, or one a sample.
      noise_radii: norms of the base points; one, or one a point.
    """
    n, n_adv = validation.integer("n", n), validation.integer("n_adv", n_adv)
    rows = orthogonal(key, n + n_adv, d)
    samples = _radii(radii, n, rows.dtype)
    noise = _radii(noise_radii, n_adv, rows.dtype, "noise_radii")
    return samples[:, None] * rows[:n], noise[:, None] * rows[n:]


def _check_room(n: Any, d: Any) -> tuple[int, int]:
    n, d = validation.integer("n", n), validation.integer("d", d)
    if d < n:
        raise ValueError(f"d must be at least the number of rows, {n}; got {d}.")
    return n, d


def _radii(radii: Any, n: int, dtype: Any, name: str = "radii") -> Array:
    radii = jnp.asarray(validation.number(name, radii, low=0.0, open_low=True), dtype)
    if radii.shape not in ((), (n,)):
        raise ValueError(f"{name} must be a number or have shape ({n},); got {radii.shape}.")
    return jnp.broadcast_to(radii, (n,))
