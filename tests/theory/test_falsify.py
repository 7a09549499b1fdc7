"""The search for counterexamples: on toys by hand, on planted false theorems, on the true ones."""

import dataclasses
import functools
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import struct
from scipy import stats

from tests import per_study
from twolayer.theory.verification import registry, verify
from twolayer.theory.verification.falsify import falsify
from twolayer.theory.verification.inequality import Bound, equal, same_sign
from twolayer.theory.verification.theorem import Control, Theorem

# False theorems, and those of them of which random instances show nothing.
NEAR_MISSES, RARE = {}, []
for _, _module in per_study.modules("near_misses"):
    NEAR_MISSES |= _module.NEAR_MISSES
    RARE += getattr(_module, "RARE", ())

KEY = jax.random.key(0)


@struct.dataclass
class Toy:
    x: jax.Array
    label: jax.Array
    noise: jax.Array
    scale: jax.Array
    total: jax.Array | None = None  # follows from x


def sample(key, size, parameters):
    normal = jax.random.normal(key, (size["n"] + 2,))
    return Toy(
        x=normal[2:],
        label=jnp.where(normal[0] < 0, -1.0, 1.0),
        noise=normal[1],
        scale=parameters["scale"],
    )


def add_up(toy):
    return dataclasses.replace(toy, total=jnp.sum(toy.x))


def below(lhs, rhs):
    return {"below": Bound(lhs=jnp.asarray(lhs), rhs=jnp.asarray(rhs))}


def triangle(toy, share=1.0):
    return below(jnp.abs(toy.total), share * jnp.sum(jnp.abs(toy.x)))


TRUE = Theorem(
    name="toy.triangle",
    statement="|sum x| <= sum |x|",
    source="[derived] here",
    sizes=({"n": 6},),
    parameters={"scale": (0.5, 2.0)},
    sample=sample,
    complete=add_up,
    conclusions=triangle,
    controls={"half": Control(conclusions=functools.partial(triangle, share=0.5))},
    searchable=("x",),
)


def changed(**parts):
    return dataclasses.replace(TRUE, **parts)


# Deterministic statements ------------------------------------------------------------------------


def test_true_statement_stands_and_its_tightness_is_found():
    attack = falsify(TRUE, KEY)
    assert not attack.found and attack.counterexample is None
    np.testing.assert_allclose([attack.closest, attack.slack], [1, 0], atol=1e-9)
    assert attack.restarts >= 32 and attack.steps >= 32 * 50
    assert (attack.name, attack.source) == ("toy.triangle", "[derived] here")
    assert attack.status == "none"


def test_nearly_true_statement_falls():
    """Its six numbers must be equal within a hundredth, which random ones never are."""
    tight = changed(
        conclusions=lambda toy: below(jnp.sum(toy.x) ** 2, (1 - 1e-5) * 6 * jnp.sum(toy.x**2))
    )
    assert verify.verify(tight, KEY, 1000, block=250).violations == 0
    attack = falsify(tight, KEY)
    found = attack.counterexample
    assert attack.found and attack.status == "FALSIFIED" and found.size == {"n": 6}
    bound = found.conclusions["below"]
    assert bound.lhs > bound.rhs
    np.testing.assert_allclose(bound.lhs, np.sum(found.instance.x) ** 2, rtol=1e-12)
    np.testing.assert_allclose(found.instance.total, np.sum(found.instance.x), rtol=1e-12)


def test_hypotheses_are_kept():
    """|x_0| <= 1 implies x_0 <= 1; the search must stop at the edge, and cross where it may."""

    def inside(toy):
        return {"inside": Bound(lhs=jnp.abs(toy.x[0]), rhs=jnp.ones(()))}

    at_edge = falsify(changed(hypotheses=inside, conclusions=lambda toy: below(toy.x[0], 1.0)), KEY)
    assert not at_edge.found and abs(at_edge.closest - 1) < 1e-3
    below_edge = changed(hypotheses=inside, conclusions=lambda toy: below(toy.x[0], 0.999))
    found = falsify(below_edge, KEY).counterexample
    assert 0.999 < found.instance.x[0] <= 1 + 1e-12


IMPOSSIBLE = changed(hypotheses=lambda toy: below(1.0, 0.0 * toy.scale))


def test_impossible_hypotheses_are_told_apart_from_a_bound_that_holds():
    attack = falsify(IMPOSSIBLE, KEY, rounds=2)
    assert not attack.found and np.isnan(attack.slack) and np.isnan(attack.closest)
    assert attack.status == "VACUOUS"
    rarely = falsify(dataclasses.replace(IMPOSSIBLE, failure_rate=0.05), KEY, rounds=1)
    assert rarely.status == "VACUOUS" and np.isnan(rarely.closest)


def test_what_follows_is_computed_anew_and_labels_and_noise_stay():
    def conclusions(toy):
        return {
            "sum": equal(toy.total, jnp.sum(toy.x), 1e-12),
            "label": equal(jnp.abs(toy.label), jnp.ones(()), 1e-12),
            "parameter": Bound(lhs=toy.scale, rhs=jnp.asarray(2.0)),
            "noise": Bound(lhs=jnp.abs(toy.noise), rhs=jnp.asarray(6.0)),
        }

    assert not falsify(changed(conclusions=conclusions), KEY, rounds=2).found


def test_parameters_reach_both_ends():
    high = falsify(changed(conclusions=lambda toy: below(toy.scale, 1.999999)), KEY, restarts=8)
    assert high.counterexample.instance.scale == 2.0
    low = changed(conclusions=lambda toy: below(0.500001, toy.scale), searchable=())
    assert falsify(low, KEY, restarts=8).counterexample.instance.scale == 0.5


def test_signs_are_attacked_by_slope():
    """A sign that differs on a thin slice of the range of one of six numbers."""

    def nearly(toy):
        return {"sign": same_sign(toy.x[2], toy.x[2] + 1e-3)}

    false = changed(conclusions=nearly)
    assert verify.verify(false, KEY, 1000, block=250).violations == 0
    found = falsify(false, KEY).counterexample
    assert -1e-3 < found.instance.x[2] < 0
    assert not falsify(
        changed(conclusions=lambda toy: {"sign": same_sign(toy.x, toy.x)}), KEY
    ).found


def test_statements_without_slope_are_attacked_by_jumps():
    """Piecewise constant: at least five of six numbers are above one."""
    above = changed(conclusions=lambda toy: below(jnp.sum((toy.x > 1.0).astype(float)), 4.5))
    assert verify.verify(above, KEY, 1000, block=250).violations == 0
    assert falsify(above, KEY).found


def test_slopes_of_nan_do_not_end_the_search():
    def rough(toy):
        # The derivative of the first term is NaN everywhere, that of the second is plain.
        hidden = jnp.where(toy.x[0] > 100, jnp.sqrt(-jnp.abs(toy.x[0])), 0.0)
        return below(hidden + toy.x[1], 2.2)

    assert np.isnan(jax.grad(lambda x: rough(Toy(x, x, x, x))["below"].lhs)(jnp.ones(6))[0])
    assert falsify(changed(conclusions=rough), KEY).found


def test_rounding_is_no_counterexample():
    """A tolerance below rounding: violations are met, and known for what they are."""

    def exact(toy):
        size = jnp.abs(toy.total)
        return {"identity": equal(jnp.exp(jnp.log(size)), size, 1e-17 * size)}

    attack = falsify(changed(conclusions=exact), KEY, rounds=4)
    assert attack.closest > 2 and attack.slack < -0.5
    assert not attack.found


def test_same_key_same_attack():
    first, second = (falsify(TRUE, jax.random.key(3), restarts=4, rounds=1) for _ in range(2))
    assert first == second


def test_search_ends_when_asked_and_every_size_gets_its_turn():
    both = changed(sizes=({"n": 6}, {"n": 2}))
    assert falsify(both, KEY, restarts=4, proceed=lambda: False).steps == 4 * 50
    # Compiling the second size may have used up the time: asked before it and after it.
    answers = iter([True, False])
    assert falsify(both, KEY, restarts=4, proceed=lambda: next(answers)).steps == 4 * 50
    assert next(answers, None) is None
    only_small = changed(
        sizes=({"n": 6}, {"n": 2}),
        conclusions=lambda toy: below(2.0, float(toy.x.shape[0]) * jnp.ones(()) - 0.5),
    )
    assert falsify(only_small, KEY, restarts=4).counterexample.size == {"n": 2}


def test_counterexamples_as_arrays():
    false = changed(conclusions=functools.partial(triangle, share=0.9))
    found = falsify(false, KEY, restarts=4).counterexample
    arrays = found.arrays()
    np.testing.assert_array_equal(arrays["parameters['scale']"], found.instance.scale)
    assert set(arrays) == {
        "size['n']",
        "parameters['scale']",
        *(f"instance.{name}" for name in ("x", "label", "noise", "scale", "total")),
        "conclusions['below'].lhs",
        "conclusions['below'].rhs",
    }
    np.testing.assert_array_equal(arrays["instance.x"], found.instance.x)


# Statements with probability ---------------------------------------------------------------------


def noisy(limit, rate):
    """noise + x_0 scale <= limit: the adversary chooses x_0 and the scale, not the noise."""
    return changed(
        conclusions=lambda toy: below(toy.noise + toy.x[0] * toy.scale, limit), failure_rate=rate
    )


def test_adversary_raises_the_failure_frequency():
    """At random it fails seldom; at the largest x_0 and scale almost always."""
    false = noisy(limit=5.0, rate=0.05)
    verdict = verify.verify(false, KEY, 1000, block=250)
    assert verdict.violations <= verdict.allowed
    attack = falsify(false, KEY)
    assert attack.found and attack.closest > 2 and np.isnan(attack.slack)
    assert attack.counterexample.conclusions["below"].lhs > 5


def test_frequency_below_the_claim_stands():
    """Noise alone fails with probability 3 in 100, whatever is chosen."""
    limit = float(stats.norm.isf(0.03))
    true = changed(
        conclusions=lambda toy: below(toy.noise + 0 * toy.x[0], limit), failure_rate=0.05
    )
    attack = falsify(true, KEY)
    assert not attack.found and 0.2 < attack.closest < 1.2


# The catalogue -----------------------------------------------------------------------------------


def test_messages(rejects):
    with rejects("restarts must be at least 2; got 1."):
        falsify(TRUE, KEY, restarts=1)
    with rejects("rounds must be at least 1; got 0."):
        falsify(TRUE, KEY, rounds=0)
    with rejects("toy.triangle: searchable names 'y', which sample does not draw."):
        falsify(changed(searchable=("x", "y")), KEY)
    with rejects("theorem must have a parameter or a searchable field; got neither."):
        falsify(changed(searchable=(), parameters={}, sample=lambda *_: jnp.ones(2)), KEY)


def test_labels_and_what_is_random_are_never_free():
    for statement in registry.THEOREMS.values():
        assert not {"y", "targets", "labels", "normal"} & set(statement.searchable)


def test_planted_falsehood_is_found():
    name = "multipliers below 1.05/(gamma R_min)^2"
    assert falsify(NEAR_MISSES[name], KEY, rounds=4).found


@pytest.mark.slow
@pytest.mark.parametrize("name", NEAR_MISSES)
def test_every_planted_falsehood_is_found_in_a_minute(name):
    end = time.monotonic() + 60
    assert falsify(NEAR_MISSES[name], KEY, proceed=lambda: time.monotonic() < end).found


@pytest.mark.slow
@pytest.mark.parametrize("name", RARE)
def test_rare_falsehoods_are_not_seen_at_random(name):
    verdict = verify.verify(NEAR_MISSES[name], jax.random.key(5), 1000)
    assert verdict.violations <= verdict.allowed


@pytest.mark.slow
@pytest.mark.parametrize("name", registry.THEOREMS)
def test_no_theorem_of_the_catalogue_falls(name):
    end = time.monotonic() + 60
    attack = falsify(registry.THEOREMS[name], KEY, proceed=lambda: time.monotonic() < end)
    assert not attack.found, attack
