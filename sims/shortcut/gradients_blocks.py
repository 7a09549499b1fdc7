r"""Study ``blocks``: networks on block data, trained as usual and against perturbations.

Full-batch gradient descent of the logistic loss on all parameters of
:math:`f(x) = \sum_k a_k\,\mathrm{relu}(w_k^T x + b_k)`, one training point for every signal
coordinate and label (:func:`theory.shortcut.gradients_margin.block_points`). Against perturbations
the loss is that of points which an l_inf attack has moved at every step. What is asked of the
gradients at fresh points: do they single out the coordinate that carries the label?

The paper trains far wider networks on 10000 points by stochastic gradient descent; its points
without noise are 2 m different ones, so that the loss is the same.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
from jax import Array

from sims import attacks
from sims.experiment import traced
from theory import arguments, networks
from theory.networks import TwoLayer
from theory.shortcut import gradients, gradients_margin


@dataclasses.dataclass(frozen=True, kw_only=True)
class BlocksConfig:
    """One training.

    Output weights start normal with variance ``init**2 / width``, input weights with
    ``init**2 / d``, biases at 0. ``noise`` is the size of the null coordinates, of random signs,
    of which ``draws`` are trained on for every signal coordinate and label: many are near to the
    theorem's noise, alike for all of them; one can be told from another and is learned.
    ``eps`` is the radius of the attack of ``attack_steps`` steps, none where that is 0. All is
    recorded ``records`` times, and after the last step gradients at ``repeats`` fresh points for
    every signal coordinate and label.
    """

    signal: int = 5
    null: int = 5
    width: int = 400
    init: float = traced(1.0)
    noise: float = traced(0.0)
    draws: int = 1
    eps: float = traced(0.0)
    attack_steps: int = traced(0)
    rate: float = traced(0.1)
    steps: int = traced(4000)
    records: int = 20
    repeats: int = 5

    def __post_init__(self) -> None:
        arguments.integer("signal", self.signal, low=2)
        for name in ("null", "attack_steps"):
            arguments.integer(name, getattr(self, name), low=0)
        for name in ("width", "draws", "steps", "records", "repeats"):
            arguments.integer(name, getattr(self, name))
        for name in ("noise", "eps"):
            arguments.number(name, getattr(self, name), low=0.0)
        for name in ("init", "rate"):
            arguments.number(name, getattr(self, name), low=0.0, open_low=True)
        if self.steps % self.records:
            raise ValueError(
                f"steps must be a multiple of records, {self.records}; got {self.steps}."
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
    "robust_accuracy": (),
    "top_power": (),
    "bottom_power": (),
    **{name: () for name in STATS},
}


def coords(config: BlocksConfig) -> dict[str, list]:
    """Values along each axis of the results."""
    every = config.steps // config.records
    return {
        "record": [every * (index + 1) for index in range(config.records)],
        "point": list(range(2 * config.signal * config.repeats)),
        "coordinate": list(range(config.signal + config.null)),
    }


def simulate(key: Array, config: BlocksConfig, inputs: dict[str, Array]) -> dict[str, Array]:
    r"""Train in float32.

    - ``loss``: of the points trained on, moved ones if attacked, before the last step of a record;
    - ``margin``: smallest :math:`y f(x)` of the training points over the sum of all squared
      parameters;
    - ``point``, ``place``, ``gradient``: fresh points, places of their signal, gradients of f;
    - ``robust_accuracy``: share of fresh points classified rightly after the attack;
    - ``ratio``, ``null_ratio``, ``cos``, ``top1``, ``bottom1``: of these gradients
      (:func:`theory.shortcut.gradients.leakage_stats`);
    - ``top_power``, ``bottom_power``: predictive power of inputs with only the coordinate of
      largest, or smallest, gradient left: 1 where it carries the signal, else 1/2.
    """
    key_noise, key_net, key_fresh = jax.random.split(key, 3)
    m, null = config.signal, config.null
    x, y, _ = _points(config, key_noise, config.draws)
    fresh, fresh_y, place = _points(config, key_fresh, config.repeats)

    d, width = m + null, config.width
    normal = jax.random.normal(key_net, (width, d + 1), jnp.float32)
    first = TwoLayer(
        w=config.init * d**-0.5 * normal[:, :d],
        b=jnp.zeros(width, jnp.float32),
        a=config.init * width**-0.5 * normal[:, d],
    )

    def attacked(p: TwoLayer, x: Array, y: Array) -> Array:
        moved, _ = attacks.pgd(
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
        # Without an attack nothing is evaluated for it.
        moved = jax.lax.cond(config.attack_steps > 0, lambda: attacked(p, x, y), lambda: x)
        value, gradient = jax.value_and_grad(loss)(p, moved)
        return jax.tree.map(lambda leaf, by: leaf - config.rate * by, p, gradient), value

    def record(p: TwoLayer, _: None) -> tuple[TwoLayer, tuple[Array, Array]]:
        start = (p, jnp.zeros((), jnp.float32))
        p, value = jax.lax.fori_loop(0, config.steps // config.records, step, start)
        return p, (value, gradients_margin.normalised_margin(p, x, y))

    p, (losses, margins) = jax.lax.scan(record, first, length=config.records)
    g = networks.input_gradient(p, fresh, 0.0)
    moved = attacked(p, fresh, fresh_y)
    size = jnp.abs(g)
    right = fresh_y * networks.forward(p, moved, 0.0) > 0
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
        "robust_accuracy": jnp.mean(right, dtype=g.dtype),
        "top_power": power[0],
        "bottom_power": power[1],
        **gradients.leakage_stats(g, fresh, place, m),
    }


def _points(config: BlocksConfig, key: Array, draws: int) -> tuple[Array, Array, Array]:
    """All signals and labels, ``draws`` times, each with noise of its own."""

    def draw(key: Array) -> tuple[Array, Array, Array]:
        return gradients_margin.block_points(config.signal, config.null, config.noise, key)

    x, y, j = jax.vmap(draw)(jax.random.split(key, draws))
    x, y = x.astype(jnp.float32), y.astype(jnp.float32)
    return x.reshape(-1, x.shape[-1]), y.ravel(), j.ravel()
