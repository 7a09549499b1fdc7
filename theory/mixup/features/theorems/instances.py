"""Instances of training on patch data: explicit filters, and Mixup by every mixed input formed.

Filters have coordinates in which the features are the first four axes. Noise is ideal (noise
patches are further axes, of length s) unless an instance brings its own.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
from flax import struct
from jax import Array

from twolayer.theory.mixup.features import data as features_data
from twolayer.theory.mixup.features import dynamics
from twolayer.theory.mixup.features import noise as features_noise
from twolayer.theory.mixup.features.data import PatchData
from twolayer.theory.mixup.features.filters import State
from twolayer.theory.verification.inequality import Bound, equal
from twolayer.theory.verification.theorem import Parameters, Size

SIZES = (
    {"n": 4, "patches": 3, "coins": 1, "rare": 1, "width": 1},
    {"n": 8, "patches": 4, "coins": 1, "rare": 2, "width": 2},
)
KNOBS = {
    "alpha": (0.0, 1.0),
    "log_energy": (-1.0, 3.0),
    "log_scale": (-3.0, 0.5),
    "lam_x": (0.05, 0.95),
    "lam_y": (0.05, 0.95),
    "lr": (0.05, 1.0),
}


@struct.dataclass
class Training:
    """Patch data, filters, and how they are trained; noise is ideal."""

    y: Array  # (n,), classes 0 and 1
    rare: Array  # (n,), bool
    coins: Array  # (n, b), which common feature each patch of feature noise shows
    order: Array  # (n, P), permutations
    weights: Array  # (2, m, 4 + n P): along the features, then along each patch's noise
    alpha: Array
    energy: Array  # s^2
    lam_x: Array
    lam_y: Array
    lr: Array

    @property
    def data(self) -> PatchData:
        """The training set, by its coefficients."""
        return features_data.assemble(self.y, self.rare, self.coins, self.order, self.alpha)

    @property
    def noise_vectors(self) -> Array:
        """Noise of each patch in the coordinates off the features, shape (n, P, e)."""
        n, patches = self.order.shape
        axes = jnp.eye(n * patches, dtype=self.weights.dtype).reshape(n, patches, n * patches)
        return jnp.sqrt(self.energy) * axes * self.data.noise_mask[:, :, None]

    @property
    def inputs(self) -> Array:
        """The samples as vectors, shape (n, P, d)."""
        return jnp.concatenate([self.data.coef, self.noise_vectors], axis=2)

    def project(self, weights: Array) -> State:
        """Inner products of filters with features and noise."""
        noise = features_noise.inner_products(weights[..., 4:], self.noise_vectors)
        return State(a=weights[..., :4], q=noise)


@struct.dataclass
class Noisy(Training):
    """The same with noise patches of any lengths and angles."""

    noise: Array  # (n, P, e)

    @property
    def noise_vectors(self) -> Array:
        """Noise of each patch, zero where a patch has none."""
        return self.noise * self.data.noise_mask[:, :, None]


def mixed_loss(weights: Array, inputs: Array, y: Array, lam_x: Array, lam_y: Array) -> Array:
    """Cross-entropy over all ordered pairs, every mixed input formed."""
    mixed = lam_x * inputs[:, None] + (1 - lam_x) * inputs[None, :]
    outputs = jnp.sum(jnp.tensordot(weights, mixed, axes=(2, 3)) ** 2, axis=(1, 4))
    log_probs = jax.nn.log_softmax(outputs, axis=0)
    label = jax.nn.one_hot(y, 2, axis=0, dtype=weights.dtype)
    mixed_label = lam_y * label[:, :, None] + (1 - lam_y) * label[:, None, :]
    return -jnp.mean(jnp.sum(mixed_label * log_probs, axis=0))


def mixed_output_gaps(at: Training) -> Array:
    """Difference of both logits at every mixed input, formed."""
    x = at.inputs
    mixed = at.lam_x * x[:, None] + (1 - at.lam_x) * x[None, :]
    outputs = jnp.sum(jnp.tensordot(at.weights, mixed, axes=(2, 3)) ** 2, axis=(1, 4))
    return outputs[0] - outputs[1]


def close(at: Training, first: Array, second: Array, scale: Array | float = 0.0) -> Bound:
    """Equal but for rounding of the largest entry of both, or of terms of size ``scale``.

    Residuals are known to the rounding of the difference of two outputs.
    """
    state, data = at.project(at.weights), at.data
    outputs = jnp.max(jnp.sum(dynamics.preactivations(state, data) ** 2, axis=(0, 1, 3)))
    largest = jnp.maximum(jnp.max(jnp.abs(first)), jnp.max(jnp.abs(second)))
    rounding = 1e-13 * (10 + outputs) * jnp.maximum(largest, scale)
    return equal(first, second, rounding + jnp.finfo(float).tiny)


def class_signs(y: Array) -> Array:
    """1 where a filter's class (rows 0 and 1) is the sample's, else -1, shape (2, n)."""
    return jnp.stack([1.0 - 2 * y, 2.0 * y - 1])


def sample_training(
    key: Array, size: Size, parameters: Parameters, *, layout: str = "fixed"
) -> Training:
    """Balanced classes with the rare samples first, normal filters of any size."""
    n, patches, coins, width = size["n"], size["patches"], size["coins"], size["width"]
    dim = 4 + n * patches
    raw = jax.random.normal(key, (2 * width * dim + n * (coins + patches),))
    weights, rest = raw[: 2 * width * dim], raw[2 * width * dim :].reshape(n, coins + patches)
    order = jnp.argsort(rest[:, coins:], axis=1)
    if layout == "fixed":
        order = jnp.broadcast_to(jnp.arange(patches), order.shape)
    place = jnp.arange(n)
    return Training(
        y=(place >= n // 2).astype(jnp.int32),
        rare=place % (n // 2) < size["rare"],
        coins=(rest[:, :coins] < 0).astype(jnp.int32),
        order=order,
        weights=jnp.exp(parameters["log_scale"]) * weights.reshape(2, width, dim),
        alpha=parameters["alpha"],
        energy=jnp.exp(parameters["log_energy"]),
        lam_x=parameters["lam_x"],
        lam_y=parameters["lam_y"],
        lr=parameters["lr"],
    )


def sample_noisy(key: Array, size: Size, parameters: Parameters) -> Noisy:
    """Noise patches in half as many dimensions as there are, so that they overlap."""
    key_noise, key_rest = jax.random.split(key)
    at = sample_training(key_rest, size, parameters, layout="random")
    n, patches = at.order.shape
    dim = n * patches // 2
    noise = jax.random.normal(key_noise, (n, patches, dim)) * jnp.sqrt(at.energy / dim)
    fields = {field.name: getattr(at, field.name) for field in dataclasses.fields(Training)}
    return Noisy(**{**fields, "weights": at.weights[..., : 4 + dim]}, noise=noise)
