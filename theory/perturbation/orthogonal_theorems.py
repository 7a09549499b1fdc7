"""Implicit bias on nearly orthogonal samples: the statements about one training.

Three hypotheses of falling strength lead to the closed form of
:mod:`theory.perturbation.orthogonal`: the paper's on pairs of samples, a sharper one on row sums,
and a certificate that is checked after solving for the multipliers. The statements say which of
them each conclusion needs; what follows for perturbed samples is elsewhere. Only the first
hypothesis and its bounds on the multipliers are the paper's own; its theorem texts are
[not recovered].
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jax import Array

from theory.perturbation import orthogonal, orthogonal_data, orthogonal_flow
from theory.perturbation.orthogonal import Orthogonality
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
)

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
FLOW_STEPS = 400


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
        return orthogonal.solve_multipliers(self.gram, self.y, self.gamma)

    @property
    def rounding(self) -> Array:
        """Rounding of a solved margin: a Cholesky solution is backward stable."""
        norms = jnp.linalg.norm(self.x, axis=1)
        return 1e-12 * (1 + self.gamma**2) * jnp.max(norms) * (norms @ jnp.abs(self.lam))


def normals(key: Array, *shapes: tuple[int, ...]) -> list[Array]:
    """Independent normal arrays from one draw: a draw is what takes long to compile."""
    sizes = [math.prod(shape) for shape in shapes]
    parts = jnp.split(jax.random.normal(key, (sum(sizes),)), np.cumsum(sizes)[:-1])
    return [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]


# Samplers ----------------------------------------------------------------------------------------


def sample_near_orthogonal(key: Array, size: Size, knobs: Knobs) -> Samples:
    """Norms within a factor 3 of each other, equal cosines of random sign, random labels."""
    n, d = size["n"], size["d"]
    raw, signs, norms, labels, z, start = normals(
        key, (n, d), (n, n), (n,), (n,), (size["points"], d), (size["width"], d)
    )
    share = jax.scipy.stats.norm.cdf(norms)
    radii = knobs["scale"] * (1 + knobs["spread"] * (share - 0.5))
    overlap = 10.0 ** knobs["log_overlap"] / (n - 1)
    gram = orthogonal_data.signed_gram(jnp.where(signs < 0, -1.0, 1.0), overlap, radii)
    return Samples(
        x=orthogonal_data.rows_with_gram(raw, gram),
        labels=jnp.where(labels < 0, -1, 1),
        gamma=knobs["slope"],
        z=z,
        start=start,
    )


def _near_duplicate(key: Array, size: Size, knobs: Knobs) -> Samples:
    """Two samples almost alike with opposite labels."""
    at = sample_near_orthogonal(key, size, knobs)
    return dataclasses.replace(
        at,
        x=at.x.at[1].set(0.97 * at.x[0] + 0.2 * at.x[1]),
        labels=at.labels.at[1].set(-at.labels[0]),
    )


def _low_dimension(key: Array, size: Size, knobs: Knobs) -> Samples:
    """More samples than dimensions in use."""
    at = sample_near_orthogonal(key, size, knobs)
    used = jnp.arange(at.x.shape[1]) < 2 * size["n"] // 3
    return dataclasses.replace(at, x=at.x * used[None, :])


def _outweighed(key: Array, size: Size, knobs: Knobs) -> Samples:
    """Orthogonal samples perturbed towards flipped labels by just more than their own margin."""
    n = size["n"]
    at = sample_near_orthogonal(key, size, knobs)
    y = orthogonal_data.balanced_labels(n)
    rows = orthogonal_data.orthonormal_rows(at.x)
    normal = y @ rows / n
    return dataclasses.replace(
        at,
        x=rows - 1.2 * y[:, None] * normal[None, :],
        labels=-y.astype(at.labels.dtype),
        gamma=0.1 + 0.8 * knobs["slope"],
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
    report = orthogonal.orthogonality(at.gram, at.gamma)
    return slope_in_range(at.gamma) | {
        "no zero sample": strictly_less(jnp.zeros_like(report.r_min), report.r_min),
        "overlap": Bound(lhs=report.p_max, rhs=report.paper_lhs),
    }


def _row_sums(at: Samples, report: Orthogonality, room: float = 1.0) -> Bounds:
    least = at.gamma * report.r_min**2
    return {
        "one sample dominates": strictly_less(room * report.row_sum, least),
        "bounds dominate": strictly_less(
            room * report.lam_hi * report.row_sum, report.lam_lo * least
        ),
    }


def sharp_hypothesis(at: Samples, room: float = 1.0) -> Bounds:
    """The sharper one: every sample outweighs all others together; ``room`` asks for more."""
    report = orthogonal.orthogonality(at.gram, at.gamma)
    return slope_in_range(at.gamma) | _row_sums(at, report, room)


def certified(at: Samples) -> Bounds:
    """The certificate, by more than rounding."""
    lam = at.lam
    report = orthogonal.certificate(at.gram, at.y, lam, at.gamma)
    floor = 1e-12 * jnp.max(jnp.diagonal(at.gram)) * jnp.sum(jnp.abs(lam))
    return slope_in_range(at.gamma) | {
        "multipliers": strictly_less(1e-12 * jnp.max(jnp.abs(lam)), report.min_lam),
        "positive half": strictly_less(floor, report.min_pos_margin),
        "negative half": strictly_less(floor, report.min_neg_margin),
    }


def _anything(_: Samples) -> Bounds:
    return {}


# Controls of every statement that needs nearly orthogonal samples: the hypotheses left out.
BROKEN = {
    "near-duplicates of opposite labels": Control(sample=_near_duplicate, hypotheses=_anything),
    "few dimensions": Control(sample=_low_dimension, hypotheses=_anything),
}


# C1: the boundary --------------------------------------------------------------------------------


def _off_boundary(at: Samples) -> Bounds:
    linear = jnp.abs(orthogonal.boundary(at.z, orthogonal.boundary_normal(at.x, at.y, at.lam)))
    size = jnp.linalg.norm(at.z, axis=1) * (jnp.linalg.norm(at.x, axis=1) @ jnp.abs(at.lam))
    return slope_in_range(at.gamma) | {"off the boundary": strictly_less(1e-6 * size, linear)}


def _boundary(at: Samples, *, weighted: bool = True, power: int = 1) -> Bounds:
    lam = at.lam
    v, u = orthogonal.limit_rows(at.x, at.y, lam, at.gamma, at.width)
    output = orthogonal.predict(at.z, v, u, at.gamma, at.width)
    used = lam if weighted else jnp.full_like(lam, jnp.mean(lam))
    linear = orthogonal.boundary(at.z, orthogonal.boundary_normal(at.x, at.y, used))
    top = (1 + at.gamma) / 2 * jnp.abs(linear)
    slack = 1e-9 * top  # points are a millionth of their size off the boundary
    return {
        "sign": same_sign(output, linear),
        "at most": Bound(lhs=jnp.abs(output), rhs=top + slack),
        "at least": Bound(lhs=at.gamma**power * top, rhs=jnp.abs(output) + slack),
    }


BOUNDARY = Theorem(
    name="orthogonal.boundary",
    statement="For any samples, f(z; W*) has the sign of f_bdy(z) = sum_n lambda_n y_n <x_n, z> at "
    "every z, and gamma (1+gamma)/2 |f_bdy(z)| <= |f(z; W*)| <= (1+gamma)/2 |f_bdy(z)|.",
    source="[derived] C1",
    sizes=SIZES,
    knobs=KNOBS,
    sample=sample_near_orthogonal,
    free=("x", "z"),
    hypotheses=_off_boundary,
    conclusions=_boundary,
    controls={
        "equal multipliers in the normal": Control(
            conclusions=functools.partial(_boundary, weighted=False)
        ),
        "no gamma in the lower bound": Control(conclusions=functools.partial(_boundary, power=0)),
    },
)


# C2, C3, C4: margins, stationarity, norm ---------------------------------------------------------


# Size of the coefficient of opposite labels in M, 2 gamma in truth.
WRONG = {
    "gamma left out for opposite labels": lambda gamma: 2 * jnp.ones_like(gamma),
    "(1+gamma)^2 for opposite labels": lambda gamma: (1 + gamma) ** 2,
}


def _rows(at: Samples, wrong: Callable[[Array], Array] | None) -> tuple[Array, Array]:
    """Rows of the closed form, or of one from a wrong M."""
    lam = at.lam
    if wrong:
        same = at.y[:, None] * at.y[None, :] > 0
        matrix = jnp.where(same, 1 + at.gamma**2, -wrong(at.gamma)) * at.gram
        lam = jnp.linalg.solve(matrix, jnp.full_like(lam, 2))
    return orthogonal.limit_rows(at.x, at.y, lam, at.gamma, at.width)


def _margins(at: Samples, *, wrong: Callable[[Array], Array] | None = None) -> Bounds:
    v, u = _rows(at, wrong)
    margins = at.y * orthogonal.predict(at.x, v, u, at.gamma, at.width)
    return {"margins": equal(margins, jnp.ones_like(margins), at.rounding)}


MARGINS = Theorem(
    name="orthogonal.margins",
    statement="Where the certificate holds, every margin is exact: y_n f(x_n; W*) = 1.",
    source="[derived] C2",
    sizes=SIZES,
    knobs=KNOBS,
    sample=sample_near_orthogonal,
    free=("x",),
    hypotheses=certified,
    conclusions=_margins,
    controls=BROKEN
    | {
        name: Control(conclusions=functools.partial(_margins, wrong=wrong))
        for name, wrong in WRONG.items()
    },
)


def _kkt(at: Samples, *, double: bool = False) -> Bounds:
    lam = at.lam
    v, u = orthogonal.limit_rows(at.x, at.y, lam, at.gamma, at.width)
    weights = orthogonal.limit_weights(v, u, at.width)
    lam = (2 if double else 1) * lam
    residual = orthogonal.kkt_residual(weights, at.x, at.y, lam, at.gamma)

    def lagrangian(weights: Array) -> Array:
        outputs = orthogonal.output_weights(at.width, at.x.dtype) @ jax.nn.leaky_relu(
            weights @ at.x.T, at.gamma
        )
        return jnp.sum(weights**2) / 2 - (lam * at.y) @ outputs

    gradient = jnp.linalg.norm(jax.grad(lagrangian)(weights))
    # Weights of nearly parallel samples are small differences of large terms.
    terms = 1e-12 * (jnp.linalg.norm(at.x, axis=1) @ jnp.abs(lam))
    rounding = at.rounding * (1 + jnp.max(jnp.abs(lam))) + terms / jnp.linalg.norm(weights)
    return {
        "residual": Bound(lhs=residual, rhs=rounding),
        "gradient": Bound(lhs=gradient, rhs=terms),
    }


KKT = Theorem(
    name="orthogonal.kkt",
    statement="Where the certificate holds, W* with multipliers lambda is a KKT point of "
    "min |W|^2/2 subject to y_n f(x_n; W) >= 1.",
    source="[derived] C3",
    sizes=SIZES,
    knobs=KNOBS,
    sample=sample_near_orthogonal,
    free=("x",),
    hypotheses=certified,
    conclusions=_kkt,
    controls=BROKEN
    | {"multipliers doubled": Control(conclusions=functools.partial(_kkt, double=True))},
)


def _solvable(at: Samples) -> Bounds:
    # A nearly singular M leaves no digits: its solution would be of the size of 1/rounding.
    return slope_in_range(at.gamma) | {"solvable": strictly_less(at.rounding, jnp.asarray(1e-6))}


def _norm(at: Samples, *, wrong: Callable[[Array], Array] | None = None) -> Bounds:
    squared = jnp.sum(orthogonal.limit_weights(*_rows(at, wrong), at.width) ** 2)
    lam = at.lam
    return {"norm": equal(squared, jnp.sum(lam), at.rounding * jnp.sum(jnp.abs(lam)))}


NORM = Theorem(
    name="orthogonal.norm",
    statement="|W*|^2 = sum_n lambda_n for every width, wherever M lambda = 2 can be solved.",
    source="[derived] C4; no pattern is needed: |W*|^2 = lambda' M lambda / 2",
    sizes=SIZES,
    knobs=KNOBS,
    sample=sample_near_orthogonal,
    free=("x",),
    hypotheses=_solvable,
    conclusions=_norm,
    controls={
        name: Control(conclusions=functools.partial(_norm, wrong=wrong))
        for name, wrong in WRONG.items()
    },
)


# C5, C6: where gradient flow goes ----------------------------------------------------------------


def _flow_hypothesis(at: Samples) -> Bounds:
    # The statement is about the limit. With room in the hypothesis, like norms and a short start
    # the flow is there, to the tolerances below, after FLOW_STEPS steps.
    norms = jnp.linalg.norm(at.x, axis=1)
    return sharp_hypothesis(at, room=2.0) | {
        "norms alike": Bound(lhs=jnp.max(norms), rhs=3 * jnp.min(norms)),
        "slope not tiny": Bound(lhs=jnp.full_like(at.gamma, 0.1), rhs=at.gamma),
    }


def _descent(at: Samples, steps: int = FLOW_STEPS) -> tuple[Array, Array]:
    """Coefficients of the steepest descent and weights of the samples after the flow."""
    gram, a = at.gram, orthogonal.output_weights(at.width, at.x.dtype)
    start = 0.1 * at.start / (jnp.linalg.norm(at.start) * jnp.max(jnp.linalg.norm(at.x, axis=1)))
    # In the limit this step halves the distance for orthogonal samples, whatever their norms.
    norms = jnp.sum(at.x**2, axis=1)
    eta = jnp.sum(1 / norms) / (1 + at.gamma**2)
    flow = orthogonal_flow.normalized_flow(
        start @ at.x.T, gram, at.y, a, at.gamma, eta, steps, loss="exponential"
    )
    force = orthogonal_flow.descent_coefficients(flow.h, at.y, a, at.gamma)
    return force, flow.weights


def _limit(at: Samples) -> Bounds:
    lam = at.lam
    force, weights = _descent(at)
    v, u = orthogonal.limit_coefficients(at.y, lam, at.gamma)
    limit = jnp.repeat(jnp.stack([v, u]), at.width // 2, axis=0)
    matrix = orthogonal.margin_matrix(at.gram, at.y, at.gamma)
    diagonal = jnp.diagonal(matrix)
    return {
        "direction": Bound(
            lhs=orthogonal_flow.gram_angle(force, limit, at.gram), rhs=jnp.asarray(1e-7)
        ),
        "weights of samples": equal(weights, lam / jnp.sum(lam), 1e-7),
        "M diagonally dominant": Bound(
            lhs=jnp.sum(jnp.abs(matrix), axis=1) - diagonal, rhs=diagonal
        ),
    }


LIMIT = Theorem(
    name="orthogonal.limit",
    statement="Under the sharp hypothesis gradient flow from any start converges in direction to "
    "W*, the only KKT point (M is diagonally dominant); its gradient and the weights of the "
    "samples do so exponentially in rescaled time.",
    source="[derived] C6; that the loss falls below 1/N is Frei et al. (2023)",
    sizes=SIZES,
    knobs=KNOBS,
    sample=sample_near_orthogonal,
    free=("x", "start"),
    hypotheses=_flow_hypothesis,
    conclusions=_limit,
    controls=BROKEN
    | {"perturbed outside the tiers": Control(sample=_outweighed, hypotheses=_anything)},
)


def _rank(at: Samples, *, steps: int = FLOW_STEPS) -> Bounds:
    force, _ = _descent(at, steps)
    singular = jnp.linalg.svd(force @ at.x, compute_uv=False)
    return {"third singular value": Bound(lhs=singular[2], rhs=1e-7 * singular[0])}


RANK = Theorem(
    name="orthogonal.rank",
    statement="Under the sharp hypothesis the limit direction of gradient flow has rank at most 2.",
    source="[derived] C5 with C6",
    sizes=SIZES,
    knobs=KNOBS,
    sample=sample_near_orthogonal,
    free=("x", "start"),
    hypotheses=_flow_hypothesis,
    conclusions=_rank,
    controls={"no training": Control(conclusions=functools.partial(_rank, steps=0))},
)


# C7, C8: bounds on the multipliers ---------------------------------------------------------------


def _paper_multipliers(at: Samples, *, low: float = 0.5, high: float = 1.5) -> Bounds:
    lam, squares = at.lam, jnp.sum(at.x**2, axis=1)
    return {
        "above": Bound(lhs=low / jnp.max(squares), rhs=lam),
        "below": Bound(lhs=lam, rhs=high / (at.gamma**2 * jnp.min(squares))),
    }


PAPER_MULTIPLIERS = Theorem(
    name="orthogonal.paper_multipliers",
    statement="Under the paper's hypothesis 1/(2 R_max^2) < lambda_n < 3/(2 gamma^2 R_min^2).",
    source="[paper] C7",
    sizes=SIZES,
    knobs=KNOBS,
    sample=sample_near_orthogonal,
    free=("x",),
    hypotheses=paper_hypothesis,
    conclusions=_paper_multipliers,
    controls={
        "3 in place of 1 below": Control(
            conclusions=functools.partial(_paper_multipliers, low=1.5)
        ),
        "1 in place of 3 above": Control(
            conclusions=functools.partial(_paper_multipliers, high=0.5)
        ),
    },
)


def _sharp_multipliers(at: Samples, *, interaction: float = 1.0) -> Bounds:
    off = 1 - jnp.eye(at.x.shape[0], dtype=at.x.dtype)
    gram = at.gram * (1 + (interaction - 1) * off)
    report = orthogonal.orthogonality(gram, at.gamma)
    lam = at.lam
    return {
        "above": Bound(lhs=report.lam_lo, rhs=lam),
        "below": Bound(lhs=lam, rhs=report.lam_hi),
    }


SHARP_MULTIPLIERS = Theorem(
    name="orthogonal.sharp_multipliers",
    statement="Under the sharp hypothesis lo <= lambda_n <= hi with "
    "hi = 2/[(1+gamma^2) R_min^2 - (1+gamma) P], "
    "lo = [2 - (1+gamma) hi P]/[(1+gamma^2) R_max^2].",
    source="[derived] C8",
    sizes=SIZES,
    knobs=KNOBS,
    sample=sample_near_orthogonal,
    free=("x",),
    hypotheses=sharp_hypothesis,
    conclusions=_sharp_multipliers,
    controls={
        "no interaction": Control(
            conclusions=functools.partial(_sharp_multipliers, interaction=0.0)
        ),
    },
)


# The tiers ---------------------------------------------------------------------------------------


def _paper_tier(at: Samples) -> Bounds:
    return _row_sums(at, orthogonal.orthogonality(at.gram, at.gamma))


PAPER_TIER = Theorem(
    name="orthogonal.paper_tier",
    statement="The paper's hypothesis gamma^3 R_min^4 / (3 N R_max^2) >= p_max implies the sharp "
    "one: P < gamma R_min^2 and lo gamma R_min^2 > hi P.",
    source="[derived] tiers",
    sizes=SIZES,
    knobs=KNOBS,
    sample=sample_near_orthogonal,
    free=("x",),
    hypotheses=paper_hypothesis,
    conclusions=_paper_tier,
    controls=BROKEN,
)


def _sharp_tier(at: Samples) -> Bounds:
    report = orthogonal.orthogonality(at.gram, at.gamma)
    found = orthogonal.certificate(at.gram, at.y, at.lam, at.gamma)
    margin = report.lam_lo * at.gamma * report.r_min**2 - report.lam_hi * report.row_sum
    # Under the hypothesis the left sides are positive; zero is what the certificate needs.
    return {
        "multipliers": Bound(lhs=jnp.maximum(report.lam_lo, 0), rhs=found.min_lam),
        "positive half": Bound(lhs=jnp.maximum(margin, 0), rhs=found.min_pos_margin),
        "negative half": Bound(lhs=jnp.maximum(margin, 0), rhs=found.min_neg_margin),
    }


SHARP_TIER = Theorem(
    name="orthogonal.sharp_tier",
    statement="The sharp hypothesis implies the certificate: lambda_n >= lo > 0, and "
    "sqrt(m) y_n <v, x_n> and -sqrt(m) y_n <u, x_n> are at least lo gamma R_min^2 - hi P > 0.",
    source="[derived] tiers",
    sizes=SIZES,
    knobs=KNOBS,
    sample=sample_near_orthogonal,
    free=("x",),
    hypotheses=sharp_hypothesis,
    conclusions=_sharp_tier,
    controls=BROKEN,
)

THEOREMS = (
    BOUNDARY,
    MARGINS,
    KKT,
    NORM,
    RANK,
    LIMIT,
    PAPER_MULTIPLIERS,
    SHARP_MULTIPLIERS,
    PAPER_TIER,
    SHARP_TIER,
)
