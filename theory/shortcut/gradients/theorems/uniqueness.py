"""The max-margin network on block data is the only one, and what is nearly of its margin leaks too.

Both [derived]: the uniqueness of Theorem C1 with a rate, and what follows from the rate. Instances
are those of :mod:`twolayer.theory.shortcut.gradients.theorems.max_margin`.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from jax import Array

from twolayer.theory import networks
from twolayer.theory.networks import TwoLayer
from twolayer.theory.shortcut.gradients import max_margin
from twolayer.theory.shortcut.gradients.theorems.max_margin import (
    KNOBS,
    SIZES,
    Blocks,
    correlations,
    sample,
)
from twolayer.theory.verification.inequality import Bound, Bounds, equal, within_rounding
from twolayer.theory.verification.theorem import Control, Theorem


def _aligned(at: Blocks, p: TwoLayer) -> Array:
    """Length of each neuron's part along the atom of its output's sign, negative parts left out."""
    signal = jax.nn.relu(jnp.sign(p.a)[:, None] * at.along(p.w))
    inside = (jnp.sum(signal, axis=1) + jax.nn.relu(p.b)) / jnp.sqrt(at.m + 1.0)
    return (jnp.abs(p.a) + inside) / jnp.sqrt(2.0)


def _unique(at: Blocks, *, power: float = 2.0) -> Bounds:
    """A higher ``power`` of the cosine claims too fast a fall."""
    x, y = at.data()
    value, p = max_margin.max_margin_value(at.m), at.near()
    found, terms = correlations(p, x, y)
    size = jnp.sqrt(p.a**2 + p.b**2 + jnp.sum(p.w**2, axis=1))
    ceiling = value * size**2 * (_aligned(at, p) / size) ** power
    best = at.best()
    mass = jnp.stack([at.share, 1 - at.share])
    weighted = TwoLayer(
        w=best.w * jnp.sqrt(2 * mass)[:, None],
        b=best.b * jnp.sqrt(2 * mass),
        a=best.a * jnp.sqrt(2 * mass),
    )
    lesser = jnp.min(y * networks.forward(weighted, x, 0.0))
    rounding = 1e-15 * x.shape[1] * (1 + at.noise)
    return {
        "neuron": within_rounding(p.a * found, ceiling, jnp.abs(p.a) * terms),
        "network": within_rounding(
            jnp.min(y * networks.forward(p, x, 0.0)), jnp.sum(ceiling), jnp.abs(p.a) @ terms
        ),
        "masses": equal(lesser, 2 * value * jnp.min(mass), rounding),
    }


UNIQUE = Theorem(
    name="gradients.unique",
    statement="A network has margin at most gamma* sum_k |theta_k|^2 cos^2 phi_k, phi_k the angle "
    "between neuron theta_k = (a_k, w_k, b_k), its parts that point away left out, and the atom "
    "of a_k's sign. Masses p and 1 - p on the atoms give 2 gamma* min(p, 1 - p). So every other "
    "measure is inferior.",
    source="[derived] Theorem C1, uniqueness with a rate",
    sizes=SIZES,
    parameters=KNOBS,
    sample=sample,
    conclusions=_unique,
    searchable=("u_raw", "noise_raw", "neurons_raw", "share"),
    controls={"fourth power": Control(conclusions=functools.partial(_unique, power=4.0))},
)


def _near(at: Blocks, *, power: float = 0.5) -> Bounds:
    """A higher ``power`` of the deficit claims too little change of the gradients."""
    x, y = at.data()
    p = at.near()
    deficit = 1 - jnp.min(y * networks.forward(p, x, 0.0)) / max_margin.max_margin_value(at.m)
    # The deficit is a difference of numbers of size 1.
    room = jnp.sqrt(jnp.sum(p.a**2)) * (jnp.abs(deficit) + 1e-14) ** power
    place = jnp.concatenate([x, x + at.place_raw.reshape(1, -1)])
    g = networks.input_gradient(p, place, 0.0)
    blocks = at.along(g)
    apart = jnp.max(blocks, axis=1) - jnp.min(blocks, axis=1)
    rest = jnp.linalg.norm(g - at.embed(jnp.pad(blocks, ((0, 0), (0, at.null)))), axis=1)
    return {
        "no less than gamma*": Bound(lhs=-deficit, rhs=jnp.asarray(1e-13)),
        "alike": Bound(lhs=apart, rhs=jnp.broadcast_to(2 * room, apart.shape)),
        "nothing elsewhere": Bound(lhs=rest, rhs=jnp.broadcast_to(room, rest.shape)),
    }


NEAR = Theorem(
    name="gradients.near_margin",
    statement="A network of sum |theta_k|^2 = 1 and margin (1 - delta) gamma* leaks at every "
    "input: its gradient differs by at most 2 |a| sqrt(delta) between any two signal blocks, along "
    "u, and all that is not along u in signal blocks is at most |a| sqrt(delta).",
    source="[derived] from the rate of Theorem C1's uniqueness",
    sizes=SIZES,
    parameters=KNOBS,
    sample=sample,
    conclusions=_near,
    searchable=("u_raw", "noise_raw", "neurons_raw", "place_raw"),
    controls={"delta for sqrt(delta)": Control(conclusions=functools.partial(_near, power=1.0))},
)

THEOREMS = (UNIQUE, NEAR)
