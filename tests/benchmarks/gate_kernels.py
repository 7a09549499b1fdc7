"""The gate kernel against its matrix product alone, and against a Monte Carlo estimate."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from tests.benchmarks.measure import Check, Row, in_float64, side_by_side
from twolayer.theory.kernels import shallow

GAMMA = 0.0


def run(*, n: int = 2000, d: int = 1000, gate_samples: int = 1000, repeats: int = 9) -> list[Row]:
    """A Gram matrix: equal rows, which rounding spoils first, are on its diagonal."""
    key_x, key_gates = jax.random.split(jax.random.key(0))
    x = jax.random.normal(key_x, (n, d), jnp.float32)
    product = jax.jit(lambda x, z: x @ z.T)
    closed = jax.jit(lambda x, z: shallow.gate_kernel(x, z, GAMMA))
    drawn = jax.jit(lambda key, x, z: shallow.gate_kernel_mc(key, x, z, GAMMA, gate_samples))
    (alone, ours, monte_carlo), (_, kernel, estimate) = side_by_side(
        [lambda: product(x, x), lambda: closed(x, x), lambda: drawn(key_gates, x, x)], repeats
    )
    exact = closed(in_float64(x), in_float64(x))
    error, noise = (float(jnp.max(jnp.abs(k - exact))) for k in (kernel, estimate))
    what = f"N = {n}, d = {d}, float32"
    return [
        Row(
            name="gate kernel",
            what=f"{what}, at most 1.3 times its matrix product alone",
            reference=alone,
            ours=ours,
            required=1 / 1.3,
            checks=(Check("error", error, at_most=1e-6),),
        ),
        Row(
            name="gate kernel, drawn",
            what=f"{what}, estimate from {gate_samples} gates",
            reference=monte_carlo,
            ours=ours,
            checks=(Check("error", error, at_most=1e-6), Check("error of the estimate", noise)),
        ),
    ]


BENCHMARKS = {"kernels": run}
