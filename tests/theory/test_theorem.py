import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from twolayer.theory.verification import evaluation
from twolayer.theory.verification import verify as verify_
from twolayer.theory.verification.evaluation import examine, judge
from twolayer.theory.verification.inequality import Bound
from twolayer.theory.verification.theorem import Control, Theorem
from twolayer.theory.verification.verify import verify

KEY = jax.random.key(0)


def sample(key, size, parameters):
    return parameters["scale"] * jax.random.normal(key, (size["n"],))


def triangle(x, share=1.0):
    return {"norm": Bound(lhs=jnp.abs(jnp.sum(x)), rhs=share * jnp.sum(jnp.abs(x)))}


TRUE = Theorem(
    name="toy.triangle",
    statement="|sum x| <= sum |x|",
    source="[derived] here",
    sizes=({"n": 2}, {"n": 5}),
    parameters={"scale": (0.5, 2.0)},
    sample=sample,
    conclusions=triangle,
    controls={"half": Control(conclusions=functools.partial(triangle, share=0.5))},
)


def changed(**parts):
    return dataclasses.replace(TRUE, **parts)


def tail(x, limit):
    return {"tail": Bound(lhs=x[0], rhs=jnp.asarray(limit))}


def probabilistic(true_rate, claimed_rate):
    """``x <= limit`` for a standard normal x fails with probability ``true_rate`` exactly."""
    limit = float(stats.norm.isf(true_rate))
    return changed(
        parameters={"scale": (1.0, 1.0)},
        sizes=({"n": 1},),
        conclusions=functools.partial(tail, limit=limit),
        failure_rate=claimed_rate,
        controls={"limit 0": Control(conclusions=functools.partial(tail, limit=0.0))},
    )


# One instance ------------------------------------------------------------------------------------


def test_hypotheses_choose_the_elements_that_count():
    conclusion = Bound(lhs=jnp.array([2.0, 0.5, 0.9]), rhs=jnp.ones(3))
    fine = Bound(lhs=jnp.array([1.0, 0.0, 0.0]), rhs=jnp.zeros(3))
    outcome = examine({"fine": fine}, {"below": conclusion})
    assert outcome.checked == 2 and not outcome.violated
    np.testing.assert_allclose([outcome.slack, outcome.tightness], [0.1, 0.9], rtol=1e-12)
    outcome = examine({}, {"below": conclusion})
    assert outcome.checked == 3 and outcome.violated
    np.testing.assert_allclose([outcome.slack, outcome.tightness], [-0.5, 2.0], rtol=1e-12)


def test_each_conclusion_has_a_ratio_of_its_own():
    one = jnp.ones(2)
    bounds = {
        "tight": Bound(lhs=jnp.array([0.2, 0.9]), rhs=one),
        "loose": Bound(lhs=0.1 * one, rhs=one),
        "sign": Bound(lhs=-one, rhs=0 * one),
    }
    outcome = examine({}, bounds)
    assert outcome.tightness == outcome.ratios["tight"] == 0.9
    assert outcome.ratios["loose"] == 0.1 and jnp.isnan(outcome.ratios["sign"])


def test_scalar_hypotheses_count_for_every_element():
    conclusion = Bound(lhs=jnp.array([2.0, 0.5]), rhs=jnp.ones(2))
    never = Bound(lhs=jnp.asarray(1.0), rhs=jnp.asarray(0.0))
    outcome = examine({"never": never}, {"below": conclusion})
    assert outcome.checked == 0 and not outcome.violated
    assert outcome.slack == jnp.inf and jnp.isnan(outcome.tightness)
    always = Bound(lhs=jnp.asarray(0.0), rhs=jnp.asarray(1.0))
    assert examine({"always": always}, {"below": conclusion}).violated


def test_nan_in_a_conclusion_is_a_violation_and_in_a_hypothesis_none():
    nan, one = jnp.array([jnp.nan]), jnp.ones(1)
    for conclusion in (Bound(lhs=nan, rhs=one), Bound(lhs=one, rhs=nan)):
        outcome = examine({}, {"nan": conclusion})
        assert outcome.violated and outcome.slack == -2
        fine = Bound(lhs=0 * one, rhs=one)
        assert examine({}, {"fine": fine, "nan": conclusion}).violated
    wrong = Bound(lhs=2 * one, rhs=one)
    outcome = examine({"nan": Bound(lhs=nan, rhs=one)}, {"wrong": wrong})
    assert outcome.checked == 0 and not outcome.violated


def test_shapes_that_do_not_fit(rejects):
    two, three = Bound(jnp.zeros(2), jnp.ones(2)), Bound(jnp.zeros(3), jnp.ones(3))
    with rejects("hypothesis few of shape (2,) does not fit conclusion many of shape (3,)."):
        examine({"few": two}, {"many": three})


# Verdicts ----------------------------------------------------------------------------------------


def test_true_theorem_holds():
    verdict = verify(TRUE, KEY, 100, block=25)
    assert verdict.held and verdict.status == "HELD"
    assert (verdict.instances, verdict.vacuous, verdict.violations, verdict.allowed) == (
        100,
        0,
        0,
        0,
    )
    assert -1e-12 < verdict.worst_slack < 1e-12  # numbers of one sign: equality
    assert 0.3 < verdict.tightness < 0.7
    assert verdict.missed == () and 0.2 < verdict.controls["half"] < 1
    assert (verdict.name, verdict.source) == ("toy.triangle", "[derived] here")


def test_instances_are_rounded_up_to_the_sizes_and_blocks():
    assert verify(TRUE, KEY, 31, block=25).instances == 50
    assert verify(TRUE, KEY, 51, block=25).instances == 100


def test_false_theorem_is_violated():
    verdict = verify(
        changed(conclusions=functools.partial(triangle, share=0.9)), KEY, 100, block=25
    )
    assert verdict.status == "VIOLATED" and not verdict.held
    assert verdict.violations > verdict.allowed == 0
    np.testing.assert_allclose(verdict.worst_slack, -0.1, atol=1e-6)
    np.testing.assert_allclose(verdict.tightness, verify(TRUE, KEY, 100, block=25).tightness / 0.9)
    assert verify(TRUE, KEY, 100, block=25).counterexample is None
    found = verdict.counterexample
    bound = found.conclusions["norm"]
    assert bound.lhs > bound.rhs and found.size in TRUE.sizes
    np.testing.assert_allclose(bound.lhs, abs(np.sum(found.instance)), rtol=1e-12)


def never(x):
    return {"impossible": Bound(lhs=jnp.asarray(1.0), rhs=jnp.asarray(0.0))}


def test_impossible_hypotheses_are_vacuous_and_never_held():
    verdict = verify(changed(hypotheses=never), KEY, 100, block=25)
    assert verdict.status == "VACUOUS" and not verdict.held
    assert verdict.vacuous == verdict.instances == 100
    assert math.isnan(verdict.worst_slack) and math.isnan(verdict.tightness)


@pytest.mark.parametrize(
    "control",
    [
        Control(),  # the theorem itself
        Control(conclusions=functools.partial(triangle, share=2.0)),
        Control(hypotheses=never, conclusions=functools.partial(triangle, share=0.5)),
    ],
    ids=["unchanged", "weaker", "vacuous"],
)
def test_control_that_cannot_fail_is_missed(control):
    controls = {**TRUE.controls, "toothless": control}
    verdict = verify(changed(controls=controls), KEY, 50, block=25)
    assert verdict.status == "CONTROL MISSED" and not verdict.held
    assert verdict.missed == ("toothless",) and verdict.controls["toothless"] == 0


def opposite(key, size, parameters):
    x = sample(key, size, parameters)
    return x.at[0].set(-x[1])


def test_controls_change_the_part_that_they_name():
    """|sum x| >= 0.9 sum |x| needs numbers of one sign; a pair that cancels breaks it."""

    def one_sign(x):
        return {"sign": Bound(lhs=jnp.asarray(0.0), rhs=jnp.min(x) * jnp.max(x))}

    def reverse(x):
        return {"large": Bound(lhs=0.9 * jnp.sum(jnp.abs(x)), rhs=jnp.abs(jnp.sum(x)))}

    controls = {
        "hypothesis left out": Control(hypotheses=lambda _: {}),
        "cancelling pair": Control(hypotheses=lambda _: {}, sample=opposite),
    }
    verdict = verify(
        changed(hypotheses=one_sign, conclusions=reverse, controls=controls), KEY, 100, block=25
    )
    assert verdict.held and 0 < verdict.vacuous < 100
    assert 0.5 < verdict.controls["hypothesis left out"] < 1
    assert verdict.controls["cancelling pair"] > verdict.controls["hypothesis left out"]


@given(checked=st.integers(0, 3000), rate=st.sampled_from([0.01, 0.05, 0.3]))
def test_allowance_is_the_exact_binomial_quantile(checked, rate):
    """The least count that a true statement exceeds with probability at most one in a million."""
    allowed = verify_._allowed(checked, rate)
    assert stats.binom.sf(allowed, checked, rate) <= 1e-6
    assert allowed == 0 or stats.binom.sf(allowed - 1, checked, rate) > 1e-6
    assert verify_._allowed(checked, 0.0) == 0


def test_statements_with_probability():
    held = verify(probabilistic(0.05, 0.05), KEY, 1000, block=250)
    assert held.held and 20 < held.violations < held.allowed == stats.binom.isf(1e-6, 1000, 0.05)
    violated = verify(probabilistic(0.15, 0.05), KEY, 1000, block=250)
    assert violated.status == "VIOLATED" and violated.violations > violated.allowed
    # A failure rate that is as claimed is no control: it must be caught beyond chance.
    weak = dataclasses.replace(
        probabilistic(0.05, 0.05),
        controls={"as rare": Control(conclusions=functools.partial(tail, limit=1.7))},
    )
    assert verify(weak, KEY, 1000, block=250).status == "CONTROL MISSED"


def test_vacuous_instances_do_not_raise_the_allowance():
    base = probabilistic(0.05, 0.05)

    def rarely(x):
        return {"rare": Bound(lhs=jnp.asarray(1.0), rhs=x[0])}

    verdict = verify(
        dataclasses.replace(base, hypotheses=rarely, controls={"limit 0": Control(
            hypotheses=lambda _: {}, conclusions=functools.partial(tail, limit=0.0))}),
        KEY, 1000, block=250,
    )  # fmt: skip
    assert 50 < verdict.instances - verdict.vacuous < 300
    assert verdict.allowed == stats.binom.isf(1e-6, verdict.instances - verdict.vacuous, 0.05)


def test_same_key_same_verdict():
    first, second = (verify(TRUE, jax.random.key(3), 50, block=25) for _ in range(2))
    assert first == second
    assert verify(TRUE, jax.random.key(4), 50, block=25).tightness != first.tightness


def test_judging_is_examining_each_instance():
    keys = jax.random.split(KEY, 4)
    parameters = {"scale": jnp.array([0.5, 1.0, 1.5, 2.0])}
    outcomes = judge(TRUE, {"n": 3}, keys, parameters, control="half")
    for index, key in enumerate(keys):
        x = sample(key, {"n": 3}, {"scale": parameters["scale"][index]})
        alone = examine({}, triangle(x, share=0.5))
        assert outcomes.checked[index] == alone.checked == 1
        assert outcomes.violated[index] == alone.violated
        np.testing.assert_allclose(outcomes.slack[index], alone.slack, rtol=1e-12)
        np.testing.assert_allclose(outcomes.tightness[index], alone.tightness, rtol=1e-12)


def test_parameters_fill_their_ranges():
    toy = changed(parameters={"scale": (0.5, 2.0), "rate": (-3.0, -1.0)})
    parameters = evaluation.draw_parameters(toy, KEY, 2000)
    for name, (low, high) in toy.parameters.items():
        share = (np.asarray(parameters[name]) - low) / (high - low)
        assert stats.kstest(share, "uniform").pvalue > 1e-3
    assert abs(np.corrcoef(parameters["scale"], parameters["rate"])[0, 1]) < 5 / 2000**0.5
    assert evaluation.draw_parameters(changed(parameters={}), KEY, 3) == {}


def test_messages(rejects):
    with rejects("toy.triangle: sizes and controls must not be empty."):
        changed(sizes=())
    with rejects("toy.triangle: sizes and controls must not be empty."):
        changed(controls={})
    with rejects("failure_rate must be in [0, 1); got 1.0."):
        changed(failure_rate=1.0)
    with rejects("num_instances must be at least 1; got 0."):
        verify(TRUE, KEY, 0)
    with rejects("block must be at least 1; got 0."):
        verify(TRUE, KEY, 1, block=0)
