"""The balance of this machine: seconds of one unit of each kind of work, and of compiling.

Small programs whose work is counted as that of any other (``twolayer.sims.forecast.op_counts``) are
compiled and run; the balance is what explains their times best.
"""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize
from jax import Array

from twolayer.host import jax_setup
from twolayer.sims.engine import execution
from twolayer.sims.forecast import jaxpr, op_counts
from twolayer.sims.forecast.op_counts import Work

# A round of all probes takes a tenth of a second.
_ROUNDS = 20
# [measured] Seconds of a unit on one core of an AMD EPYC with AVX2.
_TYPICAL = Work(
    flops=1.4e-11,
    flops64=3.2e-11,
    product_bytes=1.6e-11,
    products=2e-7,
    elements=1e-10,
    special=1.2e-9,
    random=1.5e-8,
    moved=2e-10,
    sorted=7e-9,
    factored=5e-11,
    steps=1e-7,
)
_ALIKE = 0.3


@dataclasses.dataclass(frozen=True)
class Balance:
    """Seconds of work and of compiling, on one core of a CPU or on one accelerator.

    Attributes:
      cost: seconds of one unit of each kind of work.
      code: seconds to compile one unit of code.
    """

    cost: Work
    code: float

    def seconds(self, work: Work) -> float:
        """The time of a program's work."""
        units, each = dataclasses.astuple(work), dataclasses.astuple(self.cost)
        return sum(number * seconds for number, seconds in zip(units, each, strict=True))

    def describe(self) -> str:
        """One line: rates of the main kinds of work."""
        cost = self.cost
        parts = [
            f"float32 products {_rate(cost.flops)}flop/s",
            f"float64 {_rate(cost.flops64)}flop/s",
            f"entries {_rate(cost.elements)}/s",
            f"exp and log {_rate(cost.special)}/s",
            f"random words {_rate(cost.random)}/s",
            f"factorisations {_rate(cost.factored)}flop/s",
            f"a step {1e9 * cost.steps:.0f} ns",
            f"compiling a product {1e3 * self.code:.0f} ms",
        ]
        return ", ".join(parts)


@jax_setup.numerics()
def measure() -> Balance:
    """Compile and run the probes; some seconds. Nothing is read from or kept in a cache."""
    works, calls, code = [], [], 0.0
    with execution.uncached():
        for probe, shapes in _PROBES:
            args = [jnp.full(shape, 0.5, dtype) for shape, dtype in shapes]
            start = _clock()
            traced = jax.jit(probe).trace(*args)
            program = execution.compiled(traced.lower())
            seconds = _clock() - start
            block = jaxpr.block(traced.jaxpr, args)
            if probe is _network:
                code = seconds / op_counts.code(block)
            works.append(dataclasses.astuple(op_counts.count(block)))
            calls.append(functools.partial(program, *args))
    return Balance(_fit(np.array(works), _least_seconds(calls)), code)


def _fit(works: np.ndarray, times: np.ndarray) -> Work:
    """The costs with the least squares of the logarithms of the probes' times.

    Kinds of work that the probes hardly tell apart keep the ratios that they have on the machine of
    :data:`_TYPICAL`: what is fitted are logarithms of its costs' multiples, drawn to their mean.
    """
    typical = np.array(dataclasses.astuple(_TYPICAL))

    def misfits(logs: np.ndarray) -> np.ndarray:
        predicted = works @ (typical * np.exp(logs))
        return np.concatenate([np.log(predicted / times), _ALIKE * (logs - np.mean(logs))])

    found = scipy.optimize.least_squares(misfits, np.zeros(len(typical)))
    return Work(*(typical * np.exp(found.x)).tolist())


def _clock() -> float:
    """Seconds: on CPU those that its cores work for this process, else of the wall's clock."""
    return time.process_time() if jax.default_backend() == "cpu" else time.perf_counter()


def _least_seconds(calls: Sequence[Callable[[], Any]]) -> np.ndarray:
    """Of each call the least time; they take turns, so that a busy moment spoils no call's."""
    best = np.full(len(calls), np.inf)
    for _ in range(_ROUNDS):
        for i, call in enumerate(calls):
            start = _clock()
            jax.block_until_ready(call())
            best[i] = min(best[i], _clock() - start)
    return best


def _rate(seconds: float) -> str:
    """Units a second, in billions or millions."""
    rate = 1 / seconds
    return f"{rate / 1e9:.3g} G" if rate >= 1e9 else f"{rate / 1e6:.3g} M"


def _repeated(fn: Callable[..., Array], length: int) -> Callable[..., Array]:
    """``fn`` of its first argument again and again, which is of the shape of what it gives."""

    def program(first: Array, *others: Array) -> Array:
        return jax.lax.fori_loop(0, length, lambda _, carry: fn(carry, *others), first)

    return program


def _matvec(v: Array, matrix: Array) -> Array:
    return 1e-3 * (matrix @ v)


def _entrywise(x: Array) -> Array:
    y = jnp.where(x > 0.3, 0.9 * x, 0.5 * x)
    # Between two reductions the entries are read and written.
    return y - jnp.mean(y, axis=1, keepdims=True)


def _training_step(w: Array, x: Array) -> Array:
    """One step of a small network's training, with what there is besides products."""
    pre = x @ w
    gates = jnp.where(pre > 0, 1.0, 0.1).astype(w.dtype)
    slopes = 1 / (1 + jnp.sum(pre * gates, axis=1, keepdims=True) ** 2)
    return w - 1e-3 * (x.T @ (slopes * gates))


def _network(x: Array) -> Array:
    """A small study: samples, a network's training, attacks on it, what came out."""
    key_x, key_w, key_order = jax.random.split(jax.random.key(0), 3)
    samples = x + jax.random.normal(key_x, x.shape, x.dtype)
    y = jnp.sign(samples[:, 0])
    start = jax.random.normal(key_w, (x.shape[1], 16), x.dtype)

    def loss(w: Array, samples: Array) -> Array:
        outputs = jnp.mean(jnp.maximum(samples @ w, 0.1 * samples @ w), axis=1)
        return jnp.mean(jax.nn.softplus(-y * outputs))

    def train(w: Array, _: None) -> tuple[Array, Array]:
        value, gradient = jax.value_and_grad(loss)(w, samples)
        return w - gradient, value

    def attack(_: int, moved: Array) -> Array:
        gradient = jax.grad(loss, 1)(w, moved)
        return moved + 0.1 * gradient / (1e-6 + jnp.linalg.norm(gradient))

    w, losses = jax.lax.scan(train, start, length=20)
    moved = jax.lax.fori_loop(0, 20, attack, samples)
    shuffled = jax.random.permutation(key_order, moved)
    return jnp.stack([loss(w, moved), loss(w, shuffled), jnp.mean(losses)])


def _random(x: Array) -> Array:
    words = jax.random.bits(jax.random.key(0), x.shape, jnp.uint32)
    return x + (words >> 9).astype(x.dtype)


def _special(x: Array) -> Array:
    return jnp.tanh(x) + jnp.log1p(jnp.exp(-x))


def _moving(x: Array, rows: Array) -> Array:
    return x[rows.astype(int)].at[rows.astype(int)].add(1.0)


def _factoring(x: Array) -> Array:
    positive = x @ x.T + 300 * jnp.eye(x.shape[0], dtype=x.dtype)
    values, _ = jnp.linalg.eigh(positive)
    return jnp.linalg.cholesky(positive) * values[None, :]


_PROBES: list[tuple[Callable[..., Array], list[tuple[tuple[int, ...], Any]]]] = [
    (_repeated(lambda x, y: 1e-3 * (x @ y), 4), [((512, 512), jnp.float32)] * 2),
    (_repeated(lambda x, y: 1e-3 * (x @ y), 4), [((384, 384), jnp.float64)] * 2),
    (
        _repeated(lambda v, y: 1e-3 * (y @ v), 60),
        [((800,), jnp.float32), ((800, 800), jnp.float32)],
    ),
    (_repeated(lambda x, y: x @ y, 500), [((6, 6), jnp.float32)] * 2),
    (_repeated(_training_step, 500), [((10, 8), jnp.float32), ((12, 10), jnp.float32)]),
    (_repeated(_training_step, 20), [((100, 100), jnp.float32), ((1000, 100), jnp.float32)]),
    (_repeated(_training_step, 20), [((60, 60), jnp.float64), ((600, 60), jnp.float64)]),
    (_repeated(_entrywise, 40), [((300, 300), jnp.float32)]),
    (_repeated(_special, 8), [((100, 200), jnp.float32)]),
    (_network, [((40, 20), jnp.float32)]),
    (_random, [((100_000,), jnp.float32)]),
    (_repeated(_moving, 8), [((1000, 50), jnp.float32), ((1000,), jnp.float32)]),
    (_repeated(lambda x: jnp.sort(x) * 0.9, 4), [((20_000,), jnp.float32)]),
    (_factoring, [((150, 150), jnp.float64)]),
]
