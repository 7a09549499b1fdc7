"""Robustness changes what gradients tell: what it excludes, and a network that has it.

Both [derived], Theorem C2. That training picks the instance-specific network is measured, not
proved.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from flax import struct
from jax import Array

from twolayer.theory import networks
from twolayer.theory.shortcut.gradients import max_margin
from twolayer.theory.verification.inequality import Bound, Bounds, equal, within_rounding
from twolayer.theory.verification.sampling import normals, uniform
from twolayer.theory.verification.theorem import Control, Parameters, Size, Theorem

SIZES = ({"m": 3}, {"m": 6})


@struct.dataclass
class Affine:
    """An affine function near the one that treats all coordinates alike."""

    v_raw: Array  # (m,)
    c_raw: Array  # ()
    distance: Array
    excess: Array  # radius times m

    @property
    def v(self) -> Array:
        """Its weights."""
        return 1 + self.distance * self.v_raw

    @property
    def c(self) -> Array:
        """Its constant."""
        return self.distance * self.c_raw

    @property
    def eps(self) -> Array:
        """The radius."""
        return self.excess / self.v_raw.shape[0]


def _sample_affine(key: Array, size: Size, parameters: Parameters) -> Affine:
    v, c = normals(key, (size["m"],), (1,))
    return Affine(
        v_raw=v,
        c_raw=c[0],
        distance=10.0 ** parameters["log_distance"],
        excess=parameters["excess"],
    )


def _beyond(at: Affine) -> Bounds:
    return {"radius": Bound(lhs=jnp.ones(()), rhs=at.excess)}


def _affine(at: Affine, *, shrink: float = 1.0, norm: float = 1.0) -> Bounds:
    """A radius below 1/m, ``shrink`` times as large, and another ``norm`` are wrong."""
    m, eps = at.v_raw.shape[0], shrink * at.eps
    x, y, _ = max_margin.block_points(m, 0)
    worst = x - y[:, None] * eps * jnp.sign(at.v)[None, :]
    found = jnp.min(y * (worst @ at.v + at.c))
    size = jnp.sum(jnp.abs(at.v))
    margin = max_margin.affine_robust_margin(at.v, at.c, eps)
    scale = 1 + size + jnp.abs(at.c)
    leaky = max_margin.max_margin_network(m, 0)
    output = jnp.min(y * networks.forward(leaky, x - y[:, None] * eps, 0.0))
    bounds = {
        "not robust": within_rounding(found, jnp.zeros(()), scale),
        "exact": equal(margin, found, 1e-14 * scale),
        "leaky": within_rounding(output, jnp.zeros(()), jnp.ones(())),
    }
    if shrink == 1:
        bounds["rate"] = within_rounding(found, size * (1 / m - norm * at.eps), scale)
    return bounds


AFFINE = Theorem(
    name="gradients.robust_affine",
    statement="On the points y e_j, j <= m, with l_inf perturbations of radius eps >= 1/m, no "
    "affine function v.x + c has a positive margin: it is at most |v|_1 (1/m - eps). Nor has the "
    "max-margin network.",
    source="[derived] Theorem C2 (i)",
    sizes=SIZES,
    parameters={"log_distance": (-3.0, 1.0), "excess": (0.9, 3.0)},
    sample=_sample_affine,
    hypotheses=_beyond,
    conclusions=_affine,
    searchable=("v_raw", "c_raw"),
    controls={
        "a radius below 1/m": Control(conclusions=functools.partial(_affine, shrink=0.3)),
        "one and a half times the radius": Control(
            conclusions=functools.partial(_affine, norm=1.5)
        ),
    },
)


@struct.dataclass
class Perturbed:
    """All points of the data, moved inside of the ball."""

    delta_raw: Array  # (2 m, m)
    eps: Array


def _sample_perturbed(key: Array, size: Size, parameters: Parameters) -> Perturbed:
    (delta,) = normals(key, (2 * size["m"], size["m"]))
    return Perturbed(delta_raw=delta, eps=parameters["eps"])


def _specific(at: Perturbed, *, wider: float = 0.0, factor: float = 2.0) -> Bounds:
    """A radius beyond 1/2 by what is ``wider``, and another ``factor`` of it, are wrong."""
    m = at.delta_raw.shape[1]
    eps = at.eps + wider
    x, y, j = max_margin.block_points(m, 0)
    p = max_margin.robust_network(m, eps)
    moved = x + eps * (2 * uniform(at.delta_raw) - 1)
    margin = y * networks.forward(p, moved, 0.0)
    least = jnp.min(y * networks.forward(p, x - y[:, None] * eps, 0.0))
    g = networks.input_gradient(p, moved, 0.0)
    # The network's definition, differentiated.
    by_definition = jax.grad(lambda x: jnp.sum(jax.nn.relu(x - eps) - jax.nn.relu(-x - eps)))(moved)
    floor = 1 - factor * eps
    return {
        "margin": within_rounding(jnp.broadcast_to(floor, y.shape), margin, jnp.ones(())),
        "attained": equal(least, floor, 1e-15 * m),
        "gradient": equal(g, jnp.eye(m)[j], 1e-15),
        "definition": equal(g, by_definition, 1e-15),
    }


SPECIFIC = Theorem(
    name="gradients.robust_specific",
    statement="For 0 < eps < 1/2 the network sum_j relu(x_j - eps) - relu(-x_j - eps) has margin "
    "1 - 2 eps on the points y e_j in an l_inf ball of radius eps, where its gradient is e_j: it "
    "tells which coordinate carries the label.",
    source="[derived] Theorem C2 (ii)",
    sizes=SIZES,
    parameters={"eps": (0.001, 0.499)},
    sample=_sample_perturbed,
    conclusions=_specific,
    searchable=("delta_raw",),
    controls={
        "a radius beyond 1/2": Control(conclusions=functools.partial(_specific, wider=0.5)),
        "a margin of 1 - eps": Control(conclusions=functools.partial(_specific, factor=1.0)),
    },
)

THEOREMS = (AFFINE, SPECIFIC)
