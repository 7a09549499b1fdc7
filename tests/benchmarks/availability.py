"""Flow of a kernel on the whole mixture: one eigendecomposition, against integration in time."""

from __future__ import annotations

import functools

import diffrax
import jax
import jax.numpy as jnp
from jax import Array

from tests.benchmarks.measure import Check, Row, deviation, side_by_side
from twolayer.theory.shortcut.availability import data, flows, shortcut_bias

TAUS = (1e-3, 1.0, 10.0, 100.0, 1e3)
SIGMA = 0.6


def population(
    *, n_quad: int = 20, n_probe: int = 30, taus: tuple[float, ...] = TAUS, repeats: int = 5
) -> list[Row]:
    """Outputs at the probes of one cell at several times."""
    kernel = functools.partial(flows.ntk, kind="relu", beta=1.0)
    rho, alpha, times = jnp.array([0.7, 0.9]), jnp.array([4.0, 1.0]), jnp.asarray(taus)
    ours = jax.jit(
        lambda rho, alpha: flows.population_flow(kernel, alpha, rho, SIGMA, times, n_quad, n_probe)[
            "probe_values"
        ]
    )
    reference = jax.jit(
        functools.partial(integrated, kernel=kernel, taus=times, n_quad=n_quad, n_probe=n_probe)
    )
    (slow, fast), (exact, found) = side_by_side(
        [lambda: reference(rho, alpha), lambda: ours(rho, alpha)], repeats
    )
    return [
        Row(
            name="population flow",
            what=f"ReLU kernel with bias, {n_quad} nodes an axis, {len(taus)} times to tau = "
            f"{taus[-1]:g}, float64",
            reference=slow,
            ours=fast,
            checks=(
                Check("difference from integration", deviation(found, exact), at_most=1e-6),
                Check("seconds of a cell", fast, at_most=1.0),
            ),
            note="reference: Tsitouras 5(4) to 1e-9, explicit",
        )
    ]


def integrated(
    rho: Array, alpha: Array, *, kernel, taus: Array, n_quad: int, n_probe: int
) -> Array:
    """Outputs at the probes from the residuals at the nodes, summed up over time."""
    mu = shortcut_bias.mu_from_rho(rho)
    nodes, weights = data.quadrature(mu, SIGMA, n_quad)
    target = shortcut_bias.posterior_mean(nodes, mu, SIGMA)
    odd = flows.odd_kernel(kernel)
    points, probes = nodes * alpha[None], shortcut_bias.probe_grid(mu, n_probe) * alpha[None]
    operator = odd(points, points) * weights[None, :]
    root = jnp.sqrt(weights)
    fastest = jnp.linalg.norm(root[:, None] * odd(points, points) * root[None, :], ord=2)
    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(lambda t, total, _: (target - operator @ total) / fastest),
        diffrax.Tsit5(),
        t0=0.0,
        t1=taus[-1],
        dt0=None,
        y0=jnp.zeros_like(target),
        saveat=diffrax.SaveAt(ts=taus),
        stepsize_controller=diffrax.PIDController(rtol=1e-9, atol=1e-11),
        max_steps=100_000,
    )
    return solution.ys @ (odd(probes, points) * weights[None, :]).T


BENCHMARKS = {"population": population}
