"""Learning from perturbations with wide networks: closed-form statements in interval arithmetic.

The instances are those of the study's theorems; the kernels are written anew in intervals
(:mod:`twolayer.theory.verification.intervals`). Statements of equality, and those about training
runs, have no such form.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from twolayer.theory.perturbation.wide.theorems.constants import DELTA, FLIP_WIDTH
from twolayer.theory.verification import intervals
from twolayer.theory.verification.intervals import Inequality, Statement


def _aug_norm(x: np.ndarray) -> np.ndarray:
    return intervals.apply("sqrt", np.sum(x * x, axis=1) / x.shape[1] + 1)


def _cosine(x: np.ndarray, z: np.ndarray) -> np.ndarray:
    return (x @ z.T / x.shape[1] + 1) / (_aug_norm(x)[:, None] * _aug_norm(z)[None, :])


def gate_kernel(x: np.ndarray, z: np.ndarray, gamma: Any) -> np.ndarray:
    """The gate kernel in intervals; arguments as in :func:`twolayer.kernels.gate_kernel`."""
    arcsine = intervals.apply("asin", _cosine(x, z))
    return (1 + gamma) ** 2 / 4 + (1 - gamma) ** 2 / (2 * intervals.pi()) * arcsine


def gate_kernel_range(at: Any) -> Statement:
    """The gate kernel of different points lies strictly between gamma and (1 + gamma^2)/2."""
    gamma = intervals.ball(float(at.gamma))
    kernel = gate_kernel(intervals.balls(at.x), intervals.balls(at.z), gamma)
    return Statement(
        [
            Inequality(gamma, kernel, strict=True),
            Inequality(kernel, (1 + gamma**2) / 2, strict=True),
        ]
    )


def width(at: Any) -> Statement:
    """The kernel of a finite width lies within its radius of the infinite one."""
    gamma = intervals.ball(float(at.gamma))
    x, z = intervals.balls(at.x), intervals.balls(at.z)
    w, b, a = intervals.balls(at.p.w), intervals.balls(at.p.b), intervals.balls(at.p.a)
    gates_x, gates_z = (intervals.step(w @ points.T + b[:, None], gamma) for points in (x, z))
    gap = abs(((a * a)[:, None] * gates_x).T @ gates_z - gate_kernel(x, z, gamma))
    u = (2 * gap.size / intervals.ball(DELTA)).log()
    return Statement([Inequality(gap, (4.5 * u / len(a)).sqrt() + 2 * u / len(a))])


def flip_mass(at: Any) -> Statement:
    """The expected mass of flipped units obeys its bound, in closed form."""
    # The mean of g^2 1[|p| <= t |g|] over independent standard normals is, in polar coordinates,
    # the integral of cos^2 over the angles below arctan t: no quadrature.
    x, tau = intervals.balls(at.x), intervals.ball(float(at.tau))
    lengths = intervals.apply("sqrt", np.sum(x * x, axis=1) + 1)
    reach = tau * np.mean(lengths) * lengths / (_aug_norm(x) * intervals.ball(FLIP_WIDTH).sqrt())
    mean = 2 / intervals.pi() * (intervals.apply("atan", reach) + reach / (1 + reach * reach))
    return Statement([Inequality(mean, 4 / intervals.pi() * reach)])


def infinite_gradient(at: Any) -> Statement:
    """The second part of the gradient, and the sine that it causes, obey their bounds."""
    gamma, d = intervals.ball(float(at.gamma)), at.x.shape[1]
    x, y, z = intervals.balls(at.x), intervals.balls(at.y), intervals.balls(at.z)
    rho, norm_x, norm_z = _cosine(z, x), _aug_norm(x), _aug_norm(z)
    slope = (1 - gamma) ** 2 / (2 * intervals.pi())
    towards = x[None] / norm_x[None, :, None] - rho[:, :, None] * (z / norm_z[:, None])[:, None]
    slopes = slope / (d * norm_z[:, None, None]) * towards
    slopes = slopes / intervals.apply("sqrt", 1 - rho * rho)[:, :, None]
    steepest = slope / (norm_z * intervals.ball(d).sqrt())
    products = z @ x.T + 1
    rest = np.sum((products * y)[:, :, None] * slopes, axis=1) / len(y)
    bound = steepest * np.mean(abs(products), axis=1)
    representer = gate_kernel(z, x, gamma) @ (y[:, None] * x) / len(y)
    total = representer + rest
    square, along = np.sum(representer**2, axis=1), np.sum(representer * total, axis=1)
    # Squares of the sine and of its bound, both times |grad F|^2 |P|^2.
    sine = np.sum(total**2, axis=1) * square - along**2
    return Statement(
        [
            Inequality(intervals.norm(slopes), steepest[:, None]),
            Inequality(intervals.norm(rest), bound),
            Inequality(sine, bound**2 * np.sum(total**2, axis=1)),
        ]
    )


def _perturbed(at: Any, sign: Any) -> tuple[np.ndarray, np.ndarray, Any]:
    """Inputs of the second network with these labels, points and slope."""
    step = intervals.ball(float(at.eps)) * intervals.balls(at.u)
    return (
        intervals.balls(at.base) + intervals.balls(sign)[:, None] * step,
        intervals.balls(at.z),
        intervals.ball(float(at.gamma)),
    )


def signal_sign(at: Any) -> Statement:
    """The odd part has the sign of the signal."""
    kernels = []
    for sign in (1.0, -1.0):
        inputs, z, gamma = _perturbed(at, np.full(len(at.u), sign))
        kernels.append(gate_kernel(inputs, z, gamma) * (inputs @ z.T + 1))
    product = (kernels[0] - kernels[1]) * (intervals.balls(at.u) @ intervals.balls(at.z).T)
    return Statement([Inequality(0, product, strict=True)])


def threshold_surrogate(at: Any) -> Statement:
    """The surrogate with one kernel value is within its bound."""
    r, z, gamma = _perturbed(at, at.targets)
    targets, n, d = intervals.balls(at.targets), *r.shape
    products = r @ z.T + 1
    centre = gate_kernel(intervals.balls(np.zeros((1, d))), z, gamma)
    gap = abs(targets @ ((gate_kernel(r, z, gamma) - centre) * products)) / n
    slope = (1 - gamma) ** 2 / (2 * intervals.pi() * intervals.ball(d).sqrt())
    return Statement([Inequality(gap, slope * (intervals.norm(r) @ abs(products)) / n)])
