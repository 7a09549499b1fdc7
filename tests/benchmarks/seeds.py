"""Several seeds of one simulation: a thread a core, as a run does, against one batch."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array

from tests.benchmarks import training
from tests.benchmarks.measure import Check, Row, deviation, side_by_side
from twolayer.host import process_pool
from twolayer.sims.engine import execution


def run(
    *,
    num_seeds: int = 16,
    n: int = 1000,
    d: int = 100,
    width: int = 100,
    steps: int = 200,
    repeats: int = 6,
) -> list[Row]:
    """Data, start and training of every seed; what is kept is the outputs on its samples."""

    def simulate(key: Array) -> Array:
        p, x, y = training.problem(n, d, width, key)
        return training.outputs(training.ours(p, x, y, steps=steps, coordinates="weights"), x)

    keys = jax.random.split(jax.random.key(0), num_seeds)
    batch = jax.jit(jax.vmap(simulate))
    single = jax.jit(simulate)

    def threads() -> Array:
        done = execution.side_by_side(
            lambda seed: jax.block_until_ready(single(keys[seed])),
            range(num_seeds),
            workers=process_pool.cores(),
        )
        return jnp.stack([outputs for _, outputs in sorted(done, key=lambda pair: pair[0])])

    (reference, ours), (exact, found) = side_by_side([lambda: batch(keys), threads], repeats)
    on_cpu = jax.default_backend() == "cpu"
    return [
        Row(
            name="seeds",
            what=f"{num_seeds} seeds of d = {d}, N = {n}, m = {width}, {steps} steps, against vmap",
            reference=reference,
            ours=ours,
            required=1.3,
            checks=(Check("deviation", deviation(found, exact), at_most=1e-3),),
            hardware="" if on_cpu else "on accelerators seeds are one batch",
        )
    ]


BENCHMARKS = {"seeds": run}
