"""Optimal unconstrained features: one scalar root each, against Newton's method in the features."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from jax import Array

from tests.benchmarks.measure import Check, Row, deviation, side_by_side
from twolayer.theory.mixup.collapse import optimal_features

PER_SECOND = 1e5
_STEPS, _HALVINGS = 100, 12


def run(
    *,
    num_classes: int = 10,
    dim: int = 20,
    norm: float = 2.0,
    decay: float = 0.01,
    number: int = 100_000,
    newton: int = 2000,
    repeats: int = 7,
) -> list[Row]:
    """Features of many targets: any distributions, and two classes mixed, where three values do.

    Newton's method is timed on some of the targets and scaled to all of them.
    """
    key_target, key_lam = jax.random.split(jax.random.key(0))
    w = optimal_features.simplex_etf(None, num_classes, dim, norm)
    lam = jax.random.uniform(key_lam, (number,), jnp.float64)
    rows = jnp.eye(num_classes)
    mixed = lam[:, None] * rows[:1] + (1 - lam)[:, None] * rows[1:2]
    spread = jax.nn.softmax(3 * jax.random.normal(key_target, (number, num_classes), jnp.float64))

    features = jax.jit(lambda targets: optimal_features.ufm_features(w, targets, decay))
    reference = jax.jit(functools.partial(newton_features, w=w, decay=decay))

    @jax.jit
    def three_values(lam: Array) -> Array:
        parts = optimal_features.ufm_coefficients(lam, num_classes, norm, decay)
        return parts.coef_i[:, None] * w[:1] + parts.coef_j[:, None] * w[1:2]

    times, found = side_by_side(
        [
            lambda: reference(spread[:newton]),
            lambda: features(spread),
            lambda: reference(mixed[:newton]),
            lambda: three_values(lam),
        ],
        repeats,
    )
    what = f"{number} targets, K = {num_classes}, d = {dim}, mu = {decay}, float64"
    kinds = ("any targets", "two classes mixed, three values")
    return [
        Row(
            name=f"optimal features, {kind}",
            what=what,
            reference=slow * number / newton,
            ours=fast,
            required=20.0,
            checks=(
                Check("difference from Newton's", deviation(ours[:newton], exact), at_most=1e-7),
                Check("solutions a second", number / fast, at_least=PER_SECOND),
            ),
            note=f"reference scaled from {newton} targets",
        )
        for kind, slow, fast, exact, ours in zip(
            kinds, times[::2], times[1::2], found[::2], found[1::2], strict=True
        )
    ]


def newton_features(targets: Array, *, w: Array, decay: float) -> Array:
    """Damped Newton's method on J from h = 0: the best of twelve halvings of each full step."""
    shares = 0.5 ** jnp.arange(_HALVINGS)

    def solve(target: Array) -> Array:
        def value(h: Array) -> Array:
            return optimal_features.ufm_objective(h, w, target, decay)

        def unfinished(state: tuple[Array, Array, Array]) -> Array:
            index, h, step = state
            return (index < _STEPS) & (jnp.linalg.norm(step) > 1e-12 * (1 + jnp.linalg.norm(h)))

        def improve(state: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
            index, h, _ = state
            full = jax.scipy.linalg.solve(jax.hessian(value)(h), jax.grad(value)(h), assume_a="pos")
            steps = shares[:, None] * full[None]
            chosen = jnp.argmin(jax.vmap(value)(h[None] - steps))
            return index + 1, h - steps[chosen], steps[chosen]

        start = jnp.zeros(w.shape[1], w.dtype)
        return jax.lax.while_loop(unfinished, improve, (jnp.asarray(0), start, start + 1))[1]

    return jax.vmap(solve)(targets)


BENCHMARKS = {"optima": run}
