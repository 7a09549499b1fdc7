"""How far networks of growing width are from their infinitely wide, lazy counterpart."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
from jax import Array

from twolayer.sims.components import data
from twolayer.sims.engine.experiment import traced
from twolayer.theory import networks, validation
from twolayer.theory.kernels import shallow
from twolayer.theory.perturbation.wide import lazy_training
from twolayer.theory.training import function_space, gradient_descent


@dataclasses.dataclass(frozen=True, kw_only=True)
class WidthConfig:
    """One width; data is fixed by the seed and shared by all widths, initialisations differ."""

    width: int = 1000
    d: int = 5
    n: int = 16
    num_test: int = 16
    mu: float = traced(1.0)
    gamma: float = traced(0.5)
    rate: float = traced(0.1)
    beta: float = traced(0.0)
    steps: int = 10
    inits: int = 10
    delta: float = traced(0.05)

    def __post_init__(self) -> None:
        for name in ("width", "d", "steps", "inits"):
            validation.integer(name, getattr(self, name))
        for name in ("n", "num_test"):
            if validation.integer(name, getattr(self, name), low=2) % 2:
                raise ValueError(f"{name} must be even; got {getattr(self, name)}.")
        validation.slope(self.gamma)
        validation.number("rate", self.rate, low=0.0)
        validation.number("beta", self.beta, low=0.0, high=1.0, open_high=True)
        validation.number("delta", self.delta, low=0.0, high=1.0, open_low=True, open_high=True)


DIMS = {
    "kernel_gap": ("init",),
    "kernel_radius": (),
    "lazy_gap": ("init",),
    "lazy_bound": ("init",),
    "lazy_expected": (),
    "drift": ("init",),
}


def coords(config: WidthConfig) -> dict[str, list]:
    """Values along each axis of the results."""
    return {"init": list(range(config.inits))}


def simulate(key: Array, config: WidthConfig, inputs: dict[str, Array]) -> dict[str, Array]:
    """Largest deviations over the test points for each initialisation, in float64.

    ``kernel_gap`` of the gate kernel over all pairs of test point and sample, with the radius of
    Theorem W for as many pairs; ``lazy_gap`` of the trained outputs from the frozen-kernel
    prediction, with the bound of Theorem L, its expectation over initialisations, and the size of
    the prediction itself (``drift``).
    """
    key_data, key_inits = jax.random.split(key)
    total = config.n + config.num_test
    points, labels = data.shifted_gauss(key_data, total, config.d, config.mu, jnp.float64)
    x, y, z = data.train_test(points, labels, config.n)
    exact = shallow.gate_kernel(z, x, config.gamma)
    tau = function_space.effective_time(config.rate, config.beta, config.steps)

    def one(key: Array) -> dict[str, Array]:
        p = networks.init_two_layer(key, config.d, config.width, jnp.float64)
        trained, trace = gradient_descent.train(
            p,
            x,
            y,
            loss="identity",
            lr=config.rate,
            beta=config.beta,
            steps=config.steps,
            gamma=config.gamma,
        )
        drift = lazy_training.lazy_drift(p, x, y, z, trace.loss_factors, config.gamma)
        moved = networks.forward(trained, z, config.gamma) - networks.forward(p, z, config.gamma)
        gap = networks.empirical_gate_kernel(p, z, x, config.gamma) - exact
        return {
            "kernel_gap": jnp.max(jnp.abs(gap)),
            "lazy_gap": jnp.max(jnp.abs(moved - drift)),
            "lazy_bound": jnp.max(lazy_training.lazy_bound(p, x, z, tau, config.gamma)),
            "drift": jnp.max(jnp.abs(drift)),
        }

    expected = lazy_training.expected_lazy_bound(x, z, tau, config.gamma, config.width)
    return {
        **jax.lax.map(one, jax.random.split(key_inits, config.inits)),
        "kernel_radius": lazy_training.width_radius(config.width, exact.size, config.delta),
        "lazy_expected": jnp.max(expected),
    }
