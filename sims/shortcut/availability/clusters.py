r"""Eigenvalues of kernels on clustered samples, against the closed forms, over their imbalance.

Corners :math:`(\pm 1, \pm 1)` of the plane: a share b of the items lies where both features agree,
1 - b where they are in conflict. Theorem D1: the linear kernel has :math:`2b + s^2` along (1, 1)
and :math:`2(1-b) + s^2` along (1, -1).
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
from jax import Array

from twolayer.sims.engine.experiment import traced
from twolayer.sims.shortcut.availability.kernels import KERNELS
from twolayer.theory import validation
from twolayer.theory.shortcut.availability import spectra

# The first by its second moment.
_KERNELS = ("linear", "relu-bias")
_MODES = 4
_CORNERS = ((1.0, 1.0), (1.0, -1.0), (-1.0, -1.0), (-1.0, 1.0))


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClusterConfig:
    """Samples of n items on four corners, a share of ``masses`` of them on (1, 1) and (-1, -1)."""

    n: int = 400
    masses: tuple[float, ...] = traced((0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99))
    spread: float = traced(0.1)

    def __post_init__(self) -> None:
        validation.integer("n", self.n, low=_MODES)
        if not self.masses:
            raise ValueError("masses must hold at least one value.")
        for mass in self.masses:
            validation.number("masses", mass, low=0.5, high=1.0, open_high=True)
        validation.number("spread", self.spread, low=0.0)


DIMS = {
    "sampled": ("kernel", "mass", "mode"),
    "exact": ("mass", "feature"),
    "centre": ("kernel", "mass", "mode"),
    "empirical": ("kernel", "mass", "mode"),
}


def coords(config: ClusterConfig) -> dict[str, list]:
    """Values along each axis of the results."""
    return {
        "kernel": list(_KERNELS),
        "mass": list(config.masses),
        "mode": list(range(1, _MODES + 1)),
        "feature": ["agreement", "conflict"],
    }


def simulate(key: Array, config: ClusterConfig, inputs: dict[str, Array]) -> dict[str, Array]:
    """Spectra in float64, the same uniform and normal numbers at every mass.

    Results, along the axes of :data:`DIMS`: ``sampled``, the leading eigenvalues of K/n of a
    sample; ``exact``, those of the linear kernel on the mixture (D1); ``centre``, of each kernel on
    clusters without width (D2), and ``empirical``, the same with the sample's masses.
    """
    key_corner, key_noise = jax.random.split(key)
    uniform = jax.random.uniform(key_corner, (config.n,), jnp.float64)
    noise = jax.random.normal(key_noise, (config.n, 2), jnp.float64)
    corners = jnp.array(_CORNERS)

    def at(mass: Array) -> dict[str, Array]:
        share = jnp.stack([mass, 1 - mass, mass, 1 - mass]) / 2
        # The last border is left out: rounding must not make a fifth corner.
        place = jnp.searchsorted(jnp.cumsum(share)[:-1], uniform, side="right")
        counted = jnp.bincount(place, length=len(_CORNERS)) / config.n
        x = corners[place] + config.spread * noise
        kernels = [KERNELS[name] for name in _KERNELS]
        return {
            "sampled": jnp.stack([_linear_spectrum(x), _leading(kernels[1](x, x) / config.n)]),
            "exact": spectra.mixture_linear_spectrum(
                share, corners, jnp.asarray(config.spread, jnp.float64) ** 2
            )[0],
            **{
                name: jnp.stack(
                    [spectra.centre_spectrum(kernel, pi, corners) for kernel in kernels]
                )
                for name, pi in (("centre", share), ("empirical", counted))
            },
        }

    found = jax.lax.map(at, jnp.asarray(config.masses, jnp.float64))
    return {
        name: value if name == "exact" else jnp.swapaxes(value, 0, 1)
        for name, value in found.items()
    }


def _leading(gram: Array) -> Array:
    return jnp.linalg.eigvalsh(gram)[: -_MODES - 1 : -1]


def _linear_spectrum(x: Array) -> Array:
    """Of the linear kernel, by the second moment: two eigenvalues, and zeros."""
    values = jnp.linalg.eigvalsh(x.T @ x / x.shape[0])[::-1]
    return jnp.append(values, jnp.zeros(_MODES - x.shape[1]))
