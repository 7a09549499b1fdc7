"""Networks on inputs given by coordinates in a plane, and their training by full-batch Adam."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from jax import Array
from jax.flatten_util import ravel_pytree

from twolayer.theory import validation

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "linear": lambda h: h,
    "relu": nn.relu,
    "tanh": jnp.tanh,
}


def check_training(config: Any) -> None:
    """What all trainings of this stem ask of their architecture, sizes and rate."""
    validation.choice("activation", config.activation, ACTIVATIONS)
    validation.integer("depth", config.depth, low=0)
    if config.depth == 0 and config.activation != "linear":
        raise ValueError(
            f"activation must be linear where depth is 0, without hidden layers; "
            f"got {config.activation!r}."
        )
    for name in ("width", "every"):
        validation.integer(name, getattr(config, name))
    for name in ("dim", "n", "num_probes"):
        validation.integer(name, getattr(config, name), low=2)
    for name in ("n", "num_probes"):
        if getattr(config, name) % 2:
            raise ValueError(f"{name} must be even; got {getattr(config, name)}.")
    if validation.integer("steps", config.steps) % config.every:
        raise ValueError(f"steps must be a multiple of every, {config.every}; got {config.steps}.")
    validation.number("rate", config.rate, low=0.0, open_low=True)


class Embedded(nn.Module):
    """A linear layer whose inputs ``coords @ basis`` are given by both factors."""

    features: int

    @nn.compact
    def __call__(self, coords: Array, basis: Array) -> Array:
        """Features ``(n, features)`` of coordinates ``(n, k)`` along the rows ``(k, d)``."""
        shape = (basis.shape[1], self.features)
        kernel = self.param("kernel", nn.initializers.he_normal(), shape, jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, (self.features,), jnp.float32)
        return coords @ (basis @ kernel) + bias[None]


class Network(nn.Module):
    """A perceptron with one output."""

    activation: str
    depth: int
    width: int

    @nn.compact
    def __call__(self, coords: Array, basis: Array) -> Array:
        """Outputs ``(n,)`` of inputs ``coords @ basis``."""
        widths = (*(self.width,) * self.depth, 1)
        h = Embedded(widths[0])(coords, basis)
        for width in widths[1:]:
            h = nn.Dense(width)(ACTIVATIONS[self.activation](h))
        return h[:, 0]


class Flat(NamedTuple):
    """A network as functions of one vector of parameters."""

    initialise: Callable[[Array], Array]  # key -> (p,)
    apply: Callable[[Array, Array, Array], Array]  # (p,), (n, k), (k, d) -> (n,)


def flat_network(activation: str, depth: int, width: int, dim: int) -> Flat:
    """A :class:`Network` with all parameters as one vector, which compiles faster.

    Weights of a layer are drawn as He's: normal, of variance 2 / fan-in; biases are 0.
    """
    net = Network(activation, depth, width)
    example = jax.ShapeDtypeStruct((1, 2), jnp.float32), jax.ShapeDtypeStruct((2, dim), jnp.float32)
    shapes = jax.eval_shape(net.init, jax.random.key(0), *example)
    scales, unravel = ravel_pytree(
        jax.tree.map(
            lambda leaf: jnp.full(
                leaf.shape, (2 / leaf.shape[0]) ** 0.5 if leaf.ndim == 2 else 0.0, leaf.dtype
            ),
            shapes,
        )
    )

    def initialise(key: Array) -> Array:
        return scales * jax.random.normal(key, scales.shape, scales.dtype)

    def apply(vector: Array, coords: Array, basis: Array) -> Any:
        return net.apply(unravel(vector), coords, basis)

    return Flat(initialise, apply)


class Fit(NamedTuple):
    """A finished training, as seen after each of T stretches of it."""

    outputs: Array  # (T, p), at the probes
    loss: Array  # (T,)
    gradient: Array  # (), its norm at the end


def train(
    network: Flat, start: Array, x: Array, basis: Array, y: Array, probes: Array, config: Any
) -> Fit:
    """Full-batch Adam on the mean logistic loss, from given parameters.

    Args:
      network: what is trained.
      start: its parameters at first, shape ``(p,)``.
      x: coordinates of the sample, shape ``(n, k)``.
      basis: what they are coordinates along, shape ``(k, d)``.
      y: labels -1 and +1, shape ``(n,)``.
      probes: coordinates of the probes, shape ``(p, k)``.
      config: has ``steps``, ``every`` and ``rate``.
    """
    optimizer = optax.adam(jnp.asarray(config.rate, start.dtype))
    y = y.astype(start.dtype)

    def loss(params: Array) -> Array:
        return jnp.mean(jax.nn.softplus(-y * network.apply(params, x, basis)))

    def step(state: tuple[Array, Any], _: None) -> tuple[tuple[Array, Any], None]:
        params, moments = state
        updates, moments = optimizer.update(jax.grad(loss)(params), moments, params)
        return (params + updates, moments), None

    def stretch(state: tuple[Array, Any], _: None) -> tuple[tuple[Array, Any], Any]:
        state, _ = jax.lax.scan(step, state, length=config.every)
        return state, (network.apply(state[0], probes, basis), loss(state[0]))

    state = start, optimizer.init(start)
    state, (outputs, losses) = jax.lax.scan(stretch, state, length=config.steps // config.every)
    return Fit(outputs, losses, jnp.linalg.norm(jax.grad(loss)(state[0])))
