"""Learning from adversarial perturbations, wide networks: the statements about training.

Width (W) and effective time: the kernel at initialisation, and training with it frozen. Lazy
training (L) stands in :mod:`twolayer.theory.perturbation.wide.theorems.lazy_training`, the
direction of the input gradient (A) in :mod:`twolayer.theory.perturbation.wide.theorems.direction`,
what follows for the second network (B) in
:mod:`twolayer.theory.perturbation.wide.theorems.agreement`. The letters are this project's: the
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
from twolayer.theory.perturbation.wide import lazy_training
from twolayer.theory.perturbation.wide.theorems import intervals
from twolayer.theory.perturbation.wide.theorems.constants import DELTA, SCALES, SLOPES
from twolayer.theory.perturbation.wide.theorems.instances import far_slope
from twolayer.theory.training import function_space
from twolayer.theory.verification.inequality import Bound, Bounds, equal
from twolayer.theory.verification.theorem import Control, Parameters, Size, Theorem

# Theorem W ---------------------------------------------------------------------------------------


@struct.dataclass
class _Width:
    p: TwoLayer
    x: Array
    z: Array
    gamma: Array


def _sample_width(key: Array, size: Size, parameters: Parameters) -> _Width:
    key_p, key_x, key_z = jax.random.split(key, 3)
    shape = (size["points"], size["d"])
    return _Width(
        p=networks.init_two_layer(key_p, size["d"], size["m"]),
        x=parameters["scale"] * jax.random.normal(key_x, shape),
        z=parameters["scale"] * jax.random.normal(key_z, shape),
        gamma=parameters["slope"],
    )


def _width(at: _Width, *, share: float = 1.0, wrong: bool = False) -> Bounds:
    gamma = far_slope(at.gamma) if wrong else at.gamma
    gap = networks.empirical_gate_kernel(at.p, at.x, at.z, at.gamma)
    gap = jnp.abs(gap - shallow.gate_kernel(at.x, at.z, gamma))
    radius = lazy_training.width_radius(at.p.a.shape[0], gap.size, DELTA)
    return {"deviation": Bound(lhs=gap, rhs=jnp.broadcast_to(share * radius, gap.shape))}


WIDTH = Theorem(
    name="wide.width",
    statement="For P pairs at once, with probability 1 - delta over the initialisation, "
    "|Phi_m - Phi| <= sqrt(4.5 u/m) + 2u/m with u = ln(2P/delta).",
    source="[derived] Theorem W",
    sizes=({"points": 3, "d": 3, "m": 500}, {"points": 5, "d": 10, "m": 2000}),
    parameters={"slope": SLOPES, "scale": SCALES},
    sample=_sample_width,
    searchable=("x", "z"),
    conclusions=_width,
    failure_rate=DELTA,
    controls={
        "wrong slope in Phi": Control(conclusions=functools.partial(_width, wrong=True)),
        "a tenth of the radius": Control(conclusions=functools.partial(_width, share=0.1)),
    },
    interval_form=intervals.width,
)


# Effective time ----------------------------------------------------------------------------------


@struct.dataclass
class _Frozen:
    features: Array
    y: Array
    test: Array
    lr: Array
    beta: Array


def _sample_frozen(key: Array, size: Size, parameters: Parameters) -> _Frozen:
    key_x, key_z, key_y = jax.random.split(key, 3)
    return _Frozen(
        features=parameters["scale"] * jax.random.normal(key_x, (size["n"], size["d"])),
        y=jax.random.rademacher(key_y, (size["n"],), jnp.result_type(float)),
        test=parameters["scale"] * jax.random.normal(key_z, (size["points"], size["d"])),
        lr=10.0 ** parameters["log_rate"],
        beta=parameters["beta"],
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
    parameters={"scale": SCALES, "log_rate": (-3.0, 0.0), "beta": (0.0, 0.95)},
    sample=_sample_frozen,
    searchable=("features", "test"),
    conclusions=_effective_time,
    controls={
        "momentum ignored": Control(conclusions=functools.partial(_effective_time, momentum=False))
    },
)

THEOREMS = (WIDTH, EFFECTIVE_TIME)
