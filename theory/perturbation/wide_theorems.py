"""Learning from adversarial perturbations, wide networks: the statements about training.

Width (W), lazy training (L), and the direction of the input gradient (A1-A3). What follows for the
second network stands in :mod:`theory.perturbation.wide_agreement`. The letters are this project's:
the paper's own theorem texts are [not recovered], so that none of these is its exact statement.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from flax import struct
from jax import Array

from theory import descent, dynamics, geometry, kernels, networks
from theory.heavy_ball import TrainTrace
from theory.networks import TwoLayer
from theory.perturbation import wide, wide_bounds
from theory.theorem import (
    Bound,
    Bounds,
    Control,
    Knobs,
    Size,
    Theorem,
    equal,
    same_sign,
    strictly_less,
    within_rounding,
)

DELTA = 0.05
STEPS = 10
SLOPES = (0.0, 0.9)
SCALES = (0.3, 3.0)
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
    gap = jnp.abs(gap - kernels.gate_kernel(at.x, at.z, gamma))
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
    conclusions=_width,
    failure_rate=DELTA,
    controls={
        "wrong slope in Phi": Control(conclusions=functools.partial(_width, wrong=True)),
        "a tenth of the radius": Control(conclusions=functools.partial(_width, share=0.1)),
    },
)


# Theorem L ---------------------------------------------------------------------------------------


@struct.dataclass
class _Trained:
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


def _sample_trained(key: Array, size: Size, knobs: Knobs, *, silent: bool = False) -> _Trained:
    """``silent`` pairs every unit with its negative, so that the initial outputs vanish."""
    key_p, key_x, key_z = jax.random.split(key, 3)
    x, y = two_classes(key_x, size["n"], size["d"], knobs["scale"])
    z = knobs["scale"] * jax.random.normal(key_z, (size["points"], size["d"]))
    p0 = networks.init_two_layer(key_p, size["d"], size["m"])
    if silent:
        half = jax.tree.map(lambda leaf: leaf[: size["m"] // 2], p0)
        p0 = TwoLayer(*(jnp.concatenate([a, b]) for a, b in (
            (half.w, half.w), (half.b, half.b), (half.a, -half.a))))  # fmt: skip
    runs = {
        loss: descent.train(
            p0,
            x,
            y,
            loss=loss,
            lr=10.0 ** knobs["log_rate"],
            beta=knobs["beta"],
            steps=STEPS,
            gamma=knobs["slope"],
            coordinates="weights",
        )
        for loss in LOSSES
    }
    return _Trained(
        x=x,
        y=y,
        z=z,
        p0=p0,
        p={loss: run[0] for loss, run in runs.items()},
        trace={loss: run[1] for loss, run in runs.items()},
        gamma=knobs["slope"],
    )


def _drift(at: _Trained, loss: str) -> Array:
    factors = at.trace[loss].loss_factors
    return wide_bounds.lazy_drift(at.p0, at.x, at.y, at.z, factors, at.gamma)


def _lazy_training(at: _Trained, *, sign: float = 1.0, bias: bool = True) -> Bounds:
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
    sample=_sample_trained,
    conclusions=_lazy_training,
    controls={
        "labels reversed": Control(conclusions=functools.partial(_lazy_training, sign=-1.0)),
        "kernel without the trained bias": Control(
            conclusions=functools.partial(_lazy_training, bias=False)
        ),
    },
)


def _clear_drift(at: _Trained) -> Bounds:
    # Both losses must be clear at a point for it to count.
    bound = wide_bounds.lazy_bound(at.p0, at.x, at.z, at.tau, at.gamma)
    start = jnp.abs(networks.forward(at.p0, at.z, at.gamma))
    floor = bound + start + 1e-12 * at.tau
    return {loss: strictly_less(floor, jnp.abs(_drift(at, loss))) for loss in LOSSES}


def _lazy_sign(at: _Trained, *, sign: float = 1.0) -> Bounds:
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
    sample=functools.partial(_sample_trained, silent=True),
    hypotheses=_clear_drift,
    conclusions=_lazy_sign,
    controls={"labels reversed": Control(conclusions=functools.partial(_lazy_sign, sign=-1.0))},
)


@struct.dataclass
class _Reach:
    x: Array
    tau: Array
    mean_norm: Array


def _sample_reach(key: Array, size: Size, knobs: Knobs) -> _Reach:
    x = knobs["scale"] * jax.random.normal(key, (size["points"], size["d"]))
    return _Reach(x=x, tau=10.0 ** knobs["log_time"], mean_norm=wide_bounds.mean_norm(x))


def _flip_mass(at: _Reach, *, share: float = 1.0) -> Bounds:
    # Mean of m a^2 1[|p| <= tau |a| B |x~|]: over p by the error function, over sqrt(m) a
    # by the trapezoidal rule, whose error on this smooth integrand is far below the slack.
    width = 100
    grid = jnp.linspace(0.0, 12.0, 1201)
    lengths = jnp.sqrt(jnp.sum(at.x**2, axis=1) + 1)
    reach = at.tau * at.mean_norm * lengths / (kernels.aug_norm(at.x) * width**0.5)
    weight = grid**2 * jnp.exp(-(grid**2) / 2) * jnp.sqrt(2 / jnp.pi)
    inside = jax.scipy.special.erf(reach[:, None] * grid[None, :] / 2**0.5)
    mean = jnp.trapezoid(weight[None, :] * inside, dx=0.01, axis=1)
    bound = wide_bounds.expected_flip_mass(at.x, at.tau, at.mean_norm, width)
    return {"mean": Bound(lhs=mean, rhs=share * bound)}


FLIP_MASS = Theorem(
    name="wide.flip_mass",
    statement="E S_tau(x) <= (4/pi) tau B |x~| / (sigma_x sqrt m) over the initialisation.",
    source="[derived] Theorem L, expectation",
    sizes=({"points": 2, "d": 2}, {"points": 4, "d": 20}),
    knobs={"scale": SCALES, "log_time": (-2.0, 1.0)},
    sample=_sample_reach,
    conclusions=_flip_mass,
    controls={"3.9 in place of 4": Control(conclusions=functools.partial(_flip_mass, share=0.975))},
)


# Theorems A1-A3 ----------------------------------------------------------------------------------


def _input_gradient(at: _Trained, *, initial: bool = True, late: bool = True) -> Bounds:
    bounds = {}
    for loss in LOSSES:
        end = at.p[loss] if late else at.p0
        coefficients = wide.representer_coefficients(end, at.trace[loss], at.z, at.gamma)
        first = wide.initial_direction(at.p0, end, at.z, at.gamma) * float(initial)
        second = (coefficients * at.y[None, :]) @ at.x / at.y.shape[0]
        size = jnp.abs(first) + coefficients @ jnp.abs(at.x) / at.y.shape[0]
        scale = jnp.max(size, axis=1, keepdims=True)
        gradient = networks.input_gradient(at.p[loss], at.z, at.gamma)
        bounds[f"{loss}: sum"] = equal(gradient, first + second, 1e-12 * scale)
        bounds[f"{loss}: sign"] = Bound(lhs=-coefficients, rhs=jnp.zeros_like(coefficients))
    return bounds


INPUT_GRADIENT = Theorem(
    name="wide.input_gradient",
    statement="At any width, time and momentum, grad f_S(z) = sum_i a_i g_i(z) w_i(0) + "
    "(1/N) sum_k y_k c_k(z) x_k with c_k = sum_i a_i^2 g_i(z) Abar_ik >= 0.",
    source="[derived] Theorem A1",
    sizes=TRAIN_SIZES,
    knobs=TRAIN_KNOBS,
    sample=_sample_trained,
    conclusions=_input_gradient,
    controls={
        "initial part left out": Control(
            conclusions=functools.partial(_input_gradient, initial=False)
        ),
        "gates of the start": Control(conclusions=functools.partial(_input_gradient, late=False)),
    },
)


def _direction(at: _Trained, *, permuted: bool = False, time_for_factors: bool = False) -> Bounds:
    bounds = {}
    labels = jnp.roll(at.y, at.y.shape[0] // 4) if permuted else at.y
    reach = wide_bounds.mean_norm(at.x)
    flips = wide_bounds.flip_mass(at.p0, at.z, at.tau, reach)[:, None]
    flips = (1 - at.gamma) * (flips + wide_bounds.flip_mass(at.p0, at.x, at.tau, reach)[None, :])
    frozen = networks.empirical_gate_kernel(at.p0, at.z, at.x, at.gamma)
    for loss in LOSSES:
        trace, end = at.trace[loss], at.p[loss]
        radius, sine = wide_bounds.direction_certificate(
            at.p0, end, trace, at.x, at.y, at.z, at.gamma
        )
        factors = jnp.full_like(trace.loss_factors, at.tau)
        factors = factors if time_for_factors else trace.loss_factors
        limit = factors[None, :] * kernels.gate_kernel(at.z, at.x, at.gamma)
        direction = (limit * labels[None, :]) @ at.x / at.y.shape[0]
        gradient = networks.input_gradient(end, at.z, at.gamma)
        distance = jnp.linalg.norm(gradient - direction, axis=1)
        size = jnp.linalg.norm(gradient, axis=1) + jnp.linalg.norm(direction, axis=1)
        bounds[f"{loss}: distance"] = within_rounding(distance, radius, size)
        known = jnp.all(gradient != 0, axis=1)
        safe = jnp.where(known[:, None], gradient, direction)
        bounds[f"{loss}: sine"] = within_rounding(
            geometry.row_sines(safe, direction), sine, 1 + 0 * sine
        )
        coefficients = wide.representer_coefficients(end, trace, at.z, at.gamma)
        gap = jnp.abs(coefficients - factors[None, :] * frozen)
        size = coefficients + factors[None, :] * frozen
        bounds[f"{loss}: coefficients"] = within_rounding(gap, factors[None, :] * flips, size)
    return bounds


DIRECTION = Theorem(
    name="wide.direction",
    statement="|grad f_S(z) - P_q(z)| <= |H(z)| + (1/N) sum_k |x_k| |c_k(z) - q_k Phi(z, x_k)|; "
    "divided by |P_q(z)| the right side bounds the sine of the angle between both; and "
    "|c_k(z) - q_k Phi_m(z, x_k)| <= (1-gamma) q_k (S_tau(z) + S_tau(x_k)).",
    source="[derived] Theorem A2",
    sizes=TRAIN_SIZES,
    knobs=TRAIN_KNOBS,
    sample=_sample_trained,
    conclusions=_direction,
    controls={
        "permuted labels in P": Control(conclusions=functools.partial(_direction, permuted=True)),
        "tau in place of q under logistic loss": Control(
            conclusions=functools.partial(_direction, time_for_factors=True)
        ),
    },
)


def _coefficients(at: _Trained, *, wrong: bool = False) -> Bounds:
    gamma = far_slope(at.gamma) if wrong else at.gamma
    point = at.z[:1]
    reach = wide_bounds.mean_norm(at.x)
    flips = wide_bounds.flip_mass(at.p0, point, at.tau, reach)
    flips = flips + wide_bounds.flip_mass(at.p0, at.x, at.tau, reach)
    radius = wide_bounds.width_radius(at.p0.a.shape[0], at.x.shape[0], DELTA)
    limit = kernels.gate_kernel(point, at.x, gamma)[0]
    trace = at.trace["identity"]
    found = wide.representer_coefficients(at.p["identity"], trace, point, at.gamma)[0] / at.tau
    return {"kernel": Bound(lhs=jnp.abs(found - limit), rhs=(1 - at.gamma) * flips + radius)}


COEFFICIENTS = Theorem(
    name="wide.coefficients",
    statement="For one point z, with probability 1 - delta over the initialisation, all "
    "coefficients obey |c_k(z)/tau - Phi(z, x_k)| <= (1-gamma)(S_tau(z) + S_tau(x_k)) + "
    "sqrt(4.5 u/m) + 2u/m, u = ln(2N/delta) (identity loss).",
    source="[derived] Theorems A2 and W",
    sizes=({"n": 4, "d": 2, "m": 400, "points": 1}, {"n": 8, "d": 5, "m": 1000, "points": 1}),
    knobs=TRAIN_KNOBS,
    sample=_sample_trained,
    conclusions=_coefficients,
    failure_rate=DELTA,
    controls={
        "wrong slope in Phi": Control(conclusions=functools.partial(_coefficients, wrong=True))
    },
)


@struct.dataclass
class _Infinite:
    x: Array
    y: Array
    z: Array
    gamma: Array


def _sample_infinite(key: Array, size: Size, knobs: Knobs) -> _Infinite:
    key_x, key_z = jax.random.split(key)
    x, y = two_classes(key_x, size["n"], size["d"], knobs["scale"])
    z = knobs["scale"] * jax.random.normal(key_z, (size["points"], size["d"]))
    return _Infinite(x=x, y=y, z=z, gamma=knobs["slope"])


def _infinite_gradient(at: _Infinite, *, second: float = 1.0, share: float = 1.0) -> Bounds:
    def predictor(point: Array) -> Array:
        return at.y @ kernels.lazy_kernel(at.x, point[None, :], at.gamma)[:, 0] / at.y.shape[0]

    gradient = jax.vmap(jax.grad(predictor))(at.z)
    representer = wide.representer_direction(at.x, at.y, at.z, at.gamma)
    rest = wide.kernel_gradient_direction(at.x, at.y, at.z, at.gamma)
    scale = jnp.linalg.norm(representer, axis=1) + jnp.linalg.norm(rest, axis=1)
    pairwise = jax.vmap(wide.gate_kernel_gradient, in_axes=(None, 0, None))
    slopes = jnp.linalg.norm(
        jax.vmap(pairwise, in_axes=(0, None, None))(at.z, at.x, at.gamma), axis=2
    )
    steepest = (1 - at.gamma) ** 2 / (2 * jnp.pi * float(at.x.shape[1]) ** 0.5)
    steepest = share * steepest / kernels.aug_norm(at.z)
    bound = share * wide_bounds.kernel_gradient_bound(at.x, at.z, at.gamma)
    sine = geometry.row_sines(representer + rest, representer)
    return {
        "gradient": equal(gradient, representer + second * rest, 1e-7 * scale[:, None]),
        "kernel": Bound(lhs=slopes, rhs=jnp.broadcast_to(steepest[:, None], slopes.shape)),
        "rest": Bound(lhs=jnp.linalg.norm(rest, axis=1), rhs=bound),
        "sine": Bound(lhs=sine, rhs=bound / jnp.linalg.norm(representer, axis=1)),
    }


INFINITE_GRADIENT = Theorem(
    name="wide.infinite_gradient",
    statement="grad F = P + G2, |grad_z Phi(z, x)| <= (1-gamma)^2/(2 pi sigma_z sqrt d), and the "
    "sine of the angle between grad F and P is at most |G2|/|P| <= (1-gamma)^2/(2 pi sigma_z "
    "sqrt d) mean_k |z.x_k + 1| / |P(z)|.",
    source="[derived] Theorem A3",
    sizes=({"n": 4, "d": 2, "points": 2}, {"n": 16, "d": 8, "points": 4}),
    knobs={"slope": SLOPES, "scale": SCALES},
    sample=_sample_infinite,
    conclusions=_infinite_gradient,
    controls={
        "G2 left out": Control(conclusions=functools.partial(_infinite_gradient, second=0.0)),
        "0.9 of the bound": Control(conclusions=functools.partial(_infinite_gradient, share=0.9)),
    },
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
    tau = dynamics.effective_time(at.lr, at.beta if momentum else 0.0 * at.beta, steps)
    kernel = at.test @ at.features.T
    flow = dynamics.identity_flow(kernel, at.y, jnp.zeros(at.test.shape[0]), tau[None])[0]
    scale = tau * jnp.mean(jnp.abs(kernel), axis=1)
    return {"outputs": equal(at.test @ weights, flow, 1e-12 * scale)}


EFFECTIVE_TIME = Theorem(
    name="wide.effective_time",
    statement="With a frozen kernel and the identity loss, momentum descent after S steps equals "
    "gradient flow at time tau = lr/(1-beta) (S - beta (1-beta^S)/(1-beta)), exactly.",
    source="[derived] section 1",
    sizes=({"n": 2, "d": 2, "points": 1}, {"n": 10, "d": 20, "points": 5}),
    knobs={"scale": SCALES, "log_rate": (-3.0, 0.0), "beta": (0.0, 0.95)},
    sample=_sample_frozen,
    conclusions=_effective_time,
    controls={
        "momentum ignored": Control(conclusions=functools.partial(_effective_time, momentum=False))
    },
)

THEOREMS = (
    EFFECTIVE_TIME,
    WIDTH,
    LAZY_TRAINING,
    LAZY_SIGN,
    FLIP_MASS,
    INPUT_GRADIENT,
    DIRECTION,
    COEFFICIENTS,
    INFINITE_GRADIENT,
)
