"""The linear flow of the squared loss: one eigendecomposition against an ODE solver."""

from __future__ import annotations

import diffrax
import jax
import jax.numpy as jnp
from jax import Array

from tests.benchmarks.measure import Check, Row, deviation, side_by_side
from twolayer.theory.kernels import shallow
from twolayer.theory.training import function_space

RTOL, ATOL = 1e-8, 1e-10


def run(*, n: int = 1000, d: int = 100, repeats: int = 4) -> list[Row]:
    """Training outputs at five times, from a tenth to a hundred units of the mean eigenvalue.

    The solver's steps are bounded by the largest eigenvalue, that of the shift between the classes;
    the decomposition costs the same for every kernel and time.
    """
    key_x, key_y, key_f = jax.random.split(jax.random.key(0), 3)
    y = jax.random.rademacher(key_y, (n,), jnp.float64)
    x = jax.random.normal(key_x, (n, d), jnp.float64) + 0.3 * y[:, None]
    f0 = jax.random.normal(key_f, (n,), jnp.float64)
    kernel = shallow.lazy_kernel(x, x, 0.0)
    unit = n / (jnp.trace(kernel) / n)
    times = unit * jnp.asarray([0.1, 1.0, 5.0, 20.0, 100.0])
    flow = jax.jit(function_space.squared_flow)
    decompose = jax.jit(function_space.decompose)
    spectrum = decompose(kernel)
    (reference, first, further), (solved, exact, _) = side_by_side(
        [
            lambda: solve(kernel, y, f0, times),
            lambda: flow(decompose(kernel), kernel, y, f0, f0, times),
            lambda: flow(spectrum, kernel, y, f0, f0, times),
        ],
        repeats,
    )
    check = Check("difference from the solver", deviation(solved, exact), at_most=1e-5)
    what = f"N = {n}, five times, float64"
    return [
        Row("linear flow", f"{what}, from the kernel on", reference, first, checks=(check,)),
        Row(
            "linear flow, further times",
            f"{what}, decomposition kept",
            reference,
            further,
            checks=(check,),
        ),
    ]


@jax.jit
def solve(kernel: Array, y: Array, f0: Array, times: Array) -> Array:
    """The same flow by an adaptive Runge-Kutta method."""
    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(lambda t, f, args: -(kernel @ (f - y)) / y.shape[0]),
        diffrax.Tsit5(),
        t0=0.0,
        t1=times[-1],
        dt0=None,
        y0=f0,
        saveat=diffrax.SaveAt(ts=times),
        stepsize_controller=diffrax.PIDController(rtol=RTOL, atol=ATOL),
        max_steps=100_000,
    )
    return solution.ys


BENCHMARKS = {"flows": run}
