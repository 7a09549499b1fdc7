"""Ball arithmetic: inequalities decided for given numbers, whatever float64 makes of them."""

import builtins
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from twolayer.theory.kernels import shallow
from twolayer.theory.perturbation.orthogonal import conditions
from twolayer.theory.perturbation.orthogonal.theorems import intervals as orthogonal_balls
from twolayer.theory.perturbation.wide.theorems import intervals as wide_balls
from twolayer.theory.verification import certify, evaluation, intervals, registry
from twolayer.theory.verification.intervals import Decision, Inequality, Statement, decide

pytest.importorskip("flint")

KEY = jax.random.key(0)


def implication(conclusions, hypotheses=lambda known: []):
    """A statement on a Gram matrix, labels and slope."""

    def statement(at):
        known = orthogonal_balls.enclosed(*at)
        return Statement(conclusions(known), hypotheses(known))

    return statement


# Machinery ---------------------------------------------------------------------------------------


def test_inequalities_by_hand():
    one, third = intervals.ball(1.0), intervals.ball(1.0) / 3
    assert Inequality(third, one).truth and Inequality(third, one, strict=True).truth
    assert Inequality(one, third).truth is False
    assert Inequality(one, one).truth and Inequality(one, one, strict=True).truth is False
    # Two ways to the same number that is not a float: never decided.
    assert Inequality(third, 2 * (intervals.ball(1.0) / 6)).truth is None
    several = intervals.balls([0.0, 2.0])
    assert (
        Inequality(several, intervals.ball(3.0)).truth and Inequality(one, several).truth is False
    )
    assert Inequality(np.array([third]), third).truth is None


def test_decisions_by_hand():
    def always(lhs, rhs, given=()):
        return lambda _: Statement([Inequality(intervals.ball(lhs), intervals.ball(rhs))], given)

    false = [Inequality(intervals.ball(1.0), intervals.ball(0.0))]
    assert decide(always(0.0, 1.0), None) is Decision.PROVED
    assert decide(always(1.0, 0.0), None) is Decision.REFUTED
    assert decide(always(0.0, 1.0, false), None) is decide(always(1.0, 0.0, false), None)
    assert decide(always(0.0, 1.0, false), None) is Decision.VACUOUS


def test_precision_rises_until_the_sides_part():
    """pi and its value to 45 digits: equal at 64 and 128 bits."""

    def statement(_):
        digits = 10**45
        return Statement(
            [Inequality(intervals.pi() * digits, intervals.ball(1.0) * FLOOR, strict=True)]
        )

    FLOOR = 3141592653589793238462643383279502884197169399  # noqa: N806
    assert decide(statement, None) is Decision.REFUTED
    FLOOR += 1  # noqa: N806
    assert decide(statement, None) is Decision.PROVED


def test_solutions_are_enclosed():
    rng = np.random.default_rng(0)
    matrix, right = rng.normal(size=(5, 5)), rng.normal(size=5)
    solution = intervals.solve(intervals.balls(matrix), intervals.balls(right))
    np.testing.assert_allclose([float(s.mid()) for s in solution], np.linalg.solve(matrix, right))
    residual = intervals.balls(matrix) @ solution - intervals.balls(right)
    assert all(entry.contains(0) for entry in residual)
    singular = intervals.solve(intervals.balls(np.ones((2, 2))), intervals.balls([1.0, 2.0]))
    assert Inequality(singular, intervals.ball(1e300)).truth is None


# Nearly orthogonal samples -----------------------------------------------------------------------

IDENTITY = np.eye(3), np.array([1, -1, 1]), 0.5


def test_bounds_of_the_multipliers_hold_and_wrong_ones_do_not():
    gram = np.eye(3) + 0.01 * (1 - np.eye(3))
    at = gram, np.array([1, -1, 1]), 0.5
    tiers = (orthogonal_balls.paper, orthogonal_balls.sharp, orthogonal_balls.certificate)
    for tier in tiers:
        assert decide(implication(tier), at) is Decision.PROVED
    for bounds, tier in (
        (orthogonal_balls.paper_bounds, orthogonal_balls.paper),
        (orthogonal_balls.sharp_bounds, orthogonal_balls.sharp),
    ):
        assert decide(implication(bounds, tier), at) is Decision.PROVED

    def too_small(known):
        return [Inequality(known.lam, known.bounds[1] * (1 - intervals.ball(2.0**-6)))]

    assert decide(implication(too_small, orthogonal_balls.sharp), at) is Decision.REFUTED
    # Nearly parallel samples: no tier holds, so nothing is claimed.
    close = np.eye(3) + 0.9 * (1 - np.eye(3)), *at[1:]
    assert decide(implication(tiers[1]), close) is Decision.REFUTED
    assert decide(implication(orthogonal_balls.sharp_bounds, tiers[1]), close) is Decision.VACUOUS


def test_equality_stays_undecided():
    """Orthogonal samples of equal norms: lo = lambda = hi = 1.6, which is no float."""
    statement = implication(orthogonal_balls.sharp_bounds, orthogonal_balls.sharp)
    assert decide(statement, IDENTITY) is Decision.UNDECIDED

    def apart(known):
        (lo, hi), near = known.bounds, intervals.ball(2.0**-200)
        return [Inequality(lo * (1 - near), known.lam), Inequality(known.lam, hi * (1 + near))]

    assert decide(implication(apart), IDENTITY) is Decision.PROVED


def test_rounding_flips_a_strict_hypothesis_in_float64():
    """A row sum of 1 + 3 2^-53 is rounded to 1, below gamma R_min^2 = 1 + 2 2^-53."""
    tiny = 2.0**-53
    gram = 2 * (1 + 2 * tiny) * np.eye(5)
    gram[0, 1:] = gram[1:, 0] = (1.0, tiny, tiny, tiny)
    at = gram, np.ones(5), 0.5
    floats = jax.jit(conditions.orthogonality)(gram, 0.5)
    assert floats.row_sum < 0.5 * gram[0, 0]
    first = implication(lambda known: orthogonal_balls.sharp(known)[:1])
    assert decide(first, at) is Decision.REFUTED


# Closed forms against the float ones, and at random instances ------------------------------------


def test_gate_kernel_in_balls_is_the_float_one():
    x, z = np.split(np.random.default_rng(0).normal(size=(5, 3)), [2])
    exact = wide_balls.gate_kernel(intervals.balls(x), intervals.balls(z), intervals.ball(0.3))
    floats = shallow.gate_kernel(jnp.asarray(x), jnp.asarray(z), 0.3)
    np.testing.assert_allclose(exact.astype(float), floats, rtol=1e-14)
    at = types.SimpleNamespace(x=x, z=z, gamma=0.3)
    assert decide(wide_balls.gate_kernel_range, at) is Decision.PROVED


def test_flip_mass_in_closed_form_is_the_quadrature():
    statement = registry.THEOREMS["wide.flip_mass"]
    size = statement.sizes[0]
    parameters = {"scale": jnp.asarray(1.0), "log_time": jnp.asarray(0.5)}
    at = statement.sample(KEY, size, parameters)
    (exact,) = statement.interval_form(at).conclusions
    floats = statement.conclusions(at)["mean"]
    np.testing.assert_allclose(np.asarray(exact.lhs, float), floats.lhs, rtol=1e-10)
    np.testing.assert_allclose(np.asarray(exact.rhs, float), floats.rhs, rtol=1e-13)


DECIDABLE = [name for name, each in registry.THEOREMS.items() if each.interval_form]


@pytest.mark.parametrize("name", DECIDABLE)
def test_random_instances_are_proved(name):
    # Balls are slow at width 2000; hypotheses on samples hold at half of the instances.
    number = 2 if name.startswith("wide") else 12
    decisions = certify.certify(registry.THEOREMS[name], KEY, number, block=16)
    assert decisions[Decision.PROVED] >= number / 3, decisions
    assert decisions[Decision.REFUTED] == decisions[Decision.UNDECIDED] == 0
    assert decisions.total() == number


def test_float_and_ball_agree_that_a_wrong_statement_is_wrong():
    """Sides of the catalogue's statements, exchanged, are refuted wherever they were proved."""
    name = "wide.threshold_surrogate"
    statement = registry.THEOREMS[name]
    keys, size = jax.random.split(KEY, 4), statement.sizes[0]
    parameters = evaluation.draw_parameters(statement, KEY, 4)
    batch = evaluation.sample_many(statement, size, keys, parameters)

    def reverse(at):
        (bound,) = registry.THEOREMS[name].interval_form(at).conclusions
        return Statement([Inequality(bound.rhs, bound.lhs)])

    for row in range(4):
        at = jax.tree.map(lambda leaf, row=row: leaf[row], batch)
        assert decide(reverse, at) is Decision.REFUTED


def test_theorems_without_a_certified_form():
    assert certify.certify(registry.THEOREMS["wide.lazy_training"], KEY, 2) is None


def test_messages(rejects, monkeypatch):
    with rejects("num_instances must be at least 1; got 0."):
        certify.certify(registry.THEOREMS["wide.flip_mass"], KEY, 0)
    load = builtins.__import__

    def missing(name, *rest, **options):
        if name == "flint":
            raise ImportError(name)
        return load(name, *rest, **options)

    intervals._flint.cache_clear()
    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(ImportError, match="need python-flint; install twolayer with its extra"):
        intervals.pi()
