"""Attacks on theorems: a search for an instance inside the hypotheses where a conclusion fails.

:func:`falsify` climbs from many random instances at once. What moves are the theorem's parameters
inside their ranges, and the fields that it declares searchable inside the range of what was drawn;
labels and what is random never move, and what follows from the rest (a training run) is computed
anew. All that moves lives in one unit cube. A climb ascends the gradient of the worst violation,
less a penalty where a hypothesis fails; some steps are random jumps from the best point so far
instead, kept if they are not worse, which serves statements whose gradient is zero or NaN.

Of a statement with probability an adversary chooses everything but the randomness. The climb then
raises the mean violation of the worst 2 delta of a fixed set of draws; its choice is judged on
fresh draws, by the exact binomial test that :func:`twolayer.theory.verification.verify.verify`
uses.

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

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from scipy import stats

from twolayer.host import jax_setup
from twolayer.theory import validation
from twolayer.theory.verification import counterexamples
from twolayer.theory.verification import search as climbs
from twolayer.theory.verification.counterexamples import Counterexample
from twolayer.theory.verification.evaluation import batched, examine_many, one_key
from twolayer.theory.verification.inequality import Bounds
from twolayer.theory.verification.search import Space
from twolayer.theory.verification.theorem import Size, Theorem
from twolayer.theory.verification.verify import LEVEL

# A violation of less than this share of the larger side is taken for rounding.
MARGIN = 1e-9
# Around a counterexample: how many points, how far away in the unit cube, what share of them must
# break the statement too (at an edge of the hypotheses half leave them), and by how much, relative
# to its mean, the violation may vary: that of rounding varies by a third and more.
_AROUND, _NEARBY, _SHARE, _STEADY = 64, 1e-7, 0.25, 0.05
# Fresh draws that judge what a climb has chosen, for a statement with probability.
_TRIALS, _BLOCK = 2048, 256
# A search is over when so many rounds in a row gain less than this (of a relative slack).
_PATIENCE, _GAIN = 3, 1e-3


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
    status: str  # FALSIFIED, none, or VACUOUS where the hypotheses held at no point

    @property
    def found(self) -> bool:
        """Whether the theorem is refuted."""
        return self.status == "FALSIFIED"


@jax_setup.numerics()
def falsify(
    theorem: Theorem,
    key: Array,
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
      key: random key, of any kind; :func:`twolayer.theory.verification.worker.key` gives that of
        the command.
      restarts: climbs side by side, at least 2; an eighth of them for a statement with
        probability, where one point costs many draws.
      rounds: most rounds a size, at least 1.
      proceed: asked before a size is compiled and before each round, except for the first round at
        the first size, so that something is always tried; False ends the search.

    Raises:
      ValueError: for restarts or rounds out of range, a searchable field that is not drawn, or what
        is no theorem.
    """
    validation.record("theorem", theorem, Theorem)
    restarts = validation.integer("restarts", restarts, low=2)
    rounds = validation.integer("rounds", rounds)
    key = one_key(key)
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
        match next(search, None):
            case _Report() as report:
                reports[index] = report
                counterexample = report.counterexample
                searches.append((index, search))
            case "compiled":  # which may have taken all of the time
                searches.appendleft((index, search))
    status = "none" if any(report.inside for report in reports.values()) else "VACUOUS"
    return Attack(
        name=theorem.name,
        source=theorem.source,
        counterexample=counterexample,
        restarts=sum(report.restarts for report in reports.values()),
        steps=sum(report.steps for report in reports.values()),
        slack=float(np.fmin.reduce([report.slack for report in reports.values()])),
        closest=float(np.fmax.reduce([report.closest for report in reports.values()])),
        status="FALSIFIED" if counterexample else status,
    )


@dataclasses.dataclass(frozen=True)
class _Report:
    """Where the search at one size stands after a round; fields as in :class:`Attack`."""

    counterexample: Counterexample | None
    restarts: int
    steps: int
    slack: float
    closest: float
    inside: bool  # whether the hypotheses held at some point


def _search(
    theorem: Theorem, size: Size, key: Array, restarts: int, rounds: int
) -> Iterator[_Report | str]:
    """Climb at one size, a report a round, until the best point has stopped improving.

    Before the first round comes the word ``"compiled"``.
    """
    level = LEVEL / (rounds * len(theorem.sizes))  # of each of so many tests
    key_span, key_begin, key_round = jax.random.split(key, 3)
    space = climbs.span(theorem, size, key_span, restarts)
    team = climbs.begin(space, key_begin, restarts)
    advance = batched(functools.partial(climbs.advance, space), in_axes=(0, 0, None, None))
    place = batched(space.instance)
    advance.compile(team, jax.random.split(key_begin, restarts), space.low, space.high)
    yield "compiled"
    kept = restarts - restarts // 2
    closest, reached, idle = math.nan, -math.inf, 0
    for turn in range(rounds):
        key_steps, key_judge, key_begin = jax.random.split(jax.random.fold_in(key_round, turn), 3)
        team = advance(team, jax.random.split(key_steps, restarts), space.low, space.high)
        order = np.argsort(-np.asarray(team.score))
        team = jax.tree.map(lambda leaf, order=order: leaf[order], team)
        score = np.asarray(team.score)
        values = space.low + (space.high - space.low) * np.asarray(team.best)
        if theorem.failure_rate > 0:
            counterexample, ratio = _frequency(space, place, values[0], key_judge, level)
        else:
            suspects = zip(values, team.keys[:, 0], score, strict=True)
            counterexample = next(
                filter(None, (_confirm(space, place, *suspect) for suspect in suspects)), None
            )
            ratio = float(np.max(team.tightness))
        if ratio > -math.inf:
            closest = float(np.fmax(closest, ratio))
        idle = 0 if score[0] > reached + _GAIN else idle + 1
        reached = max(reached, float(score[0]))
        inside = reached >= climbs.INSIDE or not math.isnan(closest)
        known = reached >= climbs.INSIDE and theorem.failure_rate == 0
        yield _Report(
            counterexample=counterexample,
            restarts=restarts + turn * (restarts - kept),
            steps=(turn + 1) * restarts * climbs.round_steps(theorem),
            slack=-reached if known else math.nan,
            closest=closest,
            inside=inside,
        )
        if idle == _PATIENCE:
            return
        fresh = climbs.begin(space, key_begin, restarts)
        team = jax.tree.map(lambda old, new: jnp.concatenate([old[:kept], new[kept:]]), team, fresh)


def _confirm(
    space: Space, place: Callable, values: np.ndarray, key: Array, score: float
) -> Counterexample | None:
    """The counterexample at a point, unless there is none or it is one of rounding."""
    if score <= MARGIN:
        return None
    generator = np.random.default_rng(0)  # any directions will do
    offsets = generator.uniform(-_NEARBY, _NEARBY, (_AROUND, values.size))
    offsets[0] = 0
    around = np.clip(values + offsets * (space.high - space.low), space.low, space.high)
    instances = place(around, jnp.broadcast_to(key, (_AROUND,)))
    outcome = examine_many(space.theorem, instances)
    broken = np.asarray(outcome.violated & (outcome.slack <= -score / 2))
    if not broken[0] or np.mean(broken) < _SHARE:
        return None
    if not _is_steady(*counterexamples.sides(space.theorem, instances)):
        return None
    return counterexamples.shown(space.theorem, space.size, space.parameters(around), instances, 0)


def _is_steady(hypotheses: Bounds, conclusions: Bounds) -> bool:
    """Whether the worst violation of the first instance is much the same at all others."""
    found = {}
    for conclusion in conclusions.values():
        relative = np.nan_to_num(conclusion.relative_slack[0], nan=-2.0)
        inside = np.ones_like(relative, bool)
        for condition in hypotheses.values():
            inside &= np.asarray(condition.holds[0])
        relative = np.where(inside, relative, np.inf).ravel()
        worst = int(np.argmin(relative))
        found[relative[worst]] = np.asarray(conclusion.slack).reshape(_AROUND, -1)[:, worst]
    slack = found[min(found)]
    return bool(np.all(np.isnan(slack)) or np.std(slack) <= _STEADY * abs(np.mean(slack)))


def _frequency(
    space: Space, place: Callable, values: np.ndarray, key: Array, level: float
) -> tuple[Counterexample | None, float]:
    """A counterexample if a choice fails too often, and how often it fails over what is allowed."""
    rows = jnp.broadcast_to(values, (_BLOCK, values.size))
    rate = space.theorem.failure_rate
    checked = failed = 0
    for block in range(_TRIALS // _BLOCK):
        instances = place(rows, jax.random.split(jax.random.fold_in(key, block), _BLOCK))
        outcome = examine_many(space.theorem, instances)
        checked += int(np.sum(outcome.checked > 0))
        failed += int(np.sum(outcome.violated))
        if failed < rate * checked / 2:  # far from too often, and trials are dear
            break
    counterexample = None
    if checked and failed > stats.binom.isf(level, checked, rate):
        # So many failures that the last block has some.
        row = int(np.argmax(outcome.violated))
        counterexample = counterexamples.shown(
            space.theorem, space.size, space.parameters(rows), instances, row
        )
    return counterexample, failed / checked / rate if checked else math.nan
