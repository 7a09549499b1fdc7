r"""Midpoint mixup of classes with two features each: why it needs both.

A sample of class y is :math:`\beta v_{y,1} + (1 - \beta) v_{y,2}` with orthonormal features and
:math:`\beta \sim U(1/4, 3/4)`; a linear score has correlation :math:`a_1, a_2` with the own class's
two features, the same for each class, and 0 with all others. Training on single samples may learn
one feature alone; training on midpoints of two samples with half of each label cannot reach its
floor :math:`(1 - 1/k) \log 2` unless both are learned alike.

Source: setting [paper] of Chidambaram, Wang, Wu, Ge, ICML 2023 (arXiv 2210.13512); the statement
[derived].
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from twolayer.theory import validation
from twolayer.theory.mixup.calibration.mixup_posterior import gauss_legendre

# Range of the share of a sample's first feature.
SHARES = (0.25, 0.75)


def midpoint_losses(
    a1: float | Float[Array, ""], a2: float | Float[Array, ""], k: int, *, nodes: int = 64
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Expected loss of midpoint mixup and of training on single samples.

    The midpoint loss is over all ordered pairs of classes, a class with itself included, the two
    samples' shares independent.

    Args:
      a1: correlation with the first feature of the own class; any sign.
      a2: correlation with the second.
      k: number of classes, at least 2.
      nodes: Gauss-Legendre nodes in each share; the integrands bend on the scale 1 / (a1 - a2).

    Returns:
      Midpoint loss, and loss of single samples.

    Raises:
      ValueError: for fewer than two classes, or fewer than one node.

    Source: [derived] Proposition D1.
    """
    a1 = validation.scalar("a1", a1)
    a2 = validation.scalar("a2", a2)
    k = validation.integer("k", k, low=2)
    share, weights = shares(nodes)
    score = share * a1 + (1 - share) * a2
    first, second = score[:, None] / 2, score[None, :] / 2
    mean = first / 2 + second / 2
    # k - 2 or k - 1 other classes have score 0.
    rest = jnp.log(jnp.asarray([max(k - 2, 1), k - 1], score.dtype))
    apart = jnp.logaddexp(first, second)
    apart = (apart if k == 2 else jnp.logaddexp(apart, rest[0])) - mean
    alike = jnp.logaddexp(first + second, rest[1]) - (first + second)
    midpoint = weights @ ((1 - 1 / k) * apart + alike / k) @ weights
    return midpoint, weights @ jax.nn.softplus(rest[1] - score)


def shares(nodes: int) -> tuple[Array, Array]:
    """Nodes and weights for the share of the first feature, uniform in its range."""
    x, weights = gauss_legendre(nodes)
    return SHARES[0] + (SHARES[1] - SHARES[0]) * x, weights
