"""Shortcut bias of infinitely wide networks on the whole mixture: exact flow of their kernels."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from twolayer.sims.engine.experiment import traced, word_index
from twolayer.sims.shortcut.availability.kernels import KERNELS, by_index
from twolayer.sims.shortcut.availability.networks import check_grid
from twolayer.theory import validation
from twolayer.theory.shortcut.availability import flows, shortcut_bias

# Leading eigenvalues that are kept.
_MODES = 3


@dataclasses.dataclass(frozen=True, kw_only=True)
class PopulationConfig:
    """The flow of one kernel over predictivities, availability ratios and times ``taus``.

    ``taus`` are in units of 1 / the largest eigenvalue; ``num_nodes`` are those of the quadrature,
    an axis.
    """

    kernel: str = traced("relu-bias", tuple(KERNELS))
    rho_s: tuple[float, ...] = traced((0.6, 0.65, 0.7, 0.75, 0.8, 0.85))
    rho_c: float = traced(0.9)
    ratios: tuple[float, ...] = traced((1.0, 2.0, 4.0, 8.0, 16.0))
    sigma: float = traced(0.6)
    taus: tuple[float, ...] = traced(tuple(10 ** (power / 4) for power in range(-12, 17)))
    num_nodes: int = 20
    num_probes: int = 30

    def __post_init__(self) -> None:
        check_kernel(self)
        check_grid(self.rho_s, self.ratios)
        validation.integer("num_nodes", self.num_nodes)


def check_kernel(config: Any) -> None:
    """A known kernel, and a mixture, times and probes that make sense."""
    validation.choice("kernel", config.kernel, KERNELS)
    validation.number("rho_c", config.rho_c, low=0.5, high=1.0, open_low=True, open_high=True)
    validation.number("sigma", config.sigma, low=-1.0, high=1.0, open_low=True, open_high=True)
    if not config.taus:
        raise ValueError("taus must hold at least one value.")
    for tau in config.taus:
        validation.number("taus", tau, low=0.0, open_low=True)
    if validation.integer("num_probes", config.num_probes, low=2) % 2:
        raise ValueError(f"num_probes must be even; got {config.num_probes}.")


_AXES = ("rho", "ratio", "tau")
DIMS = {
    "bias": _AXES,
    "mse": _AXES,
    "accuracy": _AXES,
    "linear": _AXES,
    "eigenvalue": ("rho", "ratio", "mode"),
}


def coords(config: PopulationConfig) -> dict[str, list]:
    """Values along each axis of the results."""
    return {
        "rho": list(config.rho_s),
        "ratio": list(config.ratios),
        "tau": list(config.taus),
        "mode": list(range(1, _MODES + 1)),
    }


def simulate(key: Array, config: PopulationConfig, inputs: dict[str, Array]) -> dict[str, Array]:
    """The flow at every point of the grid, in float64; nothing is random.

    Results, along the axes of :data:`DIMS`: ``bias`` on the grid of probes against LDA of the
    mixture, ``mse``, ``accuracy``; ``linear``, the exact bias of the linear kernel, on the whole
    box of probes, at the same multiples of its own largest eigenvalue (Theorem A1); the leading
    ``eigenvalue`` of the odd part.
    """
    kernel = by_index(word_index(config, "kernel"))
    taus = jnp.asarray(config.taus, jnp.float64)

    def point(rho_s: Array, ratio: Array) -> dict[str, Array]:
        rho = jnp.stack([rho_s, jnp.asarray(config.rho_c, rho_s.dtype)])
        alpha = jnp.stack([ratio, jnp.ones_like(ratio)])
        found = flows.population_flow(
            kernel, alpha, rho, config.sigma, taus, config.num_nodes, config.num_probes
        )
        mu = shortcut_bias.mu_from_rho(rho)
        best = shortcut_bias.box_reliance(shortcut_bias.lda_population(mu, config.sigma), mu)
        largest = jnp.linalg.eigvalsh(flows.second_moment(alpha, rho, config.sigma))[-1]

        def linear(tau: Array) -> Array:
            v = flows.linear_flow(alpha, rho, config.sigma, tau / largest)
            return shortcut_bias.box_reliance(v, mu) - best

        return {
            "bias": found["bias"],
            "mse": found["mse"],
            "accuracy": found["acc"],
            "linear": jax.lax.map(linear, taus),
            "eigenvalue": found["lam"][:_MODES],
        }

    rho_s, ratios = (jnp.asarray(values, jnp.float64) for values in (config.rho_s, config.ratios))
    # One after another, as eigendecompositions make no use of a batch on CPU.
    return jax.lax.map(lambda each: jax.lax.map(lambda ratio: point(each, ratio), ratios), rho_s)
