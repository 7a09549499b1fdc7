"""Implicit bias on nearly orthogonal samples: what the closed form is, and that training finds it.

Boundary, margins, stationarity and norm of the closed form (C1 to C4), and the direction of
gradient flow (C5, C6); hypotheses are those of
:mod:`twolayer.theory.perturbation.orthogonal.theorems.instances`. All [derived].
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array

from twolayer.theory.perturbation.orthogonal import flow as orthogonal_flow
from twolayer.theory.perturbation.orthogonal import limit as orthogonal
from twolayer.theory.perturbation.orthogonal import multipliers
from twolayer.theory.perturbation.orthogonal.theorems import intervals
from twolayer.theory.perturbation.orthogonal.theorems.instances import (
    BROKEN,
    Samples,
    anything,
    certified,
    outweighed,
    sharp_hypothesis,
    slope_in_range,
    statement_about_samples,
)
from twolayer.theory.verification.inequality import Bound, Bounds, equal, same_sign, strictly_less
from twolayer.theory.verification.theorem import Control

FLOW_STEPS = 400

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


BOUNDARY = statement_about_samples(
    name="orthogonal.boundary",
    statement="For any samples, f(z; W*) has the sign of f_bdy(z) = sum_n lambda_n y_n <x_n, z> at "
    "every z, and gamma (1+gamma)/2 |f_bdy(z)| <= |f(z; W*)| <= (1+gamma)/2 |f_bdy(z)|.",
    source="[derived] C1",
    searchable=("x", "z"),
    hypotheses=_off_boundary,
    conclusions=_boundary,
    controls={
        "equal multipliers in the normal": Control(
            conclusions=functools.partial(_boundary, weighted=False)
        ),
        "no gamma in the lower bound": Control(conclusions=functools.partial(_boundary, power=0)),
    },
    interval_form=intervals.boundary,
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


MARGINS = statement_about_samples(
    name="orthogonal.margins",
    statement="Where the certificate holds, every margin is exact: y_n f(x_n; W*) = 1.",
    source="[derived] C2",
    searchable=("x",),
    hypotheses=certified,
    conclusions=_margins,
    controls=BROKEN
    | {
        name: Control(conclusions=functools.partial(_margins, wrong=wrong))
        for name, wrong in WRONG.items()
    },
    interval_form=intervals.margins,
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


KKT = statement_about_samples(
    name="orthogonal.kkt",
    statement="Where the certificate holds, W* with multipliers lambda is a KKT point of "
    "min |W|^2/2 subject to y_n f(x_n; W) >= 1.",
    source="[derived] C3",
    searchable=("x",),
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


NORM = statement_about_samples(
    name="orthogonal.norm",
    statement="|W*|^2 = sum_n lambda_n for every width, wherever M lambda = 2 can be solved.",
    source="[derived] C4; no pattern is needed: |W*|^2 = lambda' M lambda / 2",
    searchable=("x",),
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
    matrix = multipliers.margin_matrix(at.gram, at.y, at.gamma)
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


LIMIT = statement_about_samples(
    name="orthogonal.limit",
    statement="Under the sharp hypothesis gradient flow from any start converges in direction to "
    "W*, the only KKT point (M is diagonally dominant); its gradient and the weights of the "
    "samples do so exponentially in rescaled time.",
    source="[derived] C6; that the loss falls below 1/N is Frei et al. (2023)",
    searchable=("x", "start"),
    hypotheses=_flow_hypothesis,
    conclusions=_limit,
    controls=BROKEN
    | {"perturbed outside the tiers": Control(sample=outweighed, hypotheses=anything)},
)


def _rank(at: Samples, *, steps: int = FLOW_STEPS) -> Bounds:
    force, _ = _descent(at, steps)
    singular = jnp.linalg.svd(force @ at.x, compute_uv=False)
    return {"third singular value": Bound(lhs=singular[2], rhs=1e-7 * singular[0])}


RANK = statement_about_samples(
    name="orthogonal.rank",
    statement="Under the sharp hypothesis the limit direction of gradient flow has rank at most 2.",
    source="[derived] C5 with C6",
    searchable=("x", "start"),
    hypotheses=_flow_hypothesis,
    conclusions=_rank,
    controls={"no training": Control(conclusions=functools.partial(_rank, steps=0))},
)

THEOREMS = (BOUNDARY, MARGINS, KKT, NORM, RANK, LIMIT)
