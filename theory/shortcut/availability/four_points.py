r"""Four points: whether a kernel first follows the shortcut, and for how long, in closed form.

Latents are signs, :math:`z \in \{-1, 1\}^2`, which equal the label with probabilities
:math:`1/2 < \rho_s < \rho_c < 1`, independently given it; :math:`x = (\alpha_s z_s, \alpha_c z_c)`.
For a kernel K that coordinate flips leave alone, the flow of squared loss from 0 closes on the
outputs :math:`f = (f_+, f_-)` at :math:`(z_s, z_c) = (1, 1)` and :math:`(-1, 1)`:

.. math:: \dot f = M (m - f), \qquad
          M = \begin{pmatrix} p_+ k_0 & p_- k_1 \\ p_+ k_1 & p_- k_0 \end{pmatrix}, \qquad
          m = \Big(\frac{\rho_s + \rho_c - 1}{p_+},\ \frac{\rho_c - \rho_s}{p_-}\Big),

with :math:`p_+ = \rho_s\rho_c + (1-\rho_s)(1-\rho_c) = 1 - p_-` and the odd part's values
:math:`k_0` at equal points and :math:`k_1` between the two. Where the features are in conflict
:math:`f_- > 0` follows the core and :math:`f_- < 0` the shortcut.

With :math:`\kappa = -k_1/k_0` the shortcut is followed first iff
:math:`\kappa > g = (\rho_c - \rho_s)/(\rho_s + \rho_c - 1)`, until a single time of switching. A
dot-product kernel with non-negative coefficients has :math:`\kappa` at most the linear kernel's
:math:`(\alpha_s^2 - \alpha_c^2)/(\alpha_s^2 + \alpha_c^2)`, where :math:`\alpha_s \ge \alpha_c`:
here a non-linear kernel leaves the shortcut no later than a linear one.

Source: spec shortcut bias, Theorem A4 [derived].
"""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float

from twolayer.theory import precision, roots, validation
from twolayer.theory.kernels.deep import Kernel
from twolayer.theory.shortcut.availability import flows, shortcut_bias
from twolayer.theory.shortcut.availability.shortcut_bias import Pair

_HALVINGS = 200
# How far a kernel may be from the same at all four points.
_SYMMETRY = 1e-10


@struct.dataclass
class FourPoints:
    r"""The flow on four points.

    Attributes:
      kappa: :math:`\kappa = -k_1/k_0`.
      threshold: g; the shortcut is followed first where kappa exceeds it.
      lam: eigenvalues of M, shape ``(2,)``, descending.
      m: limits :math:`(m_+, m_-)`, shape ``(2,)``, both positive.
      modes: :math:`f(t) = \sum_i (1 - e^{-\lambda_i t})\, \mathrm{modes}_i`, shape ``(2, 2)``.
      t_switch: the time t, unscaled, at which :math:`f_-` turns positive; NaN where it is never
        negative.
    """

    kappa: Array
    threshold: Array
    lam: Array
    m: Array
    modes: Array
    t_switch: Array

    def f(self, t: ArrayLike) -> Float[Array, "*batch 2"]:
        """Outputs (f_+, f_-) at times t of any shape; (..., 2)."""
        time = jnp.asarray(t, self.lam.dtype)[..., None]
        first, second = -jnp.expm1(-time * self.lam[0]), -jnp.expm1(-time * self.lam[1])
        rows = self.modes.reshape((2,) + (1,) * (time.ndim - 1) + (2,))
        return first * rows[0] + second * rows[1]


def four_point(kernel: Kernel, alpha: Pair, rho_s: ArrayLike, rho_c: ArrayLike) -> FourPoints:
    """The flow of a kernel on four points, in closed form.

    Args:
      kernel: K, from x ``(N, 2)`` and z ``(M, 2)`` to ``(N, M)``, the same after a change of sign
        of one coordinate of both; its odd part is taken here.
      alpha: amplifications, shape ``(2,)``, positive.
      rho_s: predictivity of the shortcut, in (1/2, rho_c).
      rho_c: predictivity of the core, in (rho_s, 1).

    Returns:
      A :class:`FourPoints`.

    Raises:
      ValueError: for numbers out of range, a kernel that flips change, or one without
        ``k_0 > |k_1|``, such as a kernel of one feature alone, or an even one.

    Source: [derived] Theorem A4 (i), (ii).
    """
    for name, value in (("rho_s", rho_s), ("rho_c", rho_c)):
        validation.scalar(name, value, low=0.5, high=1.0, open_low=True, open_high=True)
    if not validation.holds(lambda s, c: s < c, rho_s, rho_c):
        raise ValueError(f"rho_s must be below rho_c; got {rho_s} and {rho_c}.")
    k0, k1 = _odd_values(kernel, shortcut_bias.amplification(alpha))
    shortcut, core = (jnp.asarray(rho, k0.dtype) for rho in (rho_s, rho_c))
    together = shortcut * core + (1 - shortcut) * (1 - core)
    apart = shortcut * (1 - core) + core * (1 - shortcut)
    drift = jnp.stack([shortcut + core - 1, core - shortcut])
    m = drift / jnp.stack([together, apart])
    # Of M the trace is k0; the smaller eigenvalue comes from the determinant, to all its digits.
    determinant = together * apart * (k0 - k1) * (k0 + k1)
    gap = jnp.sqrt(k0**2 * (together - apart) ** 2 + 4 * together * apart * k1**2)
    largest = (k0 + gap) / 2
    lam = jnp.stack([largest, determinant / largest])
    # M m, by what M makes of the mean labels; then m = modes_1 + modes_2, M m with the eigenvalues.
    speed = jnp.stack([k0 * drift[0] + k1 * drift[1], k1 * drift[0] + k0 * drift[1]])
    modes = jnp.stack([speed - lam[1] * m, lam[0] * m - speed]) / gap
    kappa, threshold = -k1 / k0, drift[1] / drift[0]
    found = FourPoints(
        kappa=kappa,
        threshold=threshold,
        lam=lam,
        m=m,
        modes=modes,
        t_switch=jnp.zeros_like(k0),
    )
    t_switch = jnp.where(kappa > threshold, _switch(found), jnp.nan)
    return dataclasses.replace(found, t_switch=t_switch)


def linear_kappa(alpha: Pair) -> Float[Array, ""]:
    r"""The linear kernel's :math:`\kappa = (\alpha_s^2-\alpha_c^2)/(\alpha_s^2+\alpha_c^2)`.

    Args:
      alpha: amplifications, shape ``(2,)``, positive.

    Source: [derived] Theorem A4 (ii).
    """
    shortcut, core = shortcut_bias.amplification(alpha)
    return (shortcut - core) * (shortcut + core) / (shortcut**2 + core**2)


def _odd_values(kernel: Kernel, alpha: Array) -> tuple[Array, Array]:
    signs = jnp.array([[1.0, 1.0], [-1.0, 1.0]], alpha.dtype)
    points = signs * alpha[None, :]
    odd = flows.odd_kernel(kernel)(points, points)
    if not validation.holds(
        lambda odd: (
            jnp.maximum(abs(odd[0, 0] - odd[1, 1]), abs(odd[0, 1] - odd[1, 0]))
            <= max(_SYMMETRY, 8 * precision.rounding(odd)) * jnp.max(jnp.abs(odd))
        ),
        odd,
    ):
        raise ValueError(f"kernel must not change under coordinate flips; got {odd.tolist()}.")
    k0, k1 = odd[0, 0], odd[0, 1]
    if not validation.holds(lambda k0, k1: k0 > jnp.abs(k1), k0, k1):
        raise ValueError(f"kernel must have k_0 > |k_1|; got k_0 = {k0} and k_1 = {k1}.")
    return k0, k1


def _switch(found: FourPoints) -> Array:
    """The zero of f_-, which is negative before and positive after it, by bisection."""
    first, second = found.modes[0, 1], found.modes[1, 1]
    limit = found.m[1]

    def value(t: Array) -> Array:
        return found.f(t)[1]

    def halve(_: Any, ends: tuple[Array, Array]) -> tuple[Array, Array]:
        middle = (ends[0] + ends[1]) / 2
        before = value(middle) < 0
        return jnp.where(before, middle, ends[0]), jnp.where(before, ends[1], middle)

    # From here on the slower mode, of largest weight, cannot outdo the limit.
    last = jnp.log((jnp.abs(first) + jnp.abs(second)) / limit) / found.lam[1]
    ends = jax.lax.fori_loop(0, _HALVINGS, halve, (jnp.zeros_like(last), last))
    # A step of Newton's method is rounding to the value.
    return roots.implicit(value, ends[1] - value(ends[1]) / jax.grad(value)(ends[1]))
