r"""Exact families of nearly orthogonal data: agreement of the two networks over tau and gamma.

The scaled budget is :math:`\tau = \varepsilon \sqrt{N^a} / R`, with the norms R of all base points
1. Families: ``flipped`` (orthogonal samples, perturbed towards the opposite labels; at
:math:`\tau = 2` they become their mirror images), ``near`` (the same with cosines :math:`\pm\rho`
between samples), ``random`` (orthogonal samples, random targets), ``noise`` (noise orthogonal to
the samples, balanced targets).
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
from jax import Array

from twolayer.sims.engine.experiment import traced
from twolayer.theory import geometry, validation
from twolayer.theory.perturbation.orthogonal import (
    agreement,
    conditions,
    data,
    limit,
    multipliers,
    perturbed,
)
from twolayer.theory.perturbation.orthogonal import flow as orthogonal_flow

FAMILIES = ("flipped", "near", "random", "noise")
_RATE = 0.1


@dataclasses.dataclass(frozen=True, kw_only=True)
class FamilyConfig:
    """One family; the axes gamma and tau are inside.

    ``n_adv`` counts for ``noise`` alone, ``rho`` for ``near``. With ``steps`` a network of that
    ``width`` is trained on the perturbed data at every point, in normalised steps of 0.1.
    """

    family: str = "flipped"
    n: int = 12
    n_adv: int = 12
    d: int = 40
    rho: float = traced(0.01)
    gammas: tuple[float, ...] = traced((0.5,))
    taus: tuple[float, ...] = traced((0.5, 1.5, 2.0))
    width: int = 20
    steps: int = 0
    num_test: int = 4000

    def __post_init__(self) -> None:
        validation.choice("family", self.family, FAMILIES)
        for name in ("n", "n_adv"):
            if validation.integer(name, getattr(self, name), low=2) % 2:
                raise ValueError(f"{name} must be even; got {getattr(self, name)}.")
        if validation.integer("d", self.d) < self.n + (self.family == "noise") * self.n_adv:
            raise ValueError(f"d must be at least the number of orthogonal rows; got {self.d}.")
        validation.integer("num_test", self.num_test)
        validation.integer("steps", self.steps, low=0)
        limit.even_width(self.width)
        validation.number("rho", self.rho, low=0.0, high=1 / (self.n - 1), open_high=True)
        for name in ("gammas", "taus"):
            if not getattr(self, name):
                raise ValueError(f"{name} must hold at least one value.")
        for value in self.gammas:
            validation.number("gammas", value, low=0.0, high=1.0, open_low=True, open_high=True)
        for value in self.taus:
            validation.number("taus", value, low=0.0, open_low=True)


DIMS = {
    "agreement": ("gamma", "tau"),
    "certificate": ("gamma", "tau"),
    "sharp": ("gamma", "tau"),
    "paper": ("gamma", "tau"),
    "gram_gap": ("gamma", "tau"),
    "trained": ("gamma", "tau"),
}


def coords(config: FamilyConfig) -> dict[str, list]:
    """Values along each axis of the results."""
    return {"gamma": list(config.gammas), "tau": list(config.taus)}


def simulate(key: Array, config: FamilyConfig, inputs: dict[str, Array]) -> dict[str, Array]:
    """Solve both trainings at every gamma and tau, in float64.

    - ``agreement``: probability that both closed-form boundaries classify an isotropic point alike;
    - ``certificate``, ``sharp``, ``paper``: whether each hypothesis holds on the perturbed data;
    - ``gram_gap``: largest change of the Gram matrix by the perturbations;
    - ``trained``: share of fresh Gaussian points at which a trained network has the sign of the
      first boundary; NaN without ``steps``.
    """
    n, d = config.n, config.d
    n_base = config.n_adv if config.family == "noise" else n
    keys = jax.random.split(key, 2)
    raw = jax.random.normal(keys[0], (n + n_base, d), jnp.float64)
    extra = jax.random.normal(keys[1], (config.num_test + config.width + n, d), jnp.float64)
    z, w0, signs = jnp.split(extra, [config.num_test, config.num_test + config.width])
    y = data.balanced_labels(n)
    if config.family == "noise":
        rows = data.orthonormal_rows(raw)
        x, base, targets = rows[:n], rows[n:], data.balanced_labels(n_base)
    elif config.family == "near":
        pattern = jnp.where(signs[:, :n] < 0, -1.0, 1.0)
        gram = data.signed_gram(pattern, config.rho, 1.0)
        x = base = data.rows_with_gram(raw[:n], gram)
        targets = -y
    else:
        x = base = data.orthonormal_rows(raw[:n])
        targets = jnp.where(signs[:, n] < 0, -1.0, 1.0) if config.family == "random" else -y
    start = 0.1 * w0 / d**0.5
    a = limit.output_weights(config.width)

    def point(pair: tuple[Array, Array]) -> dict[str, Array]:
        gamma, tau = pair
        lam = multipliers.solve_multipliers(x @ x.T, y, gamma)
        normal = limit.boundary_normal(x, y, lam)
        step = geometry.direction(normal, "l2")
        moved = perturbed.perturb(base, targets, step, tau / n_base**0.5)
        gram = moved @ moved.T
        lam_adv = multipliers.solve_multipliers(gram, targets, gamma)
        learnt = limit.boundary_normal(moved, targets, lam_adv)
        tiers = conditions.orthogonality(gram, gamma)
        trained = jnp.asarray(jnp.nan)
        if config.steps:
            flow = orthogonal_flow.normalized_flow(
                start @ moved.T, gram, targets, a, gamma, _RATE, config.steps
            )
            h = z @ (start + flow.coef @ moved).T
            values = (h * limit.gates(h, gamma)) @ a
            trained = jnp.mean(jnp.sign(values) == jnp.sign(z @ normal))
        return {
            "agreement": agreement.isotropic_agreement(normal, learnt),
            "certificate": conditions.certificate(gram, targets, lam_adv, gamma).holds,
            "sharp": tiers.sharp,
            "paper": tiers.paper,
            "gram_gap": jnp.max(jnp.abs(gram - base @ base.T)),
            "trained": trained,
        }

    gammas, taus = (jnp.asarray(values, jnp.float64) for values in (config.gammas, config.taus))
    shape = (gammas.shape[0], taus.shape[0])
    grid = tuple(axis.ravel() for axis in jnp.meshgrid(gammas, taus, indexing="ij"))
    found = jax.lax.map(point, grid)
    return {name: values.reshape(shape) for name, values in found.items()}
