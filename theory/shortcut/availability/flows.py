r"""Gradient flow on two latent features: the linear kernel in closed form, any by quadrature.

Squared loss, from f = 0. The setting is that of
:mod:`twolayer.theory.shortcut.availability.shortcut_bias`, embedded in the plane along orthogonal
directions, :math:`x = A z`, :math:`A = \mathrm{diag}(\alpha)`: every kernel here depends on inner
products alone, so that more dimensions change nothing.

The mixture is symmetric under :math:`(x, y) \to (-x, -y)`. On all of it the flow of a kernel K is
that of its odd part :math:`K_o(x, x') = (K(x, x') - K(x, -x'))/2` (Theorem A0),

.. math:: \dot f(x) = E_{z \sim N(\mu, \Sigma)}\big[K_o(x, A z)\,(m(z) - f(A z))\big],
          \qquad m(z) = \tanh(z \cdot v^*),

and tends to :math:`m`, unbiased (A5). Availability acts through finite time and finite samples, so
a bias says nothing without its time; :math:`\tau = t \lambda_1` counts it in units of the fastest
mode.

Source: spec shortcut bias, A.3 and A.4 [derived].
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float

from twolayer.theory import semidefinite, validation
from twolayer.theory.kernels import activations, deep
from twolayer.theory.kernels.activations import Scalar
from twolayer.theory.kernels.deep import Kernel
from twolayer.theory.shortcut.availability import data, shortcut_bias
from twolayer.theory.shortcut.availability.shortcut_bias import Pair
from twolayer.theory.training import gains

KINDS = ("linear", "relu", "erf", "tanh")


# Kernels -----------------------------------------------------------------------------------------


def ntk(
    x: Float[Array, "n d"],
    z: Float[Array, "m d"],
    *,
    kind: str = "linear",
    beta: Scalar = 0.0,
    depth: int = 1,
) -> Float[Array, "n m"]:
    """Tangent kernel of a wide network, all layers trained (:mod:`twolayer.theory.kernels.deep`).

    Args:
      x: inputs as rows, shape ``(N, d)``.
      z: inputs as rows, shape ``(M, d)``.
      kind: "linear", of every depth ``x.z + beta**2`` (a deep linear network's constant is
        dropped), "relu", "erf" or "tanh" (its moments summed, exact to 1e-11).
      beta: scale of the biases, 0 for none.
      depth: number of hidden layers; above 1 for "relu" and "linear" alone.

    Returns:
      The kernel, shape ``(N, M)``.

    Raises:
      ValueError: for an unknown kind, a depth that it does not have, shapes that do not match.
    """
    validation.choice("kind", kind, KINDS)
    beta = validation.scalar("beta", beta, low=0.0)
    if validation.integer("depth", depth) > 1 and kind in ("erf", "tanh"):
        raise ValueError(
            f"depth must be 1 for kind {kind!r}; got {depth} "
            "(twolayer.theory.kernels.deep.neural_tangent_kernel has it)."
        )
    if kind == "linear":
        return deep.linear_kernel(x, z, bias=beta)
    activation = {"relu": activations.relu, "erf": activations.erf, "tanh": activations.tanh}[kind]
    return deep.neural_tangent_kernel(x, z, activation(), depth=depth, bias=beta)


def odd_kernel(kernel: Kernel) -> Kernel:
    """The odd part :math:`K_o` of a kernel with K(-x, -x') = K(x, x'), itself a kernel.

    Args:
      kernel: from x ``(N, d)`` and z ``(M, d)`` to ``(N, M)``.
    """
    return deep.odd_part(kernel)


# The linear kernel -------------------------------------------------------------------------------


def second_moment(alpha: Pair, rho: Pair, sigma: ArrayLike) -> Float[Array, "2 2"]:
    r"""Second moment of the inputs, :math:`M = A (\Sigma + \mu\mu^T) A`.

    Its eigenvalues are those of the linear kernel on the mixture; the larger one turns t into
    :math:`\tau`.

    Args:
      alpha: amplifications, shape ``(2,)``, positive.
      rho: predictivities, shape ``(2,)``, in (1/2, 1).
      sigma: covariance in (-1, 1).
    """
    mu = shortcut_bias.mu_from_rho(validation.vector("rho", rho, length=2))
    alpha = shortcut_bias.amplification(alpha).astype(mu.dtype)
    sigma = jnp.asarray(shortcut_bias.covariance(sigma), mu.dtype)
    inner = jnp.eye(2, dtype=mu.dtype) * (1 - sigma) + sigma + mu[:, None] * mu[None, :]
    return alpha[:, None] * inner * alpha[None, :]


def linear_flow(
    alpha: Pair, rho: Pair, sigma: ArrayLike, t: ArrayLike, ridge: ArrayLike = 0.0
) -> Float[Array, "2"]:
    r"""Predictor of the linear kernel on the whole mixture, :math:`f(A z) = v \cdot z`.

    .. math:: v_t = A\, (I - e^{-t M})\, M^{-1} b, \qquad
              v_\lambda = A\, (M + \lambda I)^{-1} b, \qquad b = A \mu,

    at time t without ridge, or with ridge at infinite time. Unbiased, and free of alpha, only at
    infinite time without ridge: there :math:`v = \Sigma^{-1}\mu / (1 + \mu^T \Sigma^{-1} \mu)`.
    Early, :math:`v/t \to A^2 \mu`.

    Args:
      alpha: amplifications, shape ``(2,)``, positive.
      rho: predictivities, shape ``(2,)``, in (1/2, 1).
      sigma: covariance in (-1, 1).
      t: time, ``t >= 0`` or infinite, in units of 1 / eigenvalue of M.
      ridge: :math:`\lambda \ge 0`, in units of an eigenvalue of M; positive at infinite time alone.

    Returns:
      v, shape ``(2,)``; 0 at t = 0. It is good to rounding, times that of the difference where its
      entries are differences, as in the suppressor regime, whatever the condition of M.

    Raises:
      ValueError: for numbers out of range, or a ridge at finite time.

    Source: [derived] Theorem A1.
    """
    rho = validation.vector("rho", rho, length=2)
    moment = second_moment(alpha, rho, sigma)
    mu = shortcut_bias.mu_from_rho(rho)
    alpha = shortcut_bias.amplification(alpha).astype(mu.dtype)
    if not validation.holds(lambda t: t >= 0, validation.shaped("t", t, ())):
        raise ValueError(f"t must be a non-negative scalar, possibly infinite; got {t}.")
    ridge = validation.scalar("ridge", ridge, low=0.0)
    if not validation.holds(lambda t, ridge: (ridge == 0) | jnp.isinf(t), t, ridge):
        raise ValueError(f"ridge must be 0 at a finite time; got ridge {ridge} at t {t}.")
    time, penalty = (jnp.asarray(each, mu.dtype) for each in (t, ridge))
    values, vectors = _plane_spectrum(alpha, mu, sigma)
    system, values = moment + penalty * jnp.eye(2, dtype=mu.dtype), values + penalty
    return gains.response(system, values, vectors, jnp.diag(alpha), alpha * mu, time[None])[0]


def _plane_spectrum(alpha: Array, mu: Array, sigma: ArrayLike) -> tuple[Array, Array]:
    """Eigenvalues, ascending, and eigenvectors of M, to all digits whatever its condition."""
    sigma, product = jnp.asarray(sigma, mu.dtype), alpha[0] * alpha[1]
    first, second = alpha**2 * (1 + mu**2)
    across = product * (sigma + mu[0] * mu[1])
    # No difference of large terms is left in the determinant.
    inner = (1 - sigma) * (1 + sigma) * (1 + mu[1] ** 2) + (mu[0] - sigma * mu[1]) ** 2
    half = (first - second) / 2
    size = jnp.maximum(jnp.abs(half), jnp.abs(across))
    unit = jnp.where(size > 0, size, 1)
    gap = size * jnp.sqrt((half / unit) ** 2 + (across / unit) ** 2)
    largest = (first + second) / 2 + gap
    # Jacobi's rotation, by less than an eighth of a turn.
    tangent = across / jnp.where(size > 0, jnp.abs(half) + gap, 1)
    cosine = 1 / jnp.sqrt(1 + tangent**2)
    sine = tangent * cosine
    vectors = jnp.where(
        half >= 0,
        jnp.stack([jnp.stack([-sine, cosine]), jnp.stack([cosine, sine])]),
        jnp.stack([jnp.stack([-cosine, sine]), jnp.stack([sine, cosine])]),
    )
    return jnp.stack([product / largest * product * inner, largest]), vectors.T


# Any kernel --------------------------------------------------------------------------------------


def population_flow(
    kernel: Kernel,
    alpha: Pair,
    rho: Pair,
    sigma: ArrayLike,
    taus: Float[Array, " t"],
    n_quad: int = 20,
    n_probe: int = 30,
) -> dict[str, Array]:
    r"""Flow of a kernel on the whole mixture, exact in time, by Gauss-Hermite quadrature in z.

    The targets at the nodes are the means m, not labels, which late flow would interpolate. The
    squared error is :math:`E(1 - m^2) + E(m - f)^2`, never below the best classifier's.

    Reliable while the modes in use are resolved: n_quad and n_quad + 8 should agree on the bias
    within 0.04 [measured]. The flow is odd, so the bias moves in steps of 4/450.

    Args:
      kernel: K, from x ``(N, 2)`` and z ``(M, 2)`` to ``(N, M)``, with K(-x, -z) = K(x, z); its odd
        part is taken here.
      alpha: amplifications, shape ``(2,)``, positive.
      rho: predictivities, shape ``(2,)``, in (1/2, 1).
      sigma: covariance in (-1, 1).
      taus: times :math:`\tau = t \lambda_1`, shape ``(T,)``, positive; infinity is allowed.
      n_quad: nodes an axis, static; the cost is one eigendecomposition of at most n_quad**2 rows.
      n_probe: probes a side, even, static.

    Returns:
      ``bias`` (T,), shortcut bias on the grid of probes against LDA; ``mse`` (T,), mean of
      (y - f)^2; ``acc`` (T,), accuracy on the mixture; ``lam`` (N,), eigenvalues, descending;
      ``probe_values`` (T, n_probe**2), f at ``availability.probe_grid``. Batches by ``jax.vmap``
      over alpha, rho and taus.

    Raises:
      ValueError: for shapes or numbers out of range.

    Source: [derived], spec A.4.
    """
    taus = validation.times("taus", taus)
    if not validation.holds(lambda taus: taus > 0, taus):
        raise ValueError(f"taus must be in (0, inf]; got {taus!r:.80}.")
    n_quad = validation.integer("n_quad", n_quad)
    n_probe = validation.integer("n_probe", n_probe)
    rho = validation.vector("rho", rho, length=2)
    mu = shortcut_bias.mu_from_rho(rho)
    alpha = shortcut_bias.amplification(alpha).astype(mu.dtype)
    nodes, weights = data.quadrature(mu, sigma, n_quad)
    target = shortcut_bias.posterior_mean(nodes, mu, sigma)
    probes = shortcut_bias.probe_grid(mu, n_probe)
    odd = odd_kernel(kernel)
    inputs, root = nodes * alpha[None, :], jnp.sqrt(weights)
    operator = semidefinite.kernel_matrix(
        "kernel (its odd part at the nodes)",
        root[:, None] * odd(inputs, inputs) * root[None, :],
    )
    values, vectors = gains.spectrum(operator)
    times = taus.astype(values.dtype) / values[-1]
    rows = jnp.concatenate([odd(probes * alpha[None, :], inputs) * root[None, :], operator])
    learned = gains.response(operator, values, vectors, rows, root * target, times)
    # At the nodes outputs come times the root of their weights.
    probe_values, fitted = jnp.split(learned, [probes.shape[0]], axis=1)
    missed = jnp.sum(((root * target)[None, :] - fitted) ** 2, axis=1)
    best = shortcut_bias.decide(probes @ shortcut_bias.lda_population(mu, sigma))
    bias = jax.vmap(
        lambda f: shortcut_bias.shortcut_bias(shortcut_bias.decide(f), best, probes), in_axes=0
    )(probe_values)
    return {
        "bias": bias,
        "mse": jnp.sum(weights * (1 - target**2)) + missed,
        "acc": jnp.where(jnp.isnan(fitted), fitted, jnp.where(fitted > 0, 1, 0)) @ weights,
        "lam": values[::-1],
        "probe_values": probe_values,
    }
