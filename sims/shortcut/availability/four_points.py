"""The phase in which a kernel follows the shortcut, on four points; angular spectra by depth."""

from __future__ import annotations

import dataclasses
import functools

import jax
import jax.numpy as jnp
from jax import Array

from twolayer.sims.engine.experiment import traced
from twolayer.sims.shortcut.availability.kernels import KERNELS
from twolayer.theory import validation
from twolayer.theory.kernels.deep import Kernel
from twolayer.theory.shortcut.availability import flows, four_points, spectra

_HALVINGS = 60
LINEAR = KERNELS["linear"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class PointConfig:
    """Kernels on four points over amplifications ``alphas`` of the shortcut, that of the core 1.

    ``depths`` are those whose angular coefficients up to ``k_max`` are computed.
    """

    kernels: tuple[str, ...] = ("linear", "relu", "relu-bias", "relu-2", "relu-3", "erf-bias")
    rho_s: float = traced(0.7)
    rho_c: float = traced(0.9)
    alphas: tuple[float, ...] = traced(tuple(step / 20 for step in range(20, 121)))
    taus: tuple[float, ...] = traced((1.0, 10.0, 100.0))
    depths: tuple[int, ...] = (1, 2, 3, 4)
    k_max: int = 9

    def __post_init__(self) -> None:
        for kernel in self.kernels:
            validation.choice("kernels", kernel, KERNELS)
        validation.number("rho_c", self.rho_c, low=0.5, high=1.0, open_low=True, open_high=True)
        validation.number(
            "rho_s", self.rho_s, low=0.5, high=self.rho_c, open_low=True, open_high=True
        )
        for name in ("alphas", "taus"):
            if not getattr(self, name):
                raise ValueError(f"{name} must hold at least one value.")
            for value in getattr(self, name):
                validation.number(name, value, low=0.0, open_low=True)
        for depth in self.depths:
            validation.integer("depths", depth)
        validation.integer("k_max", self.k_max)


_AXES = ("kernel", "alpha")
DIMS = {
    "kappa": _AXES,
    "switch": _AXES,
    "dip": _AXES,
    "conflict": (*_AXES, "tau"),
    "eigenvalue": (*_AXES, "mode"),
    "threshold": (),
    "critical": ("kernel",),
    "angular": ("depth", "k"),
}


def coords(config: PointConfig) -> dict[str, list]:
    """Values along each axis of the results."""
    return {
        "kernel": list(config.kernels),
        "alpha": list(config.alphas),
        "tau": list(config.taus),
        "mode": [1, 2],
        "depth": list(config.depths),
        "k": list(range(config.k_max + 1)),
    }


def simulate(key: Array, config: PointConfig, inputs: dict[str, Array]) -> dict[str, Array]:
    r"""Theorem A4 and the coefficients of Theorem A3, in float64; nothing is random.

    Results, along the axes of :data:`DIMS`:

    - ``kappa``, and the ``threshold`` above which the shortcut is followed first;
    - ``switch``: the time :math:`\lambda_1 t^*` of the change to the core, NaN where there is none;
    - ``dip``: the least output :math:`f_-` of a conflict point; ``conflict``: that output at the
      times tau; ``eigenvalue``: both of the flow;
    - ``critical``: the amplification at which kappa is the threshold, between the ends of
      ``alphas``, by bisection; NaN where they do not enclose it;
    - ``angular``: cosine coefficients of the ReLU kernels without bias, by depth.
    """
    alphas, taus = (jnp.asarray(values, jnp.float64) for values in (config.alphas, config.taus))
    kernels = [KERNELS[name] for name in config.kernels]
    effective = jnp.stack(
        [
            jax.lax.map(functools.partial(effective_amplification, kernel), alphas)
            for kernel in kernels
        ]
    )

    def point(alpha: Array) -> dict[str, Array]:
        found = four_points.four_point(LINEAR, alpha, config.rho_s, config.rho_c)
        return {
            "kappa": found.kappa,
            "switch": found.lam[0] * found.t_switch,
            "dip": _least(found),
            "conflict": found.f(taus / found.lam[0])[:, 1],
            "eigenvalue": found.lam,
            "threshold": found.threshold,
        }

    found = jax.lax.map(point, effective.reshape(-1, 2))
    found = jax.tree.map(
        lambda leaf: leaf.reshape(len(kernels), alphas.shape[0], *leaf.shape[1:]), found
    )
    threshold = found["threshold"][0, 0]
    angular = [
        spectra.angular_coefficients(
            functools.partial(flows.ntk, kind="relu", depth=depth), config.k_max
        )
        for depth in config.depths
    ]
    return {
        **found,
        "threshold": threshold,
        "critical": _critical(kernels, alphas, threshold),
        "angular": jnp.stack(angular),
    }


def effective_amplification(kernel: Kernel, alpha: Array) -> Array:
    r"""Amplifications with which the linear kernel is a kernel's odd part on the four points.

    From :math:`k_0 = a_s^2 + a_c^2` and :math:`k_1 = a_c^2 - a_s^2`; the core's amplification is 1.
    Every kernel thus has the linear one's flow there, and the programs are one.
    """
    points = jnp.array([[1.0, 1.0], [-1.0, 1.0]]) * jnp.stack([alpha, jnp.ones_like(alpha)])[None]
    k0, k1 = flows.odd_kernel(kernel)(points[:1], points)[0]
    return jnp.sqrt(jnp.stack([k0 - k1, k0 + k1]) / 2)


def _critical(kernels: list[Kernel], alphas: Array, threshold: Array) -> Array:
    """Where kappa passes the threshold, by bisection between the ends; NaN where it does not."""

    def above(at: Array) -> Array:
        pairs = [effective_amplification(kernel, at[i]) for i, kernel in enumerate(kernels)]
        return jnp.stack([four_points.linear_kappa(pair) for pair in pairs]) > threshold

    def halve(_: int, ends: tuple[Array, Array]) -> tuple[Array, Array]:
        middle = (ends[0] + ends[1]) / 2
        high = above(middle)
        return jnp.where(high, ends[0], middle), jnp.where(high, middle, ends[1])

    low, high = (jnp.full(len(kernels), end) for end in (jnp.min(alphas), jnp.max(alphas)))
    _, root = jax.lax.fori_loop(0, _HALVINGS, halve, (low, high))
    # At its ends the search has not found a change of sign.
    return jnp.where((root > low + 1e-9) & (root < high), root, jnp.nan)


def _least(found: four_points.FourPoints) -> Array:
    """The least value of f_- over time: where its derivative, two exponentials, is 0; else f(0)."""
    first, second = found.modes[0, 1] * found.lam[0], found.modes[1, 1] * found.lam[1]
    gap = found.lam[0] - found.lam[1]
    time = jnp.log(-first / jnp.where(second == 0, 1, second)) / gap
    dips = (first < 0) & (second > 0) & (-first > second)
    return jnp.where(dips, found.f(jnp.where(dips, time, 0.0))[1], 0.0)
