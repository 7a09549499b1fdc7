r"""Study ``blocks``: networks on block data, trained as usual and against perturbations.

Full-batch gradient descent of the logistic loss on all parameters of
:math:`f(x) = \sum_k a_k\,\mathrm{relu}(w_k^T x + b_k)`, with as many training points of every
signal coordinate and label. Against perturbations
the loss is that of points which an l_inf attack has moved at every step. What is asked of the
gradients at fresh points: do they single out the coordinate that carries the label?

The paper trains far wider networks on 10000 points by stochastic gradient descent; its points
without noise are 2 m different ones, so that the loss is the same.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from twolayer.sims.components.attacks import pgd
from twolayer.sims.engine.experiment import traced
from twolayer.theory import networks, validation
from twolayer.theory.networks import TwoLayer
from twolayer.theory.shortcut.gradients import attribution, max_margin


@dataclasses.dataclass(frozen=True, kw_only=True)
class BlocksConfig:
    """One training.

    Of ``dim`` coordinates the first ``signal`` are such, all others null. Output weights start
    normal with variance ``init**2 / width``, input weights with ``init**2 / dim``, biases at 0.
    ``noise`` is the size of the null coordinates, of random signs. Every signal coordinate and
    label has the same number of the ``rows`` trained on; ``draws`` of them at most differ in their
    noise. Many are near to the theorem's noise, alike for all signals; a single one tells signals
    apart and is learned. ``eps`` is the radius of the attack of ``attack_steps`` steps, none where
    that is 0. All is recorded ``records`` times, and gradients at ``points`` fresh points after the
    last step.
    """

    signal: int = traced(5)
    dim: int = 10
    width: int = 400
    init: float = traced(1.0)
    noise: float = traced(0.0)
    rows: int = 60
    draws: int = traced(1)
    eps: float = traced(0.0)
    attack_steps: int = 0
    rate: float = traced(0.1)
    steps: int = traced(4000)
    records: int = 20
    points: int = 60

    def __post_init__(self) -> None:
        validation.integer("signal", self.signal, low=2)
        validation.integer("dim", self.dim, low=self.signal)
        validation.integer("attack_steps", self.attack_steps, low=0)
        for name in ("width", "rows", "draws", "steps", "records", "points"):
            validation.integer(name, getattr(self, name))
        for name in ("noise", "eps"):
            validation.number(name, getattr(self, name), low=0.0)
        for name in ("init", "rate"):
            validation.number(name, getattr(self, name), low=0.0, open_low=True)
        for name, unit, words in (
            ("steps", self.records, "records"),
            ("rows", 2 * self.signal, "twice signal"),
            ("points", 2 * self.signal, "twice signal"),
        ):
            if getattr(self, name) % unit:
                raise ValueError(
                    f"{name} must be a multiple of {words}, {unit}; got {getattr(self, name)}."
                )
        if (self.eps > 0) != (self.attack_steps > 0):
            raise ValueError(
                "eps and attack_steps must both be 0 or both positive; "
                f"got {self.eps} and {self.attack_steps}."
            )


STATS = ("ratio", "null_ratio", "cos", "top1", "bottom1")
DIMS: dict[str, tuple[str, ...]] = {
    "loss": ("record",),
    "margin": ("record",),
    "point": ("point", "coordinate"),
    "place": ("point",),
    "gradient": ("point", "coordinate"),
    "top_power": (),
    "bottom_power": (),
    **{name: () for name in STATS},
}


def coords(config: BlocksConfig) -> dict[str, list]:
    """Values along each axis of the results."""
    every = config.steps // config.records
    return {
        "record": [every * (index + 1) for index in range(config.records)],
        "point": list(range(config.points)),
        "coordinate": list(range(config.dim)),
    }


def simulate(key: Array, config: BlocksConfig, inputs: dict[str, Array]) -> dict[str, Array]:
    r"""Train in float32.

    - ``loss``: of the points trained on, moved ones if attacked, before the last step of a record;
    - ``margin``: smallest :math:`y f(x)` of the training points over the sum of all squared
      parameters;
    - ``point``, ``place``, ``gradient``: fresh points, places of their signal, gradients of f;
    - ``ratio``, ``null_ratio``, ``cos``, ``top1``, ``bottom1``: of these gradients
      (:func:`twolayer.theory.shortcut.gradients.attribution.leakage_stats`);
    - ``top_power``, ``bottom_power``: predictive power of inputs with only the coordinate of
      largest, or smallest, gradient left: 1 where it carries the signal, else 1/2.
    """
    key_noise, key_net, key_fresh = jax.random.split(key, 3)
    d, width = config.dim, config.width
    x, y, _ = _points(config, key_noise, config.rows, config.draws)
    fresh, _, place = _points(config, key_fresh, config.points, config.points)

    normal = jax.random.normal(key_net, (width, d + 1), jnp.float32)
    first = TwoLayer(
        w=config.init * d**-0.5 * normal[:, :d],
        b=jnp.zeros(width, jnp.float32),
        a=config.init * width**-0.5 * normal[:, d],
    )

    def attacked(p: TwoLayer) -> Array:
        moved, _ = pgd.pgd(
            lambda x: y * networks.forward(p, x, 0.0),
            x,
            norm="linf",
            steps=config.attack_steps,
            eps=config.eps,
            linf_style="sign",
        )
        return moved

    def loss(p: TwoLayer, x: Array) -> Array:
        return jnp.mean(jax.nn.softplus(-y * networks.forward(p, x, 0.0)))

    def step(_: Array, carry: tuple[TwoLayer, Array]) -> tuple[TwoLayer, Array]:
        p, _ = carry
        moved = attacked(p) if config.attack_steps else x
        value, gradient = jax.value_and_grad(loss)(p, moved)
        return jax.tree.map(lambda leaf, by: leaf - config.rate * by, p, gradient), value

    def record(p: TwoLayer, _: None) -> tuple[TwoLayer, tuple[Array, Array]]:
        start = (p, jnp.zeros((), jnp.float32))
        p, value = jax.lax.fori_loop(0, config.steps // config.records, step, start)
        return p, (value, max_margin.normalised_margin(p, x, y))

    p, (losses, margins) = jax.lax.scan(record, first, length=config.records)
    g = networks.input_gradient(p, fresh, 0.0)
    size = jnp.abs(g)
    power = [
        (1 + jnp.mean(chosen == place, dtype=g.dtype)) / 2
        for chosen in (jnp.argmax(size, axis=1), jnp.argmin(size, axis=1))
    ]
    return {
        "loss": losses,
        "margin": margins,
        "point": fresh,
        "place": place,
        "gradient": g,
        "top_power": power[0],
        "bottom_power": power[1],
        **attribution.leakage_stats(g, fresh, place, config.signal),
    }


def _points(config: BlocksConfig, key: Array, rows: int, draws: Any) -> tuple[Array, Array, Array]:
    """All signals and labels in turn, noise of up to ``draws`` draws, and places of the signal.

    As :func:`twolayer.theory.shortcut.gradients.max_margin.block_points` repeated, for a traced
    number of them.
    """
    index = jnp.arange(rows)
    place, y = (index // 2) % config.signal, 1 - 2 * (index % 2)
    period = 2 * config.signal
    drawn = jnp.minimum(index // period, draws - 1) * period + index % period
    signs = jax.random.rademacher(key, (rows, config.dim), jnp.float32)[drawn]
    y = y.astype(jnp.float32)
    signal = y[:, None] * jax.nn.one_hot(place, config.dim, dtype=jnp.float32)
    is_signal = (jnp.arange(config.dim) < config.signal)[None, :]
    return jnp.where(is_signal, signal, config.noise * signs), y, place
