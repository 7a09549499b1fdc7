"""Networks (flax): perceptrons of any depth, and a residual convolutional network for images."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array
from jax.flatten_util import ravel_pytree

from twolayer.theory import precision, validation

# Channels at width 1.
_CHANNELS = (16, 128, 256)
# Smaller images than this are not halved by the first layer, or nothing would be left of them.
_SMALLEST_HALVED = 12
_SMALLEST = 7


class Convolution(nn.Module):
    """A 3 x 3 convolution with ReLU, as one product of a matrix with all patches.

    Images are ``(channels, height, width, n)``: with the samples innermost, patches are copied in
    long stretches, and one matrix ``(9 channels, features)`` meets all of them.

    [measured] XLA's own convolution is many times slower inside a loop on CPU, where all training
    and attacking happens; with the channels innermost, patches take up to twice as long.
    """

    features: int
    stride: int = 1
    padding: int = 0

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Images ``(channels, height, width, n)`` to ``(features, height', width', n)``."""
        space = (self.padding, self.padding)
        x = jnp.pad(x, ((0, 0), space, space, (0, 0)))
        rows, columns = (self.stride * ((size - 3) // self.stride) + 1 for size in x.shape[1:3])
        patches = jnp.concatenate(
            [
                x[:, i : i + rows : self.stride, j : j + columns : self.stride]
                for i in range(3)
                for j in range(3)
            ]
        )
        kernel = self.param(
            "kernel", nn.initializers.lecun_normal(), (patches.shape[0], self.features), jnp.float32
        )
        bias = self.param("bias", nn.initializers.zeros, (self.features,), jnp.float32)
        products = kernel.T @ patches.reshape(patches.shape[0], -1)
        return nn.relu(products + bias[:, None]).reshape(self.features, *patches.shape[1:])


class ConvNet(nn.Module):
    """Convolutions 16 - 128 - 256 with a residual one after each of the last two, mean, linear.

    All convolutions are 3 x 3 with ReLU and without padding, but for the residual ones
    ``x + relu(conv(x))``, which keep the size. The first has stride 2; for images below 12 x 12,
    as the 8 x 8 digits, stride 1. The mean is over all pixels (9 x 9 for images of 28 x 28).

    Attributes:
      classes: number of logits.
      width: factor on all numbers of channels; 1 is the published network.

    Source: [code], but for ``width`` and the stride of small images.
    """

    classes: int = 10
    width: float = 1.0

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Logits ``(n, classes)`` of images ``(n, height, width, channels)``, at least float32."""
        if x.ndim != 4 or min(x.shape[1:3]) < _SMALLEST:
            raise ValueError(
                f"x must be images (n, height, width, channels) of at least {_SMALLEST} x "
                f"{_SMALLEST} pixels; got shape {x.shape}."
            )
        validation.number("width", self.width, low=0.0, open_low=True)
        first, second, third = (max(1, round(size * self.width)) for size in _CHANNELS)
        stride = 2 if min(x.shape[1:3]) >= _SMALLEST_HALVED else 1
        x = x.astype(precision.wider(x.dtype))
        x = Convolution(first, stride=stride)(x.transpose(3, 1, 2, 0))
        for features in (second, third):
            x = Convolution(features)(x)
            x = x + Convolution(features, padding=1)(x)
        return nn.Dense(self.classes)(jnp.mean(x, axis=(1, 2)).T)


class MLP(nn.Module):
    """A perceptron: linear layers with biases, an activation after each but the last.

    Attributes:
      hidden: widths of the hidden layers; none makes it linear.
      outputs: number of outputs, which are not activated.
      activation: elementwise.
    """

    hidden: tuple[int, ...]
    outputs: int
    activation: Callable[[Array], Array] = nn.relu

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Outputs ``(n, outputs)``, at least float32, of inputs ``(n, ...)``, flattened."""
        x = x.reshape(x.shape[0], -1).astype(precision.wider(x.dtype))
        for width in self.hidden:
            x = self.activation(nn.Dense(width)(x))
        return nn.Dense(self.outputs)(x)


class Flat(NamedTuple):
    """A network as functions of one vector of parameters.

    Optimisers of a vector have a dozen operations, not a dozen for each kernel and bias: training
    compiles in three quarters of the time [measured].
    """

    initialise: Callable[[Array], Array]  # key -> (p,)
    apply: Callable[[Array, Array], Array]  # (p,), (n, ...) -> (n, classes)


def flatten(net: nn.Module, shape: tuple[int, ...]) -> Flat:
    r"""Initialisation and application of a network, with all its parameters as one vector.

    Parameters are float32 and uniform on :math:`\pm 1/\sqrt{\text{fan-in}}` of their layer, kernels
    and biases alike, as in the published experiments' framework [code].

    Args:
      net: a module whose layers have a ``kernel (fan-in, features)`` and perhaps a ``bias``.
      shape: of one input, all lengths at least 1.
    """
    for size in shape:
        validation.integer("shape", size)
    example = jax.ShapeDtypeStruct((1, *shape), jnp.float32)
    tree = jax.eval_shape(net.init, jax.random.key(0), example)
    bounds, unravel = ravel_pytree(
        jax.tree.map(
            _bounds, tree, is_leaf=lambda part: isinstance(part, dict) and "kernel" in part
        )
    )

    def initialise(key: Array) -> Array:
        return bounds * jax.random.uniform(key, bounds.shape, bounds.dtype, -1, 1)

    def apply(vector: Array, x: Array) -> Any:
        return net.apply(unravel(vector), x)

    return Flat(initialise, apply)


def _bounds(layer: dict[str, Any]) -> dict[str, Array]:
    """The largest initial value of every parameter of a layer."""
    bound = layer["kernel"].shape[0] ** -0.5
    return {name: jnp.full(leaf.shape, bound, leaf.dtype) for name, leaf in layer.items()}
