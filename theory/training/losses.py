"""Losses of a network on margins: identity and logistic, as means over the samples."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array

LOSSES = ("identity", "logistic")


def factors_and_loss(loss: str, margin: Array) -> tuple[Array, Array]:
    """Factors ``-dl/dmargin`` of the samples, and the mean loss."""
    if loss == "identity":
        return jnp.ones_like(margin), -jnp.mean(margin)
    return jax.nn.sigmoid(-margin), jnp.mean(jax.nn.softplus(-margin))
