"""Reliance of linear rules, and the linear kernel's exact path: biased unless it has converged.

All [derived], Theorem A1 (i), (ii), (iv), and the box formula of A.2.
"""

from __future__ import annotations

import functools

import jax.numpy as jnp
from flax import struct
from jax import Array

from twolayer.theory.shortcut.availability import flows, shortcut_bias
from twolayer.theory.verification.inequality import (
    Bound,
    Bounds,
    equal,
    strictly_less,
    within_rounding,
)
from twolayer.theory.verification.sampling import normals
from twolayer.theory.verification.theorem import Control, Parameters, Size, Theorem

KNOBS = {
    "rho_s": (0.52, 0.97),
    "rho_c": (0.52, 0.97),
    "sigma": (-0.9, 0.9),
    "log_ratio": (-1.8, 1.8),
    "log_scale": (-1.0, 1.0),
    "log_tau": (-6.0, 3.0),
}


@struct.dataclass
class Mixture:
    """Two features, how available they are, a time, and a rule and a map of the plane."""

    rho: Array  # (2,)
    sigma: Array
    alpha: Array  # (2,)
    tau: Array  # time in units of the fastest mode
    v: Array  # (2,), normal of a rule
    bend: Array  # (2, 2), any invertible map

    @property
    def mu(self) -> Array:
        """Class means."""
        return shortcut_bias.mu_from_rho(self.rho)

    @property
    def inner(self) -> Array:
        """Sigma + mu mu', written out."""
        covariance = jnp.array([[1.0, 0.0], [0.0, 1.0]]) + self.sigma * jnp.array(
            [[0.0, 1.0], [1.0, 0.0]]
        )
        return covariance + self.mu[:, None] * self.mu[None, :]

    @property
    def spectrum(self) -> Array:
        """Eigenvalues of the second moment of the inputs, ascending."""
        return _eigenvalues(self.alpha[:, None] * self.inner * self.alpha[None, :])

    def flow(self, t: Array | float, ridge: Array | float = 0.0) -> Array:
        """The linear kernel's predictor."""
        return flows.linear_flow(self.alpha, self.rho, self.sigma, t, ridge)


def sample(key: Array, size: Size, parameters: Parameters) -> Mixture:
    """Any mixture, ratio of amplifications and time; any rule and map."""
    v, bend = normals(key, (2,), (2, 2))
    half = parameters["log_ratio"] / 2
    return Mixture(
        rho=jnp.stack([parameters["rho_s"], parameters["rho_c"]]),
        sigma=parameters["sigma"],
        alpha=10.0 ** (parameters["log_scale"] + jnp.stack([half, -half])),
        tau=10.0 ** parameters["log_tau"],
        v=v,
        bend=bend,
    )


def _eigenvalues(matrix: Array) -> Array:
    """Those of a symmetric positive matrix of two rows, ascending, the smaller to all digits."""
    gap = jnp.sqrt((matrix[0, 0] - matrix[1, 1]) ** 2 + 4 * matrix[0, 1] ** 2)
    largest = (matrix[0, 0] + matrix[1, 1] + gap) / 2
    return jnp.stack([_determinant(matrix) / largest, largest])


def _determinant(matrix: Array) -> Array:
    return matrix[0, 0] * matrix[1, 1] - matrix[0, 1] * matrix[1, 0]


def _solve(matrix: Array, b: Array) -> Array:
    """Cramer's rule."""
    first = matrix[1, 1] * b[0] - matrix[0, 1] * b[1]
    second = matrix[0, 0] * b[1] - matrix[1, 0] * b[0]
    return jnp.stack([first, second]) / _determinant(matrix)


# Reliance of a linear rule -----------------------------------------------------------------------


def _box(at: Mixture, *, n: int = 30, swap: bool = False) -> Bounds:
    # Any number of probes a side, an odd one too, which ``probe_grid`` refuses.
    line = jnp.linspace(-3.0, 3.0, n)
    first, second = jnp.meshgrid(at.mu[0] * line, at.mu[1] * line, indexing="ij")
    z = jnp.stack([first.reshape(-1), second.reshape(-1)], axis=1)
    yhat = shortcut_bias.decide(z @ at.v)
    found = shortcut_bias.reliance(yhat, z)
    conflict = jnp.sign(z[:, 0]) != jnp.sign(z[:, 1])
    followed = jnp.sum(jnp.where(conflict, yhat * jnp.sign(z[:, 0]), 0)) / jnp.sum(conflict)
    box = shortcut_bias.box_reliance(at.v, at.mu[::-1] if swap else at.mu)
    return {
        "conflict": equal(found, followed, 1e-14),
        "half": equal(jnp.mean(1.0 * conflict), jnp.asarray(0.5), 1e-15),
        "box": Bound(lhs=jnp.abs(found - box), rhs=jnp.asarray(2 / n)),
    }


BOX = Theorem(
    name="availability.box_reliance",
    statement="Half of a grid of probes is in conflict, and the reliance of any rule is the mean "
    "of yhat sign z_s there. For sign(v.z), with s = v_s mu_s and c = v_c mu_c, it is within 2/n "
    "of clip((s - c)/max(|s|, |c|), -1, 1), n probes a side, n even.",
    source="[derived] A.2",
    sizes=({},),
    parameters=KNOBS,
    sample=sample,
    conclusions=_box,
    searchable=("v",),
    controls={
        "31 probes a side": Control(conclusions=functools.partial(_box, n=31)),
        "means exchanged": Control(conclusions=functools.partial(_box, swap=True)),
    },
)


# The end of the path -----------------------------------------------------------------------------


def _limit(at: Mixture, *, tau: float = jnp.inf, share: float = 0.0) -> Bounds:
    """``tau`` a finite time and ``share`` a ridge in units of the largest eigenvalue: wrong."""
    mu, values = at.mu, at.spectrum
    v = at.flow(tau / values[1], share * values[1])
    best = shortcut_bias.lda_population(mu, at.sigma)
    plain = _solve(at.inner, mu)
    size = jnp.sqrt(jnp.sum(plain**2))
    # Of a system's solution the relative rounding is that of its entries times its condition.
    room = 1e-14 * values[1] / values[0]
    biased = shortcut_bias.box_reliance(v, mu) - shortcut_bias.box_reliance(best, mu)
    image = _solve(at.bend @ at.inner @ at.bend.T, at.bend @ mu)
    stretch = jnp.sum(at.bend**2) / jnp.abs(_determinant(at.bend))
    spread = jnp.trace(at.inner) ** 2 / _determinant(at.inner)
    return {
        "without alpha": equal(v, plain, room * size),
        "best": equal(v * (1 + jnp.sum(mu * best)), best, room * jnp.sqrt(jnp.sum(best**2))),
        # The clipped ratio turns a relative change of the rule into at most four of its size.
        "unbiased": Bound(lhs=jnp.abs(biased), rhs=4 * room * jnp.max(mu) / jnp.min(mu)),
        "any map": equal(at.bend.T @ image, plain, 1e-14 * stretch**2 * spread * size),
    }


LIMIT = Theorem(
    name="availability.linear_limit",
    statement="At infinite time without ridge the linear kernel's predictor is v = Sigma^-1 mu/(1 "
    "+ mu'Sigma^-1 mu) whatever alpha is: its bias is 0. Least squares in x = B z gives the same "
    "for every invertible B.",
    source="[derived] Theorem A1 (i), (iv); that linear models are unbiased [paper]",
    sizes=({},),
    parameters=KNOBS,
    sample=sample,
    conclusions=_limit,
    searchable=("bend",),
    controls={
        "a ridge of a hundredth": Control(conclusions=functools.partial(_limit, share=0.01)),
        "stopped at tau = 10": Control(conclusions=functools.partial(_limit, tau=10.0)),
    },
)


# Its beginning -----------------------------------------------------------------------------------


def _beginning(at: Mixture) -> tuple[Array, Array]:
    """What the flow has moved of b by time t, at most, and the most of a component of it."""
    b = at.alpha * at.mu
    moved = at.tau / at.spectrum[1] / 2 * at.alpha * (at.inner @ (at.alpha * b))
    size = jnp.sqrt(jnp.sum(moved**2))
    return size, size / jnp.min(b)


def _is_early(at: Mixture) -> Bounds:
    return {"early": strictly_less(_beginning(at)[1], jnp.asarray(0.5))}


def _early(at: Mixture, *, late: bool = False, power: int = 2, share: float = 1.0) -> Bounds:
    time = at.tau / at.spectrum[1]
    b = at.alpha * at.mu
    v = at.flow(jnp.inf if late else time)
    moved, relative = _beginning(at)
    off = v / time / at.alpha - b
    s, c = at.alpha**power * at.mu**2
    q = c / s
    reliance = jnp.where(q <= 1, 1 - q, 1 / jnp.maximum(q, 1) - 1)
    rounding = 1e-12 * jnp.sqrt(jnp.sum(b**2))
    found = shortcut_bias.box_reliance(v, at.mu)
    return {
        "slope": Bound(lhs=jnp.sqrt(jnp.sum(off**2)), rhs=share * moved + rounding),
        # |dR / d log q| <= 1, and both components of b are off by no more than this share.
        "reliance": within_rounding(
            jnp.abs(found - reliance),
            jnp.log1p(relative) - jnp.log1p(-relative),
            1 + jnp.max(b) / jnp.min(b),
        ),
    }


EARLY = Theorem(
    name="availability.linear_early",
    statement="The linear kernel's predictor begins as t A^2 mu: |v/(alpha t) - b| <= (t/2)|M b|, "
    "b = A mu, M = A (Sigma + mu mu')A. With e = (t/2)|M b|/min b < 1/2 its reliance is within "
    "log((1 + e)/(1 - e)) of 1 - q, or 1/q - 1 where q > 1, q = alpha_c^2 mu_c^2/(alpha_s^2 "
    "mu_s^2): availability rules.",
    source="[derived] Theorem A1 (ii), with a rate",
    sizes=({},),
    parameters=KNOBS | {"log_tau": (-6.0, -1.0)},
    sample=sample,
    hypotheses=_is_early,
    conclusions=_early,
    controls={
        "at infinite time": Control(conclusions=functools.partial(_early, late=True)),
        "alpha for its square": Control(conclusions=functools.partial(_early, power=1)),
    },
)

THEOREMS = (BOX, LIMIT, EARLY)
