"""Bound the distance of the mean of coin flips from its expectation."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array


def radius(n: int, delta: float) -> Array:
    r"""Hoeffding's radius :math:`\sqrt{\ln(2/\delta)/(2n)}` of the mean of n flips.

    Args:
      n: number of flips.
      delta: probability with which the mean may be farther away, in (0, 1).

    Source: [paper] Hoeffding 1963, Theorem 2.
    """
    return jnp.sqrt(jnp.log(2 / delta) / (2 * n))
