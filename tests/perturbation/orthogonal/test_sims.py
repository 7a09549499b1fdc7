"""The stem perturbation.orthogonal: families, flows, tiers, the artificial experiment, claims."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from twolayer.sims.engine import execution
from twolayer.sims.engine.results import Run, StemResults
from twolayer.sims.perturbation.orthogonal import (
    artificial_training,
    experiment,
    flow,
    published,
)
from twolayer.sims.perturbation.orthogonal.artificial import Config, variants
from twolayer.sims.perturbation.orthogonal.claims import artificial as orthogonal_claims
from twolayer.sims.perturbation.orthogonal.families import FamilyConfig
from twolayer.sims.perturbation.orthogonal.flow import FlowConfig, TierConfig
from twolayer.theory.perturbation.orthogonal import exact as orthogonal_exact

STUDIES = {study.name: study for study in experiment.EXPERIMENT.studies}
TINY = Config(
    d=60, n=8, n_adv=24, width=4, l2=(0.05, 1.0), linf=(0.3,), l0=(5,), pgd_steps=5, max_steps=200
)


def run(study, config, seed=0):
    return execution.results(STUDIES[study], config, [seed], None)[0]


# Exact families.


def test_flipped_labels_follow_the_formula():
    config = FamilyConfig(gammas=(0.3, 0.5), taus=(0.3, 0.99, 1.01, 1.5, 2.0), steps=1500)
    found = run("family", config)
    for row, gamma in enumerate(config.gammas):
        for column, tau in enumerate(config.taus):
            exact = orthogonal_exact.flipped_orthogonal(tau, config.n, 1.0, gamma)
            expected = (float(exact.sign) + 1) / 2
            assert found["agreement"][row, column] == pytest.approx(expected, abs=1e-9)
            assert found["certificate"][row, column] == bool(exact.certificate)
    assert found["gram_gap"][0, -1] < 1e-12 < found["gram_gap"][0, 0]
    # Trained networks are where the boundaries are if the certificate holds.
    assert found["trained"][1, 0] < 0.02 and found["trained"][1, -1] > 0.98


def test_noise_follows_the_formula_and_has_nothing_trained():
    config = FamilyConfig(family="noise", n=4, n_adv=6, d=12, taus=(0.2, 1.0, 5.0))
    found = run("family", config)
    expected = 1 - np.arctan(1 / np.array(config.taus)) / np.pi
    np.testing.assert_allclose(found["agreement"][0], expected, atol=1e-12)
    assert np.isnan(found["trained"]).all() and found["certificate"].all()


def test_cosines_between_samples_blur_the_step():
    exact = run("family", FamilyConfig(taus=(0.9, 1.1)))["agreement"][0]
    near = run("family", FamilyConfig(family="near", rho=0.05, taus=(0.9, 1.1)))["agreement"][0]
    np.testing.assert_allclose(exact, (0, 1), atol=1e-9)
    assert exact[0] < near[0] < near[1] < exact[1]


# Flow and hypotheses.


def test_the_flow_approaches_the_closed_form_unless_samples_repeat():
    found = run("flow", FlowConfig(chunks=40))
    scaled = found["angle"] * found["time"]
    assert scaled[-1] == pytest.approx(scaled[19], rel=0.02)
    assert found["gradient_angle"][-1] < 1e-8 and found["weight_gap"][-1] < 1e-8
    assert found["certificate"]
    broken = run("flow", FlowConfig(chunks=40, duplicate=0.03))
    assert broken["gradient_angle"][-1] > 0.1 and not broken["certificate"]


def test_drawn_gram_matrices_have_the_law_of_drawn_samples():
    d, n, draws = 12, 4, 4000
    config = TierConfig(dims=(d,), sizes=(n,), gammas=(0.9,))
    keys = jax.random.split(jax.random.key(1), draws)
    simulate = jax.jit(jax.vmap(lambda key: flow.simulate_tier(key, config, {})))
    drawn = {name: np.mean(values) for name, values in simulate(keys).items()}

    def direct(key):
        x = jax.random.normal(key, (n, d))
        y = jnp.array([1.0, -1.0, 1.0, -1.0])
        return flow._tiers(x @ x.T, y, 0.9)

    for name, values in jax.jit(jax.vmap(direct))(keys).items():
        share = np.mean(values)
        error = (2 * share * (1 - share) / draws) ** 0.5
        assert abs(drawn[name] - share) <= 5 * error + 1e-12
    assert 0.05 < drawn["certificate"] < 0.95


# The artificial experiment.


def test_training_in_gram_coordinates_is_training_of_the_weights():
    rng = np.random.default_rng(0)
    n, d, width, gamma, steps = 6, 15, 4, 0.2, 7
    x, y = rng.normal(size=(n, d)), np.where(rng.random(n) < 0.5, 1.0, -1.0)
    start = 0.3 * rng.normal(size=(width, d))
    a = np.array([0.5, 0.5, -0.5, -0.5])
    given = [jnp.asarray(array) for array in (start, x, x @ x.T, y)]
    coefficients, reached = artificial_training.train(
        *given, a=jnp.asarray(a), gamma=gamma, duration=1e30, max_steps=steps
    )
    w, time = start.copy(), 0.0
    eta = 2 * n / np.linalg.eigvalsh(x @ x.T)[-1]
    for _ in range(steps):
        h = x @ w.T
        gate = np.where(h > 0, 1.0, gamma)
        losses = np.exp(-y * ((h * gate) @ a))
        force = -(losses * y / n)[:, None] * gate * a[None, :]
        w -= eta * force.T @ x / losses.mean()
        time += eta / losses.mean()
    # The power iteration is good to a few digits here.
    np.testing.assert_allclose(start + coefficients @ x, w, rtol=5e-3, atol=5e-3)
    assert float(reached) == pytest.approx(np.log10(time), abs=5e-3)


def test_training_stops_when_its_time_is_over():
    found = run("artificial", dataclasses.replace(TINY, duration=50.0))
    assert (found["reached"] >= np.log10(50)).all() and (found["reached"] < 3).all()
    longer = run("artificial", dataclasses.replace(TINY, duration=500.0))
    assert (longer["reached"] >= np.log10(500)).all()


def test_variants_are_the_noise_and_every_budget():
    assert [norm for norm, _ in variants(TINY)] == ["noise", "l2", "l2", "linf", "l0"]
    found = run("artificial", TINY)
    # The clamp to [-1, 1] shortens the long ones.
    np.testing.assert_allclose(found["length"][:2], (0, 0.05), atol=2e-3)
    assert 0.8 < found["length"][2] < 1.0001
    assert found["success"][2] > found["success"][1] > 0.4
    assert np.isnan(found["gradient_cosine"][0]) and (found["gradient_cosine"][1:3] > 0.9).all()
    assert found["clean_acc"] == 1
    # Uniform data stays within [-1, 1]: five coordinates move by at most 2.
    assert 0 < found["length"][4] <= 2 * 5**0.5
    sign = run("artificial", dataclasses.replace(TINY, linf_style="sign"))
    assert sign["spread"][3] > 0.8 > 0.6 > found["spread"][3]


def test_laws_share_a_compile_and_differ():
    gauss = dataclasses.replace(TINY, law="gauss")
    study = STUDIES["artificial"]
    assert execution._program_key(study, TINY, 1) == execution._program_key(study, gauss, 1)
    # Gaussian samples are longer by 3^(1/2), and not clamped.
    assert abs(run("artificial", gauss)["acc"] - run("artificial", TINY)["acc"]).max() > 0


def test_two_rows_are_enough_from_zero():
    zero = dataclasses.replace(TINY, start=0.0, width=8)
    two = dataclasses.replace(zero, width=2)
    many, few = run("artificial", zero), run("artificial", two)
    np.testing.assert_allclose(many["acc"], few["acc"], atol=1 / TINY.n + 1e-6)
    np.testing.assert_allclose(many["reached"], few["reached"], atol=1e-3)
    # All rows of a half are equal.
    np.testing.assert_allclose(many["clean_plane"][:4], many["clean_plane"][:1].repeat(4, 0))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"law": "cauchy"}, "law must be one of uniform, gauss"),
        ({"width": 3}, "width must be even"),
        ({"gamma": 0.0}, "gamma must be in (0, 1)"),
        ({"l0": (61,)}, "l0 must be at most d, 60; got 61"),
        ({"l2": (-1.0,)}, "l2 and linf must be in [0"),
        ({"linf_style": "clip"}, "linf_style must be one of rescale, sign"),
        ({"duration": 0.0}, "duration must be in (0"),
        ({"n": 0}, "n must be at least 1"),
    ],
)
def test_wrong_configs_are_named(changes, words, rejects):
    with rejects(words):
        dataclasses.replace(TINY, **changes)


def test_wrong_families_flows_and_tiers_are_named(rejects):
    with rejects("family must be one of flipped, near, random, noise"):
        FamilyConfig(family="other")
    with rejects("d must be at least the number of orthogonal rows; got 20"):
        FamilyConfig(family="noise", d=20)
    with rejects("taus must hold at least one value"):
        FamilyConfig(taus=())
    with rejects("n must be even and at most d, 30; got 31"):
        FlowConfig(n=31)
    with rejects("sizes must be even; got 3"):
        TierConfig(sizes=(3,))
    with rejects("dims must be at least 20; got 10"):
        TierConfig(dims=(10,))


# Cells and claims.


def test_cells_of_the_published_scale_are_the_published_ones():
    cells = STUDIES["artificial"].cells["paper"]
    base, seeds = cells["uniform/base"]
    assert (base.d, base.n, base.n_adv, base.width, base.gamma) == (10000, 1000, 10000, 1000, 0.01)
    assert base.l2 == published.AXES["l2"] and base.linf == published.AXES["linf"]
    assert base.l0[0] == 1 and base.l0[-1] == 500 and seeds == 5
    assert cells["gauss/d=100"][0].l2 == (0.078,) and cells["gauss/d=100"][1] == 2


def test_smaller_sizes_keep_what_the_formula_depends_on():
    small, _ = STUDIES["artificial"].cells["default"]["uniform/base"]
    assert (small.d, small.n, small.n_adv) == (500, 50, 500)
    whole = Run("artificial", "", Config(), (0,), {}, {}, {}, [])
    part = dataclasses.replace(whole, config=dataclasses.replace(small, l2=(0.78,)))
    assert orthogonal_claims.predicted(whole, 1) == pytest.approx(
        orthogonal_claims.predicted(part, 1)
    )


def _as_published(scale):
    """Results whose accuracies are the published ones."""
    runs = {}
    for study, label, config, seeds in experiment.EXPERIMENT.table(scale):
        if study.name == "artificial":
            shape = (seeds, len(variants(config)))
            arrays = {
                "acc": np.full(shape, 0.5),
                "gradient_cosine": np.full(shape, 0.95),
                "hypothesis_ratio": np.full(seeds, 5.8e-9),
                "pattern": np.full(seeds, 0.51),
            }
            if config.linf_style == "sign":
                arrays["gradient_cosine"] = np.full(shape, 0.8)
            dims = dict.fromkeys(arrays, ("seed",))
            seeds_list = tuple(range(seeds))
            runs[study.name, label] = Run(
                study.name, label, config, seeds_list, arrays, dims, {}, []
            )
    results = StemResults("perturbation.orthogonal", scale, runs)
    for (law, norm, axis), values in published.ACCURACY.items():
        known = dict(zip(published.AXES[axis], values, strict=True))
        for where in ("", "published "):
            for x, (found, i) in orthogonal_claims.curve(results, law, norm, axis, where).items():
                found.arrays["acc"][:, i] = known[x]
    return results


@pytest.mark.parametrize("scale", ["default", "paper"])
def test_published_curves_are_judged(scale):
    results = _as_published(scale)
    judged = [claim for claim in orthogonal_claims.claims(results) if "curve" in claim.name]
    assert len(judged) >= 18 and all(claim.measured < 1e-9 for claim in judged)
    assert all(claim.held is not False for claim in orthogonal_claims.claims(results))
    points = orthogonal_claims.curve(results, "uniform", "l2", "n_adv")
    value, (found, index) = list(points.items())[1]
    found.arrays["acc"][:, index] += 0.2
    wrong = [claim.name for claim in orthogonal_claims.claims(results) if claim.held is False]
    assert any(f"worst at {value:g}" in name and "along n_adv" in name for name in wrong)
