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
G of the samples, which gives the multipliers of
:mod:`twolayer.theory.perturbation.orthogonal.multipliers`; how nearly orthogonal they must be is in
:mod:`twolayer.theory.perturbation.orthogonal.conditions`.

Source: hypothesis and constants [paper] of Kumano, Kera, Yamasaki, ICLR 2024 (arXiv 2402.10470),
which builds on Frei, Vardi, Bartlett, Srebro, Hu, ICLR 2023 (arXiv 2210.07082); the sharper
hypotheses and every formula [derived]: the paper's own theorem texts are [not recovered].
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from twolayer.theory import geometry, validation
from twolayer.theory.perturbation.orthogonal.multipliers import Slope, checked_multipliers, slope


def limit_coefficients(
    y: Float[Array, "n"], lam: Float[Array, "n"], gamma: Slope
) -> tuple[Float[Array, "n"], Float[Array, "n"]]:
    r"""Coefficients of the samples in :math:`\sqrt m\, v` and :math:`\sqrt m\, u`.

    :math:`\lambda_n` on the own class of the half, :math:`-\gamma \lambda_n` on the other.
    """
    y = validation.labels("y", y)
    lam = checked_multipliers(lam, y)
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
    return (checked_multipliers(lam, y) * y) @ x


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
    lam = checked_multipliers(lam, y)
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
