"""What mixup predicts where classes overlap.

The optimal mixed prediction of a sample (Lemma C3) and the population's posterior for any law of
the weights (Theorem C4), all [derived].
"""

from __future__ import annotations

import dataclasses
import functools

import jax
import jax.numpy as jnp
from flax import struct
from jax import Array

from twolayer.theory.mixup.calibration import mixup_posterior
from twolayer.theory.verification.inequality import Bound, Bounds, equal, strictly_less
from twolayer.theory.verification.sampling import below, normals, uniform
from twolayer.theory.verification.theorem import Control, Parameters, Size, Theorem

# The optimal prediction of a sample --------------------------------------------------------------

# Exact for the polynomials below: labels' weights and predictions are linear, the change a cubic.
_NODES = 4


@struct.dataclass
class Sample:
    """Points of one pair of classes, in units from its base, and a change of the prediction."""

    steps: Array  # (n,), in (0, 1): between a point and the next
    classes: Array  # (n,), integers 0 and 1
    change: Array  # (4,), coefficients of a polynomial in z


def _sample_points(key: Array, size: Size, parameters: Parameters) -> Sample:
    steps, classes, change = normals(key, (size["n"],), (size["n"],), (4,))
    return Sample(steps=uniform(steps), classes=below(2, classes), change=change)


def _spaced(at: Sample) -> Bounds:
    least = jnp.min(at.steps)
    return {"no two points coincide": strictly_less(jnp.full_like(least, 1e-3), least)}


def _stationary(at: Sample, *, nearest: bool = False) -> Bounds:
    """The loss's derivative by change, pair of points by pair of points; and that of others."""
    n = at.steps.shape[0]
    # In [0, 2], where the first of two pairs of classes lies.
    x = 2 * jnp.cumsum(at.steps) / (jnp.sum(at.steps) + 1)
    nodes, weights = mixup_posterior.gauss_legendre(_NODES)
    z = x[:-1, None] + jnp.diff(x)[:, None] * nodes[None, :]  # (n - 1, nodes), between neighbours
    lengths = jnp.diff(x)[:, None] * weights[None, :]
    phi = mixup_posterior.mixup_predict_1d(z.reshape(-1), x, at.classes, 4, per_pair=n).reshape(
        *z.shape, 4
    )
    left = phi[..., 0]
    if nearest:
        # Right for the nearest neighbours' pair alone.
        between = (z - x[:-1, None]) / jnp.diff(x)[:, None]
        first, second = (
            (at.classes[part] == 0)[:, None] for part in (slice(None, -1), slice(1, None))
        )
        left = jnp.where(first, 1 - between, 0) + jnp.where(second, between, 0)
    change = jnp.polyval(at.change, z - 1)

    def one(a: Array, b: Array) -> tuple[Array, Array]:
        """Over the mixes of one pair of points a < b: the slope and its size."""
        inside = (jnp.arange(n - 1) >= a) & (jnp.arange(n - 1) < b)
        weight = (x[b] - z) / (x[b] - x[a])
        label = weight * (at.classes[a] == 0) + (1 - weight) * (at.classes[b] == 0)
        density = jnp.where(inside[:, None], lengths, 0) / jnp.where(a < b, x[b] - x[a], 1)
        slopes = density * (left - label) * change
        return jnp.sum(slopes), jnp.sum(density * jnp.abs(change))

    every = jnp.arange(n)
    slopes, sizes = jax.vmap(lambda a: jax.vmap(lambda b: one(a, b))(every))(every)
    earlier = every[:, None] < every[None, :]
    slope = jnp.sum(jnp.where(earlier, slopes, 0))
    return {
        "stationary": equal(slope, jnp.zeros(()), 1e-12 * jnp.sum(jnp.where(earlier, sizes, 0))),
        "no other class": equal(phi[..., 2:], jnp.zeros_like(phi[..., 2:]), 0.0),
    }


PREDICTION = Theorem(
    name="calibration.prediction",
    statement="The loss of mixup over all pairs of points on a line, lambda uniform, is convex in "
    "the logits and stationary at phi_s(z) proportional to the sum over x_a <= z < x_b of "
    "[(x_b - z) 1(y_a = s) + (z - x_a) 1(y_b = s)]/(x_b - x_a)^2.",
    source="[derived] Lemma C3; that a closed form exists [paper]",
    sizes=({"n": 3}, {"n": 7}),
    parameters={},
    sample=_sample_points,
    hypotheses=_spaced,
    conclusions=_stationary,
    searchable=("steps", "change"),
    controls={
        "neighbours alone": Control(conclusions=functools.partial(_stationary, nearest=True))
    },
)


# The population's posterior ----------------------------------------------------------------------


@struct.dataclass
class Law:
    """A law of the weights, a shift and places, in units of what is allowed."""

    lam: Array  # (v,), in (0, 1)
    weights: Array  # (v,), positive
    places: Array  # (q,), in (0, 1): the share of the way to the middle
    alpha: Array


def _sample_law(key: Array, size: Size, parameters: Parameters) -> Law:
    lam, weights, places = normals(key, (size["v"],), (size["v"],), (size["q"],))
    # Weights near the ends are where the statement is closest.
    return Law(
        lam=uniform(2 * lam),
        weights=uniform(weights),
        places=uniform(places),
        alpha=parameters["alpha"],
    )


def _reached(at: Law) -> Bounds:
    """Places where some mix falls, by more than rounding decides."""
    least = jnp.asarray(1e-6)
    return {
        "lambda above 0": strictly_less(least, jnp.min(at.lam)),
        "lambda below 1": strictly_less(least, 1 - jnp.max(at.lam)),
        # Two points of the left class mix everywhere in (0, 1).
        "inside": strictly_less(least, jnp.min(at.places)),
        "weights": strictly_less(least, jnp.min(at.weights)),
    }


def _posterior(at: Law, *, everywhere: bool = False, half: float = 0.5) -> Bounds:
    """``everywhere`` claims the bound of the KL on the overlap too."""
    middle = (1 + at.alpha) / 2
    z = at.places * middle
    m = mixup_posterior.mixed_posterior(z, at.alpha, at.lam, at.weights)
    mirrored = mixup_posterior.mixed_posterior(2 * middle - z, at.alpha, at.lam, at.weights)
    off = z < at.alpha
    cost = jnp.where(off, -jnp.log(m), 0)
    if everywhere:
        cost = jnp.where(off, cost, -jnp.log(4 * m * (1 - m)) / 2)
    return {
        "at least a half": Bound(lhs=jnp.full_like(m, half - 1e-9), rhs=m),
        "symmetry": equal(m + mirrored, jnp.ones_like(m), 1e-9),
        "KL": Bound(lhs=cost, rhs=jnp.full_like(m, jnp.log(2.0) + 1e-9)),
    }


def _sample_extreme(key: Array, size: Size, parameters: Parameters) -> Law:
    """One weight near 0, a small shift, and places just after it."""
    at = _sample_law(key, size, parameters)
    alpha = 0.001 + 0.01 * at.alpha
    return dataclasses.replace(
        at,
        lam=1e-5 * (1 + at.lam),
        places=(alpha + 1e-5 * at.places) * 2 / (1 + alpha),
        alpha=alpha,
    )


POSTERIOR = Theorem(
    name="calibration.posterior",
    statement="For any law of lambda on (0, 1) the population's mixup prediction for the left "
    "class is at least 1/2 up to the middle of the pair, and symmetric about it; so off the "
    "overlap its KL is at most log 2, whatever the overlap and the number of classes.",
    source="[derived] Theorem C4",
    sizes=({"v": 1, "q": 8}, {"v": 4, "q": 8}),
    parameters={"alpha": (0.0, 1.0)},
    sample=_sample_law,
    hypotheses=_reached,
    conclusions=_posterior,
    searchable=("lam", "weights", "places"),
    controls={
        "0.6 for a half": Control(conclusions=functools.partial(_posterior, half=0.6)),
        "the bound on the overlap": Control(
            sample=_sample_extreme, conclusions=functools.partial(_posterior, everywhere=True)
        ),
    },
)


def _sample_uniform(key: Array, size: Size, parameters: Parameters) -> Law:
    lam, weights = mixup_posterior.gauss_legendre(size["v"])
    (places,) = normals(key, (size["q"],))
    return Law(lam=lam, weights=weights, places=uniform(places), alpha=parameters["alpha"])


def _closed_form(at: Law, *, tilt: float = 0.0) -> Bounds:
    z = at.places * (1 + at.alpha) / 2
    nodes = at.lam.shape[0]
    exact = mixup_posterior.mixup_posterior_pair(z, at.alpha)
    weights = at.weights * (1 + tilt * jnp.abs(2 * at.lam - 1))
    sums = mixup_posterior.mixed_posterior(z, at.alpha, at.lam, weights)
    # The density has kinks in lambda: the rule's error falls like nodes^-2, and at the ends of the
    # piece few nodes are left that matter.
    return {"closed form": equal(exact, sums, 100 / nodes**2 + 1 / (nodes**2 * z))}


CLOSED_FORM = Theorem(
    name="calibration.uniform_weights",
    statement="For lambda ~ U(0, 1) the population's mixup prediction is a ratio of sums of "
    "s log(s + t) at the corners of rectangles, s and t the distances to the classes' ends.",
    source="[derived] Theorem C4",
    sizes=({"v": 200, "q": 8},),
    parameters={"alpha": (0.01, 1.0)},
    sample=_sample_uniform,
    conclusions=_closed_form,
    searchable=("places",),
    controls={
        "weights near the ends": Control(conclusions=functools.partial(_closed_form, tilt=1.0))
    },
)

THEOREMS = (PREDICTION, POSTERIOR, CLOSED_FORM)
