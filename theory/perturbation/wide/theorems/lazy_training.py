"""Learning from adversarial perturbations, wide networks: the statements about lazy training.

How near a trained network is to the prediction of its frozen kernel (Theorem L), the sign that
follows, and the mass of the units whose gates may flip. All [derived].
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from flax import struct
from jax import Array

from twolayer.theory import networks
from twolayer.theory.kernels import preactivations
from twolayer.theory.perturbation.wide import lazy_training
from twolayer.theory.perturbation.wide.theorems import intervals
from twolayer.theory.perturbation.wide.theorems.constants import FLIP_WIDTH, SCALES
from twolayer.theory.perturbation.wide.theorems.instances import (
    LOSSES,
    TRAIN_KNOBS,
    TRAIN_SIZES,
    Trained,
    sample_start,
    train,
)
from twolayer.theory.verification.inequality import (
    Bound,
    Bounds,
    same_sign,
    strictly_less,
    within_rounding,
)
from twolayer.theory.verification.theorem import Control, Parameters, Size, Theorem


def _drift(at: Trained, loss: str) -> Array:
    factors = at.trace[loss].loss_factors
    return lazy_training.lazy_drift(at.p0, at.x, at.y, at.z, factors, at.gamma)


def _lazy_training(at: Trained, *, sign: float = 1.0, bias: bool = True) -> Bounds:
    bound = lazy_training.lazy_bound(at.p0, at.x, at.z, at.tau, at.gamma)
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
    parameters=TRAIN_KNOBS,
    sample=sample_start,
    complete=train,
    searchable=("x", "z", "p0"),
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
    bound = lazy_training.lazy_bound(at.p0, at.x, at.z, at.tau, at.gamma)
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
    parameters=TRAIN_KNOBS,
    sample=functools.partial(sample_start, silent=True),
    complete=train,
    searchable=("x", "z", "p0"),
    hypotheses=_clear_drift,
    conclusions=_lazy_sign,
    controls={"labels reversed": Control(conclusions=functools.partial(_lazy_sign, sign=-1.0))},
)


@struct.dataclass
class _Reach:
    x: Array
    tau: Array


def _sample_reach(key: Array, size: Size, parameters: Parameters) -> _Reach:
    x = parameters["scale"] * jax.random.normal(key, (size["points"], size["d"]))
    return _Reach(x=x, tau=10.0 ** parameters["log_time"])


def _flip_mass(at: _Reach, *, share: float = 1.0) -> Bounds:
    # Mean of m a^2 1[|p| <= tau |a| B |x~|]: over p by the error function, over sqrt(m) a
    # by the trapezoidal rule, whose error on this smooth integrand is far below the slack.
    mean_norm = lazy_training.mean_norm(at.x)
    grid = jnp.linspace(0.0, 12.0, 1201)
    lengths = jnp.sqrt(jnp.sum(at.x**2, axis=1) + 1)
    reach = at.tau * mean_norm * lengths / (preactivations.aug_norm(at.x) * FLIP_WIDTH**0.5)
    weight = grid**2 * jnp.exp(-(grid**2) / 2) * jnp.sqrt(2 / jnp.pi)
    inside = jax.scipy.special.erf(reach[:, None] * grid[None, :] / 2**0.5)
    mean = jnp.trapezoid(weight[None, :] * inside, dx=0.01, axis=1)
    bound = lazy_training.expected_flip_mass(at.x, at.tau, mean_norm, FLIP_WIDTH)
    return {"mean": Bound(lhs=mean, rhs=share * bound)}


FLIP_MASS = Theorem(
    name="wide.flip_mass",
    statement="E S_tau(x) <= (4/pi) tau B |x~| / (sigma_x sqrt m) over the initialisation.",
    source="[derived] Theorem L, expectation",
    sizes=({"points": 2, "d": 2}, {"points": 4, "d": 20}),
    parameters={"scale": SCALES, "log_time": (-2.0, 1.0)},
    sample=_sample_reach,
    searchable=("x",),
    conclusions=_flip_mass,
    controls={"3.9 in place of 4": Control(conclusions=functools.partial(_flip_mass, share=0.975))},
    interval_form=intervals.flip_mass,
)

THEOREMS = (LAZY_TRAINING, LAZY_SIGN, FLIP_MASS)
