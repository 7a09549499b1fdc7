"""The grid of finite networks over predictivity and availability: one program an architecture."""

from __future__ import annotations

import dataclasses
import time

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from tests.benchmarks.measure import Check, Row, side_by_side
from twolayer.sims.engine import execution
from twolayer.sims.engine.experiment import Study, map_seeds
from twolayer.sims.shortcut.availability import experiment as stem
from twolayer.sims.shortcut.availability.networks import NetworkConfig

_STUDY = next(each for each in stem.EXPERIMENT.studies if each.name == "network")


def run(
    *,
    seeds: int = 10,
    rhos: int = 6,
    ratios: int = 5,
    n: int = 400,
    width: int = 64,
    steps: int = 100,
    repeats: int = 3,
) -> list[Row]:
    """Two-layer ReLU networks: a compiled grid, a Python loop, and one compile a point.

    The loop calls one compiled training, whose predictivity and ratio are arguments, for each point
    and seed: the same work. One compile a point has both in the program, and the seeds one after
    another; one point is timed from a cold start, and multiplied.
    """
    full = NetworkConfig()
    config = NetworkConfig(
        n=n,
        width=width,
        steps=steps,
        every=steps,
        num_points=2,
        rho_s=full.rho_s[-rhos:],
        ratios=full.ratios[:ratios],
    )
    points = [
        dataclasses.replace(config, rho_s=(rho,), ratios=(ratio,))
        for rho in config.rho_s
        for ratio in config.ratios
    ]
    (loop, grid), (singles, whole) = side_by_side(
        [
            lambda: [
                execution.results(_STUDY, point, [seed], None)[0]["loss"]
                for seed in range(seeds)
                for point in points
            ],
            lambda: [
                each["loss"] for each in execution.results(_STUDY, config, range(seeds), None)
            ],
        ],
        repeats,
    )
    with execution.uncached():
        begin = time.perf_counter()
        execution.results(_STUDY, config, range(seeds), None)
        from_cold = time.perf_counter() - begin
        begin = time.perf_counter()
        jax.block_until_ready(_one_point(_STUDY, points[0], seeds))
        one_point = time.perf_counter() - begin
    looped = np.stack([each.ravel() for each in singles]).reshape(seeds, *whole[0].shape)
    gap = float(np.max(np.abs(looped / np.stack(whole) - 1)))
    what = f"{len(points)} points, {seeds} seeds, n = {n}, width {width}, {steps} steps, float32"
    checks = (Check("relative deviation of the loss", gap, at_most=1e-3),)
    return [
        Row(
            name="grid of networks",
            what=f"{what}, against a Python loop of a compiled training",
            reference=loop,
            ours=grid,
            required=1 / 1.1,
            checks=checks,
        ),
        Row(
            name="grid of networks, compiles",
            what=f"{what}, compile included, against one compile a point",
            reference=len(points) * one_point,
            ours=from_cold,
            required=3.0,
            checks=checks,
            note="one point of the reference timed",
        ),
    ]


def _one_point(study: Study, config: NetworkConfig, seeds: int) -> dict[str, Array]:
    """All seeds of one point by a program of its own, with its numbers in it."""
    keys = jnp.stack([jax.random.key(seed) for seed in range(seeds)])
    program = jax.jit(lambda keys: map_seeds(lambda key: study.simulate(key, config, {}), keys))
    return program(keys)


BENCHMARKS = {"networks": run}
