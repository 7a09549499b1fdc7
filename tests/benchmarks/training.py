"""Training: Gram coordinates against weights, short products, and the automatic choice."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from tests.benchmarks.measure import Check, Row, deviation, side_by_side
from twolayer.theory import networks
from twolayer.theory.networks import TwoLayer
from twolayer.theory.training import gradient_descent

BETA, GAMMA = 0.9, 0.0
# Short products help only where the hardware multiplies short floats about this much faster.
SHORT_SPEED = 2.0


def wide_data(
    *,
    n: int = 1000,
    d: int = 10000,
    width: int = 1000,
    steps: int = 200,
    reference_steps: int = 5,
    repeats: int = 3,
) -> list[Row]:
    """More dimensions than samples; the reference runs fewer steps and is scaled."""
    p, x, y = problem(n, d, width)
    short_speed = _short_speed(n)
    (reference, gram, short), (_, full, shortened) = side_by_side(
        [
            lambda: plain(p, x, y, steps=reference_steps),
            lambda: ours(p, x, y, steps=steps, coordinates="gram"),
            lambda: ours(p, x, y, steps=steps, coordinates="gram", products=jnp.bfloat16),
        ],
        repeats,
    )
    reference = reference * steps / reference_steps
    what = f"d = {d}, N = {n}, m = {width}, {steps} steps, logistic, momentum"
    early = outputs(plain(p, x, y, steps=reference_steps), x)
    same = outputs(ours(p, x, y, steps=reference_steps, coordinates="gram"), x)
    return [
        Row(
            name="training, Gram",
            what=f"{what}, float32",
            reference=reference,
            ours=gram,
            required=12.0,
            checks=(Check("deviation of outputs", deviation(same, early), at_most=1e-4),),
            note=f"reference scaled from {reference_steps} steps, after which outputs are compared",
        ),
        Row(
            name="training, bfloat16",
            what=f"{what}, bfloat16 products",
            reference=reference,
            ours=short,
            required=20.0,
            checks=(
                Check("deviation of outputs", deviation(outputs(shortened, x), outputs(full, x))),
            ),
            hardware=""
            if short_speed >= SHORT_SPEED
            else "needs units for short floats; "
            f"here bfloat16 products run at {short_speed:.2g} times the speed of float32",
            note=f"reference scaled from {reference_steps} steps; outputs compared with float32",
        ),
    ]


def square_data(
    *, n: int = 1000, d: int = 1000, width: int = 100, steps: int = 200, repeats: int = 12
) -> list[Row]:
    """As many dimensions as samples, where Gram coordinates have about half the arithmetic."""
    p, x, y = problem(n, d, width)
    # Gram: its matrix, one product a step, and two on the way in and out.
    bound = 4 * width * n * d * steps / (2 * n * n * (d + width * steps) + 4 * width * n * d)
    # Products of both forms run near the machine's peak: then no form gains more than it saves.
    required = min(2.0, 0.85 * bound)
    note = f"at equal speed of products the arithmetic allows {bound:.3g}"
    (reference, weights, gram), results = side_by_side(
        [
            lambda: plain(p, x, y, steps=steps),
            lambda: ours(p, x, y, steps=steps, coordinates="weights"),
            lambda: ours(p, x, y, steps=steps, coordinates="gram"),
        ],
        repeats,
    )
    exact, _, found = (outputs(result, x) for result in results)
    error = Check("deviation of outputs", deviation(found, exact), at_most=1e-3)
    what = f"d = {d}, N = {n}, m = {width}, {steps} steps"
    return [
        Row(
            name=f"training, square, {form}",
            what=what,
            reference=seconds,
            ours=gram,
            required=required,
            checks=(error,),
            note=note,
        )
        for form, seconds in (("plain weights", reference), ("our weights", weights))
    ]


def automatic(
    *, n: int = 1000, d: int = 100, width: int = 100, steps: int = 200, repeats: int = 12
) -> list[Row]:
    """Fewer dimensions than samples: the automatic choice against the better of the two."""
    p, x, y = problem(n, d, width)
    (weights, gram, chosen), results = side_by_side(
        [
            functools.partial(ours, p, x, y, steps=steps, coordinates=coordinates)
            for coordinates in gradient_descent.COORDINATES[1:] + gradient_descent.COORDINATES[:1]
        ],
        repeats,
    )
    exact, _, found = (outputs(result, x) for result in results)
    better = "weights" if weights < gram else "gram"
    return [
        Row(
            name="training, automatic",
            what=f"d = {d}, N = {n}, m = {width}, {steps} steps, at most 1.1 times the better form",
            reference=min(weights, gram),
            ours=chosen,
            required=1 / 1.1,
            checks=(Check("deviation of outputs", deviation(found, exact), at_most=1e-3),),
            note=f"better: {better}, {max(weights, gram) / min(weights, gram):.2g} times as fast",
        )
    ]


@functools.partial(jax.jit, static_argnames="steps")
def plain(p: TwoLayer, x: Array, y: Array, *, steps: int) -> TwoLayer:
    """The usual loop: the gradient of the mean loss in the weights, and momentum."""

    def loss(trained: tuple[Array, Array]) -> Array:
        w, b = trained
        values = p.a @ jax.nn.relu(w @ x.T + b[:, None])
        return jnp.mean(jax.nn.softplus(-y * values))

    def step(state: Any, _: None) -> tuple[Any, Array]:
        at, velocity = state
        value, gradient = jax.value_and_grad(loss)(at)
        velocity = jax.tree.map(lambda old, new: BETA * old + new, velocity, gradient)
        return (jax.tree.map(lambda old, by: old - rate(x) * by, at, velocity), velocity), value

    start = (p.w, p.b)
    still = jax.tree.map(jnp.zeros_like, start)
    ((w, b), _), _ = jax.lax.scan(step, (start, still), length=steps)
    return TwoLayer(w=w, b=b, a=p.a)


@functools.partial(jax.jit, static_argnames=("steps", "coordinates", "products"))
def ours(
    p: TwoLayer, x: Array, y: Array, *, steps: int, coordinates: str, products: Any = None
) -> TwoLayer:
    """Training of :mod:`twolayer.theory.training.gradient_descent`, without its trace."""
    return gradient_descent.train(
        p,
        x,
        y,
        loss="logistic",
        lr=rate(x),
        beta=BETA,
        steps=steps,
        gamma=GAMMA,
        coordinates=coordinates,
        products=products,
    )[0]


def problem(n: int, d: int, width: int, key: Array | None = None) -> tuple[TwoLayer, Array, Array]:
    """Two shifted normal classes and a network at its start, float32."""
    key = jax.random.key(0) if key is None else key
    key_p, key_x, key_y = jax.random.split(key, 3)
    y = jax.random.rademacher(key_y, (n,), jnp.float32)
    x = jax.random.normal(key_x, (n, d), jnp.float32) + 0.3 * y[:, None]
    return networks.init_two_layer(key_p, d, width, jnp.float32), x, y


def rate(x: Array) -> float:
    """A learning rate at which the loss still falls at the end, so that deviations can grow."""
    return 1.0 / x.shape[1]


def outputs(p: TwoLayer, x: Array) -> Array:
    return networks.forward(p, x, GAMMA)


def _short_speed(size: int) -> float:
    """How many times as fast as float32 this machine multiplies bfloat16 matrices."""
    a = jax.random.normal(jax.random.key(0), (size, size), jnp.float32)
    short = a.astype(jnp.bfloat16)
    product = jax.jit(lambda a, b: jnp.matmul(a, b, preferred_element_type=jnp.float32))
    (exact, rounded), _ = side_by_side([lambda: product(a, a), lambda: product(short, short)], 5)
    return exact / rounded


BENCHMARKS = {"training": wide_data, "square": square_data, "automatic": automatic}
