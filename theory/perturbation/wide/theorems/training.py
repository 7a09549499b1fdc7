"""Learning from adversarial perturbations, wide networks: the statements about training.

Effective time, width (W) and lazy training (L). The direction of the input gradient (A) stands in
:mod:`twolayer.theory.perturbation.wide.theorems.direction`, what follows for the second network (B)
in :mod:`twolayer.theory.perturbation.wide.theorems.agreement`. The letters are this project's: the
paper's own theorem texts are [not recovered], so that none of these is its exact statement.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from flax import struct
from jax import Array

from twolayer.theory import networks
from twolayer.theory.kernels import shallow
from twolayer.theory.networks import TwoLayer
from twolayer.theory.perturbation.wide import bounds as wide_bounds
from twolayer.theory.perturbation.wide.theorems import intervals
from twolayer.theory.perturbation.wide.theorems.constants import DELTA, FLIP_WIDTH, SCALES, SLOPES
from twolayer.theory.training import function_space, gradient_descent
from twolayer.theory.training.momentum import TrainTrace
from twolayer.theory.verification.inequality import (
    Bound,
    Bounds,
    equal,
    same_sign,
    strictly_less,
    within_rounding,
)
from twolayer.theory.verification.theorem import Control, Knobs, Size, Theorem

STEPS = 10
LOSSES = ("identity", "logistic")


def two_classes(
    key: Array, n: int, d: int, scale: Array, shift: float = 0.5
) -> tuple[Array, Array]:
    """N samples around +-shift in every coordinate, the first half labelled +1, times a scale."""
    y = jnp.where(jnp.arange(n) < n // 2, 1.0, -1.0)
    return scale * (jax.random.normal(key, (n, d)) + shift * y[:, None]), y


def far_slope(gamma: Array) -> Array:
    """A slope far from gamma, for controls."""
    return jnp.where(gamma > 0.45, 0.0, 0.9)


# Theorem W ---------------------------------------------------------------------------------------


@struct.dataclass
class _Width:
    p: TwoLayer
    x: Array
    z: Array
    gamma: Array


def _sample_width(key: Array, size: Size, knobs: Knobs) -> _Width:
    key_p, key_x, key_z = jax.random.split(key, 3)
    shape = (size["points"], size["d"])
    return _Width(
        p=networks.init_two_layer(key_p, size["d"], size["m"]),
        x=knobs["scale"] * jax.random.normal(key_x, shape),
        z=knobs["scale"] * jax.random.normal(key_z, shape),
        gamma=knobs["slope"],
    )


def _width(at: _Width, *, share: float = 1.0, wrong: bool = False) -> Bounds:
    gamma = far_slope(at.gamma) if wrong else at.gamma
    gap = networks.empirical_gate_kernel(at.p, at.x, at.z, at.gamma)
    gap = jnp.abs(gap - shallow.gate_kernel(at.x, at.z, gamma))
    radius = wide_bounds.width_radius(at.p.a.shape[0], gap.size, DELTA)
    return {"deviation": Bound(lhs=gap, rhs=jnp.broadcast_to(share * radius, gap.shape))}


WIDTH = Theorem(
    name="wide.width",
    statement="For P pairs at once, with probability 1 - delta over the initialisation, "
    "|Phi_m - Phi| <= sqrt(4.5 u/m) + 2u/m with u = ln(2P/delta).",
    source="[derived] Theorem W",
    sizes=({"points": 3, "d": 3, "m": 500}, {"points": 5, "d": 10, "m": 2000}),
    knobs={"slope": SLOPES, "scale": SCALES},
    sample=_sample_width,
    free=("x", "z"),
    conclusions=_width,
    failure_rate=DELTA,
    controls={
        "wrong slope in Phi": Control(conclusions=functools.partial(_width, wrong=True)),
        "a tenth of the radius": Control(conclusions=functools.partial(_width, share=0.1)),
    },
    interval_form=intervals.width,
)


# Theorem L ---------------------------------------------------------------------------------------


@struct.dataclass
class Start:
    """A network, its training samples, and how it is going to be trained."""

    x: Array
    y: Array
    z: Array
    p0: TwoLayer
    lr: Array
    beta: Array
    gamma: Array


@struct.dataclass
class Trained:
    """A network before and after a few steps, under both losses."""

    x: Array
    y: Array
    z: Array
    p0: TwoLayer
    p: dict[str, TwoLayer]
    trace: dict[str, TrainTrace]
    gamma: Array

    @property
    def tau(self) -> Array:
        """Effective time, the same for both losses."""
        return jnp.sum(self.trace["identity"].weights)


TRAIN_SIZES = (
    {"n": 4, "d": 2, "m": 16, "points": 2},
    {"n": 8, "d": 5, "m": 400, "points": 5},
)
TRAIN_KNOBS = {"slope": SLOPES, "scale": SCALES, "log_rate": (-3.0, 0.0), "beta": (0.0, 0.9)}


def sample_start(key: Array, size: Size, knobs: Knobs, *, silent: bool = False) -> Start:
    """``silent`` pairs every unit with its negative, so that the initial outputs vanish."""
    key_p, key_x, key_z = jax.random.split(key, 3)
    x, y = two_classes(key_x, size["n"], size["d"], knobs["scale"])
    p0 = networks.init_two_layer(key_p, size["d"], size["m"])
    if silent:
        half = jax.tree.map(lambda leaf: leaf[: size["m"] // 2], p0)
        p0 = TwoLayer(*(jnp.concatenate([a, b]) for a, b in (
            (half.w, half.w), (half.b, half.b), (half.a, -half.a))))  # fmt: skip
    return Start(
        x=x,
        y=y,
        z=knobs["scale"] * jax.random.normal(key_z, (size["points"], size["d"])),
        p0=p0,
        lr=10.0 ** knobs["log_rate"],
        beta=knobs["beta"],
        gamma=knobs["slope"],
    )


def train(start: Start) -> Trained:
    """The start, and what a few steps make of it under both losses."""
    runs = {
        loss: gradient_descent.train(
            start.p0,
            start.x,
            start.y,
            loss=loss,
            lr=start.lr,
            beta=start.beta,
            steps=STEPS,
            gamma=start.gamma,
            coordinates="weights",
        )
        for loss in LOSSES
    }
    return Trained(
        x=start.x,
        y=start.y,
        z=start.z,
        p0=start.p0,
        p={loss: run[0] for loss, run in runs.items()},
        trace={loss: run[1] for loss, run in runs.items()},
        gamma=start.gamma,
    )


def _drift(at: Trained, loss: str) -> Array:
    factors = at.trace[loss].loss_factors
    return wide_bounds.lazy_drift(at.p0, at.x, at.y, at.z, factors, at.gamma)


def _lazy_training(at: Trained, *, sign: float = 1.0, bias: bool = True) -> Bounds:
    bound = wide_bounds.lazy_bound(at.p0, at.x, at.z, at.tau, at.gamma)
    start = networks.forward(at.p0, at.z, at.gamma)
    bounds = {}
    for loss in LOSSES:
        end = networks.forward(at.p[loss], at.z, at.gamma)
        drift = sign * _drift(at, loss)
        if not bias:
            kernel = networks.empirical_lazy_kernel(at.p0, at.x, at.z, at.gamma, bias=False)
            drift = (at.y * at.trace[loss].loss_factors) @ kernel / at.y.shape[0]
        size = jnp.abs(end) + jnp.abs(start) + jnp.abs(drift)
        bounds[loss] = within_rounding(jnp.abs(end - start - drift), bound, size)
    return bounds


LAZY_TRAINING = Theorem(
    name="wide.lazy_training",
    statement="After any number of momentum steps at any rates, |f_S(z) - f_0(z) - "
    "(1/N) sum_k y_k q_k K_m(x_k, z)| is at most (1-gamma) tau [B |z~| S_tau(z) + "
    "(1/N) sum_k |x~_k . z~| S_tau(x_k)], for identity and logistic loss.",
    source="[derived] Theorem L",
    sizes=TRAIN_SIZES,
    knobs=TRAIN_KNOBS,
    sample=sample_start,
    complete=train,
    free=("x", "z", "p0"),
    conclusions=_lazy_training,
    controls={
        "labels reversed": Control(conclusions=functools.partial(_lazy_training, sign=-1.0)),
        "kernel without the trained bias": Control(
            conclusions=functools.partial(_lazy_training, bias=False)
        ),
    },
)


def _clear_drift(at: Trained) -> Bounds:
    # Both losses must be clear at a point for it to count.
    bound = wide_bounds.lazy_bound(at.p0, at.x, at.z, at.tau, at.gamma)
    start = jnp.abs(networks.forward(at.p0, at.z, at.gamma))
    floor = bound + start + 1e-12 * at.tau
    return {loss: strictly_less(floor, jnp.abs(_drift(at, loss))) for loss in LOSSES}


def _lazy_sign(at: Trained, *, sign: float = 1.0) -> Bounds:
    return {
        loss: same_sign(networks.forward(at.p[loss], at.z, at.gamma), sign * _drift(at, loss))
        for loss in LOSSES
    }


LAZY_SIGN = Theorem(
    name="wide.lazy_sign",
    statement="Where |(1/N) sum_k y_k q_k K_m(x_k, z)| exceeds the bound of Theorem L plus "
    "|f_0(z)|, the trained network has the sign of that sum.",
    source="[derived] sign corollary of Theorem L",
    sizes=TRAIN_SIZES,
    knobs=TRAIN_KNOBS,
    sample=functools.partial(sample_start, silent=True),
    complete=train,
    free=("x", "z", "p0"),
    hypotheses=_clear_drift,
    conclusions=_lazy_sign,
    controls={"labels reversed": Control(conclusions=functools.partial(_lazy_sign, sign=-1.0))},
)


@struct.dataclass
class _Reach:
    x: Array
    tau: Array


def _sample_reach(key: Array, size: Size, knobs: Knobs) -> _Reach:
    x = knobs["scale"] * jax.random.normal(key, (size["points"], size["d"]))
    return _Reach(x=x, tau=10.0 ** knobs["log_time"])


def _flip_mass(at: _Reach, *, share: float = 1.0) -> Bounds:
    # Mean of m a^2 1[|p| <= tau |a| B |x~|]: over p by the error function, over sqrt(m) a
    # by the trapezoidal rule, whose error on this smooth integrand is far below the slack.
    mean_norm = wide_bounds.mean_norm(at.x)
    grid = jnp.linspace(0.0, 12.0, 1201)
    lengths = jnp.sqrt(jnp.sum(at.x**2, axis=1) + 1)
    reach = at.tau * mean_norm * lengths / (shallow.aug_norm(at.x) * FLIP_WIDTH**0.5)
    weight = grid**2 * jnp.exp(-(grid**2) / 2) * jnp.sqrt(2 / jnp.pi)
    inside = jax.scipy.special.erf(reach[:, None] * grid[None, :] / 2**0.5)
    mean = jnp.trapezoid(weight[None, :] * inside, dx=0.01, axis=1)
    bound = wide_bounds.expected_flip_mass(at.x, at.tau, mean_norm, FLIP_WIDTH)
    return {"mean": Bound(lhs=mean, rhs=share * bound)}


FLIP_MASS = Theorem(
    name="wide.flip_mass",
    statement="E S_tau(x) <= (4/pi) tau B |x~| / (sigma_x sqrt m) over the initialisation.",
    source="[derived] Theorem L, expectation",
    sizes=({"points": 2, "d": 2}, {"points": 4, "d": 20}),
    knobs={"scale": SCALES, "log_time": (-2.0, 1.0)},
    sample=_sample_reach,
    free=("x",),
    conclusions=_flip_mass,
    controls={"3.9 in place of 4": Control(conclusions=functools.partial(_flip_mass, share=0.975))},
    interval_form=intervals.flip_mass,
)


# Effective time ----------------------------------------------------------------------------------


@struct.dataclass
class _Frozen:
    features: Array
    y: Array
    test: Array
    lr: Array
    beta: Array


def _sample_frozen(key: Array, size: Size, knobs: Knobs) -> _Frozen:
    key_x, key_z, key_y = jax.random.split(key, 3)
    return _Frozen(
        features=knobs["scale"] * jax.random.normal(key_x, (size["n"], size["d"])),
        y=jax.random.rademacher(key_y, (size["n"],), jnp.result_type(float)),
        test=knobs["scale"] * jax.random.normal(key_z, (size["points"], size["d"])),
        lr=10.0 ** knobs["log_rate"],
        beta=knobs["beta"],
    )


def _effective_time(at: _Frozen, *, momentum: bool = True) -> Bounds:
    steps = 30

    def step(state: tuple[Array, Array], _: None) -> tuple[tuple[Array, Array], None]:
        weights, velocity = state
        velocity = at.beta * velocity - at.y @ at.features / at.y.shape[0]
        return (weights - at.lr * velocity, velocity), None

    zero = jnp.zeros_like(at.test[0])
    (weights, _), _ = jax.lax.scan(step, (zero, zero), length=steps)
    tau = function_space.effective_time(at.lr, at.beta if momentum else 0.0 * at.beta, steps)
    kernel = at.test @ at.features.T
    flow = function_space.identity_flow(kernel, at.y, jnp.zeros(at.test.shape[0]), tau[None])[0]
    scale = tau * jnp.mean(jnp.abs(at.test) @ jnp.abs(at.features).T, axis=1)
    return {"outputs": equal(at.test @ weights, flow, 1e-12 * scale)}


EFFECTIVE_TIME = Theorem(
    name="wide.effective_time",
    statement="With a frozen kernel and the identity loss, momentum descent after S steps equals "
    "gradient flow at time tau = lr/(1-beta) (S - beta (1-beta^S)/(1-beta)), exactly.",
    source="[derived] section 1",
    sizes=({"n": 2, "d": 2, "points": 1}, {"n": 10, "d": 20, "points": 5}),
    knobs={"scale": SCALES, "log_rate": (-3.0, 0.0), "beta": (0.0, 0.95)},
    sample=_sample_frozen,
    free=("features", "test"),
    conclusions=_effective_time,
    controls={
        "momentum ignored": Control(conclusions=functools.partial(_effective_time, momentum=False))
    },
)

THEOREMS = (EFFECTIVE_TIME, WIDTH, LAZY_TRAINING, LAZY_SIGN, FLIP_MASS)
