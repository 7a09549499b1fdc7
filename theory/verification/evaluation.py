"""Draw instances of a theorem, and evaluate its bounds there.

All functions compute in float64 with one random generator, whatever JAX's settings and of whatever
kind the keys are that they are given (:func:`twolayer.host.jax_setup.numerics`). What they hand out
is float64 and stays so; who goes on computing with it by JAX enters ``numerics`` as well, or
float64 is lost at the next step.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jax import Array

from twolayer.host import compilation, jax_setup
from twolayer.theory import validation
from twolayer.theory.verification.inequality import Bounds
from twolayer.theory.verification.theorem import (
    Control,
    Instance,
    Parameters,
    Size,
    Theorem,
    as_drawn,
)


@struct.dataclass
class Outcome:
    """What one instance says (scalars; leading axes under ``vmap``)."""

    checked: Array | np.ndarray  # number of elements where every hypothesis held
    violated: Array | np.ndarray  # whether a conclusion failed at a checked element
    slack: Array | np.ndarray  # worst relative slack over checked elements; inf if none
    tightness: Array | np.ndarray  # largest lhs / rhs over those with rhs > 0; NaN if none
    ratios: Mapping[str, Array | np.ndarray]  # the same of each conclusion alone


@jax_setup.numerics()
def examine(hypotheses: Bounds, conclusions: Bounds) -> Outcome:
    """Judge one instance from its bounds; works under ``jit`` and ``vmap``.

    Raises:
      ValueError: if a hypothesis does not broadcast against a conclusion.
    """
    checked = jnp.zeros((), jnp.int32)
    violated = jnp.zeros((), bool)
    slack = jnp.asarray(jnp.inf)
    ratios = {}
    for name, conclusion in conclusions.items():
        shape = jnp.broadcast_shapes(jnp.shape(conclusion.lhs), jnp.shape(conclusion.rhs))
        relevant = jnp.ones(shape, bool)
        for condition, bound in hypotheses.items():
            holds = bound.holds
            if holds.shape != () and holds.shape != shape:
                raise ValueError(
                    f"hypothesis {condition} of shape {holds.shape} does not fit conclusion "
                    f"{name} of shape {shape}."
                )
            relevant &= holds
        checked += jnp.sum(relevant, dtype=jnp.int32)
        violated |= jnp.any(relevant & ~conclusion.holds)
        relative = jnp.where(jnp.isnan(conclusion.relative_slack), -2, conclusion.relative_slack)
        slack = jnp.minimum(slack, jnp.min(jnp.where(relevant, relative, jnp.inf)))
        useful = relevant & (conclusion.rhs > 0)
        ratio = conclusion.lhs / jnp.where(useful, conclusion.rhs, 1)
        largest = jnp.max(jnp.where(useful, ratio, -jnp.inf))
        ratios[name] = jnp.where(jnp.isinf(largest), jnp.nan, largest)
    tightness = functools.reduce(jnp.fmax, ratios.values(), jnp.asarray(jnp.nan))
    return Outcome(
        checked=checked, violated=violated, slack=slack, tightness=tightness, ratios=ratios
    )


@jax_setup.numerics()
def draw_parameters(theorem: Theorem, key: Array, number: int) -> Parameters:
    """Parameters of ``number`` instances, independent and uniform in their ranges."""
    key = one_key(key)
    share = jax.random.uniform(key, (number, max(1, len(theorem.parameters))))
    return {
        name: low + (high - low) * share[:, index]
        for index, (name, (low, high)) in enumerate(theorem.parameters.items())
    }


@jax_setup.numerics()
def judge(
    theorem: Theorem, size: Size, keys: Array, parameters: Parameters, control: str | None = None
) -> Outcome:
    """Sample one instance a key and examine each; compiled once per size and number of keys.

    Args:
      theorem: the theorem.
      size: one of its sizes.
      keys: b random keys.
      parameters: b values of each parameter.
      control: name of a control to judge in the theorem's place.

    Returns:
      Outcomes with a leading axis of length b.
    """
    change = Control() if control is None else theorem.controls[control]
    instances = _sampled(change.sample or theorem.sample, theorem.complete, size, keys, parameters)
    examiner = _compiled_examiner(
        change.hypotheses or theorem.hypotheses, change.conclusions or theorem.conclusions
    )
    return examiner(instances)


@jax_setup.numerics()
def draw_many(theorem: Theorem, size: Size, keys: Array, parameters: Parameters) -> Any:
    """What the theorem's sampler draws, not completed; compiled and shared like :func:`judge`."""
    return _sampled(theorem.sample, as_drawn, size, keys, parameters)


@jax_setup.numerics()
def sample_many(theorem: Theorem, size: Size, keys: Array, parameters: Parameters) -> Instance:
    """Instances of the theorem with a leading axis, as :func:`judge` samples them."""
    return _sampled(theorem.sample, theorem.complete, size, keys, parameters)


@jax_setup.numerics()
def examine_many(theorem: Theorem, instances: Instance) -> Outcome:
    """Outcomes of instances with a leading axis, by what :func:`judge` examines them with.

    Floats of fewer bits are taken for the float64 numbers that they are.
    """
    examiner = _compiled_examiner(theorem.hypotheses, theorem.conclusions)
    return examiner(jax.tree.map(_in_float64, instances))


def batched(function: Callable, in_axes: Any = 0, level: int = 1) -> compilation.Quick:
    """``jit`` of ``vmap`` for what is compiled once (:func:`twolayer.host.compilation.quick`)."""
    return compilation.quick(jax.vmap(function, in_axes), level)


def one_key(key: Array) -> Array:
    """The one key, of whatever kind, for the generator of ``jax_setup.numerics``."""
    return validation.key("key", jax_setup.own_key(key))


def _sampled(
    sample: Callable, complete: Callable, size: Size, keys: Array, parameters: Parameters
) -> Instance:
    sampler = _compiled_sampler(sample, complete, tuple(sorted(size.items())))
    return sampler(
        jax_setup.own_key(keys),
        {name: jnp.asarray(each, float) for name, each in parameters.items()},
    )


def _in_float64(leaf: Any) -> Any:
    return leaf.astype(float) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf


@functools.lru_cache(maxsize=512)
def _compiled_sampler(
    sample: Callable, complete: Callable, size: tuple[tuple[str, int], ...]
) -> Callable:
    # Several theorems share a sampler; so they share what is compiled here.
    def one(key: Array, parameters: Parameters) -> Instance:
        return complete(sample(key, dict(size), parameters))

    return batched(one, level=0)


@functools.lru_cache(maxsize=512)
def _compiled_examiner(hypotheses: Callable, conclusions: Callable) -> Callable:
    def one(instance: Instance) -> Outcome:
        return examine(hypotheses(instance), conclusions(instance))

    return batched(one, level=0)
