"""Filters of a quadratic convolutional network, by their inner products with patch data.

Training looks at nothing else of them (:mod:`twolayer.theory.mixup.features.dynamics`).
"""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from jax import Array
from jaxtyping import Float, Key

from twolayer.theory import semidefinite, validation
from twolayer.theory.mixup.features import data as features_data
from twolayer.theory.mixup.features import noise as features_noise
from twolayer.theory.mixup.features.data import PatchData, Scalar

# Noise of a data set: its energy s^2 where noise patches are orthogonal and of one norm s (ideal),
# else their Gram tensor.
Noise = int | float | Float[Array, ""] | Float[Array, "n P n P"]


@struct.dataclass
class State:
    """Inner products of all filters of both classes.

    Attributes:
      a: with the features, shape ``(2, m, 4)``.
      q: with the noise patches of the training set, 0 at other patches, shape ``(2, m, n, P)``.
    """

    a: Array
    q: Array


def checked(name: str, state: State, data: PatchData) -> tuple[State, PatchData]:
    """Filters and the training set ``data`` that they have their inner products with.

    All in the dtype of ``state.a``, so that a step gives what a next one takes.

    Raises:
      ValueError: for what is neither, or has arrays of shapes that do not fit.
    """
    data = features_data.checked("data", data)
    n, patches = data.noise_mask.shape
    state = validation.record(name, state, State, a="2 m 4", q=f"2 m {n} {patches}")
    dtype = state.a.dtype
    coef, mask = data.coef.astype(dtype), data.noise_mask.astype(dtype)
    return (
        dataclasses.replace(state, q=state.q.astype(dtype)),
        dataclasses.replace(data, coef=coef, noise_mask=mask),
    )


def init_state(
    key: Key[Array, ""], data: PatchData, width: int, init_scale: Scalar, noise: Noise
) -> State:
    r"""Inner products of filters with entries :math:`N(0, \sigma_0^2)`, by their exact law.

    Args:
      key: random key.
      data: the training set.
      width: m, filters of each class.
      init_scale: sigma_0, positive.
      noise: energy s^2 of ideal noise, or the Gram tensor ``(n, P, n, P)`` of noise patches, zero
        elsewhere and positive semi-definite.

    Raises:
      ValueError: for numbers outside these ranges or a tensor of another shape.
    """
    data = features_data.checked("data", data)
    width = validation.integer("width", width)
    init_scale = validation.scalar("init_scale", init_scale, low=0.0, open_low=True)
    noise = checked_noise(noise, data)
    mask = data.noise_mask
    shape, dtype = (2, width, 4 + mask.size), data.coef.dtype
    normal = jax.random.normal(validation.key("key", key), shape, dtype)
    a, q = normal[..., :4], normal[..., 4:]
    if noise.ndim == 0:
        q = jnp.sqrt(noise) * q
    else:
        # A pivot of 1 where there is no noise keeps the factor regular; the mask drops it.
        gram = noise.reshape(mask.size, mask.size) + jnp.diag(1 - mask.reshape(-1))
        q = q @ features_noise.gram_root(gram).T
    scale = jnp.asarray(init_scale, dtype)
    q = q.reshape(2, width, *mask.shape) * mask.astype(dtype)[None, None]
    return State(a=scale * a, q=scale * q)


def checked_noise(noise: Any, data: PatchData) -> Array:
    """The energy, shape (), or the Gram tensor."""
    if jnp.ndim(noise) == 0:
        noise = validation.scalar("noise", noise, low=0.0, open_low=True)
        return jnp.asarray(noise, data.coef.dtype)
    wanted, size = data.noise_mask.shape * 2, data.noise_mask.size
    if jnp.shape(noise) != wanted:
        raise ValueError(
            f"noise must be an energy or a Gram tensor of shape {wanted}; "
            f"got shape {jnp.shape(noise)}."
        )
    gram = semidefinite.kernel_matrix("noise", jnp.reshape(noise, (size, size)))
    return gram.reshape(wanted).astype(data.coef.dtype)
