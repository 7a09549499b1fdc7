"""Gradient flow of kernel least squares, exact in time, with unseen rows."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from twolayer.theory import semidefinite, validation
from twolayer.theory.training import gains


def kernel_flow(
    k: Float[Array, "n n"],
    k_probe: Float[Array, "p n"],
    y: Float[Array, " n"],
    times: Float[Array, " t"],
    rcond: float = 1e-11,
) -> Float[Array, "t p"]:
    r"""Flow :math:`\dot f = K (y - f)` on a sample, at probes.

    .. math:: f_t(z) = K(z, X)\, K^{-1} (I - e^{-t K})\, y

    The kernel is taken as given: for the mean over n samples pass K/n and k_probe/n.

    Args:
      k: K(X, X), symmetric and positive semi-definite, shape ``(n, n)``.
      k_probe: K(z, X) of the same kernel, shape ``(p, n)``: it has no part in the null space.
      y: targets, shape ``(n,)``.
      times: shape ``(T,)``, non-negative; infinity is allowed.
      rcond: at infinite time modes below this share of the largest eigenvalue are left out; at
        finite times none is but those at rounding level, once all others are learned.

    Returns:
      Outputs, shape ``(T, p)``.

    Raises:
      ValueError: for a K that is not symmetric and positive semi-definite to 1e-10 of its largest
        entry (or rounding), shapes that do not fit, or a negative time.
    """
    k = semidefinite.kernel_matrix("k", k)
    k_probe = validation.matrix("k_probe", k_probe, columns=k.shape[0])
    y = validation.vector("y", y, length=k.shape[0])
    times = validation.times("times", times)
    rcond = validation.scalar("rcond", rcond, low=0.0)
    k, k_probe, y = validation.alike(k, k_probe, y)
    times = times.astype(k.dtype)
    values, vectors = gains.spectrum(k)
    late = jnp.isinf(times)[:, None] & (values <= rcond * values[-1])[None, :]
    return gains.response(k, jnp.where(late, 0, values[None, :]), vectors, k_probe, y, times)
