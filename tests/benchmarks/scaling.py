"""How times grow with N, d and m: log-log slopes beside those of the formulas.

``python -m tests.benchmarks.scaling``; half a minute. Times are those that cores work for it.
"""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from twolayer.host import jax_setup
from twolayer.theory.kernels import shallow
from twolayer.theory.training import dual as gram_descent
from twolayer.theory.training import gradient_descent


def gram(n: int, d: int) -> Callable[[], Any]:
    x = jax.random.normal(jax.random.key(0), (n, d), jnp.float32)
    return functools.partial(jax.jit(lambda x: shallow.gate_kernel(x, x, 0.0)), x)


def dual(n: int, m: int) -> Callable[[], Any]:
    key_x, key_pre = jax.random.split(jax.random.key(0))
    x = jax.random.normal(key_x, (n, 50), jnp.float32)
    pre = jax.random.normal(key_pre, (n, m), jnp.float32)
    y, a = jnp.sign(x[:, 0]), jnp.ones(m, jnp.float32) / m

    def train(pre: Any, x: Any) -> Any:
        matrix = gradient_descent.gram_matrix(x)
        return gram_descent.train_dual(
            pre, matrix, y, a, loss="identity", lr=1e-3, steps=10, gamma=0.0
        )

    return functools.partial(jax.jit(train), pre, x)


def decision_map(n: int, points: int) -> Callable[[], Any]:
    """Values of a kernel expansion over N samples at the points of a map."""
    key_x, key_z = jax.random.split(jax.random.key(0))
    x = jax.random.normal(key_x, (n, 50), jnp.float32)
    z = jax.random.normal(key_z, (points, 50), jnp.float32)
    weights = jnp.ones(n, jnp.float32) / n
    call = jax.jit(lambda x, z, w: shallow.kernel_matvec(x, z, w, 0.0, "gate", 1024))
    return functools.partial(call, x, z, weights)


# What grows, from where to where, and the exponent of the formula.
CASES: list[tuple[str, Callable[[int], Callable[[], Any]], tuple[int, int], int]] = [
    ("Gram matrix, N (d = 100)", lambda n: gram(n, 100), (1500, 6000), 2),
    ("Gram matrix, d (N = 500)", lambda d: gram(500, d), (20_000, 80_000), 1),
    ("dual training, N (m = 200)", lambda n: dual(n, 200), (1000, 4000), 2),
    ("dual training, m (N = 1500)", lambda m: dual(1500, m), (200, 800), 1),
    ("decision map, N (8192 points)", lambda n: decision_map(n, 8192), (1000, 4000), 1),
    ("decision map, points (N = 2000)", lambda k: decision_map(2000, k), (4096, 16384), 1),
]


def least_seconds(call: Callable[[], Any], repeats: int = 5) -> float:
    jax.block_until_ready(call())
    best = math.inf
    for _ in range(repeats):
        start = time.process_time()
        jax.block_until_ready(call())
        best = min(best, time.process_time() - start)
    return best


def main() -> None:
    jax_setup.configure()
    for name, make, (low, high), exponent in CASES:
        times = [least_seconds(make(size)) for size in (low, high)]
        slope = math.log(times[1] / times[0]) / math.log(high / low)
        print(
            f"{name:32} {low:6} to {high:6}: {times[0]:.3f} to {times[1]:.3f} s, "
            f"slope {slope:.2f}, formula {exponent}",
            flush=True,
        )


if __name__ == "__main__":
    main()
