r"""Normalised gradient flow of a two-layer network in Gram coordinates.

Gradient flow on the loss L itself approaches its limit direction like :math:`1/\log t`. In the time
s with :math:`ds = L\, dt` the same path is the flow of :math:`\log L`:

.. math:: \frac{dw_j}{ds} = a_j \sum_n p_n\, y_n\, \varphi'(\langle w_j, x_n\rangle)\, x_n, \qquad
          p = \mathrm{softmax}(-q), \quad q_n = y_n f(x_n),

with :math:`p_n \propto \sigma(-q_n)` for the logistic loss. There the angle of the weights to the
limit falls like 1/s, that of the gradient and the weights p exponentially. Only the pre-activations
:math:`H = W X^T` and the coefficients C of :math:`W = W_0 + C X` are kept: a step costs
:math:`2 m N^2`, whatever the input dimension. The loss is never formed, so that nothing underflows.

Rows that start equal stay equal. A network of any width whose halves have one row each is therefore
the network of width 2 with rows :math:`\sqrt{m/2}\, v` and :math:`\sqrt{m/2}\, u`: its flow costs
:math:`4 N^2` a step, and the width is a scale only.

Source: [derived]; activation and losses [code].
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from jax import Array
from jaxtyping import Float

from twolayer.theory import semidefinite, validation
from twolayer.theory.perturbation.orthogonal import limit, multipliers
from twolayer.theory.perturbation.orthogonal.multipliers import Slope

LOSSES = ("exponential", "logistic")
Scalar = float | Float[Array, ""]


@struct.dataclass
class Flow:
    """A network after some steps.

    Attributes:
      h: pre-activations at the samples, shape ``(m, n)``; a further flow starts from them.
      coef: C of the steps taken, shape ``(m, n)``; the weights moved by ``coef @ x``.
      weights: weights p of the samples in the next step, shape ``(n,)``, of sum 1.
    """

    h: Array
    coef: Array
    weights: Array


def normalized_flow(
    h0: Float[Array, "m n"],
    gram: Float[Array, "n n"],
    y: Float[Array, "n"],
    a: Float[Array, "m"],
    gamma: Slope,
    eta: Scalar,
    steps: int,
    *,
    loss: str = "exponential",
) -> Flow:
    r"""Descend :math:`\log L` with steps of length eta; the time is ``s = eta * steps``.

    On orthogonal samples of norm R steps are stable near the limit up to
    :math:`\eta = 4 N / ((1+\gamma^2) R^2)`.

    Args:
      h0: pre-activations ``w0 @ x.T`` of the start, shape ``(m, n)``.
      gram: G = x x^T, shape ``(n, n)``.
      y: labels, shape ``(n,)``.
      a: output weights, shape ``(m,)``, see
        :func:`twolayer.theory.perturbation.orthogonal.limit.output_weights`.
      gamma: slope in (0, 1).
      eta: step, positive; traced, so that a sweep over it compiles once.
      steps: number of steps, static.
      loss: "exponential" or "logistic".

    Raises:
      ValueError: for shapes that do not fit, labels other than -1 and +1, or values outside their
        ranges.
    """
    h0 = validation.matrix("h0", h0)
    m, n = h0.shape
    h0, gram = validation.alike(h0, semidefinite.kernel_matrix("gram", gram, size=n))
    eta = validation.scalar("eta", eta, low=0.0, open_low=True)
    steps = validation.integer("steps", steps, low=0)
    y, a, gamma = _network(h0, y, a, gamma, loss)
    rate = jnp.asarray(eta, h0.dtype)

    def step(coef: Array, _: None) -> tuple[Array, None]:
        return coef + rate * _force(h0 + coef @ gram, y, a, gamma, loss)[0], None

    coef, _ = jax.lax.scan(step, jnp.zeros((m, n), h0.dtype), length=steps)
    h = h0 + coef @ gram
    return Flow(h=h, coef=coef, weights=_force(h, y, a, gamma, loss)[1])


def descent_coefficients(
    h: Float[Array, "m n"],
    y: Float[Array, "n"],
    a: Float[Array, "m"],
    gamma: Slope,
    *,
    loss: str = "exponential",
) -> Float[Array, "m n"]:
    r"""Coefficients of the samples in the steepest descent of :math:`\log L`.

    Row j is :math:`a_j\, \varphi'(h_{jn})\, p_n\, y_n`; times ``x`` it is minus the gradient.
    """
    h = validation.matrix("h", h)
    y, a, gamma = _network(h, y, a, gamma, loss)
    return _force(h, y, a, gamma, loss)[0]


def locked_flow(
    q0: Float[Array, "n"],
    matrix: Float[Array, "n n"],
    eta: Scalar,
    steps: int,
    *,
    loss: str = "exponential",
) -> tuple[Float[Array, "n"], Float[Array, "n"]]:
    r"""The flow once every unit is active on the class of its half: N numbers remain.

    .. math:: \beta' = p(q_0 + \tfrac12 M \beta), \qquad
              \beta = s\, \lambda / \textstyle\sum_n \lambda_n + const + O(e^{-ks})

    The first half of the rows moved by :math:`m^{-1/2} \sum_n c_n x_n` with c the coefficients of
    v in :func:`twolayer.theory.perturbation.orthogonal.limit.limit_coefficients` of beta, the
    second likewise.

    Args:
      q0: margins :math:`y_n f(x_n)` when the pattern locked, shape ``(n,)``.
      matrix: M of :func:`twolayer.theory.perturbation.orthogonal.multipliers.margin_matrix`,
        shape ``(n, n)``.
      eta: step, positive.
      steps: number of steps, static.
      loss: "exponential" or "logistic".

    Returns:
      beta and the weights p, each of shape ``(n,)``.
    """
    q0 = validation.vector("q0", q0)
    n = q0.shape[0]
    half = semidefinite.kernel_matrix("matrix", matrix, size=n).astype(q0.dtype) / 2
    eta = validation.scalar("eta", eta, low=0.0, open_low=True)
    validation.choice("loss", loss, LOSSES)
    steps = validation.integer("steps", steps, low=0)
    rate = jnp.asarray(eta, q0.dtype)

    def step(beta: Array, _: None) -> tuple[Array, None]:
        return beta + rate * _sample_weights(q0 + half @ beta, loss), None

    beta, _ = jax.lax.scan(step, jnp.zeros_like(q0), length=steps)
    return beta, _sample_weights(q0 + half @ beta, loss)


def gram_angle(
    first: Float[Array, "m n"], second: Float[Array, "m n"], gram: Float[Array, "n n"]
) -> Float[Array, ""]:
    r"""Angle between two weight matrices given by their coefficients of the samples.

    In :math:`[0, \pi]`, under :math:`\langle A, B\rangle = \mathrm{tr}(A G B^T)`, and accurate for
    small angles: it is that of the part of one across the other, never an arccosine. A matrix of
    norm zero gives NaN.
    """
    gram = semidefinite.kernel_matrix("gram", gram)
    n = gram.shape[0]
    first = validation.matrix("first", first, columns=n)
    second = validation.matrix("second", second, rows=first.shape[0], columns=n)
    # The angle does not depend on these sizes, of which products may leave the dtype's range.
    first, second, gram = (v / jnp.max(jnp.abs(v)) for v in (first, second, gram))

    def inner(left: Array, right: Array) -> Array:
        return jnp.sum((left @ gram) * right)

    first = first / jnp.sqrt(inner(first, first))
    second = second / jnp.sqrt(inner(second, second))
    along = inner(first, second)
    across = first - along * second
    # Rounding may bring the square below zero.
    return jnp.arctan2(jnp.sqrt(jnp.maximum(inner(across, across), 0)), along)


def _network(h: Array, y: Any, a: Any, gamma: Any, loss: str) -> tuple[Array, Array, Array]:
    y = validation.labels("y", y, length=h.shape[1]).astype(h.dtype)
    a = validation.vector("a", a, length=h.shape[0]).astype(h.dtype)
    validation.choice("loss", loss, LOSSES)
    return y, a, multipliers.slope(gamma, h)


def _force(h: Array, y: Array, a: Array, gamma: Array, loss: str) -> tuple[Array, Array]:
    """Descent coefficients (m, n) and weights (n,)."""
    gate = limit.gates(h, gamma)
    weights = _sample_weights(y * (a @ (gate * h)), loss)
    return a[:, None] * gate * (weights * y)[None, :], weights


def _sample_weights(margins: Array, loss: str) -> Array:
    """Normalised -l'(q): the softmax shifts its exponents, so that no large margin underflows."""
    return jax.nn.softmax(-margins if loss == "exponential" else jax.nn.log_sigmoid(-margins))
