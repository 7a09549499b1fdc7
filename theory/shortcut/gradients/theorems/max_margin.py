"""The max-margin network on block data leaks: its value and its gradients.

All [derived], Theorem C1. Instances hold a unit vector u, noise vectors that are shared by all
points, and networks near the optimal one.
"""

from __future__ import annotations

import dataclasses
import functools

import jax
import jax.numpy as jnp
from flax import struct
from jax import Array

from twolayer.theory import networks
from twolayer.theory.networks import TwoLayer
from twolayer.theory.shortcut.gradients import max_margin
from twolayer.theory.verification.inequality import Bound, Bounds, equal, within_rounding
from twolayer.theory.verification.sampling import normals, uniform
from twolayer.theory.verification.theorem import Control, Parameters, Size, Theorem

SIZES = (
    {"m": 1, "null": 1, "dim": 2, "support": 1},
    {"m": 4, "null": 2, "dim": 3, "support": 2},
)
# The margin falls with the square of what neurons have in null blocks, and linearly else.
KNOBS = {"log_noise": (-2.0, 1.0), "log_distance": (-3.0, 1.0), "log_signal": (-3.0, 0.0)}
_NEURONS = 6


@struct.dataclass
class Blocks:
    """Block data and a network whose neurons are some way from the optimal ones."""

    u_raw: Array  # (dim,), direction of the signal
    noise_raw: Array  # (support, m + null, dim)
    own_raw: Array  # (2 m, m + null, dim), noise of single points, for a control
    neurons_raw: Array  # (neurons, 2 + (m + null) dim), away from the optimal: w, b, r
    place_raw: Array  # (m + null, dim), a direction in the space of inputs
    share: Array  # mass of the first atom
    noise: Array
    distance: Array  # of the neurons from the optimal ones, in null blocks
    signal: Array  # of all else, in units of that
    null: int = struct.field(pytree_node=False)

    @property
    def m(self) -> int:
        """Number of signal blocks."""
        return self.noise_raw.shape[1] - self.null

    @property
    def u(self) -> Array:
        """The signal, of length 1."""
        return self.u_raw / jnp.linalg.norm(self.u_raw)

    def clean(self, raw: Array) -> Array:
        """Noise of this instance's size, with nothing along u in the signal blocks."""
        along = (raw @ self.u)[..., None] * self.u.reshape((1,) * (raw.ndim - 1) + (-1,))
        signal = (jnp.arange(raw.shape[-2]) < self.m)[:, None]
        signal = jnp.broadcast_to(signal, raw.shape)
        return self.noise * (raw - jnp.where(signal, along, 0))

    def data(self, own: bool = False) -> tuple[Array, Array]:
        """Every signal with every noise of both signs; or, for a control, with one of its own."""
        signal, y, _ = max_margin.block_points(self.m, self.null)
        signal = signal[:, :, None] * self.u[None, None, :]
        if own:
            points = signal + self.clean(self.own_raw)
            return points.reshape(points.shape[0], -1), y
        noise = self.clean(self.noise_raw)
        noise = jnp.concatenate([noise, -noise])
        points = signal[:, None] + noise[None]
        return points.reshape(-1, signal[0].size), jnp.repeat(y, noise.shape[0])

    def embed(self, rows: Array) -> Array:
        """Rows of one coordinate a block as rows of blocks along u."""
        blocks = rows[:, :, None] * self.u[None, None, :]
        return blocks.reshape(rows.shape[0], -1)

    def best(self, bias: bool = True) -> TwoLayer:
        """The two atoms, of mass 1/2 each."""
        p = max_margin.max_margin_network(self.m, self.null, bias)
        return TwoLayer(w=self.embed(p.w), b=p.b, a=p.a)

    def near(self, bias: bool = True) -> TwoLayer:
        """A network around both atoms, of squared parameters of sum 1."""
        best, raw = self.best(bias), self.neurons_raw
        inside = jnp.arange(raw.shape[1]) < 2 + self.m * self.u.shape[0]
        raw = raw * jnp.where(inside, self.signal, 1)[None, :]
        turns = jnp.arange(raw.shape[0]) % 2
        a, b, w = (
            leaf[turns] + self.distance * away
            for leaf, away in zip(
                (best.a, best.b, best.w), (raw[:, 0], raw[:, 1], raw[:, 2:]), strict=True
            )
        )
        b = b if bias else jnp.zeros_like(b)
        size = jnp.sqrt(jnp.sum(a**2) + jnp.sum(b**2) + jnp.sum(w**2))
        return TwoLayer(w=w / size, b=b / size, a=a / size)

    def along(self, rows: Array) -> Array:
        """Components along u in every signal block, shape (rows, m)."""
        return (rows.reshape(rows.shape[0], -1, self.u.shape[0]) @ self.u)[:, : self.m]


def sample(key: Array, size: Size, parameters: Parameters) -> Blocks:
    """Normal directions, noise of any size, networks at any distance from the optimal one."""
    m, null, dim, support = size["m"], size["null"], size["dim"], size["support"]
    blocks = m + null
    u, noise, own, neurons, place, share = normals(
        key,
        (dim,),
        (support, blocks, dim),
        (2 * m, blocks, dim),
        (_NEURONS, 2 + blocks * dim),
        (blocks, dim),
        (1,),
    )
    return Blocks(
        u_raw=u,
        noise_raw=noise,
        own_raw=own,
        neurons_raw=neurons,
        place_raw=place,
        share=uniform(share[0]),
        noise=10.0 ** parameters["log_noise"],
        distance=10.0 ** parameters["log_distance"],
        signal=10.0 ** parameters["log_signal"],
        null=null,
    )


# The value ---------------------------------------------------------------------------------------


def correlations(p: TwoLayer, x: Array, y: Array) -> tuple[Array, Array]:
    """E_q y relu(w_k . x + b_k) of each neuron, q uniform on the data, and the size of its terms.

    For any network the smallest y f(x) is at most its mean, sum_k a_k times these.
    """
    terms = jax.nn.relu(networks.preactivations(p, x))
    return jnp.mean(terms * y[None, :], axis=1), jnp.mean(terms, axis=1)


def _margin(at: Blocks, *, bias: bool, own: bool = False, more: int = 0) -> Bounds:
    """``own`` noise of every point, and a value for ``more`` signal blocks, are wrong."""
    x, y = at.data(own)
    value = max_margin.max_margin_value(at.m + more, bias)
    best, near = at.best(bias), at.near(bias)
    margins = y * networks.forward(best, x, 0.0)
    found, terms = correlations(near, x, y)
    # Products of vectors of so many entries and sizes round to this.
    rounding = 1e-15 * x.shape[1] * (1 + at.noise)
    sizes = jnp.sqrt(jnp.sum(near.w**2, axis=1) + near.b**2)
    mass = jnp.sum(best.a**2) + jnp.sum(best.w**2) + jnp.sum(best.b**2)
    return {
        "margin": equal(margins, jnp.broadcast_to(value, y.shape), rounding),
        "mass": equal(mass, jnp.ones(()), 1e-14),
        "bound": within_rounding(jnp.abs(found) / 2, value * sizes, terms),
        "network": within_rounding(
            jnp.min(y * networks.forward(near, x, 0.0)), value, jnp.abs(near.a) @ terms
        ),
    }


_VALUE = "gamma* is attained at every point by mass 1/2 on (w, r, b) = "
_DUAL = (
    ", and for every neuron |E_q y relu(r.x + b)| <= 2 gamma* |(r, b)|, q uniform on the data, so "
    "that no network has a larger margin. Data: y u in one of m signal blocks, noise across u or "
    "in null blocks, symmetric and the same for all (j, y)."
)


def _wrong(bias: bool, constant: str) -> dict[str, Control]:
    wrong = functools.partial(_margin, bias=bias)
    return {
        "noise of every point's own": Control(conclusions=functools.partial(wrong, own=True)),
        constant: Control(conclusions=functools.partial(wrong, more=1)),
    }


MARGIN = Theorem(
    name="gradients.max_margin",
    statement=f"{_VALUE}(1, 1_m u/sqrt(m + 1), 1/sqrt(m + 1))/sqrt 2 and its mirror image, with "
    f"gamma* = 1/(2 sqrt(m + 1)){_DUAL}",
    source="[derived] Theorem C1; that a max-margin network leaks [paper] in part",
    sizes=SIZES,
    parameters=KNOBS,
    sample=sample,
    conclusions=functools.partial(_margin, bias=True),
    searchable=("u_raw", "noise_raw", "neurons_raw"),
    controls=_wrong(True, "sqrt(m + 2) for sqrt(m + 1)"),
)

BIAS_FREE = dataclasses.replace(
    MARGIN,
    name="gradients.bias_free",
    statement=f"{_VALUE}(1, 1_m u/sqrt m, 0)/sqrt 2 and its mirror image, with gamma* = "
    f"1/(4 sqrt m) for networks without biases{_DUAL}",
    source="[derived] Theorem C1, bias-free networks",
    conclusions=functools.partial(_margin, bias=False),
    controls=_wrong(False, "sqrt(m + 1) for sqrt m"),
)


# Leakage -----------------------------------------------------------------------------------------


def _leakage(at: Blocks, *, kinked: bool = True, specific: bool = False) -> Bounds:
    """Without the kink, or of a network that is instance specific, gradients are others."""
    x, y = at.data()
    value, p = max_margin.max_margin_value(at.m), at.best()
    if specific:
        robust = max_margin.robust_network(at.m, 0.25)
        rows = jnp.pad(robust.w, ((0, 0), (0, at.null)))
        p = TwoLayer(w=at.embed(rows), b=robust.b, a=robust.a * value)
    away = at.place_raw.reshape(-1) / (1 + jnp.sqrt(jnp.sum(at.place_raw**2)))
    # Outputs are linear on both sides of the kink as far as this step goes.
    step = 0.1 / (1 + jnp.sqrt(1.0 * at.m))
    rise = jnp.sum(at.along(away[None, :]))
    outside = (y * rise > 0) & kinked
    moved = networks.forward(p, x + step * away[None, :], 0.0) - networks.forward(p, x, 0.0)
    slope = jnp.where(outside, value / 2, value)
    rounding = 1e-14 * x.shape[1] * (1 + at.noise)
    gradient = networks.input_gradient(p, x, 0.0)
    uniform_rows = at.embed(jnp.pad(jnp.ones((1, at.m)), ((0, 0), (0, at.null))))[0]
    size = gradient @ uniform_rows / at.m
    clean = jnp.sum(at.along(x), axis=1)
    exact = jax.vmap(lambda s: max_margin.max_margin_output(s, 1))(clean[:, None])
    exact = exact * value / max_margin.max_margin_value(1)
    return {
        "directions": equal(moved / step, slope * rise, rounding),
        "alike": equal(gradient, size[:, None] * uniform_rows[None, :], rounding),
        "at least half": Bound(lhs=value / 2 - rounding, rhs=size),
        "at most": Bound(lhs=size, rhs=value + rounding),
        "output": equal(networks.forward(p, x, 0.0), exact, rounding),
    }


LEAKAGE = Theorem(
    name="gradients.leakage",
    statement="The max-margin network is psi(s)/(2 sqrt(m + 1)), s the sum of u.x over signal "
    "blocks; at every training point its derivative along v is c times the sum of u.v over signal "
    "blocks, c = gamma*/2 outwards and gamma* inwards: alike in all of them, and 0 in null "
    "blocks.",
    source="[derived] Theorem C1; in part [paper]",
    sizes=SIZES,
    parameters=KNOBS,
    sample=sample,
    conclusions=_leakage,
    searchable=("u_raw", "noise_raw", "place_raw"),
    controls={
        "no kink at the data": Control(conclusions=functools.partial(_leakage, kinked=False)),
        "an instance-specific network": Control(
            conclusions=functools.partial(_leakage, specific=True)
        ),
    },
)

THEOREMS = (MARGIN, BIAS_FREE, LEAKAGE)
