"""Decision maps: rank-two products and closed forms against full dimension and drawn gates."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array

from tests.benchmarks.measure import Check, Row, deviation, in_float64, side_by_side
from twolayer.theory import geometry, networks
from twolayer.theory.networks import TwoLayer
from twolayer.theory.perturbation.wide import decision_map, surrogate

LIMITS = (-4.0, 5.0)
GAMMA = 0.0
EPS = 0.03


def run(
    *,
    n: int = 2000,
    d: int = 1000,
    width: int = 1000,
    resolution: int = 400,
    gate_samples: int = 100,
    block: int = 2000,
    dense_blocks: int = 4,
    exact_points: int = 2000,
    repeats: int = 5,
) -> list[Row]:
    """The reference is timed on some blocks of points and scaled to all of them."""
    f, g, x, y, r = _problem(n, d, width)
    ours = jax.jit(
        lambda f, g, x, y, r: decision_map.decision_map(f, g, x, y, r, GAMMA, LIMITS, resolution)
    )
    compiled = ours.lower(f, g, x, y, r).compile()
    sizes = compiled.memory_analysis()
    memory = sizes.temp_size_in_bytes + sizes.output_size_in_bytes + sizes.argument_size_in_bytes

    key_gates, key_points = jax.random.split(jax.random.key(1))
    axes, grid = _grid(x, y, resolution)
    some = jax.random.permutation(key_points, grid)[: dense_blocks * block]
    prepare, dense = jax.jit(dense_prepare, static_argnums=4), jax.jit(dense_map, static_argnums=6)
    prepared = prepare(key_gates, x, y, r, gate_samples)
    (before, partly, mine), (_, _, result) = side_by_side(
        [
            lambda: prepare(key_gates, x, y, r, gate_samples),
            lambda: dense(f, g, x, y, prepared, some @ axes, block),
            lambda: compiled(f, g, x, y, r),
        ],
        repeats,
    )
    chosen = jax.random.choice(
        key_points, resolution**2, (min(exact_points, resolution**2),), replace=False
    )
    exact = _exact(f, g, x, y, r, resolution, chosen)
    found = {name: result[name].reshape(-1)[chosen] for name in exact}
    signs = [jnp.mean(jnp.sign(found[name]) == jnp.sign(exact[name])) for name in ("fh", "gh")]
    return [
        Row(
            name="decision map",
            what=f"{resolution} x {resolution} points, N = {n}, d = {d}, m = {width}, float32",
            reference=before + partly * resolution**2 / some.shape[0],
            ours=mine,
            required=40.0,
            checks=(
                Check("error", max(deviation(found[k], exact[k]) for k in exact), at_most=1e-5),
                Check("equal signs", float(min(signs)), at_least=0.999),
                Check("memory in MB", memory / 1e6, at_most=500.0),
            ),
            note=f"reference: {gate_samples} gates drawn, scaled from {some.shape[0]} points",
        )
    ]


def dense_prepare(
    key: Array, x: Array, y: Array, r: Array, gate_samples: int
) -> tuple[Array, Array, Array, Array, Array]:
    """Drawn units, their gates at the samples, and the directions that g learns."""
    key_weight, key_bias = jax.random.split(key)
    weight = jax.random.normal(key_weight, (x.shape[1], gate_samples), x.dtype) * x.shape[1] ** -0.5
    bias = jax.random.normal(key_bias, (gate_samples,), x.dtype)
    gates_x, gates_r = (_gates(points, weight, bias) for points in (x, r))
    directions = (gates_x @ gates_x.T / gate_samples) @ (y[:, None] * x) / x.shape[0]
    return weight, bias, gates_x, gates_r, directions


def dense_map(
    f: TwoLayer,
    g: TwoLayer,
    x: Array,
    y: Array,
    prepared: tuple[Array, Array, Array, Array, Array],
    points: Array,
    block: int,
) -> tuple[Array, ...]:
    """f, g and their surrogates at points in full dimension, in blocks that fit in memory."""
    weight, bias, gates_x, gates_r, directions = prepared
    n, gate_samples = gates_x.shape

    def at(z: Array) -> tuple[Array, ...]:
        gates_z = _gates(z, weight, bias).T
        fh = y @ ((gates_x @ gates_z / gate_samples) * (x @ z.T)) / n
        gh = jnp.mean((gates_r @ gates_z / gate_samples) * (directions @ z.T), axis=0)
        outputs = [p.a @ jax.nn.relu(p.w @ z.T + p.b[:, None]) for p in (f, g)]
        return *outputs, fh, gh

    return jax.lax.map(at, points.reshape(-1, block, points.shape[1]))


def _gates(points: Array, weight: Array, bias: Array) -> Array:
    return (points @ weight + bias[None, :] >= 0).astype(points.dtype)


def _problem(n: int, d: int, width: int) -> tuple[TwoLayer, TwoLayer, Array, Array, Array]:
    """Shapes and sizes of the published panel; how long the networks were trained costs nothing."""
    key_x, key_y, key_f, key_g, key_targets = jax.random.split(jax.random.key(0), 5)
    y = jax.random.rademacher(key_y, (n,), jnp.float32)
    x = jax.random.normal(key_x, (n, d), jnp.float32)
    f, g = (networks.init_two_layer(key, d, width, jnp.float32) for key in (key_f, key_g))
    targets = surrogate.random_targets(key_targets, n).astype(jnp.float32)
    return f, g, x, y, surrogate.perturbations(f, x, targets, EPS, GAMMA)


def _grid(x: Array, y: Array, resolution: int) -> tuple[Array, Array]:
    """Axes, and coordinates of all points, shape ``(resolution**2, 2)``, first axis fastest."""
    line = geometry.plane_grid(LIMITS, resolution).astype(x.dtype)
    return geometry.plane_axes(x, y), jnp.stack(jnp.meshgrid(line, line), axis=-1).reshape(-1, 2)


def _exact(
    f: TwoLayer, g: TwoLayer, x: Array, y: Array, r: Array, resolution: int, chosen: Array
) -> dict[str, Array]:
    """The closed forms in float64 and full dimension."""
    f, g, x, y, r = in_float64((f, g, x, y, r))
    axes, grid = _grid(x, y, resolution)
    z = grid[chosen] @ axes
    return {
        "f": networks.forward(f, z, GAMMA),
        "g": networks.forward(g, z, GAMMA),
        "fh": surrogate.surrogate_f(x, y, z, GAMMA),
        "gh": surrogate.surrogate_g(x, y, r, z, GAMMA),
    }


BENCHMARKS = {"maps": run}
