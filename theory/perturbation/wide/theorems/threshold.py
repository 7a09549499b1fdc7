"""Learning from adversarial perturbations, wide networks: the threshold law and initial outputs.

In scenario a the second network is, to first order, a threshold on one direction, offset by the
drawn label imbalance (B4); and what it starts from has a tail known in closed form. All [derived].
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from flax import struct
from jax import Array

from twolayer.theory.kernels import shallow
from twolayer.theory.perturbation.wide import bounds, surrogate
from twolayer.theory.perturbation.wide.theorems import intervals
from twolayer.theory.perturbation.wide.theorems.constants import DELTA, SCALES, SLOPES
from twolayer.theory.perturbation.wide.theorems.instances import far_slope, two_classes
from twolayer.theory.perturbation.wide.theorems.scenarios import (
    KNOBS,
    SIZES,
    Second,
    drift_of_g,
    scenario_a,
    unit_directions,
)
from twolayer.theory.verification.inequality import Bound, Bounds, within_rounding
from twolayer.theory.verification.theorem import Control, Parameters, Size, Theorem


@struct.dataclass
class _Outputs:
    z: Array
    normal: Array  # (points,), independent standard normal
    gamma: Array

    @property
    def outputs(self) -> Array:
        """Initial outputs at z, with the covariance of the NNGP."""
        values, vectors = jnp.linalg.eigh(shallow.nngp_kernel(self.z, self.z, self.gamma))
        return vectors @ (jnp.sqrt(jnp.maximum(values, 0)) * self.normal)


def _sample_outputs(key: Array, size: Size, parameters: Parameters) -> _Outputs:
    key_z, key_normal = jax.random.split(key)
    shape = (size["points"], size["d"])
    return _Outputs(
        z=parameters["scale"] * jax.random.normal(key_z, shape),
        normal=jax.random.normal(key_normal, shape[:1]),
        gamma=parameters["slope"],
    )


def _initial_output(at: _Outputs, *, share: float = 1.0) -> Bounds:
    radius = bounds.initial_output_radius(at.z, at.gamma, DELTA)
    return {"outputs": Bound(lhs=jnp.abs(at.outputs), rhs=share * radius)}


INITIAL_OUTPUT = Theorem(
    name="wide.initial_output",
    statement="At infinite width |g_0(z)| <= sigma_z sqrt((1+gamma^2) ln(2k/delta)) at all k "
    "points at once with probability 1 - delta over the initialisation.",
    source="[derived] section 3B, tail of the NNGP",
    sizes=({"points": 2, "d": 2}, {"points": 6, "d": 10}),
    parameters={"slope": SLOPES, "scale": SCALES},
    sample=_sample_outputs,
    searchable=("z",),
    conclusions=_initial_output,
    failure_rate=DELTA,
    controls={
        "a third of the radius": Control(
            conclusions=functools.partial(_initial_output, share=1 / 3)
        )
    },
)


def _threshold_surrogate(at: Second, *, wrong: bool = False) -> Bounds:
    r = at.eps * at.targets[:, None] * at.u
    gamma = far_slope(at.gamma) if wrong else at.gamma
    centre = shallow.gate_kernel(jnp.zeros_like(r[:1]), at.z, gamma)[0]
    products = r @ at.z.T + 1
    threshold = centre * (at.targets @ products) / at.targets.shape[0]
    gap = jnp.abs(drift_of_g(at) - threshold)
    bound = bounds.threshold_surrogate_bound(r, at.z, at.gamma)
    return {"gap": within_rounding(gap, bound, jnp.mean(jnp.abs(products), axis=0))}


THRESHOLD_SURROGATE = Theorem(
    name="wide.threshold_surrogate",
    statement="In scenario a, |(1/N) sum_n y'_n K(r_n, z) - Phi(0, z) (eps ubar.z + ybar)| <= "
    "(1-gamma)^2 eps/(2 pi sqrt d) (1/N) sum_n |r_n.z + 1|.",
    source="[derived] Theorem B4, first order",
    sizes=SIZES,
    parameters=KNOBS,
    sample=scenario_a,
    complete=unit_directions,
    searchable=("z", "u"),
    conclusions=_threshold_surrogate,
    controls={
        "wrong slope in Phi": Control(
            conclusions=functools.partial(_threshold_surrogate, wrong=True)
        )
    },
    interval_form=intervals.threshold_surrogate,
)


@struct.dataclass
class _Threshold:
    score: Array  # (points,), ubar.z for fresh z
    mu: Array
    eps: Array
    ybar: Array
    d: int = struct.field(pytree_node=False)


def _sample_threshold(key: Array, size: Size, parameters: Parameters) -> _Threshold:
    d = size["d"]
    z, _ = two_classes(key, size["points"], d, jnp.ones(()), shift=0.0)
    y = jnp.where(jnp.arange(size["points"]) % 2 == 0, 1.0, -1.0)
    z = z + parameters["mu"] * y[:, None]
    return _Threshold(
        score=jnp.sum(z, axis=1) / float(d) ** 0.5,
        mu=parameters["mu"],
        eps=10.0 ** parameters["log_eps"],
        ybar=parameters["ybar"],
        d=d,
    )


def _threshold_law(at: _Threshold, *, share: float = 1.0) -> Bounds:
    agree = jnp.mean((jnp.sign(at.score) == jnp.sign(at.eps * at.score + at.ybar)).astype(float))
    law = surrogate.threshold_agreement(at.mu, at.d, at.eps, share * at.ybar)
    radius = jnp.sqrt(jnp.log(2 / DELTA) / (2 * at.score.shape[0]))
    return {"share": Bound(lhs=jnp.abs(agree - law), rhs=radius)}


THRESHOLD_LAW = Theorem(
    name="wide.threshold_law",
    statement="For z ~ N(mu y 1, I) the signs of ubar.z and eps ubar.z + ybar agree with "
    "probability 1 - (Phi_N(kappa + h) - Phi_N(kappa - h))/2, kappa = mu sqrt d, h = |ybar|/eps; "
    "the share among k fresh points is within sqrt(ln(2/delta)/(2k)) of it with probability "
    "1 - delta.",
    source="[derived] Theorem B4",
    sizes=({"points": 500, "d": 1}, {"points": 2000, "d": 10}),
    parameters={"mu": (0.0, 1.0), "log_eps": (-2.0, 0.0), "ybar": (-0.2, 0.2)},
    sample=_sample_threshold,
    conclusions=_threshold_law,
    failure_rate=DELTA,
    controls={
        "half the imbalance": Control(conclusions=functools.partial(_threshold_law, share=0.5))
    },
)

THEOREMS = (INITIAL_OUTPUT, THRESHOLD_SURROGATE, THRESHOLD_LAW)
