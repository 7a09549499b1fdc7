"""Mixup on patch data: inner products against explicit mixed pairs, and the grid of weights."""

from __future__ import annotations

import functools
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from tests.benchmarks.measure import Check, Row, side_by_side
from twolayer.host import process_pool
from twolayer.sims.engine import execution
from twolayer.sims.mixup.features import experiment as stem
from twolayer.sims.mixup.features import patches
from twolayer.sims.mixup.features.patches import PatchConfig
from twolayer.sims.mixup.features.sweeps import WeightConfig, mixup_training
from twolayer.theory.mixup.features import dynamics
from twolayer.theory.mixup.features import noise as features_noise
from twolayer.theory.mixup.features.data import PatchData
from twolayer.theory.mixup.features.filters import State

LAM_X, LAM_Y = 0.7, 0.6


def reduced(
    *, dim: int = 2000, steps: int = 200, pair_steps: int = 3, repeats: int = 3
) -> list[Row]:
    """A step at the reference configuration, in inner products and on all mixed inputs.

    Noise is Gaussian in ``dim`` dimensions, for the loss that both must agree on; and ideal, as in
    the studies, where a step costs less.
    """
    config = PatchConfig()
    key_data, key_noise, key_filters = jax.random.split(jax.random.key(0), 3)
    data = patches.draw_data(key_data, config)
    vectors = features_noise.gaussian_noise(key_noise, data, dim, config.noise_energy)
    gram = features_noise.noise_gram(vectors, vectors)
    # Of a size at which outputs are of order 1.
    filters = 0.3 * jax.random.normal(key_filters, (2, config.width, dim))
    state = State(a=filters[..., :4], q=features_noise.inner_products(filters[..., 4:], vectors))
    inputs = jnp.concatenate([data.coef, vectors], axis=2)
    plain = jax.jit(functools.partial(explicit_step, lr=config.lr))

    def on_pairs() -> Array:
        at, losses = filters, []
        for _ in range(pair_steps):
            at, loss = plain(at, inputs, data.target)
            losses.append(loss)
        return jnp.stack(losses)

    ours = jax.jit(functools.partial(inner, lr=config.lr, steps=steps))
    (pairs, overlapping, ideal), (explicit_losses, losses, _) = side_by_side(
        [
            on_pairs,
            lambda: ours(state, data, gram),
            lambda: ours(state, data, config.noise_energy),
        ],
        repeats,
    )
    error = float(jnp.max(jnp.abs(losses[:pair_steps] / explicit_losses - 1)))
    check = Check("relative error of the loss", error, at_most=1e-10)
    what = f"n = {config.n}, P = {config.num_patches}, m = {config.width}, d = {dim}, float64"
    return [
        Row(
            name=f"mixup step, {noise} noise",
            what=f"{what}, against all n^2 mixed inputs",
            reference=pairs / pair_steps,
            ours=seconds / steps,
            required=50.0,
            checks=(check,),
            note=f"{pair_steps} steps on pairs timed, {steps} in inner products",
        )
        for noise, seconds in (("Gaussian", overlapping), ("ideal", ideal))
    ]


def grid(*, seeds: int = 8, steps: int = 1500, lams: int = 4, dispatched: int = 200) -> list[Row]:
    """The study of mixing weights with all its seeds, compile included, from a cold start.

    References: one compile for each cell, its seeds one after another; and a Python loop of
    compiled steps. Both are timed on a part and multiplied.
    """
    study = next(each for each in stem.EXPERIMENT.studies if each.name == "lambda")
    values = WeightConfig().lam_x[:lams]
    config = WeightConfig(lam_x=values, lam_y=values, steps=steps)
    workers = process_pool.cores()
    with execution.uncached():
        begin = time.perf_counter()
        done = dict(
            execution.side_by_side(
                lambda seed: execution.results(study, config, [seed], None)[0],
                range(seeds),
                workers,
            )
        )
        ours = time.perf_counter() - begin
        keys = jax.random.split(jax.random.key(0), 2)
        compiled, ratio = _one_compile_a_cell(keys[0], config, seeds)
    looped = _python_loop(keys[1], config, dispatched)
    cells = len(values) ** 2
    found = np.stack([done[seed]["ratio"] for seed in range(seeds)])
    what = f"{cells} pairs of weights, {seeds} seeds, {steps} steps, float64"
    checks = (
        Check("deviation from the reference", abs(found[0, 0, 0] / ratio - 1), at_most=1e-6),
        Check("seconds of the grid", ours, at_most=90.0),
    )
    return [
        Row(
            name="grid of weights, compiles",
            what=f"{what}, compile included, against one compile a cell",
            reference=cells * compiled,
            ours=ours,
            required=1.0,
            checks=checks,
            note=f"one cell of the reference timed; {workers} cores",
        ),
        Row(
            name="grid of weights, dispatch",
            what=f"{what}, compile included, against a Python loop of compiled steps",
            reference=cells * seeds * steps * looped,
            ours=ours,
            required=1.0,
            checks=checks,
            note=f"{dispatched} steps of the reference timed; {workers} cores",
        ),
    ]


def explicit_step(
    filters: Array, inputs: Array, target: Array, *, lr: float
) -> tuple[Array, Array]:
    """The usual way: a step of descent by the filters, every mixed input formed; and the loss.

    The second sample of the pairs goes one by one, so that n P d numbers are in memory and not
    n^2 P d.
    """

    def loss(filters: Array) -> Array:
        @jax.checkpoint
        def of_partner(partner: tuple[Array, Array]) -> Array:
            x, t = partner
            mixed = LAM_X * inputs + (1 - LAM_X) * x[None]
            outputs = jnp.sum(jnp.tensordot(filters, mixed, axes=(2, 2)) ** 2, axis=(1, 3))
            gap = outputs[0] - outputs[1]
            label = LAM_Y * target + (1 - LAM_Y) * t
            return jnp.mean(jax.nn.softplus(gap) - label * gap)

        return jnp.mean(jax.lax.map(of_partner, (inputs, target)))

    value, gradient = jax.value_and_grad(loss)(filters)
    return filters - lr * gradient, value


def inner(state: State, data: PatchData, noise: Any, *, lr: float, steps: int) -> Array:
    """Losses before steps in inner products."""

    def step(state: State, _: None) -> tuple[State, Array]:
        return dynamics.mixup_step(state, data, lr, noise, LAM_X, LAM_Y)

    return jax.lax.scan(step, state, length=steps)[1]


def _one_compile_a_cell(key: Array, config: WeightConfig, seeds: int) -> tuple[float, float]:
    """Seconds of the first cell with its weights in the program, and its first seed's ratio."""
    lam_x, lam_y = config.lam_x[0], config.lam_y[0]

    @jax.jit
    def cell(keys: Array) -> Array:
        def seed(key: Array) -> Array:
            data, at = patches.start(key, config)
            end = mixup_training(
                at, data, config.lr, config.noise_energy, lam_x, lam_y, steps=config.steps
            )
            return patches.errors(dynamics.signal_gap(end.a), config)["ratio"]

        return jax.lax.map(seed, keys)

    keys = jnp.stack([jax.random.key(seed) for seed in range(seeds)])
    begin = time.perf_counter()
    ratios = jax.block_until_ready(cell(keys))
    return time.perf_counter() - begin, float(ratios[0])


def _python_loop(key: Array, config: WeightConfig, steps: int) -> float:
    """Seconds of a step that Python dispatches."""
    data, at = patches.start(key, config)
    step = jax.jit(
        lambda at: dynamics.mixup_step(at, data, config.lr, config.noise_energy, 0.6, 0.6)[0]
    )
    at = jax.block_until_ready(step(at))
    begin = time.perf_counter()
    for _ in range(steps):
        at = step(at)
    jax.block_until_ready(at)
    return (time.perf_counter() - begin) / steps


BENCHMARKS = {"pairs": reduced, "weights": grid}
