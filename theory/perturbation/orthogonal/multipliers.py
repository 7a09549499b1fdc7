r"""Implicit bias of two-layer networks on nearly orthogonal data: the multipliers of the samples.

They solve :math:`M \lambda = 2 \cdot \mathbf 1` with the matrix M of the margins, in float64.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from twolayer.theory import semidefinite, validation

Slope = float | Float[Array, ""]


def margin_matrix(
    gram: Float[Array, "n n"], y: Float[Array, "n"], gamma: Slope
) -> Float[Array, "n n"]:
    r"""Matrix M of the margins, :math:`y_k f(x_k; W^*) = (M \lambda)_k / 2`.

    .. math:: M = \tfrac12 \big[(1-\gamma)^2 G + (1+\gamma)^2\, (y y^T) \circ G\big]

    that is :math:`(1+\gamma^2) G_{ki}` for equal labels and :math:`-2\gamma G_{ki}` for opposite
    ones. Positive semi-definite, and definite where G is.

    Args:
      gram: G = x x^T, shape ``(n, n)``.
      y: labels -1 and +1, shape ``(n,)``; a class may be empty.
      gamma: slope in (0, 1]; 1 is the linear network.

    Raises:
      ValueError: for other labels or slopes, a matrix that is not square, or float64 turned off.

    Source: [derived].
    """
    gram, y = checked_pair(gram, y)
    gamma = slope(gamma, gram, linear=True)
    equal = y[:, None] * y[None, :] > 0
    return jnp.where(equal, 1 + gamma**2, -2 * gamma) * gram


def solve_multipliers(
    gram: Float[Array, "n n"], y: Float[Array, "n"], gamma: Slope
) -> Float[Array, "n"]:
    r"""Multipliers :math:`\lambda = M^{-1} (2, \dots, 2)^T` by Cholesky, cost :math:`N^3/3`.

    Args:
      gram: G, shape ``(n, n)``.
      y: labels, shape ``(n,)``.
      gamma: slope in (0, 1].

    Returns:
      Multipliers, shape ``(n,)``, in units of 1 / length squared; NaN under ``jit`` where M is
      numerically singular (a zero sample, a sample twice with one label): a pivot is below
      ``n`` times the rounding of its diagonal entry.

    Raises:
      ValueError: as :func:`margin_matrix`, and outside ``jit`` for a numerically singular M.
    """
    factor = margin_factor(gram, y, gamma)
    return jax.scipy.linalg.cho_solve((factor, True), jnp.full(factor.shape[:1], 2.0, factor.dtype))


def margin_factor(
    gram: Float[Array, "n n"], y: Float[Array, "n"], gamma: Slope
) -> Float[Array, "n n"]:
    r"""Lower Cholesky factor of M, for more than one right side; all NaN where M is singular.

    Arguments, errors and the test of singularity as in :func:`solve_multipliers`.
    """
    matrix = margin_matrix(gram, y, gamma)
    factor = jnp.linalg.cholesky(matrix)
    diagonal = jnp.diagonal(matrix)
    floor = diagonal.shape[0] * jnp.finfo(matrix.dtype).eps * diagonal
    # NaN pivots of a failed factorisation compare as not regular too.
    regular = jnp.all(jnp.diagonal(factor) ** 2 > floor)
    if not validation.holds(lambda regular: regular, regular):
        raise ValueError(
            "gram must give a positive definite margin matrix; it is numerically singular "
            "(a zero sample, a repeated one, or linearly dependent ones)."
        )
    return jnp.where(regular, factor, jnp.nan)


def slope(gamma: Any, like: Array, *, linear: bool = False) -> Array:
    """The slope in the dtype of an array: in (0, 1), or 1 where a linear network is meant too."""
    gamma = validation.scalar(
        "gamma", gamma, low=0.0, high=1.0, open_low=True, open_high=not linear
    )
    return jnp.asarray(gamma, like.dtype)


def checked_gram(gram: Any) -> Array:
    """A Gram matrix in float64."""
    gram = semidefinite.kernel_matrix("gram", gram)
    if jnp.result_type(float) != jnp.float64:
        raise ValueError(
            "gram must be float64: margins are good to 1e-5 only in float32; "
            "turn on jax_enable_x64."
        )
    return gram


def checked_pair(gram: Any, y: Any) -> tuple[Array, Array]:
    """A Gram matrix in float64, and labels of its samples."""
    gram = checked_gram(gram)
    return gram, validation.labels("y", y, length=gram.shape[0]).astype(gram.dtype)


def checked_multipliers(lam: Any, y: Array) -> Array:
    """One multiplier for each label; they may be NaN."""
    # NaN multipliers of a singular margin matrix pass, for verdicts under jit and without.
    lam = validation.real("lam", lam).astype(y.dtype)
    if lam.shape != y.shape:
        raise ValueError(f"lam must have shape {y.shape}, one multiplier a label; got {lam.shape}.")
    return lam
