r"""What can be computed without samples: temperatures against mixup, and midpoint mixup's floor.

Study ``population``: expected KL of the best temperature for a constant-gap interpolator and of
mixup on overlapping pairs, over the shift alpha and the number of classes; the predictions on one
pair; growth with the number of classes. Study ``midpoint``: both losses of Proposition D1 along
rays of correlations.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
from jax import Array

from twolayer.sims.engine.experiment import traced
from twolayer.theory import validation
from twolayer.theory.mixup.calibration import midpoint as calibration_midpoint
from twolayer.theory.mixup.calibration import mixup_posterior, overlapping_pairs

# The scan of temperatures: places on either level, and the largest height of the winning logit.
_SCAN = 2000
_HEIGHT = 60.0
# How near to a jump of the posterior its one-sided limits are taken.
_NEAR = 1e-9


@dataclasses.dataclass(frozen=True, kw_only=True)
class PopulationConfig:
    """Axes inside: ``ks`` and ``alphas``; for the growth ``overlaps`` and ``growth_ks``.

    Predictions on one pair are at shift ``alpha`` among ``k`` classes, at ``num_places`` places.
    """

    ks: tuple[int, ...] = traced((2, 4, 10, 100, 1000))
    alphas: tuple[float, ...] = traced((0.0, 0.5, 1.0))
    overlaps: tuple[float, ...] = traced((0.1, 0.25, 0.5, 1.0))
    growth_ks: tuple[int, ...] = traced((2, 10, 100, 1000, 10000))
    alpha: float = traced(0.5)
    k: int = traced(10)
    num_places: int = 300
    nodes: int = 64

    def __post_init__(self) -> None:
        for name in ("ks", "alphas", "overlaps", "growth_ks"):
            if not getattr(self, name):
                raise ValueError(f"{name} must hold at least one value.")
        for name in ("ks", "growth_ks"):
            for value in getattr(self, name):
                if validation.integer(name, value, low=2) % 2:
                    raise ValueError(f"{name} must be even, for classes in pairs; got {value}.")
        overlapping_pairs.even_classes(self.k)
        for value in self.alphas:
            validation.number("alphas", value, low=0.0, high=1.0)
        for value in self.overlaps:
            validation.number("overlaps", value, low=0.0, high=1.0)
        validation.number("alpha", self.alpha, low=0.0, high=1.0)
        for name in ("num_places", "nodes"):
            validation.integer(name, getattr(self, name))


POPULATION_DIMS = {
    "ts": ("k", "alpha"),
    "ts_scan": ("k", "alpha"),
    "lower_bound": ("k", "alpha"),
    "uniform": ("k", "alpha"),
    "mixup": ("alpha",),
    "supremum": ("alpha",),
    "growth": ("overlap", "growth_k"),
    "truth_left": ("place",),
    "mixup_left": ("place",),
    "ts_left": ("place",),
    "ts_right": ("place",),
}


def population_coords(config: PopulationConfig) -> dict[str, list]:
    """Values along each axis of the results; places are shares of the pair's length."""
    return {
        "k": list(config.ks),
        "alpha": list(config.alphas),
        "overlap": list(config.overlaps),
        "growth_k": list(config.growth_ks),
        "place": places(config.num_places),
    }


def places(number: int) -> list[float]:
    """Evenly spaced shares of a pair's length, none of them an end."""
    return [(index + 0.5) / number for index in range(number)]


def simulate_population(
    key: Array, config: PopulationConfig, inputs: dict[str, Array]
) -> dict[str, Array]:
    r"""Expected KL in the population, in float64; nothing is random.

    - ``ts``: :math:`F^*(1 - \alpha, k)`, and ``ts_scan`` the same by a scan of temperatures;
    - ``lower_bound``: Theorem C1 for equal other logits; ``uniform``: the uniform prediction;
    - ``mixup``: of :math:`m(z)` for uniform weights; ``supremum``: its largest pointwise value;
    - ``growth``: :math:`F^*` over overlap and number of classes;
    - ``truth_left``, ``mixup_left``, ``ts_left``, ``ts_right``: probabilities of the two classes of
      a pair, at shares of its length: the true one of the left class, mixup's, and those after the
      best temperature of an interpolator that changes its mind in the middle.
    """
    ks = jnp.asarray(config.ks)[:, None]
    alphas = jnp.asarray(config.alphas, jnp.float64)
    overlap = 1 - alphas[None, :]
    least, _ = overlapping_pairs.oracle_ts_optimum(overlap, ks)
    growth, _ = overlapping_pairs.oracle_ts_optimum(
        jnp.asarray(config.overlaps, jnp.float64)[:, None], jnp.asarray(config.growth_ks)[None, :]
    )
    alpha, length = config.alpha, 1 + config.alpha
    z = jnp.asarray(places(config.num_places), jnp.float64) * length
    left = jnp.where(z < alpha, 1.0, jnp.where(z <= 1, 0.5, 0.0))
    _, sure = overlapping_pairs.oracle_ts_optimum(1 - alpha, config.k)
    rest = (1 - sure) / (config.k - 1)
    return {
        "ts": least,
        "ts_scan": _scan(overlap, ks),
        "lower_bound": overlapping_pairs.ts_lower_bound(ks, 0.0, overlap, 1.0),
        "uniform": jnp.log(ks) - overlap * jnp.log(2.0),
        "mixup": jax.lax.map(
            lambda alpha: mixup_posterior.mixup_expected_kl(alpha, nodes=config.nodes), alphas
        ),
        "supremum": jax.lax.map(lambda alpha: _supremum(alpha, config.num_places), alphas),
        "growth": growth,
        "truth_left": left,
        "mixup_left": mixup_posterior.mixup_posterior_pair(z, alpha),
        "ts_left": jnp.where(z < length / 2, sure, rest),
        "ts_right": jnp.where(z < length / 2, rest, sure),
    }


def _scan(overlap: Array, k: Array) -> Array:
    r"""Least expected KL over heights :math:`s = \beta Z` of the winning logit, in two levels.

    With winner's probability p: :math:`-o \log 2 - \log p + (o/2) s`, as each other class has
    probability :math:`p e^{-s}`.
    """
    shape = jnp.broadcast_shapes(overlap.shape, k.shape)

    def cost(height: Array) -> Array:
        others = jnp.log(k - 1.0)[..., None] - height
        share = overlap[..., None]
        return jax.nn.softplus(others) + share * height / 2 - share * jnp.log(2.0)

    coarse = jnp.linspace(0, _HEIGHT, _SCAN)
    step = _HEIGHT / (_SCAN - 1)
    best = coarse[jnp.argmin(cost(jnp.broadcast_to(coarse, (*shape, _SCAN))), axis=-1)]
    fine = best[..., None] + jnp.broadcast_to(jnp.linspace(-step, step, _SCAN), (*shape, _SCAN))
    return jnp.min(cost(jnp.maximum(fine, 0)), axis=-1)


def _supremum(alpha: Array, number: int) -> Array:
    """Largest pointwise KL of mixup; one-sided limits at the jump and in the middle count too."""
    middle = (1 + alpha) / 2
    limits = jnp.stack([alpha * (1 - _NEAR), alpha + _NEAR, middle * (1 - _NEAR)])
    # The formula has no value at the ends, where the limit of the KL is 0.
    z = jnp.concatenate([jnp.asarray(places(number), jnp.float64) * middle, limits])
    z = jnp.clip(z, _NEAR, middle * (1 - _NEAR))
    m = mixup_posterior.mixup_posterior_pair(z, alpha)
    return jnp.max(jnp.where(z < alpha, -jnp.log(m), -jnp.log(4 * m * (1 - m)) / 2))


@dataclasses.dataclass(frozen=True, kw_only=True)
class MidpointConfig:
    """Rays (s a_1, s a_2) of correlations: directions ``(firsts, seconds)`` and ``scales`` s."""

    k: int = 4
    firsts: tuple[float, ...] = traced((1.0, 1.0, 2.0, -1.0))
    seconds: tuple[float, ...] = traced((1.0, 2.0, 0.2, -1.0))
    scales: tuple[float, ...] = traced((0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 40.0, 80.0))
    nodes: int = 200

    def __post_init__(self) -> None:
        validation.integer("k", self.k, low=2)
        validation.integer("nodes", self.nodes)
        if not self.firsts or len(self.firsts) != len(self.seconds):
            raise ValueError(
                "firsts and seconds must hold the same number of values, at least one; "
                f"got {len(self.firsts)} and {len(self.seconds)}."
            )
        for name in ("firsts", "seconds"):
            for value in getattr(self, name):
                validation.number(name, value)
        if not self.scales:
            raise ValueError("scales must hold at least one value.")
        for value in self.scales:
            validation.number("scales", value, low=0.0)


MIDPOINT_DIMS = {"midpoint": ("direction", "scale"), "single": ("direction", "scale")}


def midpoint_coords(config: MidpointConfig) -> dict[str, list]:
    """Values along each axis of the results."""
    return {
        "direction": [list(pair) for pair in zip(config.firsts, config.seconds, strict=True)],
        "scale": list(config.scales),
    }


def simulate_midpoint(
    key: Array, config: MidpointConfig, inputs: dict[str, Array]
) -> dict[str, Array]:
    """Expected loss of midpoint mixup, and of training on single samples, in float64."""
    scales = jnp.asarray(config.scales, jnp.float64)
    firsts, seconds = (
        jnp.asarray(values, jnp.float64)[:, None] * scales[None, :]
        for values in (config.firsts, config.seconds)
    )
    midpoint, single = jax.lax.map(
        lambda pair: calibration_midpoint.midpoint_losses(
            pair[0], pair[1], config.k, nodes=config.nodes
        ),
        (firsts.ravel(), seconds.ravel()),
    )
    return {"midpoint": midpoint.reshape(firsts.shape), "single": single.reshape(firsts.shape)}
