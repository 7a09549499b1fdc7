"""Descent in Gram coordinates: pre-activations at the samples, and coefficients of the samples.

The Gram matrix is all that is asked of the samples. Source: [derived], from the update rule of
:mod:`twolayer.theory.training.momentum`.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from twolayer.theory import networks, semidefinite, validation
from twolayer.theory.kernels.activations import ActivationLike
from twolayer.theory.networks import TwoLayer
from twolayer.theory.training import momentum
from twolayer.theory.training.momentum import Coordinates, Rule, TrainTrace


def train_dual(
    pre: Float[Array, "n m"],
    gram: Float[Array, "n n"],
    y: Float[Array, " n"],
    a: Float[Array, " m"],
    *,
    loss: str,
    lr: float | Float[Array, ""],
    beta: float | Float[Array, ""] = 0.9,
    steps: int,
    gamma: ActivationLike,
    scheduler: str | None = None,
    torch_plateau: bool = True,
    products: Any = None,
) -> tuple[Float[Array, "n m"], TrainTrace]:
    r"""Train in Gram coordinates alone: no sample and no weight is needed, only their products.

    Args:
      pre: initial pre-activations :math:`\theta_i(0) \cdot \tilde x_k`, shape ``(n, m)``.
      gram: :math:`\tilde X \tilde X^T = X X^T + 1`, shape ``(n, n)``.
      y: labels, shape ``(n,)``.
      a: output weights, shape ``(m,)``.
      loss: "identity" or "logistic".
      lr: learning rate.
      beta: momentum.
      steps: number of steps.
      gamma: slope or activation.
      scheduler: None or "plateau".
      torch_plateau: as in :func:`twolayer.theory.training.gradient_descent.train`.
      products: as in :func:`twolayer.theory.training.gradient_descent.train`.

    Returns:
      Coefficients C of shape ``(n, m)``, with
      :math:`\theta_i = \theta_i(0) + a_i \sum_k C_{ki} \tilde x_k`, and the trace.
    """
    steps = validation.integer("steps", steps, low=0)
    pre = validation.matrix("pre", pre)
    n, width = pre.shape
    gram = semidefinite.kernel_matrix("gram", gram, size=n)
    a = validation.vector("a", a, length=width)
    pre, gram, a = validation.alike(pre, gram, a)
    y = validation.labels("y", y, length=n).astype(pre.dtype)
    rule = Rule(loss, lr, beta, gamma, scheduler, torch_plateau).check()
    start, step = momentum.loop(gram_coordinates(pre, a, gram, products), a, y, rule)
    state, (rates, losses) = jax.lax.scan(lambda state, _: step(state), start, length=steps)
    return state.position[1], momentum.trace(state, rates, losses, rule.beta)


def apply_dual(
    p0: TwoLayer, coef: Float[Array, "n m"], x: Float[Array, "n d"], z: Float[Array, "k d"]
) -> Float[Array, "k m"]:
    r"""Pre-activations at z of the network with coefficients C, shape ``(k, m)``.

    :math:`\theta_i(0) \cdot \tilde z + a_i \sum_k (\tilde z \cdot \tilde x_k) C_{ki}`: kernel
    evaluations only, no trained weight is formed.
    """
    p0 = networks.checked("p0", p0)
    x, z = validation.pair(x, z)
    coef = validation.matrix("coef", coef, rows=x.shape[0], columns=p0.a.shape[0])
    return networks.preactivations(p0, z).T + ((z @ x.T + 1) @ coef) * p0.a[None, :]


def dual_weights(p0: TwoLayer, coef: Float[Array, "n m"], x: Float[Array, "n d"]) -> TwoLayer:
    """The network whose coefficients are C: one product of sizes m, n, d."""
    p0 = networks.checked("p0", p0)
    x = validation.matrix("x", x, columns=p0.w.shape[1])
    coef = validation.matrix("coef", coef, rows=x.shape[0], columns=p0.a.shape[0])
    return moved_network(p0, coef.T, x)


def gram_coordinates(pre: Array, a: Array, gram: Array, products: Any) -> Coordinates:
    """Coordinates of descent by pre-activations ``(n, m)``, output weights and a Gram matrix."""
    # Position: pre-activations and coefficients; velocity: that of the coefficients. All are kept
    # (n, m), samples first: on CPU a large matrix times a narrow one is the faster way round.
    short_gram = shortened(gram, products)

    def read(position: Any) -> Array:
        return position[0].T

    def push(force: Array) -> Array:
        return force.T

    def advance(position: Any, velocity: Array, rate: Array) -> Any:
        pre, coef = position
        scaled = shortened(velocity * a[None, :], products)
        moved = jnp.matmul(short_gram, scaled, preferred_element_type=pre.dtype)
        return pre + rate * moved, coef + rate * velocity

    nothing = jnp.zeros_like(pre)
    return Coordinates((pre, nothing), nothing, read, push, advance)


def moved_network(p: TwoLayer, coef: Array, x: Array) -> TwoLayer:
    """The network whose neurons moved by coefficients ``(m, n)`` of the samples."""
    scaled = p.a[:, None] * coef
    return TwoLayer(w=p.w + scaled @ x, b=p.b + jnp.sum(scaled, axis=1), a=p.a)


def shortened(operand: Array, products: Any) -> Array:
    """A factor of a product in the dtype asked for."""
    return operand if products is None else operand.astype(products)
