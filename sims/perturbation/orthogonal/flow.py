r"""How training approaches the closed form, and on which data the hypotheses hold at all.

Study ``flow``: the normalised flow from a random start, with its distance from the limit along the
way. Study ``tier``: which hypothesis Gaussian samples satisfy, over dimension and sample size.
"""

from __future__ import annotations

import dataclasses
import functools

import jax
import jax.numpy as jnp
from jax import Array

from twolayer.sims.engine.experiment import traced
from twolayer.theory import geometry, validation
from twolayer.theory.perturbation.orthogonal import conditions, data, multipliers
from twolayer.theory.perturbation.orthogonal import flow as orthogonal_flow
from twolayer.theory.perturbation.orthogonal import limit as orthogonal

_CHUNK = 100


@dataclasses.dataclass(frozen=True, kw_only=True)
class FlowConfig:
    """Near-orthogonal samples of norm 1 and a start uniform in +-start / sqrt d.

    ``duplicate`` > 0 replaces the second half's first sample, of the other label, by
    ``(1 - duplicate)`` of the first one plus what restores its norm: a broken hypothesis.
    """

    n: int = 6
    d: int = 30
    width: int = 20
    gamma: float = traced(0.5)
    rho: float = traced(0.002)
    start: float = traced(0.1)
    duplicate: float = traced(0.0)
    loss: str = "exponential"
    rate: float = traced(0.05)
    chunks: int = 200

    def __post_init__(self) -> None:
        for name in ("d", "chunks"):
            validation.integer(name, getattr(self, name))
        if validation.integer("n", self.n, low=2) % 2 or self.n > self.d:
            raise ValueError(f"n must be even and at most d, {self.d}; got {self.n}.")
        orthogonal.even_width(self.width)
        validation.choice("loss", self.loss, orthogonal_flow.LOSSES)
        validation.number("gamma", self.gamma, low=0.0, high=1.0, open_low=True, open_high=True)
        validation.number("rho", self.rho, low=0.0, high=1 / (self.n - 1), open_high=True)
        validation.number("start", self.start, low=0.0)
        validation.number("duplicate", self.duplicate, low=0.0, high=1.0, open_high=True)
        validation.number("rate", self.rate, low=0.0, open_low=True)


FLOW_DIMS = {
    "time": ("chunk",),
    "angle": ("chunk",),
    "gradient_angle": ("chunk",),
    "weight_gap": ("chunk",),
    "certificate": (),
}


def flow_coords(config: FlowConfig) -> dict[str, list]:
    """Values along each axis of the results."""
    return {"chunk": list(range(config.chunks))}


def simulate_flow(key: Array, config: FlowConfig, inputs: dict[str, Array]) -> dict[str, Array]:
    r"""Distances from the closed form along the flow, every 100 steps, in float64.

    - ``time``: :math:`s = \eta\,\cdot` steps;
    - ``angle``: angle between the weights and those of the closed form;
    - ``gradient_angle``: the same for the direction of descent;
    - ``weight_gap``: largest distance of the sample weights from :math:`\lambda/\sum\lambda`;
    - ``certificate``: whether the closed form's certificate holds on the samples.
    """
    n, d, width = config.n, config.d, config.width
    draws = jax.random.normal(key, (2 * n + width, d), jnp.float64)
    raw, signs, w0 = jnp.split(draws, [n, 2 * n])
    pattern = jnp.where(signs[:, :n] < 0, -1.0, 1.0)
    x = data.rows_with_gram(raw, data.signed_gram(pattern, config.rho, 1.0))
    near = (1 - config.duplicate) * x[0] + (1 - (1 - config.duplicate) ** 2) ** 0.5 * x[n // 2]
    x = x.at[n // 2].set(jnp.where(config.duplicate > 0, near, x[n // 2]))
    y = data.balanced_labels(n)
    gram = x @ x.T
    gamma = config.gamma
    lam = multipliers.solve_multipliers(gram, y, gamma)
    limit = orthogonal.limit_weights(*orthogonal.limit_rows(x, y, lam, gamma, width), width)
    a = orthogonal.output_weights(width)
    # A normal number's distribution function is uniform.
    start = config.start * (2 * jax.scipy.special.ndtr(w0) - 1) / d**0.5

    def angle(weights: Array) -> Array:
        return geometry.row_angles(weights.reshape(1, -1), limit.reshape(1, -1))[0]

    def chunk(moved: Array, _: None) -> tuple[Array, dict[str, Array]]:
        flow = orthogonal_flow.normalized_flow(
            start @ x.T + moved @ gram, gram, y, a, gamma, config.rate, _CHUNK, loss=config.loss
        )
        moved = moved + flow.coef
        descent = orthogonal_flow.descent_coefficients(flow.h, y, a, gamma, loss=config.loss)
        return moved, {
            "angle": angle(start + moved @ x),
            "gradient_angle": angle(descent @ x),
            "weight_gap": jnp.max(jnp.abs(flow.weights - lam / jnp.sum(lam))),
        }

    _, path = jax.lax.scan(chunk, jnp.zeros((width, n)), length=config.chunks)
    return {
        **path,
        "time": config.rate * _CHUNK * jnp.arange(1.0, config.chunks + 1),
        "certificate": conditions.certificate(gram, y, lam, gamma).holds,
    }


@dataclasses.dataclass(frozen=True, kw_only=True)
class TierConfig:
    """Gaussian samples with balanced labels; the axes d, n and gamma are inside."""

    dims: tuple[int, ...] = traced((100, 1000, 10000))
    sizes: tuple[int, ...] = (4, 10, 20)
    gammas: tuple[float, ...] = traced((0.9, 0.5))

    def __post_init__(self) -> None:
        for name in ("dims", "sizes", "gammas"):
            if not getattr(self, name):
                raise ValueError(f"{name} must hold at least one value.")
        for size in self.sizes:
            if validation.integer("sizes", size, low=2) % 2:
                raise ValueError(f"sizes must be even; got {size}.")
        for d in self.dims:
            validation.integer("dims", d, low=max(self.sizes))
        for value in self.gammas:
            validation.number("gammas", value, low=0.0, high=1.0, open_low=True, open_high=True)


TIER_DIMS = {name: ("n", "d", "gamma") for name in ("paper", "sharp", "certificate")}


def tier_coords(config: TierConfig) -> dict[str, list]:
    """Values along each axis of the results."""
    return {"n": list(config.sizes), "d": list(config.dims), "gamma": list(config.gammas)}


def simulate_tier(key: Array, config: TierConfig, inputs: dict[str, Array]) -> dict[str, Array]:
    r"""Whether one draw of Gaussian samples satisfies each hypothesis.

    The Gram matrix is drawn, not the samples: :math:`G = L L^T` with standard normal entries below
    the diagonal of L and :math:`L_{ii}^2 \sim \chi^2_{d-i+1}` (Bartlett), whatever d. The samples
    of smaller sizes are the first of the largest.
    """
    largest = max(config.sizes)
    key_normal, key_chi = jax.random.split(key)
    below = jnp.tril(jax.random.normal(key_normal, (largest, largest), jnp.float64), -1)
    gammas = jnp.asarray(config.gammas, jnp.float64)

    def at_dimension(pair: tuple[Array, Array]) -> dict[str, Array]:
        d, key = pair
        freedom = d - jnp.arange(largest, dtype=jnp.float64)
        factor = below + jnp.diag(jnp.sqrt(2 * jax.random.gamma(key, freedom / 2)))
        gram = factor @ factor.T
        rows = []
        for n in config.sizes:
            # Labels alternate so that the first n samples are balanced for every even n.
            y = jnp.where(jnp.arange(n) % 2 == 0, 1.0, -1.0)
            rows.append(jax.lax.map(functools.partial(_tiers, gram[:n, :n], y), gammas))
        return jax.tree.map(lambda *leaves: jnp.stack(leaves), *rows)

    dims = jnp.asarray(config.dims, jnp.float64)
    keys = jax.random.split(key_chi, dims.shape[0])
    found = jax.lax.map(at_dimension, (dims, keys))
    return {name: jnp.moveaxis(values, 0, 1) for name, values in found.items()}


def _tiers(gram: Array, y: Array, gamma: Array) -> dict[str, Array]:
    report = conditions.orthogonality(gram, gamma)
    lam = multipliers.solve_multipliers(gram, y, gamma)
    return {
        "paper": report.paper,
        "sharp": report.sharp,
        "certificate": conditions.certificate(gram, y, lam, gamma).holds,
    }
