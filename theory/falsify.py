"""Attacks on theorems: a search for an instance inside the hypotheses where a conclusion fails.

:func:`falsify` climbs from many random instances at once. What moves are the theorem's knobs inside
their ranges, and the fields that it declares free inside the range of what was drawn; labels and
what is random never move, and what follows from the rest (a training run) is computed anew. All
that moves lives in one unit cube. A climb ascends the gradient of the worst violation, less a
penalty where a hypothesis fails; some steps are random jumps from the best point so far instead,
kept if they are not worse, which serves statements whose gradient is zero or NaN.

Of a statement with probability an adversary chooses everything but the randomness. The climb then
raises the mean violation of the worst 2 delta of a fixed set of draws; its choice is judged on
fresh draws, by the exact binomial test that :func:`theory.theorem.verify` uses.

Rounding is no counterexample, though a climb may find where it is largest: a violation must exceed
``MARGIN``, and it must be found again at a good part of the points around it, and alike there,
where rounding is drawn anew at each. A statement that fails at isolated points alone is therefore
not refuted by this search.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import math
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jax import Array
from jax.flatten_util import ravel_pytree
from jaxtyping import Key
from scipy import stats

from theory import arguments
from theory.theorem import (
    LEVEL,
    ROUNDING,
    Bounds,
    Instance,
    Size,
    Theorem,
    batched,
    draw_knobs,
    draw_many,
    examine,
    examine_many,
)

# A violation of less than this share of the larger side is taken for rounding.
MARGIN = 1e-9
# Around a counterexample: how many points, how far away in the unit cube, and what share of them
# must break the conclusion, half leaving the hypotheses at an edge. There lhs / rhs may vary by a
# share of a twentieth; that of rounding varies by a third and more.
_AROUND, _NEARBY, _SHARE, _STEADY = 64, 1e-7, 0.25, 0.05
# Statements with probability: draws that a climb sees, and fresh ones that judge its choice.
_DRAWS, _TRIALS, _BLOCK = 64, 2048, 256
# A round: its steps, the share of jumps among them, and by how much gradient steps shrink over it.
_STEPS, _JUMPS, _SHRINK = 50, 0.25, 1e-2
# A search is over when so many rounds in a row gain less than this (of a relative slack).
_PATIENCE, _GAIN = 3, 1e-3


@dataclasses.dataclass(frozen=True)
class Counterexample:
    """An instance that satisfies the hypotheses and breaks a conclusion, and both sides there.

    For a statement with probability one that shows the failure, which is one of too many.
    """

    size: Size
    instance: Instance
    hypotheses: Bounds
    conclusions: Bounds


@dataclasses.dataclass(frozen=True)
class Attack:
    """The result of :func:`falsify`."""

    name: str
    source: str
    counterexample: Counterexample | None
    restarts: int  # climbs begun, at all sizes
    steps: int  # points visited by all of them
    slack: float  # smallest relative slack inside the hypotheses; NaN if they never held
    # How close it came: the largest lhs / rhs inside the hypotheses; for a statement with
    # probability the largest share of failures over the one allowed. NaN where there is neither.
    closest: float

    @property
    def found(self) -> bool:
        """Whether the theorem is refuted."""
        return self.counterexample is not None


def falsify(
    theorem: Theorem,
    key: Key[Array, ""],
    *,
    restarts: int = 32,
    rounds: int = 16,
    proceed: Callable[[], bool] = lambda: True,
) -> Attack:
    """Search for a counterexample at each of a theorem's sizes.

    The sizes take turns, a round of climbs each. After a round the worse half of the climbs begins
    anew; a size whose best point has stopped improving is left.

    Args:
      theorem: what to attack.
      key: random key.
      restarts: climbs side by side, at least 2; an eighth of them for a statement with
        probability, where one point costs many draws.
      rounds: most rounds a size, at least 1.
      proceed: asked before each round but the first; False ends the search.

    Raises:
      ValueError: for restarts or rounds out of range, or a free field that is not drawn.
    """
    arguments.integer("restarts", restarts, low=2)
    arguments.integer("rounds", rounds)
    if theorem.failure_rate > 0:
        restarts = max(2, restarts // 8)
    searches = collections.deque(
        (index, _search(theorem, size, jax.random.fold_in(key, index), restarts, rounds))
        for index, size in enumerate(theorem.sizes)
    )
    reports: dict[int, _Report] = {}
    counterexample = None
    while searches and counterexample is None and (not reports or proceed()):
        index, search = searches.popleft()
        report = next(search, None)
        if report is not None:
            reports[index] = report
            counterexample = report.counterexample
            searches.append((index, search))
    return Attack(
        name=theorem.name,
        source=theorem.source,
        counterexample=counterexample,
        restarts=sum(report.restarts for report in reports.values()),
        steps=sum(report.steps for report in reports.values()),
        slack=float(np.fmin.reduce([report.slack for report in reports.values()])),
        closest=float(np.fmax.reduce([report.closest for report in reports.values()])),
    )


@dataclasses.dataclass(frozen=True)
class _Report:
    """Where the search at one size stands after a round; fields as in :class:`Attack`."""

    counterexample: Counterexample | None
    restarts: int
    steps: int
    slack: float
    closest: float


@dataclasses.dataclass(frozen=True, eq=False)
class _Space:
    """What moves at one size: D numbers, the knobs and the free fields."""

    theorem: Theorem
    size: Size
    unravel: Callable[[Array], dict[str, Any]]
    low: np.ndarray  # (D,)
    high: np.ndarray

    def instance(self, values: Array, key: Array) -> Instance:
        """The instance with these values, and all else as the key has it."""
        moved = self.unravel(values)
        drawn = self.theorem.sample(key, self.size, moved["knobs"])
        if moved["fields"]:
            drawn = dataclasses.replace(drawn, **moved["fields"])
        return self.theorem.complete(drawn)


@struct.dataclass
class _Climb:
    """A climb in the unit cube of dimension D (leading axis of restarts)."""

    keys: Array  # (draws,), of all that does not move
    best: Array | np.ndarray  # (D,), point of the highest score; every round sets out from it
    score: Array | np.ndarray  # minus the relative slack inside the hypotheses, below -2 outside
    tightness: Array | np.ndarray  # largest lhs / rhs inside the hypotheses
    penalty: Array | np.ndarray  # of a hypothesis that fails, per unit of its relative slack
    rate: Array | np.ndarray  # length of a round's first step


def _search(
    theorem: Theorem, size: Size, key: Array, restarts: int, rounds: int
) -> Iterator[_Report]:
    """Climb at one size, a report a round, until the best point has stopped improving."""
    level = LEVEL / (rounds * len(theorem.sizes))  # of each of so many tests
    key_span, key_begin, key_round = jax.random.split(key, 3)
    space = _span(theorem, size, key_span, restarts)
    climbs = _begin(space, key_begin, restarts)
    advance = batched(functools.partial(_advance, space), in_axes=(0, 0, None, None))
    place = batched(space.instance)
    closest, reached, idle = math.nan, -math.inf, 0
    for turn in range(rounds):
        key_steps, key_judge, key_begin = jax.random.split(jax.random.fold_in(key_round, turn), 3)
        keys = jax.random.split(key_steps, restarts)
        climbs = advance(climbs, keys, space.low, space.high)
        order = np.argsort(-np.asarray(climbs.score))
        climbs = jax.tree.map(lambda leaf, order=order: leaf[order], climbs)
        score = np.asarray(climbs.score)
        values = space.low + (space.high - space.low) * np.asarray(climbs.best)
        if theorem.failure_rate > 0:
            counterexample, ratio = _frequency(space, place, values[0], key_judge, level)
        else:
            suspects = [index for index in range(3) if score[index:][:1] > MARGIN]
            found = (
                _confirm(space, place, values[index], climbs.keys[index, 0], -score[index])
                for index in suspects
            )
            counterexample = next(filter(None, found), None)
            ratio = float(np.max(climbs.tightness, initial=-math.inf))
        closest = float(np.fmax(closest, ratio if ratio > -math.inf else math.nan))
        idle = 0 if score[0] > reached + _GAIN else idle + 1
        reached = max(reached, float(score[0]))
        yield _Report(
            counterexample=counterexample,
            restarts=restarts + turn * (restarts // 2),
            steps=(turn + 1) * restarts * _STEPS,
            slack=-reached if reached > -2.5 else math.nan,
            closest=closest,
        )
        if idle == _PATIENCE:
            return
        kept = restarts - restarts // 2
        fresh = _begin(space, key_begin, restarts)
        climbs = jax.tree.map(
            lambda old, new, kept=kept: jnp.concatenate([old[:kept], new[kept:]]), climbs, fresh
        )


def _span(theorem: Theorem, size: Size, key: Array, restarts: int) -> _Space:
    """The space that a batch of sampled instances spans."""
    _, moved = _draw(theorem, size, key, restarts)
    ends = []
    for end, extreme in enumerate((np.min, np.max)):
        fields = jax.tree.map(
            lambda leaf, extreme=extreme: np.full_like(leaf[:1], extreme(leaf)), moved["fields"]
        )
        knobs = {name: np.full(1, float(span[end])) for name, span in theorem.knobs.items()}
        ends.append(_flat({"knobs": knobs, "fields": fields})[0])
    _, unravel = ravel_pytree(jax.tree.map(lambda leaf: leaf[0], moved))
    return _Space(theorem, size, unravel, *ends)


def _begin(space: _Space, key: Array, restarts: int) -> _Climb:
    """Climbs that set out from sampled instances."""
    key_draw, key_rate = jax.random.split(key)
    keys, moved = _draw(space.theorem, space.size, key_draw, restarts)
    width = space.high - space.low
    share = (_flat(moved) - space.low) / np.where(width == 0, 1, width)
    random = space.theorem.failure_rate > 0
    keys = jax.vmap(lambda key: jax.random.split(key, _DRAWS))(keys) if random else keys[:, None]
    return _Climb(
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
    key_knobs, key_corners, key_draws = jax.random.split(key, 3)
    knobs = draw_knobs(theorem, key_knobs, number)
    # A third of the knobs sets out from an end of its range, where many statements are closest.
    corners = jax.random.uniform(key_corners, (max(1, len(knobs)), number))
    knobs = {
        name: jnp.where(corner < 1 / 6, low, jnp.where(corner > 5 / 6, high, knobs[name]))
        for corner, (name, (low, high)) in zip(corners, theorem.knobs.items(), strict=False)
    }
    keys = jax.random.split(key_draws, number)
    drawn = draw_many(theorem, size, keys, knobs)
    for name in theorem.free:
        if not hasattr(drawn, name):
            raise ValueError(f"{theorem.name}: free names {name!r}, which sample does not draw.")
    moved = {"knobs": knobs, "fields": {name: getattr(drawn, name) for name in theorem.free}}
    return keys, jax.tree.map(np.asarray, moved)


def _flat(moved: dict[str, Any]) -> np.ndarray:
    """One row of D numbers an instance, in the order of ``ravel_pytree``."""
    leaves = jax.tree.leaves(moved)
    if not leaves:
        raise ValueError("theorem must have a knob or a free field; nothing can be moved.")
    return np.concatenate([leaf.reshape(leaf.shape[0], -1) for leaf in leaves], axis=1)


def _advance(space: _Space, climb: _Climb, key: Array, low: Array, high: Array) -> _Climb:
    """One round of one climb."""
    tail = math.ceil(2 * space.theorem.failure_rate * climb.keys.shape[0]) or 1

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
        length = climb.rate * _SHRINK ** (turn / _STEPS)
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
    state, _ = jax.lax.scan(step, state, jnp.arange(_STEPS))
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


def _confirm(
    space: _Space, place: Callable, values: np.ndarray, key: Array, slack: float
) -> Counterexample | None:
    """The counterexample at a point, unless it is one of rounding."""
    generator = np.random.default_rng(0)  # any directions will do
    offsets = generator.uniform(-_NEARBY, _NEARBY, (_AROUND, values.size))
    offsets[0] = 0
    around = np.clip(values + offsets * (space.high - space.low), space.low, space.high)
    instances = place(around, jnp.broadcast_to(key, (_AROUND,)))
    outcome = examine_many(space.theorem, instances)
    broken = np.asarray(outcome.violated & (outcome.slack <= slack / 2))
    if not broken[0] or np.mean(broken) < _SHARE:
        return None
    ratio = np.asarray(outcome.tightness)[broken]
    if np.all(ratio > 1) and np.std(ratio) > _STEADY * np.mean(ratio):
        return None
    return _counterexample(space, instances, 0)


def _frequency(
    space: _Space, place: Callable, values: np.ndarray, key: Array, level: float
) -> tuple[Counterexample | None, float]:
    """A counterexample if a choice fails too often, and how often it fails over what is allowed."""
    rows = jnp.broadcast_to(values, (_BLOCK, values.size))
    rate = space.theorem.failure_rate
    checked = failed = 0
    shown = None
    for block in range(_TRIALS // _BLOCK):
        instances = place(rows, jax.random.split(jax.random.fold_in(key, block), _BLOCK))
        outcome = examine_many(space.theorem, instances)
        checked += int(np.sum(outcome.checked > 0))
        failed += int(np.sum(outcome.violated))
        if shown is None and np.any(outcome.violated):
            shown = _counterexample(space, instances, int(np.argmax(outcome.violated)))
        if failed < rate * checked / 2:  # far from too often, and trials are dear
            break
    refuted = checked > 0 and failed > stats.binom.isf(level, checked, rate)
    return (shown if refuted else None), failed / max(checked, 1) / rate


def _counterexample(space: _Space, instances: Instance, index: int) -> Counterexample:
    instance = jax.tree.map(lambda leaf: leaf[index], instances)
    hypotheses, conclusions = jax.jit(
        lambda at: (space.theorem.hypotheses(at), space.theorem.conclusions(at))
    )(instance)
    return Counterexample(space.size, instance, hypotheses, conclusions)
