"""Learning from adversarial perturbations, wide networks: the direction of the input gradient.

Perturbations follow the input gradient of f, which is a weighted sum of training samples plus a
small rest: exactly at any width (A1), with a certificate of how close to the infinitely wide limit
(A2), and in that limit (A3). All [derived].
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from flax import struct
from jax import Array

from twolayer.theory import geometry, networks
from twolayer.theory.kernels import preactivations, shallow
from twolayer.theory.perturbation.wide import bounds as wide_bounds
from twolayer.theory.perturbation.wide import directions, lazy_training
from twolayer.theory.perturbation.wide.theorems import intervals
from twolayer.theory.perturbation.wide.theorems.constants import DELTA, SCALES, SLOPES
from twolayer.theory.perturbation.wide.theorems.instances import (
    LOSSES,
    TRAIN_KNOBS,
    TRAIN_SIZES,
    Trained,
    far_slope,
    sample_start,
    train,
    two_classes,
)
from twolayer.theory.verification.inequality import Bound, Bounds, equal, within_rounding
from twolayer.theory.verification.theorem import Control, Parameters, Size, Theorem


def _input_gradient(at: Trained, *, initial: bool = True, late: bool = True) -> Bounds:
    bounds = {}
    for loss in LOSSES:
        end = at.p[loss] if late else at.p0
        coefficients = directions.representer_coefficients(end, at.trace[loss], at.z, at.gamma)
        first = directions.initial_direction(at.p0, end, at.z, at.gamma) * float(initial)
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
    parameters=TRAIN_KNOBS,
    sample=sample_start,
    complete=train,
    searchable=("x", "z", "p0"),
    conclusions=_input_gradient,
    controls={
        "initial part left out": Control(
            conclusions=functools.partial(_input_gradient, initial=False)
        ),
        "gates of the start": Control(conclusions=functools.partial(_input_gradient, late=False)),
    },
)


def _direction(at: Trained, *, permuted: bool = False, time_for_factors: bool = False) -> Bounds:
    bounds = {}
    labels = jnp.roll(at.y, at.y.shape[0] // 4) if permuted else at.y
    reach = lazy_training.mean_norm(at.x)
    flips = lazy_training.flip_mass(at.p0, at.z, at.tau, reach)[:, None]
    flips = (1 - at.gamma) * (flips + lazy_training.flip_mass(at.p0, at.x, at.tau, reach)[None, :])
    frozen = networks.empirical_gate_kernel(at.p0, at.z, at.x, at.gamma)
    for loss in LOSSES:
        trace, end = at.trace[loss], at.p[loss]
        radius, sine = wide_bounds.direction_certificate(
            at.p0, end, trace, at.x, at.y, at.z, at.gamma
        )
        factors = jnp.full_like(trace.loss_factors, at.tau)
        factors = factors if time_for_factors else trace.loss_factors
        limit = factors[None, :] * shallow.gate_kernel(at.z, at.x, at.gamma)
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
        coefficients = directions.representer_coefficients(end, trace, at.z, at.gamma)
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
    parameters=TRAIN_KNOBS,
    sample=sample_start,
    complete=train,
    searchable=("x", "z", "p0"),
    conclusions=_direction,
    controls={
        "permuted labels in P": Control(conclusions=functools.partial(_direction, permuted=True)),
        "tau in place of q under logistic loss": Control(
            conclusions=functools.partial(_direction, time_for_factors=True)
        ),
    },
)


def _coefficients(at: Trained, *, wrong: bool = False) -> Bounds:
    gamma = far_slope(at.gamma) if wrong else at.gamma
    point = at.z[:1]
    reach = lazy_training.mean_norm(at.x)
    flips = lazy_training.flip_mass(at.p0, point, at.tau, reach)
    flips = flips + lazy_training.flip_mass(at.p0, at.x, at.tau, reach)
    radius = lazy_training.width_radius(at.p0.a.shape[0], at.x.shape[0], DELTA)
    limit = shallow.gate_kernel(point, at.x, gamma)[0]
    trace = at.trace["identity"]
    found = (
        directions.representer_coefficients(at.p["identity"], trace, point, at.gamma)[0] / at.tau
    )
    return {"kernel": Bound(lhs=jnp.abs(found - limit), rhs=(1 - at.gamma) * flips + radius)}


COEFFICIENTS = Theorem(
    name="wide.coefficients",
    statement="For one point z, with probability 1 - delta over the initialisation, all "
    "coefficients obey |c_k(z)/tau - Phi(z, x_k)| <= (1-gamma)(S_tau(z) + S_tau(x_k)) + "
    "sqrt(4.5 u/m) + 2u/m, u = ln(2N/delta) (identity loss).",
    source="[derived] Theorems A2 and W",
    sizes=({"n": 4, "d": 2, "m": 400, "points": 1}, {"n": 8, "d": 5, "m": 1000, "points": 1}),
    parameters=TRAIN_KNOBS,
    sample=sample_start,
    complete=train,
    searchable=("x", "z"),
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


def _sample_infinite(key: Array, size: Size, parameters: Parameters) -> _Infinite:
    key_x, key_z = jax.random.split(key)
    x, y = two_classes(key_x, size["n"], size["d"], parameters["scale"])
    z = parameters["scale"] * jax.random.normal(key_z, (size["points"], size["d"]))
    return _Infinite(x=x, y=y, z=z, gamma=parameters["slope"])


def _infinite_gradient(at: _Infinite, *, second: float = 1.0, share: float = 1.0) -> Bounds:
    def predictor(point: Array) -> Array:
        return at.y @ shallow.lazy_kernel(at.x, point[None, :], at.gamma)[:, 0] / at.y.shape[0]

    gradient = jax.vmap(jax.grad(predictor))(at.z)
    representer = directions.representer_direction(at.x, at.y, at.z, at.gamma)
    rest = directions.kernel_gradient_direction(at.x, at.y, at.z, at.gamma)
    scale = jnp.linalg.norm(representer, axis=1) + jnp.linalg.norm(rest, axis=1)
    pairwise = jax.vmap(directions.gate_kernel_gradient, in_axes=(None, 0, None))
    slopes = jnp.linalg.norm(
        jax.vmap(pairwise, in_axes=(0, None, None))(at.z, at.x, at.gamma), axis=2
    )
    steepest = (1 - at.gamma) ** 2 / (2 * jnp.pi * float(at.x.shape[1]) ** 0.5)
    steepest = share * steepest / preactivations.aug_norm(at.z)
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
    parameters={"slope": SLOPES, "scale": SCALES},
    sample=_sample_infinite,
    searchable=("x", "z"),
    conclusions=_infinite_gradient,
    controls={
        "G2 left out": Control(conclusions=functools.partial(_infinite_gradient, second=0.0)),
        "0.9 of the bound": Control(conclusions=functools.partial(_infinite_gradient, share=0.9)),
    },
    interval_form=intervals.infinite_gradient,
)

THEOREMS = (INPUT_GRADIENT, DIRECTION, COEFFICIENTS, INFINITE_GRADIENT)
