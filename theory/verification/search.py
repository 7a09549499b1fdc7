"""Search for violations of a theorem by gradient ascent.

A point of the cube stands for the theorem's parameters, each in its range, and its searchable
fields, each in the range of what was drawn; all else is what a random key draws, and what follows
from both. Used by :mod:`twolayer.theory.verification.falsify`, which says what a climb is for.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jax import Array
from jax.flatten_util import ravel_pytree

from twolayer.host import jax_setup
from twolayer.theory.verification.evaluation import draw_many, draw_parameters, examine, one_key
from twolayer.theory.verification.inequality import ROUNDING, Bounds
from twolayer.theory.verification.theorem import Instance, Size, Theorem

# The share of jumps among a round's steps, and by how much gradient steps shrink over it.
_JUMPS, _SHRINK = 0.25, 1e-2
# Instances that span the space; climbs set out from the first of them.
_SPAN = 32
# Draws that a climb sees of a statement with probability.
_DRAWS = 40
# Scores of points at which some element is inside the hypotheses.
INSIDE = -2.0


@dataclasses.dataclass(frozen=True, eq=False)
class Space:
    """What moves at one size: D numbers, the parameters and the searchable fields."""

    theorem: Theorem
    size: Size
    unravel: Callable[[Array], dict[str, Any]]
    low: np.ndarray  # (D,)
    high: np.ndarray

    def instance(self, values: Array, key: Array) -> Instance:
        """The instance with these values, and all else as the key has it."""
        moved = self.unravel(values)
        drawn = self.theorem.sample(key, self.size, moved["parameters"])
        if moved["fields"]:
            drawn = dataclasses.replace(drawn, **moved["fields"])
        return self.theorem.complete(drawn)

    def parameters(self, values: Array | np.ndarray) -> dict[str, np.ndarray]:
        """The parameters of rows of values."""
        return jax.tree.map(np.asarray, jax.vmap(self.unravel)(jnp.asarray(values))["parameters"])


def round_steps(theorem: Theorem) -> int:
    """Steps of a round; fewer for a statement with probability, where one costs many draws."""
    return 50 if theorem.failure_rate == 0 else 20


@struct.dataclass
class Climb:
    """A climb in the unit cube of dimension D (leading axis of restarts)."""

    keys: Array  # (draws,), of all that does not move
    best: Array | np.ndarray  # (D,), point of the highest score; every round sets out from it
    score: Array | np.ndarray  # minus the relative slack inside the hypotheses, below -2 outside
    tightness: Array | np.ndarray  # largest lhs / rhs inside the hypotheses
    penalty: Array | np.ndarray  # of a hypothesis that fails, per unit of its relative slack
    rate: Array | np.ndarray  # length of a round's first step


@jax_setup.numerics()
def span(theorem: Theorem, size: Size, key: Array, restarts: int) -> Space:
    """The space that a batch of sampled instances spans."""
    _, moved = _draw(theorem, size, one_key(key), max(restarts, _SPAN))
    # Dictionaries are flattened by sorted keys: fields first, then parameters by name.
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(moved["fields"])]
    parameters = [theorem.parameters[name] for name in sorted(theorem.parameters)]
    low, high = (
        np.concatenate(
            [np.full(leaf[0].size, extreme(leaf)) for leaf in leaves]
            + [np.asarray([float(ends[end]) for ends in parameters])]
        )
        for end, extreme in enumerate((np.min, np.max))
    )
    _, unravel = ravel_pytree(jax.tree.map(lambda leaf: leaf[0], moved))
    return Space(theorem, size, unravel, low, high)


@jax_setup.numerics()
def begin(space: Space, key: Array, restarts: int) -> Climb:
    """Climbs that set out from sampled instances."""
    key_draw, key_rate = jax.random.split(one_key(key))
    keys, moved = _draw(space.theorem, space.size, key_draw, max(restarts, _SPAN))
    keys, values = keys[:restarts], _flat(moved)[:restarts]
    width = space.high - space.low
    share = (values - space.low) / np.where(width == 0, 1, width)
    random = space.theorem.failure_rate > 0
    keys = jax.vmap(lambda key: jax.random.split(key, _DRAWS))(keys) if random else keys[:, None]
    return Climb(
        keys=keys,
        best=np.clip(share, 0, 1),
        score=np.full(restarts, -np.inf),
        tightness=np.full(restarts, -np.inf),
        penalty=4.0 ** (np.arange(restarts) % 4),
        rate=10.0
        ** np.asarray(jax.random.uniform(key_rate, (restarts,), minval=-3.0, maxval=-1.0)),
    )


def _draw(theorem: Theorem, size: Size, key: Array, number: int) -> tuple[Array, dict[str, Any]]:
    """Keys of sampled instances, and what may be moved of them."""
    key_parameters, key_corners, key_draws = jax.random.split(key, 3)
    parameters = draw_parameters(theorem, key_parameters, number)
    # A third of the parameters sets out from an end of its range, where many statements are
    # closest.
    corners = jax.random.uniform(key_corners, (max(1, len(parameters)), number))
    parameters = {
        name: jnp.where(corner < 1 / 6, low, jnp.where(corner > 5 / 6, high, parameters[name]))
        for corner, (name, (low, high)) in zip(corners, theorem.parameters.items(), strict=False)
    }
    keys = jax.random.split(key_draws, number)
    drawn = draw_many(theorem, size, keys, parameters)
    for name in theorem.searchable:
        if not hasattr(drawn, name):
            raise ValueError(
                f"{theorem.name}: searchable names {name!r}, which sample does not draw."
            )
    return keys, {
        "parameters": parameters,
        "fields": {name: getattr(drawn, name) for name in theorem.searchable},
    }


def _flat(moved: dict[str, Any]) -> np.ndarray:
    """One row of D numbers an instance, in the order of ``ravel_pytree``."""
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(moved)]
    if not leaves:
        raise ValueError("theorem must have a parameter or a searchable field; got neither.")
    return np.concatenate([leaf.reshape(leaf.shape[0], -1) for leaf in leaves], axis=1)


@jax_setup.numerics()
def advance(space: Space, climb: Climb, key: Array, low: Array, high: Array) -> Climb:
    """One round of one climb."""
    tail = math.ceil(2 * space.theorem.failure_rate * climb.keys.shape[0]) or 1

    steps = round_steps(space.theorem)

    def worst(of_draws: Array) -> Array:
        return jnp.mean(jax.lax.top_k(of_draws, tail)[0])

    def evaluate(point: Array) -> tuple[Array, tuple[Array, Array]]:
        def one(key: Array) -> tuple[Array, Array, Array]:
            instance = space.instance(low + (high - low) * point, key)
            hypotheses = space.theorem.hypotheses(instance)
            conclusions = space.theorem.conclusions(instance)
            outcome = examine(hypotheses, conclusions)
            value, nearest = _violation(hypotheses, conclusions, climb.penalty)
            score = jnp.where(outcome.checked > 0, -outcome.slack, nearest - 3)
            return (
                value,
                score,
                jnp.where(jnp.isnan(outcome.tightness), -jnp.inf, outcome.tightness),
            )

        values, scores, tightness = jax.vmap(one)(climb.keys)
        return worst(values), (worst(scores), jnp.max(tightness))

    ascend = jax.value_and_grad(evaluate, has_aux=True)

    def step(state: tuple[Array, ...], turn: Array) -> tuple[tuple[Array, ...], None]:
        point, value, mean, square, best, score, tightness = state
        share = jax.random.uniform(jax.random.fold_in(key, turn), (point.size + 2,))
        jump = share[0] < _JUMPS
        # Cauchy steps of a random length: now all coordinates move, now few.
        far = best + 10.0 ** (-5 * share[1]) * jnp.tan(jnp.pi * (share[2:] - 0.5))
        length = climb.rate * _SHRINK ** (turn / steps)
        count = jnp.maximum(turn, 1)
        near = length * (mean / (1 - 0.9**count)) / (jnp.sqrt(square / (1 - 0.99**count)) + 1e-8)
        candidate = jnp.clip(jnp.where(jump, far, point + near), 0, 1)
        (reached, (reached_score, reached_tightness)), slope = ascend(candidate)
        slope = jnp.nan_to_num(slope, posinf=0.0, neginf=0.0)
        better = reached_score >= score
        moved = ~jump | (reached >= value)
        return (
            jnp.where(moved, candidate, point),
            jnp.where(moved, reached, value),
            jnp.where(moved, 0.9 * mean + 0.1 * slope, mean),
            jnp.where(moved, 0.99 * square + 0.01 * slope**2, square),
            jnp.where(better, candidate, best),
            jnp.maximum(reached_score, score),
            jnp.maximum(reached_tightness, tightness),
        ), None

    zero, unknown = jnp.zeros_like(climb.best), jnp.full((), -jnp.inf)
    state: Any = (climb.best, unknown, zero, zero, climb.best, climb.score, climb.tightness)
    state, _ = jax.lax.scan(step, state, jnp.arange(steps))
    return dataclasses.replace(climb, best=state[4], score=state[5], tightness=state[6])


def _violation(
    hypotheses: Bounds, conclusions: Bounds, penalty: Array | np.ndarray
) -> tuple[Array, Array]:
    """Worst violation less the penalty of failing hypotheses, and how nearly these hold at best."""
    worst = nearest = jnp.full((), -jnp.inf)
    for conclusion in conclusions.values():
        slack = jnp.nan_to_num(conclusion.relative_slack, nan=-2.0)
        inside = jnp.zeros_like(slack)
        for condition in hypotheses.values():
            margin = jnp.nan_to_num(condition.relative_slack, nan=-2.0) + ROUNDING
            inside = jnp.minimum(inside, jnp.broadcast_to(margin, inside.shape))
        worst = jnp.maximum(worst, jnp.max(penalty * inside - slack))
        nearest = jnp.maximum(nearest, jnp.max(inside))
    return worst, nearest
