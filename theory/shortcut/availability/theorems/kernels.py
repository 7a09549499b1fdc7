"""Which part of a kernel a symmetric mixture sees, and where its flow ends.

All [derived], Theorems A0, A2 and A5.
"""

from __future__ import annotations

import functools

import jax.numpy as jnp
from flax import struct
from jax import Array

from twolayer.theory.kernels.deep import Kernel
from twolayer.theory.shortcut.availability import data, flows, shortcut_bias
from twolayer.theory.training import kernel_flow
from twolayer.theory.verification.inequality import Bound, Bounds, equal
from twolayer.theory.verification.sampling import normals
from twolayer.theory.verification.theorem import Control, Parameters, Size, Theorem

SIZES = ({"n": 4, "d": 3},)
KNOBS = {"log_tau": (-2.0, 2.0), "log_beta": (-1.0, 0.5), "log_ridge": (-3.0, 0.0)}


@struct.dataclass
class Points:
    """Inputs with mean labels, probes, a time and a bias."""

    x: Array  # (n, d)
    z: Array  # (3, d), probes
    raw: Array  # (n,), mean labels before tanh
    other: Array  # (n,), others, for controls
    tau: Array  # time in units of the fastest mode
    beta: Array
    ridge: Array  # in units of the largest eigenvalue

    @property
    def m(self) -> Array:
        """Mean labels."""
        return jnp.tanh(self.raw)

    @property
    def mirrored(self) -> tuple[Array, Array]:
        """The inputs and their opposites, and mean labels."""
        return jnp.concatenate([self.x, -self.x]), jnp.concatenate([self.m, -self.m])


def sample(key: Array, size: Size, parameters: Parameters) -> Points:
    """Normal inputs in general position."""
    n, d = size["n"], size["d"]
    x, z, raw, other = normals(key, (n, d), (3, d), (n,), (n,))
    return Points(
        x=x,
        z=z,
        raw=raw,
        other=other,
        tau=10.0 ** parameters["log_tau"],
        beta=10.0 ** parameters["log_beta"],
        ridge=10.0 ** parameters["log_ridge"],
    )


def _flow(rows: Array, m: Array, time: Array) -> Array:
    """Outputs at probes under the mean over the points; rows are K at the points, then probes."""
    number = m.shape[0]
    mean = rows / number
    return kernel_flow.kernel_flow(mean[:number], mean[number:], m, time[None])[0]


def _room(at: Points) -> tuple[Array, Array]:
    """A typical K(x, x), and the rounding of a flow.

    Of eigenvalues times the time, and more where probes are further out than the points.
    """
    norms_x, norms_z = (jnp.sum(rows**2, axis=1) + at.beta**2 for rows in (at.x, at.z))
    scale = jnp.mean(norms_x)
    far = jnp.sqrt(jnp.max(norms_z) / scale) + jnp.max(norms_z) / scale
    return scale, 1e-13 * (1 + at.tau) * (1 + far) * at.x.shape[0]


# The odd part ------------------------------------------------------------------------------------


def _deep(at: Points) -> Kernel:
    return functools.partial(flows.ntk, kind="relu", beta=at.beta, depth=2)


def _odd_reduction(at: Points, *, antisymmetric: bool = True, shift: float = 0.0) -> Bounds:
    """``shift`` moves what the kernel sees, so that K(-x, -z) is no longer K(x, z)."""
    centred = _deep(at)

    def kernel(x: Array, z: Array) -> Array:
        return centred(x + shift, z + shift)

    odd = flows.odd_kernel(kernel)
    points, labels = at.mirrored
    if not antisymmetric:
        labels = jnp.concatenate([at.m, jnp.tanh(at.other)])
    scale, room = _room(at)
    time = at.tau / scale
    full = _flow(kernel(jnp.concatenate([points, at.z, -at.z]), points), labels, time)
    half = _flow(odd(jnp.concatenate([at.x, at.z]), at.x), at.m, time)
    return {
        "odd kernel": equal(full[:3], half, room),
        "odd": equal(full[:3], -full[3:], room),
    }


ODD_REDUCTION = Theorem(
    name="availability.odd_reduction",
    statement="On points symmetric under (x, y) -> (-x, -y) the flow of squared loss from 0 of a "
    "kernel with K(-x, -z) = K(x, z) stays odd, and is that of its odd part on half of them.",
    source="[derived] Theorem A0",
    sizes=SIZES,
    parameters=KNOBS,
    sample=sample,
    conclusions=_odd_reduction,
    searchable=("x", "z", "raw"),
    controls={
        "labels that are not opposite": Control(
            conclusions=functools.partial(_odd_reduction, antisymmetric=False)
        ),
        "a kernel with a centre": Control(conclusions=functools.partial(_odd_reduction, shift=0.5)),
    },
)


# The bias-free two-layer ReLU --------------------------------------------------------------------


def _relu_linear(
    at: Points, *, bias: float = 0.0, depth: int = 1, symmetric: bool = True
) -> Bounds:
    kernel = functools.partial(flows.ntk, kind="relu", beta=bias, depth=depth)
    odd = flows.odd_kernel(kernel)(at.z, at.x)
    lengths = jnp.sqrt(jnp.sum(at.z**2, axis=1))[:, None] * jnp.sqrt(jnp.sum(at.x**2, axis=1))[None]
    points, labels = at.mirrored if symmetric else (at.x, at.m)
    number = points.shape[0]
    scale, room = _room(at)
    time, ridge = at.tau / scale, at.ridge * scale
    rows = kernel(jnp.concatenate([points, at.z]), points)
    path = _flow(rows, labels, time)
    system = rows[:number] / number + ridge * jnp.eye(number)
    ridged = rows[number:] / number @ jnp.linalg.solve(system, labels)
    # The linear kernel's predictor by algebra in the space of inputs.
    values, vectors = jnp.linalg.eigh(at.x.T @ at.x / at.x.shape[0])
    modes = vectors.T @ (at.x.T @ at.m / at.x.shape[0])
    still = values == 0
    gain = jnp.where(still, time, -jnp.expm1(-values * time) / jnp.where(still, 1, values))
    linear = at.z @ vectors @ (gain * modes)
    penalised = at.z @ vectors @ (modes / (values + ridge))
    return {
        "identity": equal(odd, at.z @ at.x.T, 1e-14 * lengths),
        "path": equal(path, linear, room),
        "ridge": equal(ridged, penalised, room / at.ridge**1.5),
    }


RELU_LINEAR = Theorem(
    name="availability.relu_linear",
    statement="The odd part of the bias-free two-layer ReLU tangent kernel is x.z; on points "
    "symmetric under (x, y) -> (-x, -y) its predictor is the linear kernel's at every time and "
    "every ridge.",
    source="[derived] Theorem A2",
    sizes=SIZES,
    parameters=KNOBS,
    sample=sample,
    conclusions=_relu_linear,
    searchable=("x", "z", "raw"),
    controls={
        "a bias": Control(conclusions=functools.partial(_relu_linear, bias=1.0)),
        "two hidden layers": Control(conclusions=functools.partial(_relu_linear, depth=2)),
        "points without opposites": Control(
            conclusions=functools.partial(_relu_linear, symmetric=False)
        ),
    },
)


# The end of the flow on a mixture ----------------------------------------------------------------


@struct.dataclass
class Mixture:
    """Two features and how available they are, a time, and a ridge."""

    rho: Array  # (2,)
    sigma: Array
    alpha: Array  # (2,)
    tau: Array  # time in units of the fastest mode
    ridge: Array  # in units of the largest eigenvalue

    @property
    def mu(self) -> Array:
        """Class means."""
        return shortcut_bias.mu_from_rho(self.rho)


_MIXTURES = {
    "rho_s": (0.55, 0.95),
    "rho_c": (0.55, 0.95),
    "sigma": (-0.8, 0.8),
    "log_ratio": (-1.0, 1.0),
    "log_tau": (-2.0, 5.0),
    "log_ridge": (-6.0, 0.0),
}
_QUAD, _PROBE = 3, 4


def _sample_mixture(key: Array, size: Size, parameters: Parameters) -> Mixture:
    half = parameters["log_ratio"] / 2
    return Mixture(
        rho=jnp.stack([parameters["rho_s"], parameters["rho_c"]]),
        sigma=parameters["sigma"],
        alpha=10.0 ** jnp.stack([half, -half]),
        tau=10.0 ** parameters["log_tau"],
        ridge=10.0 ** parameters["log_ridge"],
    )


def _population(at: Mixture, *, bias: float = 1.0) -> Bounds:
    """``bias`` is that of the kernel which flows; functions are those of the one with 1."""
    universal, flowing = (
        flows.odd_kernel(functools.partial(flows.ntk, kind="relu", beta=beta))
        for beta in (1.0, bias)
    )
    taus = at.tau * jnp.array([1.0, 2.0])
    found = flows.population_flow(flowing, at.alpha, at.rho, at.sigma, taus, _QUAD, _PROBE)
    nodes, weights = data.quadrature(at.mu, at.sigma, _QUAD)
    m = shortcut_bias.posterior_mean(nodes, at.mu, at.sigma)
    best = jnp.sum(weights * (1 - m**2))
    # A function of the kernel's space near m, and its norm there.
    root = jnp.sqrt(weights)
    inputs = nodes * at.alpha[None, :]
    operator = root[:, None] * universal(inputs, inputs) * root[None, :]
    system = operator + at.ridge * jnp.trace(operator) * jnp.eye(root.size)
    coefficients = jnp.linalg.solve(system, root * m)
    off = jnp.sqrt(jnp.sum((root * m - operator @ coefficients) ** 2))
    norm = jnp.sqrt(jnp.abs(coefficients @ operator @ coefficients))
    times = taus / found["lam"][0]
    # The flow on the probes alone, all of the same weight; the other half is opposite.
    probes = shortcut_bias.probe_grid(at.mu, _PROBE)[_PROBE**2 // 2 :]
    label = shortcut_bias.posterior_mean(probes, at.mu, at.sigma)
    points = probes * at.alpha[None, :]
    mean = flowing(points, points) / probes.shape[0]
    f = kernel_flow.kernel_flow(mean, mean, label, times[:1])[0]
    biased = shortcut_bias.shortcut_bias(
        shortcut_bias.decide(f), shortcut_bias.decide(label), probes
    )
    missed = jnp.mean((label - f) ** 2)
    sizes = jnp.abs(label)
    uncertain = jnp.mean(1.0 * (sizes[None, :] < sizes[:, None]), axis=1)
    return {
        "distance": Bound(
            lhs=found["mse"] - best,
            rhs=(off + norm / jnp.sqrt(2 * jnp.e * times)) ** 2 + 1e-14,
        ),
        "decreasing": Bound(lhs=found["mse"][1], rhs=found["mse"][0] + 1e-14),
        "never below the best": Bound(lhs=best, rhs=found["mse"] + 1e-14),
        "bias": Bound(lhs=jnp.abs(biased), rhs=4 * jnp.min(uncertain + missed / sizes**2)),
    }


POPULATION = Theorem(
    name="availability.population_limit",
    statement="On a mixture |m - f_t| <= |m - h| + |h|_K/sqrt(2 e t) in L2 for every h in the "
    "space of the odd kernel, and it decreases: f_t tends to m where the odd kernel is strictly "
    "positive definite. On probes that are the population the bias is at most 4 (share of |m| < "
    "delta + |m - f_t|^2/delta^2) for every delta, and so tends to 0.",
    source="[derived] Theorem A5, with a rate",
    sizes=({},),
    parameters=_MIXTURES,
    sample=_sample_mixture,
    conclusions=_population,
    controls={
        "an odd part that is linear": Control(conclusions=functools.partial(_population, bias=0.0))
    },
)

THEOREMS = (ODD_REDUCTION, RELU_LINEAR, POPULATION)
