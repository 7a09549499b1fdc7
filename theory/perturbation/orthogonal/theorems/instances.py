"""Instances of the statements about one training, and the hypotheses that these need.

Three hypotheses of falling strength lead to the closed form of
:mod:`twolayer.theory.perturbation.orthogonal.limit`: the paper's on pairs of samples, a sharper one
on row sums, and a certificate that is checked after solving for the multipliers. Only the first is
the paper's own [paper]; its theorem texts are [not recovered].
"""

from __future__ import annotations

import dataclasses
import functools

import jax
import jax.numpy as jnp
from flax import struct
from jax import Array

from twolayer.theory.perturbation.orthogonal import conditions, data, multipliers
from twolayer.theory.perturbation.orthogonal.conditions import Orthogonality
from twolayer.theory.verification.inequality import Bound, Bounds, strictly_less
from twolayer.theory.verification.sampling import normals
from twolayer.theory.verification.theorem import Control, Parameters, Size, Theorem

SIZES = (
    {"n": 3, "d": 3, "width": 4, "points": 3},
    {"n": 6, "d": 10, "width": 8, "points": 6},
)
KNOBS = {
    "slope": (0.1, 0.95),
    "scale": (0.3, 3.0),
    "spread": (0.0, 1.0),
    "log_overlap": (-3.0, -0.1),
}


@struct.dataclass
class Samples:
    """Any samples, labels and slope, points to ask at and weights to start from."""

    x: Array
    labels: Array  # (n,), integers -1 and +1
    gamma: Array
    z: Array
    start: Array  # (width, d), a direction

    @property
    def y(self) -> Array:
        """Labels in the samples' dtype."""
        return self.labels.astype(self.x.dtype)

    @property
    def gram(self) -> Array:
        """Gram matrix of the samples."""
        return self.x @ self.x.T

    @property
    def width(self) -> int:
        """Number of units."""
        return self.start.shape[0]

    @property
    def lam(self) -> Array:
        """Multipliers of the closed form."""
        return multipliers.solve_multipliers(self.gram, self.y, self.gamma)

    @property
    def rounding(self) -> Array:
        """Rounding of a solved margin: a Cholesky solution is backward stable."""
        norms = jnp.linalg.norm(self.x, axis=1)
        return 1e-12 * (1 + self.gamma**2) * jnp.max(norms) * (norms @ jnp.abs(self.lam))


# Samplers ----------------------------------------------------------------------------------------


def sample_near_orthogonal(key: Array, size: Size, parameters: Parameters) -> Samples:
    """Norms within a factor 3 of each other, equal cosines of random sign, random labels."""
    n, d = size["n"], size["d"]
    raw, signs, norms, labels, z, start = normals(
        key, (n, d), (n, n), (n,), (n,), (size["points"], d), (size["width"], d)
    )
    share = jax.scipy.stats.norm.cdf(norms)
    radii = parameters["scale"] * (1 + parameters["spread"] * (share - 0.5))
    overlap = 10.0 ** parameters["log_overlap"] / (n - 1)
    gram = data.signed_gram(jnp.where(signs < 0, -1.0, 1.0), overlap, radii)
    return Samples(
        x=data.rows_with_gram(raw, gram),
        labels=jnp.where(labels < 0, -1, 1),
        gamma=parameters["slope"],
        z=z,
        start=start,
    )


def _near_duplicate(key: Array, size: Size, parameters: Parameters) -> Samples:
    """Two samples almost alike with opposite labels."""
    at = sample_near_orthogonal(key, size, parameters)
    return dataclasses.replace(
        at,
        x=at.x.at[1].set(0.97 * at.x[0] + 0.2 * at.x[1]),
        labels=at.labels.at[1].set(-at.labels[0]),
    )


def _low_dimension(key: Array, size: Size, parameters: Parameters) -> Samples:
    """More samples than dimensions in use."""
    at = sample_near_orthogonal(key, size, parameters)
    used = jnp.arange(at.x.shape[1]) < 2 * size["n"] // 3
    return dataclasses.replace(at, x=at.x * used[None, :])


def outweighed(key: Array, size: Size, parameters: Parameters) -> Samples:
    """Orthogonal samples perturbed towards flipped labels by just more than their own margin."""
    n = size["n"]
    at = sample_near_orthogonal(key, size, parameters)
    y = data.balanced_labels(n)
    rows = data.orthonormal_rows(at.x)
    normal = y @ rows / n
    return dataclasses.replace(
        at,
        x=rows - 1.2 * y[:, None] * normal[None, :],
        labels=-y.astype(at.labels.dtype),
        gamma=0.1 + 0.8 * parameters["slope"],
    )


# Hypotheses --------------------------------------------------------------------------------------


def slope_in_range(gamma: Array) -> Bounds:
    """A leaky ReLU: slope strictly between 0 and 1."""
    zero, one = jnp.zeros_like(gamma), jnp.ones_like(gamma)
    return {
        "slope above 0": strictly_less(zero, gamma),
        "slope below 1": strictly_less(gamma, one),
    }


def paper_hypothesis(at: Samples) -> Bounds:
    """The paper's: every pair of samples is nearly orthogonal."""
    report = conditions.orthogonality(at.gram, at.gamma)
    return slope_in_range(at.gamma) | {
        "no zero sample": strictly_less(jnp.zeros_like(report.r_min), report.r_min),
        "overlap": Bound(lhs=report.p_max, rhs=report.paper_lhs),
    }


def row_sums(at: Samples, report: Orthogonality, room: float = 1.0) -> Bounds:
    """S1 and S2, the conditions on row sums; ``room`` multiplies the sums."""
    least = at.gamma * report.r_min**2
    return {
        "one sample dominates": strictly_less(room * report.row_sum, least),
        "bounds dominate": strictly_less(
            room * report.lam_hi * report.row_sum, report.lam_lo * least
        ),
    }


def sharp_hypothesis(at: Samples, room: float = 1.0) -> Bounds:
    """The sharper one: every sample outweighs all others together; ``room`` asks for more."""
    report = conditions.orthogonality(at.gram, at.gamma)
    return slope_in_range(at.gamma) | row_sums(at, report, room)


def certified(at: Samples) -> Bounds:
    """The certificate, by more than rounding."""
    lam = at.lam
    report = conditions.certificate(at.gram, at.y, lam, at.gamma)
    floor = 1e-12 * jnp.max(jnp.diagonal(at.gram)) * jnp.sum(jnp.abs(lam))
    return slope_in_range(at.gamma) | {
        "multipliers": strictly_less(1e-12 * jnp.max(jnp.abs(lam)), report.min_lam),
        "positive half": strictly_less(floor, report.min_pos_margin),
        "negative half": strictly_less(floor, report.min_neg_margin),
    }


def anything(_: Samples) -> Bounds:
    """No hypothesis, for controls that break one."""
    return {}


# Controls of every statement that needs nearly orthogonal samples: the hypotheses left out.
BROKEN = {
    "near-duplicates of opposite labels": Control(sample=_near_duplicate, hypotheses=anything),
    "few dimensions": Control(sample=_low_dimension, hypotheses=anything),
}

# A theorem about near-orthogonal samples, of which these are the instances.
statement_about_samples = functools.partial(
    Theorem, sizes=SIZES, parameters=KNOBS, sample=sample_near_orthogonal
)
