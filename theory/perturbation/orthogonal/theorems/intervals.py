"""Implicit bias on nearly orthogonal samples: the statements in interval arithmetic.

The instances are those of :mod:`twolayer.theory.perturbation.orthogonal.theorems.instances`; what
that module solves in float64 is here enclosed (:mod:`twolayer.theory.verification.intervals`), from
the samples on. Equalities can be enclosed
but not proved: that all margins are 1 is proved to within ``NEAR`` alone.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from twolayer.theory.verification import intervals
from twolayer.theory.verification.intervals import Inequality, Statement

NEAR = 2.0**-40


@dataclasses.dataclass(frozen=True)
class _Enclosed:
    """Gram matrix, labels and slope, and what follows from them."""

    gram: np.ndarray
    y: np.ndarray
    gamma: Any

    @property
    def lam(self) -> np.ndarray:
        """The solution of M lambda = 2."""
        same = self.y[:, None] * self.y[None, :] > 0
        matrix = np.where(same, 1 + self.gamma**2, -2 * self.gamma) * self.gram
        return intervals.solve(matrix, intervals.balls(np.full(len(self.y), 2.0)))

    @property
    def squares(self) -> tuple[Any, Any]:
        """Squares of the smallest and the largest norm."""
        return intervals.smallest(np.diagonal(self.gram)), intervals.largest(np.diagonal(self.gram))

    @property
    def off(self) -> np.ndarray:
        """Sizes of the products of different samples."""
        return abs(self.gram) * intervals.balls(1 - np.eye(len(self.y)))

    @property
    def row_sum(self) -> Any:
        """P, the largest sum of a row of these."""
        return intervals.largest(np.sum(self.off, axis=1))

    @property
    def bounds(self) -> tuple[Any, Any]:
        """Bounds lo and hi of C8, where P < gamma R_min^2."""
        low, high = self.squares
        gamma, row_sum = self.gamma, self.row_sum
        hi = 2 / ((1 + gamma**2) * low - (1 + gamma) * row_sum)
        return (2 - (1 + gamma) * hi * row_sum) / ((1 + gamma**2) * high), hi

    @property
    def patterns(self) -> tuple[np.ndarray, np.ndarray]:
        """Products sqrt(m) y_n <v, x_n> and -sqrt(m) y_n <u, x_n>."""
        lam = self.lam
        v = np.where(self.y > 0, lam, -self.gamma * lam)
        u = np.where(self.y < 0, lam, -self.gamma * lam)
        return self.y * (self.gram @ v), -self.y * (self.gram @ u)


def enclosed(gram: Any, y: Any, gamma: Any) -> _Enclosed:
    """From a Gram matrix of float64 numbers, taken as exact."""
    return _Enclosed(intervals.balls(gram), np.asarray(y, int), intervals.ball(float(gamma)))


def _of(at: Any) -> _Enclosed:
    x = intervals.balls(at.x)
    return _Enclosed(x @ x.T, np.asarray(at.labels, int), intervals.ball(float(at.gamma)))


# Tiers -------------------------------------------------------------------------------------------


def paper(known: _Enclosed) -> list[Inequality]:
    """The paper's hypothesis."""
    low, high = known.squares
    share = known.gamma**3 * low**2 / (3 * len(known.y) * high)
    return [Inequality(0, low, strict=True), Inequality(intervals.largest(known.off), share)]


def sharp(known: _Enclosed) -> list[Inequality]:
    """The sharper hypothesis, S1 and S2."""
    low, _ = known.squares
    lo, hi = known.bounds
    least = known.gamma * low
    return [
        Inequality(known.row_sum, least, strict=True),
        Inequality(hi * known.row_sum, lo * least, strict=True),
    ]


def certificate(known: _Enclosed) -> list[Inequality]:
    """Positive multipliers and the right pattern."""
    return [Inequality(0, values, strict=True) for values in (known.lam, *known.patterns)]


# Statements --------------------------------------------------------------------------------------


def paper_bounds(known: _Enclosed) -> list[Inequality]:
    """Bounds of the multipliers C7."""
    (low, high), lam = known.squares, known.lam
    return [
        Inequality(1 / (2 * high), lam, strict=True),
        Inequality(lam, 3 / (2 * known.gamma**2 * low), strict=True),
    ]


def sharp_bounds(known: _Enclosed) -> list[Inequality]:
    """Bounds of the multipliers C8."""
    (lo, hi), lam = known.bounds, known.lam
    return [Inequality(lo, lam), Inequality(lam, hi)]


def paper_multipliers(at: Any) -> Statement:
    """Bounds of the multipliers C7 under the paper's hypothesis."""
    known = _of(at)
    return Statement(paper_bounds(known), paper(known))


def sharp_multipliers(at: Any) -> Statement:
    """Bounds of the multipliers C8 under the sharper hypothesis."""
    known = _of(at)
    return Statement(sharp_bounds(known), sharp(known))


def paper_tier(at: Any) -> Statement:
    """The paper's hypothesis implies the sharper one."""
    known = _of(at)
    return Statement(sharp(known), paper(known))


def sharp_tier(at: Any) -> Statement:
    """The sharper hypothesis implies positive multipliers and the right pattern."""
    known = _of(at)
    (low, _), (lo, hi) = known.squares, known.bounds
    margin = lo * known.gamma * low - hi * known.row_sum
    floors = [Inequality(lo, known.lam)] + [Inequality(margin, side) for side in known.patterns]
    return Statement(floors + certificate(known), sharp(known))


def margins(at: Any) -> Statement:
    """All margins are 1 to within ``NEAR``, where the certificate holds."""
    known = _of(at)
    # y_n f(x_n): half of (unit v's output, less unit u's), the sign of each decided anew.
    for_v, for_u = (
        known.y * side * sign for side, sign in zip(known.patterns, (1, -1), strict=True)
    )
    outputs = [values * intervals.step(values, known.gamma) for values in (for_v, for_u)]
    margins = known.y * (outputs[0] - outputs[1]) / 2
    return Statement(
        [Inequality(0, margins, strict=True), Inequality(abs(margins - 1), intervals.ball(NEAR))],
        certificate(known),
    )


def boundary(at: Any) -> Statement:
    """The output has the sign of the linear boundary."""
    known = _of(at)
    lam, products = known.lam, intervals.balls(at.z) @ intervals.balls(at.x).T
    v = products @ np.where(known.y > 0, lam, -known.gamma * lam)
    u = products @ np.where(known.y < 0, lam, -known.gamma * lam)
    output = v * intervals.step(v, known.gamma) - u * intervals.step(u, known.gamma)
    return Statement([Inequality(0, output * (products @ (lam * known.y)), strict=True)])
