"""Every theorem of the catalogue: on random instances, under hypothesis, and with broken code."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from tests import per_study
from tests.theory import baseline
from tests.theory.baseline import BLOCK
from twolayer.theory.verification import evaluation, registry

# What is wrong, module, function and its change, by theorem; those that are quick; those of which
# nothing is left but VACUOUS.
FAULTS, QUICK, VACUOUS = {}, set(), set()
for _study, _module in per_study.modules("faults"):
    FAULTS |= {f"{_study}.{name}": fault for name, fault in _module.FAULTS.items()}
    QUICK |= {f"{_study}.{name}" for name in getattr(_module, "QUICK", ())}
    VACUOUS |= {f"{_study}.{name}" for name in getattr(_module, "VACUOUS", ())}

every_theorem = pytest.mark.parametrize("name", registry.THEOREMS)


@every_theorem
def test_theorem_holds_and_its_controls_are_caught(name):
    statement = registry.THEOREMS[name]
    verdict = baseline.verdict_of(statement)
    assert verdict.held, verdict
    assert verdict.instances == 64
    assert set(verdict.controls) == set(statement.controls)
    assert not baseline.differences(statement, verdict, baseline.recorded()[name])


@every_theorem
def test_theorem_holds_wherever_hypothesis_looks(name):
    """Corners of the parameters' ranges included, which uniform draws never meet."""
    statement = registry.THEOREMS[name]
    allowed = int(stats.binom.isf(1e-9, BLOCK, statement.failure_rate))

    @settings(max_examples=10)
    @given(
        size=st.sampled_from(statement.sizes),
        seed=st.integers(0, 2**31 - 1),
        parameters=st.fixed_dictionaries(
            {
                name: st.floats(low, high, allow_subnormal=False)
                for name, (low, high) in statement.parameters.items()
            }
        ),
    )
    def check(size, seed, parameters):
        keys = jax.random.split(jax.random.key(seed), BLOCK)
        parameters = {name: jnp.full(BLOCK, value, float) for name, value in parameters.items()}
        outcome = evaluation.judge(statement, size, keys, parameters)
        assert np.sum(outcome.violated) <= allowed, outcome

    check()


def test_names_and_sources():
    for name, statement in registry.THEOREMS.items():
        assert statement.name == name
        stem, _, claim = name.partition(".")
        assert claim and stem in {study.split(".")[1] for study in registry.STUDIES}
        assert statement.source.startswith(("[paper]", "[derived]"))
        assert all(low < high for low, high in statement.parameters.values())


def test_selection():
    everything = list(registry.THEOREMS.values())
    assert registry.select([]) == everything
    both = [*registry.select(["perturbation.orthogonal"]), *registry.select(["wide"])]
    assert registry.select(["perturbation"]) == both
    assert [*registry.select(["mixup"]), *both, *registry.select(["shortcut"])] == everything
    chosen = registry.select(["wide.width", "perturbation.wide.direction", "wide.width"])
    assert [statement.name for statement in chosen] == ["wide.width", "wide.direction"]
    with pytest.raises(
        ValueError,
        match="NAME must be one of mixup, perturbation, shortcut, .*'wid'. Did you mean",
    ):
        registry.select(["wide", "wid"])


@pytest.fixture
def fresh_compilations():
    """What is compiled with faults must not outlive the test, nor be replaced by older."""
    caches = (evaluation._compiled_sampler, evaluation._compiled_examiner)
    for cache in caches:
        cache.cache_clear()
    yield
    for cache in caches:
        cache.cache_clear()


def test_every_theorem_has_a_fault():
    assert set(FAULTS) == set(registry.THEOREMS)
    assert QUICK | VACUOUS <= set(FAULTS)


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in FAULTS],
)
def test_broken_code_is_noticed(name, monkeypatch, fresh_compilations):
    _, module, function, change = FAULTS[name]
    original = getattr(module, function)
    monkeypatch.setattr(
        module, function, lambda *args, **options: change(original(*args, **options))
    )
    verdict = baseline.verdict_of(registry.THEOREMS[name])
    expected = "VACUOUS" if name in VACUOUS else "VIOLATED"
    assert verdict.status == expected, verdict
