"""Training of one wide network on perturbations, from zero or to the limit."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jax import Array

from twolayer.theory.perturbation.orthogonal import flow, limit
from twolayer.theory.perturbation.orthogonal import multipliers as limit_multipliers


def train(
    start: Array,
    x: Array,
    gram: Array,
    y: Array,
    *,
    a: Array,
    gamma: Array,
    duration: Array | float,
    max_steps: Array | int,
) -> tuple[Array, Array]:
    r"""Gradient flow of the mean exponential loss for a given time, in normalised steps.

    Steps are :math:`\eta = 2 N / \lambda_{\max}(G)` of the time s with :math:`ds = L\, dt`, half of
    what is stable where all samples weigh alike; with half of them accuracies differ by less than
    0.01 [measured]. Flow time is the sum of :math:`\eta / L`, as a logarithm: it grows without
    bound.

    Args:
      start: rows at the start, shape ``(m, d)``.
      x: samples, shape ``(n, d)``.
      gram: their Gram matrix.
      y: labels.
      a: output weights, shape ``(m,)``.
      gamma: slope.
      duration: flow time at which to stop: learning rate / (1 - momentum) times epochs.
      max_steps: most steps.

    Returns:
      Coefficients of the samples in the movement of the rows, shape ``(m, n)``, and
      :math:`\log_{10}` of the flow time reached.
    """
    n = y.shape[0]
    eta = 2 * n / largest_eigenvalue(gram)
    h0 = start @ x.T

    def not_done(state: tuple[Array, Array, Array, Array]) -> Array:
        _, _, log_time, step = state
        return (log_time < jnp.log(duration)) & (step < max_steps)

    def step(state: tuple[Array, Array, Array, Array]) -> tuple[Array, Array, Array, Array]:
        h, coefficients, log_time, count = state
        margins = y * (a @ (h * limit.gates(h, gamma)))
        log_loss = jax.nn.logsumexp(-margins) - math.log(n)
        move = eta * flow.descent_coefficients(h, y, a, gamma)
        log_time = jnp.logaddexp(log_time, jnp.log(eta) - log_loss)
        return h + move @ gram, coefficients + move, log_time, count + 1

    beginning = jnp.asarray(-jnp.inf, h0.dtype)
    _, coefficients, log_time, _ = jax.lax.while_loop(
        not_done, step, (h0, jnp.zeros_like(h0), beginning, jnp.asarray(0))
    )
    return coefficients, log_time / math.log(10)


def outputs(points: Array, rows: Array, a: Array, gamma: Array) -> Array:
    """Evaluate the network with these rows at points, shape ``(k,)``."""
    h = points @ rows.T
    return (h * limit.gates(h, gamma)) @ a


def share_right(y: Array, values: Array) -> Array:
    return jnp.mean(y * values > 0, dtype=jnp.float32)


def limit_accuracy(gram: Array, targets: Array, gamma: Array, cross: Array, y: Array) -> Array:
    """Accuracy of the closed-form limit, NaN where it does not exist in double precision."""
    exact = targets.astype(jnp.float64)
    multipliers = limit_multipliers.solve_multipliers(gram.astype(jnp.float64), exact, gamma)
    values = cross @ (multipliers * exact).astype(cross.dtype)
    return jnp.where(jnp.all(jnp.isfinite(multipliers)), share_right(y, values), jnp.nan)


def largest_eigenvalue(gram: Array) -> Array:
    """By 20 power iterations: a few per cent too small at worst, which the steps can bear."""

    def turn(_: int, vector: Array) -> Array:
        vector = gram @ vector
        return vector / jnp.linalg.norm(vector)

    vector = jax.lax.fori_loop(0, 20, turn, jnp.ones(gram.shape[0], gram.dtype))
    return vector @ (gram @ vector)
