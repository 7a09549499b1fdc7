"""Spectra of kernels on the circle and on clusters.

All [derived], Theorems A3, D1 and D2.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jax import Array

from twolayer.theory.shortcut.availability import flows, spectra
from twolayer.theory.verification.inequality import Bound, Bounds, equal
from twolayer.theory.verification.sampling import normals, uniform
from twolayer.theory.verification.theorem import Control, Parameters, Size, Theorem

# On the circle -----------------------------------------------------------------------------------


@struct.dataclass
class Polar:
    """Two directions, rings of points, and where these begin."""

    phi: Array  # (2,), angles
    radii: Array  # (2,), of two rings
    start: Array  # (2,), angle of the first point of each


_RING, _LAST, _TERMS = 48, 6, 64


def _sample_polar(key: Array, size: Size, parameters: Parameters) -> Polar:
    phi, start, radii = normals(key, (2,), (2,), (2,))
    return Polar(phi=phi, radii=jnp.exp(radii), start=start)


def _at_angles(phi: Array) -> Array:
    return jnp.stack([jnp.cos(phi), jnp.sin(phi)], axis=1)


def _circle(at: Polar, *, bias: float = 0.0, depth: int = 1) -> Bounds:
    kernel = functools.partial(flows.ntk, kind="relu", beta=bias, depth=depth)
    exact = spectra.relu_angular_coefficients(_TERMS)
    found = spectra.angular_coefficients(kernel, _LAST, n=_RING)
    odd = jnp.arange(_LAST + 1) % 2 == 1
    # What folds into coefficient k from jn - k and jn + k, j >= 1, by a_k <= 4/(pi (k - 1))^2.
    folded = jnp.where(odd, 0.0, 4 / 3 / (_RING - _LAST - 1) ** 2)
    angle = at.phi[0] - at.phi[1]
    value = kernel(*(_at_angles(at.phi[i : i + 1]) for i in range(2)))[0, 0]
    series = jnp.sum(exact * jnp.cos(jnp.arange(_TERMS + 1) * angle))
    # Eigenfunctions r cos k phi under two rings of evenly spaced points, of any radii.
    turns = at.start[:, None] + 2 * jnp.pi * jnp.arange(_RING)[None, :] / _RING
    radii = jnp.repeat(at.radii, _RING)
    angles = turns.reshape(-1)
    rings = radii[:, None] * _at_angles(angles)
    k = jnp.arange(1, _LAST + 1)
    functions = radii[:, None] * jnp.cos(k[None, :] * angles[:, None])
    applied = kernel(_at_angles(at.phi[:1]), rings)[0] @ functions / rings.shape[0]
    second = jnp.mean(at.radii**2)
    expected = exact[1 : _LAST + 1] * second / 2 * jnp.cos(k * at.phi[0])
    # The kernel snaps cosines within 64 roundings of 1, and near there its angles lose digits.
    sine = jnp.maximum(jnp.abs(jnp.sin(at.phi[0] - angles)), 1e-8)
    lost = jnp.mean(radii**2 / sine) * 64 * float(jnp.finfo(float).eps)
    return {
        "coefficients": equal(found, exact[: _LAST + 1], folded + 1e-14),
        "series": Bound(lhs=jnp.abs(value - series), rhs=jnp.asarray(2 / (jnp.pi**2 * _TERMS))),
        "eigenfunctions": equal(applied, expected, folded[1:] * second + lost),
    }


CIRCLE = Theorem(
    name="availability.circle",
    statement="The bias-free two-layer ReLU tangent kernel is r r' sum_k a_k cos k(phi - phi'), "
    "a_0 = 6/pi^2, a_1 = 1, a_k = (4/pi^2)(k^2 + 3)/(k^2 - 1)^2 for even k, 0 for other odd k; "
    "terms beyond an even N add at most 2/(pi^2 N). Under a density that no turn changes r cos k "
    "phi is an eigenfunction with eigenvalue a_k E r^2/2.",
    source="[derived] Theorem A3",
    sizes=({},),
    parameters={},
    sample=_sample_polar,
    conclusions=_circle,
    searchable=("phi", "radii", "start"),
    controls={
        "a bias": Control(conclusions=functools.partial(_circle, bias=1.0)),
        "two hidden layers": Control(conclusions=functools.partial(_circle, depth=2)),
    },
)


# On clusters -------------------------------------------------------------------------------------


@struct.dataclass
class Clusters:
    """Clusters of several widths in the plane."""

    raw: Array  # (c,), logarithms of the masses up to a constant
    centres: Array  # (c, 2)
    widths: Array  # (c,), at most 1
    width: Array  # of the widest
    beta: Array

    @property
    def pi(self) -> Array:
        """Masses."""
        return jax.nn.softmax(self.raw)

    def nodes(self, width: Array | float) -> tuple[Array, Array]:
        """Three Gauss-Hermite nodes an axis around each centre, and their weights."""
        line, share = np.polynomial.hermite_e.hermegauss(3)
        first, second = np.meshgrid(line, line)
        around = np.stack([first.ravel(), second.ravel()], axis=1)
        weight = np.outer(share, share).ravel() / (2 * np.pi)
        spread = (width * self.widths)[:, None, None] * jnp.asarray(around)[None]
        points = self.centres[:, None, :] + spread
        masses = self.pi[:, None] * jnp.asarray(weight)[None, :]
        return points.reshape(-1, 2), masses.reshape(-1)


def _sample_clusters(key: Array, size: Size, parameters: Parameters) -> Clusters:
    raw, centres, widths = normals(key, (size["c"],), (size["c"], 2), (size["c"],))
    return Clusters(
        raw=raw,
        centres=centres,
        widths=uniform(widths),
        width=10.0 ** parameters["log_width"],
        beta=10.0 ** parameters["log_beta"],
    )


def _operator(points: Array, masses: Array, gram: Array) -> Array:
    root = jnp.sqrt(masses)
    return root[:, None] * gram * root[None, :]


def _clusters(at: Clusters, *, share: float = 1.0) -> Bounds:
    """``share`` of the variance within clusters."""
    points, masses = at.nodes(at.width)
    eigenvalues, vectors = spectra.mixture_linear_spectrum(
        at.pi, at.centres, share * (at.width * at.widths) ** 2
    )
    gram = points @ points.T
    found = jnp.linalg.eigvalsh(_operator(points, masses, gram))[::-1]
    functions = points @ vectors / jnp.sqrt(eigenvalues)[None, :]
    size = eigenvalues[0]
    far = jnp.sqrt(jnp.max(jnp.sum(points**2, axis=1)) / eigenvalues[1])
    ratio = size / eigenvalues[1]
    return {
        "eigenvalues": equal(found[:2], eigenvalues, 1e-13 * size),
        "no others": Bound(lhs=jnp.abs(found[2:]), rhs=jnp.full(found.size - 2, 1e-13 * size)),
        "eigenfunctions": equal(
            gram @ (masses[:, None] * functions),
            eigenvalues[None, :] * functions,
            1e-13 * size * far * ratio,
        ),
        "orthonormal": equal(
            functions.T @ (masses[:, None] * functions), jnp.eye(2), 1e-13 * ratio
        ),
    }


CLUSTERS = Theorem(
    name="availability.clusters",
    statement="On clusters of masses pi, centres c and variances s^2 the linear kernel's nonzero "
    "eigenvalues are those of M = sum pi_i (c_i c_i' + s_i^2 I), with orthonormal eigenfunctions "
    "v_k.x/sqrt(lam_k).",
    source="[derived] Theorem D1",
    sizes=({"c": 4},),
    parameters={"log_width": (-2.0, 0.5), "log_beta": (-1.0, 0.5)},
    sample=_sample_clusters,
    conclusions=_clusters,
    searchable=("raw", "centres", "widths"),
    controls={
        "clusters without width": Control(conclusions=functools.partial(_clusters, share=0.0))
    },
)


# |grad K(., z)| <= this |z~|, from 2 k_0 towards z and 1/pi across, for two layers of ReLU.
_SLOPE = (4 + np.pi**-2) ** 0.5


def _narrow(at: Clusters, *, rate: int = 1) -> Bounds:
    """``rate`` is the power of the width at which eigenvalues are claimed to settle."""
    kernel = functools.partial(flows.ntk, kind="relu", beta=at.beta)
    points, masses = at.nodes(at.width)
    found = jnp.linalg.eigvalsh(_operator(points, masses, kernel(points, points)))[::-1]
    centres = spectra.centre_spectrum(kernel, at.pi, at.centres)
    limit = jnp.concatenate([centres, jnp.zeros(found.size - centres.size)])
    spread = jnp.sqrt(2 * jnp.sum(at.pi * (at.width * at.widths) ** 2))
    at_centres = jnp.sum(at.pi * (jnp.sum(at.centres**2, axis=1) + at.beta**2))
    near = jnp.sqrt(at_centres) + jnp.sqrt(at_centres + spread**2)
    return {
        "eigenvalues": Bound(
            lhs=jnp.abs(found - limit),
            rhs=_SLOPE * near * spread * at.width ** (rate - 1) + 1e-13 * centres[0],
        )
    }


NARROW = Theorem(
    name="availability.narrow_clusters",
    statement="Shrinking clusters to their centres changes each eigenvalue of the two-layer ReLU "
    "tangent kernel by no more than L r (sqrt(S) + sqrt(S + r^2)), r^2 the mean square distance "
    "to the centres, S the mean of |c|^2 + beta^2, L^2 = 4 + 1/pi^2: an error O(s).",
    source="[derived] Theorem D2, with a constant",
    sizes=({"c": 4},),
    parameters={"log_width": (-4.0, 0.5), "log_beta": (-1.0, 0.5)},
    sample=_sample_clusters,
    conclusions=_narrow,
    searchable=("raw", "centres", "widths"),
    controls={
        "at the square of the width": Control(conclusions=functools.partial(_narrow, rate=2))
    },
)

THEOREMS = (CIRCLE, CLUSTERS, NARROW)
