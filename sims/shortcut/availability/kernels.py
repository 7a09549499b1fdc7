"""The kernels of wide networks that are compared, by name."""

from __future__ import annotations

import functools

import jax
from jax import Array

from twolayer.theory.kernels.deep import Kernel
from twolayer.theory.shortcut.availability import flows

# Hidden layers and biases as in the spec's tables; "relu" is the two-layer kernel without bias,
# whose odd part is linear (Theorem A2).
KERNELS: dict[str, Kernel] = {
    "linear": functools.partial(flows.ntk, kind="linear"),
    "relu": functools.partial(flows.ntk, kind="relu"),
    "relu-bias": functools.partial(flows.ntk, kind="relu", beta=1.0),
    "relu-2": functools.partial(flows.ntk, kind="relu", depth=2),
    "relu-3": functools.partial(flows.ntk, kind="relu", depth=3),
    "erf": functools.partial(flows.ntk, kind="erf"),
    "erf-bias": functools.partial(flows.ntk, kind="erf", beta=1.0),
}


def by_index(index: Array) -> Kernel:
    """The kernel at a place of :data:`KERNELS` that is known when the program runs."""

    def kernel(x: Array, z: Array) -> Array:
        return jax.lax.switch(index, list(KERNELS.values()), x, z)

    return kernel
