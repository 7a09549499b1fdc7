"""Instances with targets: orthogonal samples of one norm, perturbed towards labels.

Instances hold raw matrices and norms; orthonormal rows are made of them wherever they are needed.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import struct
from jax import Array

from twolayer.theory import geometry
from twolayer.theory.perturbation.orthogonal import data, limit, multipliers, perturbed
from twolayer.theory.perturbation.orthogonal.theorems.agreement import SLOPES, signs
from twolayer.theory.verification.theorem import Parameters, Size

# A switch is not judged by rounding: numbers this close to it do not count.
NEAR = 1e-8
# Margin matrices have condition numbers up to 2 (1 + gamma^2)/(1 - gamma)^2, 362 at 0.9.
SOLVED = 1e-11


def balanced(values: Array) -> Array:
    """Equally many labels of each sign in the order of some numbers."""
    return jnp.where(jnp.argsort(values) < values.shape[0] // 2, 1.0, -1.0)


def yes(condition: Array) -> Array:
    """1 for true, -1 for false, to be compared by sign."""
    return jnp.where(condition, 1.0, -1.0)


@struct.dataclass
class Targeted:
    """Orthogonal samples of one norm, perturbed by eps = tau radius / sqrt(n)."""

    raw: Array
    radius: Array
    y: Array
    targets: Array
    tau: Array
    z: Array
    gamma: Array

    @property
    def x(self) -> Array:
        """The samples."""
        return self.radius * data.orthonormal_rows(self.raw)

    @property
    def eps(self) -> Array:
        """Euclidean length of the perturbations."""
        return self.tau * self.radius / float(self.y.shape[0]) ** 0.5


class Both(NamedTuple):
    """What follows from samples and targets: both trainings, solved in general."""

    x: Array
    lam: Array
    normal: Array
    inputs: Array
    gram: Array  # of the inputs
    lam_adv: Array
    normal_adv: Array


def both(at: Targeted) -> Both:
    """Train on the samples, perturb them by the boundary's normal, train again."""
    x = at.x
    lam = multipliers.solve_multipliers(x @ x.T, at.y, at.gamma)
    normal = limit.boundary_normal(x, at.y, lam)
    unit = geometry.direction(normal, "l2")
    inputs = perturbed.perturb(x, at.targets, unit, at.eps)
    gram = inputs @ inputs.T
    lam_adv = multipliers.solve_multipliers(gram, at.targets, at.gamma)
    normal_adv = limit.boundary_normal(inputs, at.targets, lam_adv)
    return Both(
        x=x,
        lam=lam,
        normal=normal,
        inputs=inputs,
        gram=gram,
        lam_adv=lam_adv,
        normal_adv=normal_adv,
    )


def sample_targeted(key: Array, size: Size, parameters: Parameters) -> Targeted:
    """Labels and targets of independent signs."""
    n, d, points = size["n"], size["d"], size["points"]
    raw = jax.random.normal(key, (n + points, d + 2))
    y = signs(raw[:n, 0])
    return Targeted(
        raw=raw[:n, 2:],
        radius=10.0 ** parameters["log_radius"],
        y=y,
        targets=signs(raw[:n, 1]),
        tau=parameters["tau"],
        z=raw[n:, 2:],
        gamma=parameters["slope"],
    )


def sample_flipped(
    key: Array, size: Size, parameters: Parameters, *, tau: float | None = None, share: float = 0.0
) -> Targeted:
    """Balanced classes, opposite targets but for a share that is labels, tau fixed or drawn."""
    at = sample_targeted(key, size, parameters)
    y = balanced(at.raw[:, 0])
    kept = jnp.arange(y.shape[0]) < share * y.shape[0]
    fixed = at.tau if tau is None else jnp.full_like(at.tau, tau)
    return dataclasses.replace(at, y=y, targets=jnp.where(kept, y, -y), tau=fixed)


SIZES = ({"n": 2, "d": 2, "points": 3}, {"n": 8, "d": 12, "points": 6})
KNOBS = {"slope": SLOPES, "log_radius": (-1.0, 1.0), "tau": (0.05, 3.0)}
