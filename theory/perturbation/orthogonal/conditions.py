"""Implicit bias of two-layer networks on nearly orthogonal data: how nearly orthogonal is enough.

Of the conditions under which :mod:`twolayer.theory.perturbation.orthogonal.limit` is the limit, two
need the Gram matrix alone; the weakest one is checked on the multipliers.
"""

from __future__ import annotations

import jax.numpy as jnp
from flax import struct
from jax import Array
from jaxtyping import Float

from twolayer.theory.perturbation.orthogonal.limit import limit_coefficients
from twolayer.theory.perturbation.orthogonal.multipliers import (
    Slope,
    checked_gram,
    checked_multipliers,
    checked_pair,
    slope,
)


@struct.dataclass
class Orthogonality:
    r"""How nearly orthogonal samples are, and what that implies before anything is solved.

    Scalars; leading axes under ``vmap``.

    Attributes:
      r_min: smallest norm of a sample.
      r_max: largest norm.
      p_max: largest :math:`|G_{ik}|` of two different samples; 0 for one sample.
      row_sum: P, the largest sum of :math:`|G_{ik}|` over the others of one sample.
      paper_lhs: :math:`\gamma^3 R_{\min}^4 / (3 N R_{\max}^2)`.
      paper: ``paper_lhs >= p_max`` and ``r_min > 0`` [paper].
      sharp: :math:`P < \gamma R_{\min}^2` and
        :math:`\lambda_{lo}\, \gamma R_{\min}^2 > \lambda_{hi}\, P`, which ``paper`` implies
        [derived].
      lam_lo: lower bound of the multipliers under ``sharp``.
      lam_hi: upper bound; -inf and inf where there is none.
    """

    r_min: Array
    r_max: Array
    p_max: Array
    row_sum: Array
    paper_lhs: Array
    paper: Array
    sharp: Array
    lam_lo: Array
    lam_hi: Array


@struct.dataclass
class Certificate:
    r"""Whether given multipliers make the closed form a KKT point of the max-margin problem.

    Scalars; leading axes under ``vmap``.

    Attributes:
      holds: all three minima are positive.
      min_lam: smallest multiplier.
      min_pos_margin: smallest :math:`\sqrt m\, y_n \langle v, x_n\rangle`, free of the width.
      min_neg_margin: smallest :math:`-\sqrt m\, y_n \langle u, x_n\rangle`.
      pattern_fraction: share of samples with both margins positive: at them the first half of the
        units is active for label +1, the second for label -1.
    """

    holds: Array
    min_lam: Array
    min_pos_margin: Array
    min_neg_margin: Array
    pattern_fraction: Array


def orthogonality(gram: Float[Array, "n n"], gamma: Slope) -> Orthogonality:
    r"""The two hypotheses on near-orthogonality that need no multipliers.

    With P the row sum,

    .. math:: \lambda_{hi} = \frac{2}{(1+\gamma^2) R_{\min}^2 - (1+\gamma) P}, \qquad
              \lambda_{lo} = \frac{2 - (1+\gamma) \lambda_{hi} P}{(1+\gamma^2) R_{\max}^2}

    where the first denominator is positive, else inf and -inf. ``sharp`` compares the bounds only
    where :math:`P < \gamma R_{\min}^2`, which makes that denominator positive.

    Args:
      gram: G, shape ``(n, n)``.
      gamma: slope in (0, 1).

    Source: ``paper`` [paper]; ``sharp`` and the bounds [derived].
    """
    gram = checked_gram(gram)
    gamma = slope(gamma, gram)
    n = gram.shape[0]
    squares = jnp.diagonal(gram)
    low, high = jnp.min(squares), jnp.max(squares)
    off = jnp.where(jnp.eye(n, dtype=bool), 0, jnp.abs(gram))
    p_max, row_sum = jnp.max(off), jnp.max(jnp.sum(off, axis=1))

    # Divisions are by what is never zero, so that derivatives stay finite where a branch is unused.
    paper_lhs = gamma**3 * low * (low / jnp.where(high > 0, high, 1)) / (3 * n)
    gap = (1 + gamma**2) * low - (1 + gamma) * row_sum
    bounded = gap > 0
    hi = 2 / jnp.where(bounded, gap, 1)
    lo = (2 - (1 + gamma) * hi * row_sum) / ((1 + gamma**2) * jnp.where(bounded, high, 1))
    dominant = row_sum < gamma * low
    return Orthogonality(
        r_min=jnp.sqrt(low),
        r_max=jnp.sqrt(high),
        p_max=p_max,
        row_sum=row_sum,
        paper_lhs=paper_lhs,
        paper=(low > 0) & (paper_lhs >= p_max),
        sharp=dominant & (lo * gamma * low > hi * row_sum),
        lam_lo=jnp.where(bounded, lo, -jnp.inf),
        lam_hi=jnp.where(bounded, hi, jnp.inf),
    )


def certificate(
    gram: Float[Array, "n n"], y: Float[Array, "n"], lam: Float[Array, "n"], gamma: Slope
) -> Certificate:
    r"""The weakest hypothesis, checked after solving: positive multipliers and the right pattern.

    :math:`\lambda_n > 0`, :math:`y_n \langle v, x_n\rangle > 0`,
    :math:`y_n \langle u, x_n\rangle < 0` for all n. NaN multipliers do not hold.

    Args:
      gram: G, shape ``(n, n)``.
      y: labels, shape ``(n,)``.
      lam: multipliers, shape ``(n,)``, of
        :func:`twolayer.theory.perturbation.orthogonal.multipliers.solve_multipliers`.
      gamma: slope in (0, 1).

    Source: [derived].
    """
    gram, y = checked_pair(gram, y)
    lam = checked_multipliers(lam, y)
    v, u = limit_coefficients(y, lam, gamma)
    positive, negative = y * (gram @ v), -y * (gram @ u)
    pattern = (positive > 0) & (negative > 0)
    return Certificate(
        holds=jnp.all(pattern) & jnp.all(lam > 0),
        min_lam=jnp.min(lam),
        min_pos_margin=jnp.min(positive),
        min_neg_margin=jnp.min(negative),
        pattern_fraction=jnp.mean(pattern.astype(gram.dtype)),
    )
