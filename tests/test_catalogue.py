"""Every theorem of the catalogue: on random instances, under hypothesis, and with broken code."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from theory import catalogue, heavy_ball, theorem
from theory.perturbation import orthogonal, orthogonal_agreement, wide, wide_bounds

BLOCK = 16  # one shape, so that all checks of a theorem share what is compiled
every_theorem = pytest.mark.parametrize("name", catalogue.THEOREMS)


@every_theorem
def test_theorem_holds_and_its_controls_are_caught(name):
    verdict = theorem.verify(catalogue.THEOREMS[name], jax.random.key(7), 64, block=BLOCK)
    assert verdict.held, verdict
    assert verdict.instances == 64
    assert set(verdict.controls) == set(catalogue.THEOREMS[name].controls)


@every_theorem
def test_theorem_holds_wherever_hypothesis_looks(name):
    """Corners of the knobs' ranges included, which uniform draws never meet."""
    statement = catalogue.THEOREMS[name]
    allowed = int(stats.binom.isf(1e-9, BLOCK, statement.failure_rate))

    @settings(max_examples=10)
    @given(
        size=st.sampled_from(statement.sizes),
        seed=st.integers(0, 2**31 - 1),
        knobs=st.fixed_dictionaries(
            {
                name: st.floats(low, high, allow_subnormal=False)
                for name, (low, high) in statement.knobs.items()
            }
        ),
    )
    def check(size, seed, knobs):
        keys = jax.random.split(jax.random.key(seed), BLOCK)
        knobs = {name: jnp.full(BLOCK, value, float) for name, value in knobs.items()}
        outcome = theorem.judge(statement, size, keys, knobs)
        assert np.sum(outcome.violated) <= allowed, outcome

    check()


def test_names_and_sources():
    for name, statement in catalogue.THEOREMS.items():
        assert statement.name == name
        stem, _, claim = name.partition(".")
        assert claim and any(stem in stems for stems in catalogue.WINGS.values())
        assert statement.source.startswith(("[paper]", "[derived]"))
        assert all(low < high for low, high in statement.knobs.values())


def test_selection():
    everything = list(catalogue.THEOREMS.values())
    assert catalogue.select([]) == everything
    assert catalogue.select(["perturbation"]) == everything
    both = [*catalogue.select(["wide"]), *catalogue.select(["perturbation.orthogonal"])]
    assert both == everything
    chosen = catalogue.select(["wide.width", "perturbation.wide.direction", "wide.width"])
    assert [statement.name for statement in chosen] == ["wide.width", "wide.direction"]
    with pytest.raises(
        ValueError, match="NAME must be one of perturbation, wide, orthogonal, wide.eff.*'wid'"
    ):
        catalogue.select(["wide", "wid"])


# What the code under test computes, spoilt: (module, function, a change of its result), and the
# theorem that must notice.
def scaled(factor):
    return lambda value: factor * value


MUTATIONS = {
    "width radius with 0.045 for 4.5": (
        wide_bounds,
        "width_radius",
        scaled(0.1),
        "wide.width",
    ),
    "lazy bound a thousandth": (wide_bounds, "lazy_bound", scaled(1e-3), "wide.lazy_training"),
    "flip mass with 3.9 for 4": (
        wide_bounds,
        "expected_flip_mass",
        scaled(0.975),
        "wide.flip_mass",
    ),
    "no initial part": (wide, "initial_direction", scaled(0.0), "wide.input_gradient"),
    "coefficients off by a millionth": (
        wide,
        "representer_coefficients",
        scaled(1 + 1e-6),
        "wide.direction",
    ),
    "gradient of the gate kernel doubled": (
        wide,
        "gate_kernel_gradient",
        scaled(2.0),
        "wide.infinite_gradient",
    ),
    "odd part halved": (
        wide,
        "even_odd_split",
        lambda parts: (parts[0], parts[1] / 2),
        "wide.decomposition",
    ),
    "even and odd exchanged": (
        wide,
        "even_odd_split",
        lambda parts: parts[::-1],
        "wide.signal_sign",
    ),
    "label noise a quarter": (
        wide_bounds,
        "label_noise_radius",
        scaled(0.25),
        "wide.label_noise",
    ),
    "all labels alike": (wide, "random_targets", jnp.ones_like, "wide.balanced_noise"),
    "initial outputs a third": (
        wide_bounds,
        "initial_output_radius",
        scaled(1 / 3),
        "wide.initial_output",
    ),
    "surrogate bound a fifth": (
        wide_bounds,
        "threshold_surrogate_bound",
        scaled(0.2),
        "wide.threshold_surrogate",
    ),
    "law above by a tenth": (
        wide,
        "threshold_agreement",
        lambda law: law + 0.1,
        "wide.threshold_law",
    ),
    "forgotten momentum": (
        heavy_ball,
        "effective_weights",
        scaled(0.5),
        "wide.coefficients",
    ),
    "multipliers off by a millionth": (
        orthogonal,
        "solve_multipliers",
        scaled(1 + 1e-6),
        "orthogonal.margins",
    ),
    "normal without the last multiplier's sign": (
        orthogonal,
        "boundary_normal",
        jnp.abs,
        "orthogonal.boundary",
    ),
    "perturbed Gram matrix off by a millionth": (
        orthogonal_agreement,
        "perturbed_gram",
        scaled(1 + 1e-6),
        "orthogonal.perturbed_gram",
    ),
    "noise term doubled": (
        orthogonal_agreement,
        "decompose",
        lambda terms: (2 * terms[0], terms[1]),
        "orthogonal.decomposition",
    ),
    "noise bounds a fifth": (
        orthogonal_agreement,
        "noise_bounds",
        lambda bounds: (bounds[0] / 5, bounds[1] / 5),
        "orthogonal.noise_bounds",
    ),
}


@pytest.fixture
def fresh_compilations():
    """What is compiled with spoilt code must not outlive the test, nor be replaced by older."""
    caches = (theorem._compiled_sampler, theorem._compiled_examiner)
    for cache in caches:
        cache.cache_clear()
    yield
    for cache in caches:
        cache.cache_clear()


@pytest.mark.parametrize("change", MUTATIONS)
def test_broken_code_is_noticed(change, monkeypatch, fresh_compilations):
    module, function, spoil, name = MUTATIONS[change]
    original = getattr(module, function)
    monkeypatch.setattr(
        module, function, lambda *args, **options: spoil(original(*args, **options))
    )
    # The functions are found through their modules at each trace, so that all uses are spoilt.
    verdict = theorem.verify(catalogue.THEOREMS[name], jax.random.key(7), 64, block=BLOCK)
    assert verdict.status == "VIOLATED", verdict
