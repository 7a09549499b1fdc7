r"""Implicit bias of two-layer networks on nearly orthogonal data: the limit in closed form.

The network is :math:`f(z; W) = \sum_{j \le m} a_j\, \varphi(\langle w_j, z\rangle)` with the leaky
ReLU of slope :math:`\gamma \in (0, 1)`, no biases, even width m and frozen output weights
:math:`a_j = m^{-1/2}` in the first half, :math:`-m^{-1/2}` in the second. Gradient flow on the
exponential or logistic loss of nearly orthogonal samples converges in direction to weights of which
all rows of one half are equal, v in the first and u in the second:

.. math:: v = m^{-1/2} \Big(\sum_{y_n = +1} \lambda_n x_n
              - \gamma \sum_{y_n = -1} \lambda_n x_n\Big), \qquad M \lambda = 2 \cdot \mathbf 1,

and u with the classes exchanged. Its decision boundary is that of the linear
:math:`\langle \sum_n \lambda_n y_n x_n, z\rangle`. Everything about it follows from the Gram matrix
G of the samples; how nearly orthogonal they must be is what :func:`orthogonality` (before solving
for the multipliers) and :func:`certificate` (afterwards) say.

Source: hypothesis and constants [paper] of Kumano, Kera, Yamasaki, ICLR 2024 (arXiv 2402.10470),
which builds on Frei, Vardi, Bartlett, Srebro, Hu, ICLR 2023 (arXiv 2210.07082); the sharper
hypotheses and every formula [derived]: the paper's own theorem texts are [not recovered].
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from jax import Array
from jaxtyping import Float

from twolayer.theory import geometry, validation

Slope = float | Float[Array, ""]


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
    gram, y = _gram_and_labels(gram, y)
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
    gram = _gram(gram)
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
      lam: multipliers of :func:`solve_multipliers`, shape ``(n,)``.
      gamma: slope in (0, 1).

    Source: [derived].
    """
    gram, y = _gram_and_labels(gram, y)
    lam = _multipliers(lam, y)
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


def limit_coefficients(
    y: Float[Array, "n"], lam: Float[Array, "n"], gamma: Slope
) -> tuple[Float[Array, "n"], Float[Array, "n"]]:
    r"""Coefficients of the samples in :math:`\sqrt m\, v` and :math:`\sqrt m\, u`.

    :math:`\lambda_n` on the own class of the half, :math:`-\gamma \lambda_n` on the other.
    """
    y = validation.labels("y", y)
    lam = _multipliers(lam, y)
    gamma = slope(gamma, lam)
    return jnp.where(y > 0, lam, -gamma * lam), jnp.where(y < 0, lam, -gamma * lam)


def limit_rows(
    x: Float[Array, "n d"],
    y: Float[Array, "n"],
    lam: Float[Array, "n"],
    gamma: Slope,
    width: int,
) -> tuple[Float[Array, "d"], Float[Array, "d"]]:
    """Rows v (first half of the units) and u (second half) of the closed form.

    Args:
      x: samples, shape ``(n, d)``.
      y: labels, shape ``(n,)``.
      lam: multipliers, shape ``(n,)``.
      gamma: slope in (0, 1).
      width: m, even.

    Returns:
      v and u, each of shape ``(d,)``; they scale as ``width**-0.5``.
    """
    x = validation.matrix("x", x)
    y = validation.labels("y", y, length=x.shape[0]).astype(x.dtype)
    scale = even_width(width) ** -0.5
    v, u = limit_coefficients(y, lam, gamma)
    return scale * (v @ x), scale * (u @ x)


def limit_weights(v: Float[Array, "d"], u: Float[Array, "d"], width: int) -> Float[Array, "m d"]:
    """All weights of the closed form: v in the first half of the rows, u in the second."""
    v = validation.vector("v", v)
    u = validation.vector("u", u, length=v.shape[0])
    return jnp.repeat(jnp.stack([v, u]), even_width(width) // 2, axis=0)


def output_weights(width: int, dtype: Any = None) -> Float[Array, "m"]:
    """Frozen output weights, ``width**-0.5`` in the first half and its negative in the second."""
    dtype = jnp.result_type(float) if dtype is None else dtype
    half = jnp.full(even_width(width) // 2, width**-0.5, dtype)
    return jnp.concatenate([half, -half])


def predict(
    z: Float[Array, "k d"], v: Float[Array, "d"], u: Float[Array, "d"], gamma: Slope, width: int
) -> Float[Array, "k"]:
    r"""Outputs of the closed form, shape ``(k,)``.

    .. math:: f(z; W^*) = \tfrac{\sqrt m}{2}\,
              [\varphi(\langle v, z\rangle) - \varphi(\langle u, z\rangle)]
    """
    z = validation.matrix("z", z)
    v = validation.vector("v", v, length=z.shape[1])
    u = validation.vector("u", u, length=z.shape[1])
    gamma = slope(gamma, z)
    pre_v, pre_u = z @ v, z @ u
    scale = even_width(width) ** 0.5 / 2
    return scale * (pre_v * gates(pre_v, gamma) - pre_u * gates(pre_u, gamma))


def gates(pre: Float[Array, "*shape"], gamma: Slope) -> Float[Array, "*shape"]:
    r"""Derivative :math:`\varphi'`: 1 for positive pre-activations, gamma at 0 and below [code].

    The leaky ReLU itself is ``pre * gates(pre, gamma)``.
    """
    pre = validation.real("pre", pre)
    gamma = validation.scalar("gamma", gamma, low=0.0, high=1.0)
    return jnp.where(pre > 0, jnp.ones_like(pre), jnp.asarray(gamma, pre.dtype))


def boundary_normal(
    x: Float[Array, "n d"], y: Float[Array, "n"], lam: Float[Array, "n"]
) -> Float[Array, "d"]:
    r"""Normal of the decision boundary, :math:`w = \sum_n \lambda_n y_n x_n`, not normalised.

    :math:`v - u = (1 + \gamma)\, m^{-1/2}\, w`.
    """
    x = validation.matrix("x", x)
    y = validation.labels("y", y, length=x.shape[0]).astype(x.dtype)
    return (_multipliers(lam, y) * y) @ x


def boundary(z: Float[Array, "k d"], normal: Float[Array, "d"]) -> Float[Array, "k"]:
    r"""The linear function :math:`\langle w, z\rangle` that has the sign of the closed form."""
    z = validation.matrix("z", z)
    return z @ validation.vector("normal", normal, length=z.shape[1])


def kkt_residual(
    weights: Float[Array, "m d"],
    x: Float[Array, "n d"],
    y: Float[Array, "n"],
    lam: Float[Array, "n"],
    gamma: Slope,
) -> Float[Array, ""]:
    r"""How far weights and multipliers are from a KKT point of the max-margin problem.

    The problem is :math:`\min \tfrac12 |W|^2` subject to :math:`y_n f(x_n; W) \ge 1`. The residual
    is the largest of: the distance of W from
    :math:`w_j = a_j \sum_n \lambda_n y_n \varphi'(\langle w_j, x_n\rangle)\, x_n` over the larger
    norm of the two, :math:`(1 - y_n f_n)_+`, :math:`(-\lambda_n)_+`, and
    :math:`|\lambda_n (y_n f_n - 1)|`. It is 0 at KKT points only.

    Args:
      weights: W, shape ``(m, d)``, m even.
      x: samples, shape ``(n, d)``.
      y: labels, shape ``(n,)``.
      lam: multipliers, shape ``(n,)``.
      gamma: slope in (0, 1).
    """
    x = validation.matrix("x", x)
    weights = validation.matrix("weights", weights, columns=x.shape[1])
    y = validation.labels("y", y, length=x.shape[0]).astype(x.dtype)
    lam = _multipliers(lam, y)
    gamma = slope(gamma, x)
    a = output_weights(weights.shape[0], x.dtype)
    pre = weights @ x.T
    gate = gates(pre, gamma)
    excess = y * (a @ (pre * gate)) - 1
    image = (a[:, None] * gate * (lam * y)[None, :]) @ x
    distance, *sizes = (geometry.norms(v, (0, 1)) for v in (weights - image, weights, image))
    size = jnp.maximum(*sizes)
    stationarity = distance / jnp.where(size > 0, size, 1)
    return jnp.max(
        jnp.stack([stationarity, jnp.max(-excess), jnp.max(-lam), jnp.max(jnp.abs(lam * excess))])
    )


def even_width(value: Any) -> int:
    """A width of at least 2 that is even: both halves have as many units."""
    width = validation.integer("width", value, low=2)
    if width % 2:
        raise ValueError(f"width must be even, for two halves of one size; got {width}.")
    return width


def slope(gamma: Any, like: Array, *, linear: bool = False) -> Array:
    """The slope in the dtype of an array: in (0, 1), or 1 where a linear network is meant too."""
    gamma = validation.scalar(
        "gamma", gamma, low=0.0, high=1.0, open_low=True, open_high=not linear
    )
    return jnp.asarray(gamma, like.dtype)


def _gram(gram: Any) -> Array:
    gram = validation.kernel_matrix("gram", gram)
    if jnp.result_type(float) != jnp.float64:
        raise ValueError(
            "gram must be float64: margins are good to 1e-5 only in float32; "
            "turn on jax_enable_x64."
        )
    return gram


def _gram_and_labels(gram: Any, y: Any) -> tuple[Array, Array]:
    gram = _gram(gram)
    return gram, validation.labels("y", y, length=gram.shape[0]).astype(gram.dtype)


def _multipliers(lam: Any, y: Array) -> Array:
    # NaN multipliers of a singular margin matrix pass, for verdicts under jit and without.
    lam = validation.real("lam", lam).astype(y.dtype)
    if lam.shape != y.shape:
        raise ValueError(f"lam must have shape {y.shape}, one multiplier a label; got {lam.shape}.")
    return lam
