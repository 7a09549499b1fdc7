r"""Points moved along one direction, and what follows without forming their products again.

Base points :math:`b_n` are moved towards their targets,
:math:`x^a_n = b_n + \varepsilon\, y^a_n D`. Their Gram matrix is that of the base points with a
change of rank two, so that the margin multipliers of every size of the perturbation come from one
factorisation.

Source: setting [code] of Kumano, Kera, Yamasaki, ICLR 2024 (arXiv 2402.10470); every formula
[derived].
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from twolayer.theory import semidefinite, validation
from twolayer.theory.perturbation.orthogonal import multipliers

Scalar = int | float | Float[Array, ""]


def perturb(
    base: Float[Array, "n d"],
    targets: Float[Array, "n"],
    direction: Float[Array, "d"],
    eps: Scalar,
) -> Float[Array, "n d"]:
    r"""Base points moved towards their targets, :math:`x^a_n = b_n + \varepsilon\, y^a_n D`.

    Args:
      base: b, shape ``(n, d)``.
      targets: labels :math:`y^a`, shape ``(n,)``.
      direction: D, shape ``(d,)``, as made by :func:`twolayer.theory.geometry.direction`.
      eps: size of every perturbation in the norm of D, non-negative.

    Raises:
      ValueError: for shapes that differ, labels other than -1 and +1, or ``eps < 0``.
    """
    base = validation.matrix("base", base)
    targets = validation.labels("targets", targets, length=base.shape[0]).astype(base.dtype)
    direction = validation.vector("direction", direction, length=base.shape[1])
    eps = validation.scalar("eps", eps, low=0.0)
    return base + jnp.asarray(eps, base.dtype) * targets[:, None] * direction[None, :]


def perturbed_gram(
    gram_base: Float[Array, "n n"],
    base_dot_dir: Float[Array, "n"],
    dir_sqnorm: Scalar,
    targets: Float[Array, "n"],
    eps: Scalar,
) -> Float[Array, "n n"]:
    r"""Gram matrix of the perturbed points from that of the base points, a change of rank two.

    .. math:: G^a_{nk} = \langle b_n, b_k\rangle
              + \varepsilon\,(y^a_k \langle b_n, D\rangle + y^a_n \langle b_k, D\rangle)
              + \varepsilon^2 |D|^2 y^a_n y^a_k

    A sweep over eps costs one Gram matrix and O(n^2) a value; its multipliers cost less still, see
    :func:`perturbed_multipliers`.

    Args:
      gram_base: Gram matrix of b, shape ``(n, n)``.
      base_dot_dir: products of b with D, shape ``(n,)``.
      dir_sqnorm: :math:`|D|^2`, non-negative: 1 for ``l2`` and ``l0``, up to d for ``linf``.
      targets: labels :math:`y^a`, shape ``(n,)``.
      eps: size of every perturbation in the norm of D, non-negative.

    Raises:
      ValueError: for shapes that differ, labels other than -1 and +1, or negative numbers.
    """
    gram_base = semidefinite.kernel_matrix("gram_base", gram_base)
    n = gram_base.shape[0]
    base_dot_dir = validation.vector("base_dot_dir", base_dot_dir, length=n)
    targets = validation.labels("targets", targets, length=n).astype(gram_base.dtype)
    dir_sqnorm = validation.scalar("dir_sqnorm", dir_sqnorm, low=0.0)
    eps = validation.scalar("eps", eps, low=0.0)
    eps = jnp.asarray(eps, gram_base.dtype)
    half = eps * base_dot_dir + eps**2 * jnp.asarray(dir_sqnorm, gram_base.dtype) * targets / 2
    change = half[:, None] * targets[None, :]
    return gram_base + (change + change.T)


def perturbed_multipliers(
    gram_base: Float[Array, "n n"],
    base_dot_dir: Float[Array, "n"],
    dir_sqnorm: Scalar,
    targets: Float[Array, "n"],
    gamma: multipliers.Slope,
    eps: Float[Array, "k"],
) -> Float[Array, "k n"]:
    r"""Multipliers after perturbations of several lengths, from one factorisation.

    With :math:`c_n = \langle b_n, D\rangle` and :math:`V = [c,\, y^a,\, y^a \circ c,\, 1]` the
    margin matrix changes by :math:`V C V^T`, so that by the Sherman-Morrison-Woodbury formula

    .. math:: \lambda^a = 2\,\big[M^{-1} 1
              - M^{-1} V\, (I + C\, V^T M^{-1} V)^{-1} C\, V^T M^{-1} 1\big]

    where C holds :math:`\tfrac12(1-\gamma)^2` times :math:`\varepsilon` at :math:`(c, y^a)` and its
    mirror and :math:`\varepsilon^2 |D|^2` at :math:`(y^a, y^a)`, and :math:`\tfrac12(1+\gamma)^2`
    times the same for the last two columns. Cost :math:`n^3/3` once and O(n) a length.

    Args:
      gram_base: Gram matrix of b, shape ``(n, n)``.
      base_dot_dir: products of b with D, shape ``(n,)``.
      dir_sqnorm: :math:`|D|^2`, non-negative.
      targets: labels :math:`y^a`, shape ``(n,)``.
      gamma: slope in (0, 1].
      eps: sizes of the perturbations, shape ``(k,)``, non-negative.

    Returns:
      One row for each length, as
      :func:`twolayer.theory.perturbation.orthogonal.multipliers.solve_multipliers` of its Gram
      matrix; NaN under ``jit`` where the *base* points have a singular margin matrix.

    Raises:
      ValueError: as :func:`perturbed_gram`, and outside ``jit`` for that singular matrix.

    Source: [derived].
    """
    gram_base = semidefinite.kernel_matrix("gram_base", gram_base)
    n = gram_base.shape[0]
    targets = validation.labels("targets", targets, length=n)
    factor = multipliers.margin_factor(gram_base, targets, gamma)
    c = validation.vector("base_dot_dir", base_dot_dir, length=n).astype(factor.dtype)
    t = targets.astype(factor.dtype)
    eps = validation.number("eps", eps, low=0.0)
    eps = validation.vector("eps", eps).astype(factor.dtype)
    dir_sqnorm = validation.scalar("dir_sqnorm", dir_sqnorm, low=0.0)
    gamma = jnp.asarray(gamma, factor.dtype)
    columns = jnp.stack([c, t, t * c, jnp.ones_like(c)], axis=1)
    solved = jax.scipy.linalg.cho_solve((factor, True), columns)
    inner = columns.T @ solved
    weights = jnp.stack([(1 - gamma) ** 2, (1 + gamma) ** 2]) / 2

    def solve(eps: Array) -> Array:
        pair = jnp.array([[0.0, 1.0], [1.0, 0.0]], factor.dtype) * eps
        pair = pair.at[1, 1].set(eps**2 * dir_sqnorm)
        change = jax.scipy.linalg.block_diag(weights[0] * pair, weights[1] * pair)
        system = jnp.eye(4, dtype=factor.dtype) + change @ inner
        moved = jnp.linalg.solve(system, change @ inner[:, 3])
        return 2 * (solved[:, 3] - solved @ moved)

    return jax.vmap(solve)(eps)
