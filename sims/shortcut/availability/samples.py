r"""Shortcut bias of infinitely wide networks on finite samples: kernel regression in time.

On a sample labels are noise about their mean, and a kernel that fits them in the end is biased
again: what rises late is no effect of availability where it is the same at every ratio.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
from jax import Array

from twolayer.sims.engine.experiment import traced, word_index
from twolayer.sims.shortcut.availability.kernels import KERNELS, by_index
from twolayer.sims.shortcut.availability.networks import check_grid
from twolayer.sims.shortcut.availability.population import check_kernel
from twolayer.theory import validation
from twolayer.theory.shortcut.availability import data, shortcut_bias
from twolayer.theory.training import kernel_flow

# Power iterations for the largest eigenvalue, whose gap is wide: it dominates the sum of all.
_POWERS = 60


@dataclasses.dataclass(frozen=True, kw_only=True)
class SampleConfig:
    """The flow of one kernel on a sample of n over availability ratios and times ``taus``.

    ``taus`` are in units of 1 / the largest eigenvalue of the sample's kernel matrix.
    """

    kernel: str = traced("relu-bias", tuple(KERNELS))
    n: int = 600
    rho_s: float = traced(0.85)
    rho_c: float = traced(0.9)
    ratios: tuple[float, ...] = traced((1.0, 4.0, 16.0))
    sigma: float = traced(0.6)
    taus: tuple[float, ...] = traced(tuple(10 ** (power / 2) for power in range(-2, 15)))
    num_probes: int = 30

    def __post_init__(self) -> None:
        check_kernel(self)
        check_grid((self.rho_s,), self.ratios)
        if validation.integer("n", self.n, low=2) % 2:
            raise ValueError(f"n must be even; got {self.n}.")


DIMS = {
    "bias": ("ratio", "tau"),
    "loss": ("ratio", "tau"),
    "last_bias": ("ratio",),
    "last_loss": ("ratio",),
    "reference": (),
    "eigenvalue": ("ratio",),
}


def coords(config: SampleConfig) -> dict[str, list]:
    """Values along each axis of the results."""
    return {"ratio": list(config.ratios), "tau": list(config.taus)}


def simulate(key: Array, config: SampleConfig, inputs: dict[str, Array]) -> dict[str, Array]:
    """Kernel regression at every ratio, in float64, on one sample.

    Results, along the axes of :data:`DIMS`: ``bias`` against LDA of the sample, and ``loss``, the
    mean squared training error; ``last_bias``, ``last_loss`` at infinite time, where modes below
    1e-11 of the largest eigenvalue are left out; ``reference``, the reliance of LDA; the largest
    ``eigenvalue`` of the kernel matrix over n.
    """
    taus, ratios = (jnp.asarray(values, jnp.float64) for values in (config.taus, config.ratios))
    number = word_index(config, "kernel")
    kernel, is_linear = by_index(number), number == list(KERNELS).index("linear")
    rho = jnp.stack([jnp.asarray(each, jnp.float64) for each in (config.rho_s, config.rho_c)])
    z, y = data.sample_latents(key, config.n, rho, config.sigma)
    probes = shortcut_bias.probe_grid(shortcut_bias.mu_from_rho(rho), config.num_probes)
    w, b = data.lda_fit(z, y)
    best = shortcut_bias.decide(probes @ w + b)

    def by_gram(x: Array, grid: Array) -> tuple[Array, Array]:
        gram = kernel(x, x) / config.n
        gram = (gram + gram.T) / 2
        cross = kernel(grid, x) / config.n
        largest = _largest_eigenvalue(gram)
        times = jnp.append(taus / largest, jnp.inf)
        both = jnp.concatenate([cross, gram])
        return largest, kernel_flow.kernel_flow(gram, both, y, times)

    def by_moment(x: Array, grid: Array) -> tuple[Array, Array]:
        return _linear_flow(x, y, jnp.concatenate([grid, x]), taus)

    def point(ratio: Array) -> dict[str, Array]:
        alpha = jnp.stack([ratio, jnp.ones_like(ratio)])[None]
        largest, outputs = jax.lax.cond(is_linear, by_moment, by_gram, z * alpha, probes * alpha)
        at_probes, at_sample = jnp.split(outputs, [probes.shape[0]], axis=1)
        bias = jax.vmap(
            lambda f: shortcut_bias.shortcut_bias(shortcut_bias.decide(f), best, probes)
        )(at_probes)
        loss = jnp.mean((at_sample - y[None]) ** 2, axis=1)
        return {
            "bias": bias[:-1],
            "loss": loss[:-1],
            "last_bias": bias[-1],
            "last_loss": loss[-1],
            "eigenvalue": largest,
        }

    found = jax.lax.map(point, ratios)
    return {**found, "reference": shortcut_bias.reliance(best, probes)}


def _linear_flow(x: Array, y: Array, points: Array, taus: Array) -> tuple[Array, Array]:
    """The same for the linear kernel, by its second moment: largest eigenvalue, (T + 1, points)."""
    moment, mean = x.T @ x / x.shape[0], x.T @ y / x.shape[0]
    largest = jnp.linalg.eigvalsh(moment)[-1]
    times = jnp.append(taus / largest, jnp.inf)
    return largest, kernel_flow.kernel_flow(moment, points, mean, times, rcond=0.0)


def _largest_eigenvalue(matrix: Array) -> Array:
    """Of a positive semi-definite matrix, by power iteration."""

    def power(vector: Array, _: None) -> tuple[Array, None]:
        image = matrix @ vector
        return image / jnp.linalg.norm(image), None

    # Column sums may vanish for an odd kernel; a column does not.
    start = matrix[jnp.argmax(jnp.diag(matrix))]
    vector, _ = jax.lax.scan(power, start / jnp.linalg.norm(start), length=_POWERS)
    return vector @ matrix @ vector
