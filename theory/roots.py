"""Derivatives of a root by its equation, of every order."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array


def implicit(residual: Callable[[Array], Array], found: Array) -> Array:
    r"""A root that was found by any means, with the derivatives that its equation gives it.

    .. math:: f(x(\theta), \theta) = 0 \;\Rightarrow\;
              x'(\theta) = -\partial_\theta f / \partial_x f

    and so on to every order. A single step of Newton's method from a constant root has the first
    derivative alone.

    Args:
      residual: x -> f(x, theta), of shape ``()``, closing over theta; smooth at the root.
      found: the root, shape ``()``; a constant from here on.

    Returns:
      The root: the value of ``found``, with other derivatives. They are not finite where f has no
      slope in x.
    """

    def divide(slope: Callable[[Array], Array], tangent: Array) -> Array:
        return tangent / slope(jnp.ones_like(tangent))

    constant = jax.lax.stop_gradient(found)
    return jax.lax.custom_root(residual, constant, lambda _, start: start, divide)
