"""Instances of the statements about agreement: a second network in scenario a or b.

In scenario a it is trained on the perturbations alone, in scenario b on perturbed samples; its
labels are drawn in one of several ways. Both networks are kernel sums.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import struct
from jax import Array

from twolayer.theory import geometry, networks
from twolayer.theory.kernels import shallow
from twolayer.theory.perturbation.wide import directions, surrogate
from twolayer.theory.perturbation.wide.theorems.constants import SCALES, SLOPES
from twolayer.theory.perturbation.wide.theorems.instances import two_classes
from twolayer.theory.verification.theorem import Parameters, Size


@struct.dataclass
class Second:
    """All that decides f and g at the points z."""

    x: Array
    y: Array
    z: Array
    u: Array  # (n, d), unit directions, drawn as those of f's input gradient
    eps: Array
    targets: Array
    gamma: Array
    f0: Array
    g0: Array
    time: Array  # effective time of both networks
    on_original: bool = struct.field(pytree_node=False)

    @property
    def base(self) -> Array:
        """What is perturbed: zeros in scenario a, the samples in scenario b."""
        return self.x if self.on_original else jnp.zeros_like(self.x)


def unit_directions(at: Second) -> Second:
    """The same with directions of length 1."""
    return dataclasses.replace(at, u=geometry.unit_rows(at.u))


Labels = Callable[[Array, Array], Array]


def independent(key: Array, y: Array) -> Array:
    """Independent signs."""
    return surrogate.random_targets(key, y.shape[0])


def balanced(key: Array, y: Array) -> Array:
    """As many of each sign, in random order."""
    return surrogate.random_targets(key, y.shape[0], balanced=True)


def constant(key: Array, y: Array) -> Array:
    """All labels +1, for controls."""
    return jnp.ones_like(y)


def opposite(key: Array, y: Array) -> Array:
    """The opposite of the true labels, for controls."""
    return -y


def sample(
    key: Array,
    size: Size,
    parameters: Parameters,
    *,
    labels: Labels,
    on_original: bool,
    reverse: bool = False,
    shrink: float = 1.0,
) -> Second:
    """Two classes, and directions as those of f at infinite width, not normalised.

    ``reverse`` turns the directions round; ``shrink`` is a factor of the perturbations' length.
    """
    key_x, key_z, key_f, key_g, key_labels = jax.random.split(key, 5)
    n, d, points = size["n"], size["d"], size["points"]
    scale, gamma = parameters["scale"], parameters["slope"]
    x, y = two_classes(key_x, n, d, scale, shift=1.0)
    z, _ = two_classes(key_z, points, d, scale, shift=1.0)
    u = directions.representer_direction(x, y, x, gamma) + directions.kernel_gradient_direction(
        x, y, x, gamma
    )
    return Second(
        x=x,
        y=y,
        z=z,
        u=(-1.0 if reverse else 1.0) * u,
        eps=shrink * scale * 10.0 ** parameters["log_eps"],
        targets=labels(key_labels, y),
        gamma=gamma,
        f0=networks.forward(networks.init_two_layer(key_f, d, 32), z, gamma),
        g0=networks.forward(networks.init_two_layer(key_g, d, 32), z, gamma),
        time=10.0 ** parameters["log_time"],
        on_original=on_original,
    )


def split(at: Second) -> tuple[Array, Array]:
    """Even and odd parts of the summands of g in the signs of their labels."""
    return surrogate.even_odd_split(at.base, at.u, at.eps, at.z, at.gamma)


def drift_of_g(at: Second) -> Array:
    """What training adds to g over time, from the perturbed data set itself."""
    inputs = at.base + at.eps * at.targets[:, None] * at.u
    kernel = shallow.lazy_kernel(inputs, at.z, at.gamma)
    return at.targets @ kernel / at.targets.shape[0]


SIZES = ({"n": 8, "d": 2, "points": 2}, {"n": 64, "d": 10, "points": 6})
KNOBS = {"slope": SLOPES, "scale": SCALES, "log_eps": (-2.0, 1.0), "log_time": (1.0, 3.0)}
scenario_a = functools.partial(sample, labels=independent, on_original=False)
scenario_b = functools.partial(sample, labels=independent, on_original=True)
