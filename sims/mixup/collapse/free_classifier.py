r"""Unconstrained features with a free classifier: both are trained, from random starts.

Whether a simplex frame is the global minimum is not proved; what is measured here is whether
training finds it, whether classifier and features balance as every stationary point must
(Proposition B2), and whether the trained features are those of Theorem B1.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import Array

from twolayer.sims.engine.experiment import traced
from twolayer.theory import validation
from twolayer.theory.mixup.collapse import dual, free_classifier

_MEMORY = 30


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """All ordered pairs of classes times a grid of weights, a free feature for each.

    ``decay`` of the features is mu, ``weight_decay`` of the classifier omega, ``start`` the
    standard deviation of all initial entries. Every ``every``-th of the ``steps`` of L-BFGS is
    recorded.
    """

    num_classes: int = 4
    dim: int = 6
    lams: tuple[float, ...] = traced((0.0, 0.2, 0.4, 0.6, 0.8, 1.0))
    decay: float = traced(0.02)
    weight_decay: float = traced(0.02)
    start: float = traced(1.0)
    steps: int = 500
    every: int = 5

    def __post_init__(self) -> None:
        validation.integer("num_classes", self.num_classes, low=2)
        validation.integer("dim", self.dim, low=self.num_classes - 1)
        validation.integer("every", self.every)
        if validation.integer("steps", self.steps) % self.every:
            raise ValueError(f"steps must be a multiple of every, {self.every}; got {self.steps}.")
        if not self.lams:
            raise ValueError("lams must hold at least one value.")
        for value in self.lams:
            validation.number("lams", value, low=0.0, high=1.0)
        for name in ("decay", "weight_decay", "start"):
            validation.number(name, getattr(self, name), low=0.0, open_low=True)


DIMS = {
    "loss": ("step",),
    "etf_error": ("step",),
    "balance": ("step",),
    "feature_error": ("step",),
    "scale": ("step",),
}


def coords(config: TrainingConfig) -> dict[str, list]:
    """Values along each axis of the results."""
    return {"step": list(range(0, config.steps + 1, config.every))}


def simulate(key: Array, config: TrainingConfig, inputs: dict[str, Array]) -> dict[str, Array]:
    r"""L-BFGS on classifier and features together, in float64.

    - ``loss``: L(W, h);
    - ``etf_error``: distance of the classifier's Gram matrix from a simplex frame's, relative;
    - ``balance``: :math:`|\omega |W|_F^2 - \mu\,\mathrm{mean}|h|^2|`;
    - ``feature_error``: largest distance of a feature from that of Theorem B1 for a frame of the
      classifier's strength, in units of the largest feature;
    - ``scale``: norm m of the rows, root mean square.
    """
    k, d = config.num_classes, config.dim
    targets = free_classifier.pair_targets(k, jnp.asarray(config.lams, jnp.float64))
    flat = config.start * jax.random.normal(key, ((k + targets.shape[0]) * d,), jnp.float64)

    def split(flat: Array) -> tuple[Array, Array]:
        return flat[: k * d].reshape(k, d), flat[k * d :].reshape(-1, d)

    def loss(flat: Array) -> Array:
        return free_classifier.free_loss(*split(flat), targets, config.decay, config.weight_decay)

    optimizer = optax.lbfgs(memory_size=_MEMORY)
    evaluate = optax.value_and_grad_from_state(loss)

    def step(carry: tuple[Array, Any], _: None) -> tuple[tuple[Array, Any], None]:
        flat, state = carry
        value, gradient = evaluate(flat, state=state)
        updates, state = optimizer.update(
            gradient, state, flat, value=value, grad=gradient, value_fn=loss
        )
        return (optax.apply_updates(flat, updates), state), None

    def chunk(carry: tuple[Array, Any], _: None) -> tuple[tuple[Array, Any], Array]:
        carry, _ = jax.lax.scan(step, carry, length=config.every)
        return carry, carry[0]

    _, path = jax.lax.scan(chunk, (flat, optimizer.init(flat)), length=config.steps // config.every)

    def measure(flat: Array) -> dict[str, Array]:
        w, h = split(flat)
        strength = jnp.sum(w**2) / (k - 1)
        exact = dual.ufm_logits(targets, strength / config.decay) @ w / strength
        squares = jnp.sum(h**2, axis=1)
        return {
            "loss": loss(flat),
            "etf_error": frame_error(w),
            "balance": jnp.abs(
                config.weight_decay * jnp.sum(w**2) - config.decay * jnp.mean(squares)
            ),
            "feature_error": jnp.max(jnp.linalg.norm(h - exact, axis=1))
            / jnp.max(jnp.linalg.norm(exact, axis=1)),
            "scale": jnp.sqrt(jnp.sum(w**2) / k),
        }

    return jax.lax.map(measure, jnp.concatenate([flat[None], path]))


def frame_error(w: Array) -> Array:
    r"""Distance :math:`|W W^T - F|_F / |F|_F` from :math:`F = A (I - 11^T / K)` of equal trace."""
    k = w.shape[0]
    frame = jnp.sum(w**2) / (k - 1) * (jnp.eye(k, dtype=w.dtype) - 1 / k)
    return jnp.linalg.norm(w @ w.T - frame) / jnp.linalg.norm(frame)
