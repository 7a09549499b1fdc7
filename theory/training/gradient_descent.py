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

from twolayer.theory import networks, precision, semidefinite, validation
from twolayer.theory.kernels.activations import ActivationLike
from twolayer.theory.networks import TwoLayer
from twolayer.theory.training import momentum
from twolayer.theory.training.dual import gram_coordinates, moved_network, shortened
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
        trained = precision.rounded(finish(state.position), given)
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
        return state, precision.rounded(finish(state.position), given)

    return jax.lax.scan(segment, start, gaps)[1]


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
    gram = gram_matrix(x) if gram is None else semidefinite.kernel_matrix("gram", gram, size=n)
    gram = gram.astype(x.dtype)
    pre = networks.preactivations(p, x).T
    start, step = momentum.loop(gram_coordinates(pre, p.a, gram, products), p.a, y, rule)
    return start, step, lambda position: moved_network(p, position[1].T, x)


def _weight_coordinates(p: TwoLayer, x: Array, products: Any) -> Coordinates:
    # Both products are plain a @ b: the transposed sample matrix is laid out once.
    rows, columns = shortened(x, products), shortened(x.T, products)

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


def _product(left: Array, right: Array, products: Any) -> Array:
    """``left @ right`` with factors in the dtype asked for and sums in that of ``left``."""
    return jnp.matmul(shortened(left, products), right, preferred_element_type=left.dtype)
