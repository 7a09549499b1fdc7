r"""Full-batch gradient descent with momentum on the two-layer network, in two coordinate systems.

The trained parameters :math:`\theta_i = (w_i, b_i)` move only inside the span of the augmented
samples :math:`\tilde x_k = (x_k, 1)`, by :math:`a_i \sum_k C_{ki} \tilde x_k`. So the same
trajectory can be computed in weights (4 m N d flops a step) or in the coefficients C through the
Gram matrix :math:`\tilde X \tilde X^T` (2 m N^2 flops a step, after one product for the Gram
matrix): the second is cheaper when N < 2 d.

Source: [derived], from the update rule of :mod:`twolayer.theory.training.momentum`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from twolayer.theory import networks, validation
from twolayer.theory.kernels.activations import ActivationLike
from twolayer.theory.networks import TwoLayer
from twolayer.theory.training import momentum
from twolayer.theory.training.momentum import Coordinates, Rule, TrainTrace

COORDINATES = ("auto", "weights", "gram")


def train(
    p: TwoLayer,
    x: Float[Array, "n d"],
    y: Float[Array, " n"],
    *,
    loss: str,
    lr: float | Float[Array, ""],
    beta: float | Float[Array, ""] = 0.9,
    steps: int,
    gamma: ActivationLike,
    scheduler: str | None = None,
    torch_plateau: bool = True,
    coordinates: str = "auto",
    gram: Float[Array, "n n"] | None = None,
    products: Any = None,
    neuron_block: int | None = None,
) -> tuple[TwoLayer, TrainTrace]:
    """Train for a fixed number of steps and keep the trace.

    Args:
      p: the network at its start.
      x: samples, shape ``(n, d)``.
      y: labels -1 and +1, shape ``(n,)``.
      loss: "identity" or "logistic".
      lr: learning rate, non-negative.
      beta: momentum in [0, 1).
      steps: number of steps, at least 0.
      gamma: slope of the leaky ReLU, or an activation.
      scheduler: None, or "plateau": the rate falls tenfold when the loss has not improved for more
        than ten steps.
      torch_plateau: "improved" means ``loss < best * (1 - 1e-4)``, which a slightly worse value
        passes when losses are negative (the published runs were made so); else 1e-4 of ``|best|``
        below the best.
      coordinates: "weights", "gram", or "auto" for the cheaper of the two (Gram when n < 2 d).
      gram: :func:`gram_matrix` of x, if it is at hand; used by the Gram coordinates.
      products: dtype of the factors of the large matrix products, e.g. ``jnp.bfloat16``; sums stay
        in the dtype of the run. For simulations on hardware that multiplies short floats faster.
      neuron_block: train this many neurons at a time (identity loss without scheduler, where
        neurons do not interact; must divide the width), which bounds memory by ``n * block``.

    Returns:
      The trained network and its :class:`TrainTrace`. The run is in the widest dtype of network
      and samples, in float32 where all are shorter floats; the network is then rounded to those.

    Raises:
      ValueError: for an argument outside what is said above.
    """
    steps = validation.integer("steps", steps, low=0)
    rule = Rule(loss, lr, beta, gamma, scheduler, torch_plateau).check()
    given = p, x
    p, x, y = _samples(p, x, y)

    def run(part: TwoLayer) -> tuple[TwoLayer, TrainTrace]:
        start, step, finish = _problem(part, x, y, rule, coordinates, gram, products)
        state, (rates, losses) = jax.lax.scan(lambda state, _: step(state), start, length=steps)
        trained = validation.rounded(finish(state.position), given)
        return trained, momentum.trace(state, rates, losses, rule.beta)

    if neuron_block is None:
        return run(p)
    if loss != "identity" or scheduler is not None:
        raise ValueError("neuron_block needs loss='identity' and scheduler=None.")
    width, block = p.a.shape[0], validation.integer("neuron_block", neuron_block)
    if width % block:
        raise ValueError(f"neuron_block must divide the width {width}; got {block}.")
    parts = jax.tree.map(lambda leaf: leaf.reshape(-1, block, *leaf.shape[1:]), p)
    parts, traces = jax.lax.map(run, parts)
    return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), parts), TrainTrace(
        rates=traces.rates[0],
        losses=jnp.sum(traces.losses, axis=0),  # the loss is linear in the neurons' outputs
        weights=traces.weights[0],
        loss_factors=traces.loss_factors[0],
        gate_average=traces.gate_average.reshape(width, -1),
    )


def snapshots(
    p: TwoLayer,
    x: Float[Array, "n d"],
    y: Float[Array, " n"],
    *,
    loss: str,
    lr: float | Float[Array, ""],
    beta: float | Float[Array, ""] = 0.9,
    at: Any,
    gamma: ActivationLike,
    scheduler: str | None = None,
    torch_plateau: bool = True,
    coordinates: str = "auto",
    gram: Float[Array, "n n"] | None = None,
    products: Any = None,
) -> TwoLayer:
    """Networks along one run, at the given numbers of steps.

    The steps may be traced: sweeps over training time share one compile and one run.

    Args:
      at: numbers of steps, integers of shape ``(t,)``, ascending and non-negative.
      p: the network at its start; this and the other arguments are those of :func:`train`.
      x: samples.
      y: labels.
      loss: "identity" or "logistic".
      lr: learning rate.
      beta: momentum.
      gamma: slope or activation.
      scheduler: None or "plateau".
      torch_plateau: as in :func:`train`.
      coordinates: as in :func:`train`.
      gram: as in :func:`train`.
      products: as in :func:`train`.

    Returns:
      Networks stacked along a leading axis of length t, in dtypes as :func:`train` gives them.
    """
    at = validation.integers("at", at, shape=(None,))
    if not validation.holds(lambda known: jnp.diff(known, prepend=0) >= 0, at):
        raise ValueError(f"at must be ascending and non-negative; got {at.tolist()}.")
    gaps = jnp.diff(at, prepend=0)
    rule = Rule(loss, lr, beta, gamma, scheduler, torch_plateau).check()
    given = p, x
    p, x, y = _samples(p, x, y)
    start, step, finish = _problem(p, x, y, rule, coordinates, gram, products)

    def segment(state: momentum.State, gap: Array) -> tuple[momentum.State, TwoLayer]:
        state = jax.lax.fori_loop(0, gap, lambda _, state: step(state)[0], state)
        return state, validation.rounded(finish(state.position), given)

    return jax.lax.scan(segment, start, gaps)[1]


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
      torch_plateau: as in :func:`train`.
      products: as in :func:`train`.

    Returns:
      Coefficients C of shape ``(n, m)``, with
      :math:`\theta_i = \theta_i(0) + a_i \sum_k C_{ki} \tilde x_k`, and the trace.
    """
    steps = validation.integer("steps", steps, low=0)
    pre = validation.matrix("pre", pre)
    n, width = pre.shape
    gram = validation.kernel_matrix("gram", gram, size=n)
    a = validation.vector("a", a, length=width)
    pre, gram, a = validation.alike(pre, gram, a)
    y = validation.labels("y", y, length=n).astype(pre.dtype)
    rule = Rule(loss, lr, beta, gamma, scheduler, torch_plateau).check()
    start, step = momentum.loop(_gram_coordinates(pre, a, gram, products), a, y, rule)
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
    return _dual_weights(p0, coef.T, x)


def gram_matrix(x: Float[Array, "n d"]) -> Float[Array, "n n"]:
    """Gram matrix of the augmented samples, ``x x^T + 1``, shape ``(n, n)``."""
    x = validation.matrix("x", x)
    return x @ x.T + 1


def cheaper_coordinates(n: int, d: int) -> str:
    """The name of the coordinates with fewer flops a step: Gram when n < 2 d."""
    return "gram" if validation.integer("n", n) < 2 * validation.integer("d", d) else "weights"


def _samples(p: TwoLayer, x: Any, y: Any) -> tuple[TwoLayer, Array, Array]:
    p = networks.checked("p", p)
    x = validation.matrix("x", x, columns=p.w.shape[1])
    # The loop needs one dtype; the widest one, where network and samples differ.
    leaves, tree = jax.tree.flatten((p, x))
    p, x = jax.tree.unflatten(tree, validation.alike(*leaves))
    return p, x, validation.labels("y", y, length=x.shape[0]).astype(x.dtype)


def _problem(
    p: TwoLayer,
    x: Array,
    y: Array,
    rule: Rule,
    coordinates: str,
    gram: Array | None,
    products: Any,
) -> tuple[momentum.State, Callable[[momentum.State], Any], Callable[[Any], TwoLayer]]:
    """Start, step and read-out of a run in the coordinates asked for."""
    validation.choice("coordinates", coordinates, COORDINATES)
    if coordinates == "auto":
        coordinates = cheaper_coordinates(*x.shape)
    if coordinates == "weights":
        start, step = momentum.loop(_weight_coordinates(p, x, products), p.a, y, rule)
        return start, step, lambda position: TwoLayer(w=position[0], b=position[1], a=p.a)
    n = x.shape[0]
    gram = gram_matrix(x) if gram is None else validation.kernel_matrix("gram", gram, size=n)
    gram = gram.astype(x.dtype)
    pre = networks.preactivations(p, x).T
    start, step = momentum.loop(_gram_coordinates(pre, p.a, gram, products), p.a, y, rule)
    return start, step, lambda position: _dual_weights(p, position[1].T, x)


def _weight_coordinates(p: TwoLayer, x: Array, products: Any) -> Coordinates:
    # Both products are plain a @ b: the transposed sample matrix is laid out once.
    rows, columns = _short(x, products), _short(x.T, products)

    def read(position: Any) -> Array:
        w, b = position
        return _product(w, columns, products) + b[:, None]

    def push(force: Array) -> Any:
        force = p.a[:, None] * force
        return _product(force, rows, products), jnp.sum(force, axis=1)

    def advance(position: Any, velocity: Any, rate: Array) -> Any:
        return jax.tree.map(lambda at, by: at + rate * by, position, velocity)

    start = (p.w, p.b)
    return Coordinates(start, jax.tree.map(jnp.zeros_like, start), read, push, advance)


def _gram_coordinates(pre: Array, a: Array, gram: Array, products: Any) -> Coordinates:
    # Position: pre-activations and coefficients; velocity: that of the coefficients. All are kept
    # (n, m), samples first: on CPU a large matrix times a narrow one is the faster way round.
    short_gram = _short(gram, products)

    def read(position: Any) -> Array:
        return position[0].T

    def push(force: Array) -> Array:
        return force.T

    def advance(position: Any, velocity: Array, rate: Array) -> Any:
        pre, coef = position
        scaled = _short(velocity * a[None, :], products)
        moved = jnp.matmul(short_gram, scaled, preferred_element_type=pre.dtype)
        return pre + rate * moved, coef + rate * velocity

    nothing = jnp.zeros_like(pre)
    return Coordinates((pre, nothing), nothing, read, push, advance)


def _dual_weights(p: TwoLayer, coef: Array, x: Array) -> TwoLayer:
    scaled = p.a[:, None] * coef
    return TwoLayer(w=p.w + scaled @ x, b=p.b + jnp.sum(scaled, axis=1), a=p.a)


def _short(operand: Array, products: Any) -> Array:
    return operand if products is None else operand.astype(products)


def _product(left: Array, right: Array, products: Any) -> Array:
    """``left @ right`` with factors in the dtype asked for and sums in that of ``left``."""
    return jnp.matmul(_short(left, products), right, preferred_element_type=left.dtype)
