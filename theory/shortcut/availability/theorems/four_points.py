"""Four points: the closed form of the flow, its shortcut phase, and what non-linearity does to it.

All [derived], Theorem A4.
"""

from __future__ import annotations

import dataclasses
import functools

import jax.numpy as jnp
from flax import struct
from jax import Array

from twolayer.theory.kernels.deep import Kernel
from twolayer.theory.shortcut.availability import flows, four_points
from twolayer.theory.verification.inequality import (
    Bound,
    Bounds,
    equal,
    same_sign,
    strictly_less,
    within_rounding,
)
from twolayer.theory.verification.sampling import normals
from twolayer.theory.verification.theorem import Control, Parameters, Size, Theorem

KNOBS = {
    "rho_c": (0.6, 0.98),
    "share": (0.05, 0.95),
    "log_ratio": (-0.5, 1.5),
    "log_scale": (-1.0, 1.0),
    "log_beta": (-1.5, 0.5),
    "log_tau": (-3.0, 3.0),
}
# All points, in the order of their weights, and the labels they go with.
_SIGNS = ((1.0, 1.0), (-1.0, 1.0), (1.0, -1.0), (-1.0, -1.0))


@struct.dataclass
class Signs:
    """Two features that are signs, a time, a bias and the coefficients of a kernel."""

    rho_s: Array
    rho_c: Array
    alpha: Array  # (2,)
    tau: Array  # time in units of the faster mode
    beta: Array
    raw: Array  # (6,), of a dot-product kernel

    @property
    def relu(self) -> Kernel:
        """The two-layer ReLU tangent kernel with bias."""
        return functools.partial(flows.ntk, kind="relu", beta=self.beta)

    def found(self, kernel: Kernel) -> four_points.FourPoints:
        """The closed form."""
        return four_points.four_point(kernel, self.alpha, self.rho_s, self.rho_c)


def sample(key: Array, size: Size, parameters: Parameters) -> Signs:
    """A shortcut less predictive than the core, of any availability."""
    (raw,) = normals(key, (6,))
    half = parameters["log_ratio"] / 2
    return Signs(
        rho_s=0.5 + parameters["share"] * (parameters["rho_c"] - 0.5),
        rho_c=parameters["rho_c"],
        alpha=10.0 ** (parameters["log_scale"] + jnp.stack([half, -half])),
        tau=10.0 ** parameters["log_tau"],
        beta=10.0 ** parameters["log_beta"],
        raw=raw,
    )


# The flow ----------------------------------------------------------------------------------------


def _dense(at: Signs, time: Array) -> tuple[Array, Array]:
    """The flow of the kernel, not of its odd part, on all four points; and its eigenvalues."""
    z = jnp.array(_SIGNS)
    chance = [jnp.where(z[:, i] > 0, rho, 1 - rho) for i, rho in enumerate((at.rho_s, at.rho_c))]
    positive = chance[0] * chance[1]
    negative = positive[::-1]  # of the opposite point
    weights, m = (positive + negative) / 2, (positive - negative) / (positive + negative)
    points = z * at.alpha[None, :]
    root = jnp.sqrt(weights)
    gram = at.relu(points, points)
    values, vectors = jnp.linalg.eigh(root[:, None] * gram * root[None, :])
    f = vectors @ (-jnp.expm1(-time * values) * (vectors.T @ (root * m))) / root
    return f, values[::-1]


def _is_clear(at: Signs) -> Bounds:
    found = at.found(at.relu)
    apart = jnp.abs(jnp.log(at.tau / (found.t_switch * found.lam[0])))
    return {
        "phase": strictly_less(jnp.asarray(1e-4), jnp.abs(found.kappa - found.threshold)),
        "time": strictly_less(jnp.asarray(1e-3), jnp.where(jnp.isnan(apart), 1.0, apart)),
    }


def _four_points(at: Signs, *, threshold: float = 1.0, exchanged: bool = False) -> Bounds:
    """``threshold``: so many times g; ``exchanged``: the availabilities are confused."""
    found = at.found(at.relu)
    time = at.tau / found.lam[0]
    f, values = _dense(at, time)
    if exchanged:
        swapped = four_points.four_point(at.relu, at.alpha[::-1], at.rho_s, at.rho_c)
        closed = swapped.f(time)
    else:
        closed = found.f(time)
    switches = found.kappa > threshold * found.threshold
    after = jnp.where(jnp.isnan(found.t_switch), -1.0, time - found.t_switch)
    # Of the four modes two are odd; each closed one must be among them.
    nearest = jnp.min(jnp.abs(values[:, None] - found.lam[None, :]), axis=0)
    room = 1e-13 * (1 + at.tau) / jnp.sqrt((1 - at.rho_s) * (1 - at.rho_c))
    return {
        "path": equal(closed, f[:2], room),
        "eigenvalues": Bound(lhs=nearest, rhs=1e-13 * values[:1]),
        "phase": same_sign(f[1], jnp.where(switches, after, 1.0)),
    }


FOUR_POINTS = Theorem(
    name="availability.four_points",
    statement="On four points f = m - exp(-t M) m, with two eigenvalues in closed form. Where the "
    "features conflict the output first follows the shortcut iff kappa = -k_1/k_0 > g = (rho_c - "
    "rho_s)/(rho_s + rho_c - 1), up to one time of switching, and the core from then on.",
    source="[derived] Theorem A4 (i), (ii)",
    sizes=({},),
    parameters=KNOBS,
    sample=sample,
    hypotheses=_is_clear,
    conclusions=_four_points,
    controls={
        "a phase wherever kappa is positive": Control(
            conclusions=functools.partial(_four_points, threshold=0.0)
        ),
        "availabilities exchanged": Control(
            conclusions=functools.partial(_four_points, exchanged=True)
        ),
    },
)


# What non-linearity does -------------------------------------------------------------------------


def _sample_hidden(key: Array, size: Size, parameters: Parameters) -> Signs:
    """A shortcut that is less available than the core."""
    at = sample(key, size, parameters)
    return dataclasses.replace(at, alpha=at.alpha[::-1])


def _series(at: Signs, reversed_term: bool) -> Kernel:
    """Sum of powers of the cosine, with non-negative coefficients."""
    coefficients = jnp.exp(at.raw)
    if reversed_term:
        # Negative, and small enough for k_0 > |k_1|.
        coefficients = coefficients.at[3].set(-0.2 * coefficients[1]).at[5].set(0.0)

    def kernel(x: Array, z: Array) -> Array:
        cosine = x @ z.T / jnp.sum(at.alpha**2)
        return sum((c * cosine**k for k, c in enumerate(coefficients)), jnp.zeros_like(cosine))

    return kernel


def _shorter(at: Signs, *, reversed_term: bool = False) -> Bounds:
    kernels: dict[str, Kernel] = {
        "powers": _series(at, reversed_term),
        "relu": at.relu,
        "two hidden layers": functools.partial(flows.ntk, kind="relu", beta=at.beta, depth=2),
        "erf": functools.partial(flows.ntk, kind="erf", beta=at.beta),
    }
    linear = four_points.linear_kappa(at.alpha)
    found = {name: at.found(kernel).kappa for name, kernel in kernels.items()}
    one = jnp.ones_like(linear)
    return {
        f"{name} {side}": within_rounding(*ends, one)
        for name, kappa in found.items()
        for side, ends in {
            "below linear": (kappa, linear),
            "not negative": (jnp.zeros_like(kappa), kappa),
        }.items()
    }


SHORTER = Theorem(
    name="availability.shorter_phase",
    statement="For a dot-product kernel on the sphere with non-negative coefficients, an odd one "
    "among them, and alpha_s >= alpha_c, 0 <= kappa <= kappa of the linear kernel, (alpha_s^2 - "
    "alpha_c^2)/(alpha_s^2 + alpha_c^2): here a non-linear kernel follows the shortcut only where "
    "the linear one does.",
    source="[derived] Theorem A4 (iii)",
    sizes=({},),
    parameters=KNOBS | {"log_ratio": (0.0, 1.5)},
    sample=sample,
    conclusions=_shorter,
    searchable=("raw",),
    controls={
        "a negative coefficient": Control(
            conclusions=functools.partial(_shorter, reversed_term=True)
        ),
        "a shortcut that is less available": Control(sample=_sample_hidden),
    },
)

THEOREMS = (FOUR_POINTS, SHORTER)
