r"""Spectra of kernels: on the circle, and on clustered data.

A kernel that is homogeneous and rotation-invariant in the plane,
:math:`K = r r' \sum_k a_k \cos k(\varphi - \varphi')`, has under an isotropic density with
:math:`E r^2 = m_2` the eigenfunctions :math:`r \cos k\varphi, r \sin k\varphi` with eigenvalue
:math:`a_k m_2/2` and r with :math:`a_0 m_2` (Theorem A3). The two-layer ReLU kernel without bias
has no odd k but 1: its odd part is linear. A second hidden layer, a bias or another activation adds
odd k, which is what non-linear odd parts are made of.

On clusters, :math:`x = c_i + s\,\xi` with probability :math:`\pi_i`, eigenvalues are those of the
second moment for the linear kernel (Theorem D1), and tend to those at the centres for any kernel
(D2). Frequent clusters have large eigenvalues, and large eigenvalues are learned first.

Source: spec shortcut bias, A.3 and D [derived].
"""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float

from twolayer.theory import precision, semidefinite, validation
from twolayer.theory.kernels.deep import Kernel

_TOTAL = 1e-12


def angular_coefficients(kernel: Kernel, k_max: int, n: int = 4096) -> Float[Array, " k"]:
    r"""Cosine coefficients of a kernel on the unit circle.

    .. math:: K(0, \varphi) = \sum_k a_k \cos k\varphi

    Args:
      kernel: K, from x ``(N, 2)`` and z ``(M, 2)`` to ``(N, M)``, rotation-invariant.
      k_max: last coefficient, below n / 2.
      n: points of the discrete Fourier transform; coefficients from n - k_max on fold into these.

    Returns:
      :math:`a_0` (the mean) to :math:`a_{k_{max}}`, shape ``(k_max + 1,)``.

    Raises:
      ValueError: for a k_max not below n / 2.

    Source: [derived] Theorem A3.
    """
    n = validation.integer("n", n, low=2)
    k_max = validation.integer("k_max", k_max, low=0)
    if 2 * k_max >= n:
        raise ValueError(f"k_max must be below n / 2 = {n / 2:g}; got {k_max}.")
    phi = 2 * jnp.pi * jnp.arange(n, dtype=float) / n
    circle = jnp.stack([jnp.cos(phi), jnp.sin(phi)], axis=1)
    values = jnp.fft.rfft(kernel(circle[:1], circle)[0]).real[: k_max + 1] / n
    return values * jnp.where(jnp.arange(k_max + 1) == 0, 1.0, 2.0)


def relu_angular_coefficients(k_max: int) -> Float[Array, " k"]:
    r"""Those of the two-layer ReLU kernel without bias, in closed form.

    .. math:: a_0 = 6/\pi^2,\quad a_1 = 1,\quad
              a_k = \frac{4}{\pi^2} \frac{k^2 + 3}{(k^2 - 1)^2}\ \text{for even } k \ge 2,
              \quad a_k = 0 \text{ for odd } k \ge 3

    Args:
      k_max: last coefficient, at least 0.

    Returns:
      Shape ``(k_max + 1,)``.

    Source: [derived] Theorem A3.
    """
    k = jnp.arange(validation.integer("k_max", k_max, low=0) + 1, dtype=float)
    square = jnp.where(k == 1, 0.0, k**2)
    even = 4 / jnp.pi**2 * (square + 3) / (square - 1) ** 2
    return jnp.where(k % 2 == 0, jnp.where(k == 0, 0.5, 1.0) * even, jnp.where(k == 1, 1.0, 0.0))


def mixture_linear_spectrum(
    pi: Float[Array, " c"], centres: Float[Array, "c d"], s2: ArrayLike
) -> tuple[Float[Array, " d"], Float[Array, "d d"]]:
    r"""Eigenvalues of the linear kernel on clusters :math:`\sum_i \pi_i N(c_i, s_i^2 I)`.

    Those of :math:`\sum_i \pi_i (c_i c_i^T + s_i^2 I)`; the eigenfunctions are
    :math:`v_k \cdot x / \sqrt{\lambda_k}`.

    Args:
      pi: masses, shape ``(C,)``, non-negative, of sum 1.
      centres: rows, shape ``(C, d)``.
      s2: variances within clusters, one for all or shape ``(C,)``, non-negative.

    Returns:
      Eigenvalues, descending, shape ``(d,)``, and eigenvectors as columns, shape ``(d, d)``.

    Raises:
      ValueError: for masses that are negative or do not sum to 1, or shapes that do not fit.

    Source: [derived] Theorem D1.
    """
    centres, pi = _clusters(pi, centres)
    s2 = validation.number("s2", s2, low=0.0)
    spread = jnp.asarray(s2, centres.dtype)
    if spread.shape not in ((), pi.shape):
        raise ValueError(f"s2 must be a number or of shape {pi.shape}; got {spread.shape}.")
    inner = jnp.sum(pi * jnp.broadcast_to(spread, pi.shape))
    moment = (centres * pi[:, None]).T @ centres + inner * jnp.eye(centres.shape[1], dtype=pi.dtype)
    values, vectors = jnp.linalg.eigh(moment)
    return values[::-1], vectors[:, ::-1]


def centre_spectrum(
    kernel: Kernel, pi: Float[Array, " c"], centres: Float[Array, "c d"]
) -> Float[Array, " c"]:
    r"""Eigenvalues of a kernel on clusters without width.

    Those of :math:`\sqrt{\pi_i}\, K(c_i, c_j) \sqrt{\pi_j}`.

    Args:
      kernel: K, from x ``(N, d)`` and z ``(M, d)`` to ``(N, M)``.
      pi: masses, shape ``(C,)``, non-negative, of sum 1.
      centres: rows, shape ``(C, d)``.

    Returns:
      Eigenvalues, descending, shape ``(C,)``.

    Raises:
      ValueError: for masses that are negative or do not sum to 1, shapes that do not fit, or a
        kernel whose matrix is not symmetric and positive semi-definite.

    Source: [derived] Theorem D2.
    """
    centres, pi = _clusters(pi, centres)
    root = jnp.sqrt(pi)
    operator = semidefinite.kernel_matrix(
        "kernel (at the centres)", root[:, None] * kernel(centres, centres) * root[None, :]
    )
    return jnp.linalg.eigvalsh(operator)[::-1]


def _clusters(pi: Array, centres: Array) -> tuple[Array, Array]:
    room = max(_TOTAL, 8 * precision.rounding(pi))
    centres = validation.matrix("centres", centres)
    pi = validation.vector("pi", pi, length=centres.shape[0])
    validation.number("pi", pi, low=0.0)
    if not validation.holds(lambda pi: jnp.abs(jnp.sum(pi) - 1) <= room, pi):
        raise ValueError(f"pi must sum to 1; got {float(jnp.sum(pi))}.")
    return centres, pi.astype(centres.dtype)
