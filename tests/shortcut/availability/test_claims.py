"""Claims of the stem shortcut.availability: what holds, and that each of them can fail."""

import dataclasses
import functools

import numpy as np
import pytest

from tests.figures import figure_checks
from twolayer.sims.engine.results import StemResults
from twolayer.sims.shortcut.availability import reference
from twolayer.sims.shortcut.availability.claims import kernels, networks
from twolayer.sims.shortcut.availability.experiment import EXPERIMENT


@functools.cache
def ideal():
    """Results of the default scale that are what tables and theory say, with a little noise."""
    rng = np.random.default_rng(1)

    def adjust(study, coords, arrays):
        if arrays is None:
            return
        if study == "network":
            arrays["bias"][:] = 0.001 * rng.standard_normal(arrays["bias"].shape)
            arrays["loss"][:] = arrays["reference_loss"][:, :, None, None] + 1e-4
        if study == "nesting":
            arrays["left_out"][:] = 1e-9
        if study == "population":
            arrays["bias"][:] = arrays["linear"][:] = 0.0
            arrays["mse"][:] = 0.3
        if study == "sample":
            arrays["bias"][:] = 0.0
        if study == "clusters":
            mass = np.array(coords["mass"])
            arrays["exact"][:] = np.stack([2 * mass, 2 * (1 - mass)], axis=1) + 0.01
            arrays["sampled"][:] = arrays["centre"]

    results = figure_checks.made_up(EXPERIMENT, "default", adjust)
    rng = np.random.default_rng(2)
    for (study, label), run in results.items():
        c, arrays = run.config, run.arrays
        if study == "network" and label in reference.NETWORKS:
            suffix = label.partition("/")[2]
            for i, rho in enumerate(reference.NETWORK_RHO):
                for j, ratio in enumerate(reference.NETWORK_RATIOS[suffix]):
                    if rho in c.rho_s and ratio in c.ratios:
                        mean, deviation = reference.NETWORKS[label][i][j]
                        noise = deviation * rng.standard_normal(len(run.seeds))
                        place = c.rho_s.index(rho), c.ratios.index(ratio)
                        arrays["bias"][:, *place, -1] = mean + noise - noise.mean()
        if study == "population":
            for (rho, ratio), row in reference.POPULATION[label].items():
                place = c.rho_s.index(rho), c.ratios.index(ratio)
                log_taus = np.log(reference.POPULATION_TAUS)
                arrays["bias"][0, *place] = np.interp(np.log(c.taus), log_taus, row)
            if label == "linear":
                arrays["linear"][:] = arrays["bias"]
            values, _ = reference.EIGENVALUES.get(label, ((), 0))
            arrays["eigenvalue"][0, c.rho_s.index(0.7), c.ratios.index(4.0), : len(values)] = values
        if study == "sample":
            for (rho, ratio), row in reference.SAMPLES[c.kernel].items():
                if rho == c.rho_s:
                    place = c.ratios.index(ratio)
                    for tau, value in zip(reference.SAMPLE_TAUS, row, strict=False):
                        at = int(np.argmin(np.abs(np.log(c.taus) - np.log(tau))))
                        arrays["bias"][:, place, at] = value
                    arrays["last_bias"][:, place] = row[-1]
        if study == "points":
            ideal_points(run)
    return results


def ideal_points(run):
    c, arrays = run.config, run.arrays
    arrays["kappa"][:] = 0.9 - 0.1 * np.arange(len(c.kernels))[None, :, None]
    for (kernel, alpha), row in reference.POINTS.items():
        place = 0, c.kernels.index(kernel), c.alphas.index(alpha)
        arrays["kappa"][place] = row[0]
        arrays["eigenvalue"][place] = row[1:3]
        arrays["switch"][place] = row[3]
        arrays["conflict"][place] = row[4:]
    for alpha in (1.2, 2.0, 4.0):
        # What the table leaves out goes below the kernel before it.
        column = arrays["kappa"][0, :, c.alphas.index(alpha)]
        for i, kernel in enumerate(c.kernels):
            if (kernel, alpha) not in reference.POINTS:
                column[i] = column[i - 1]
    arrays["critical"][0, c.kernels.index("linear")] = 2**0.5
    for depth, row in reference.ANGULAR.items():
        arrays["angular"][0, c.depths.index(depth), : len(row)] = row


def judged(results):
    return {c.name: c for c in networks.claims(results) if c.held is not None}


def test_what_tables_and_theory_say_holds():
    failed = [claim.describe() for claim in judged(ideal()).values() if not claim.held]
    assert failed == []
    assert len(judged(ideal())) > 45


SPOILT = [
    ("network", "relu-3", "bias", 0.9, ["relu-3: bias off its table"]),
    ("network", "linear/under-trained", "bias", -1.0, ["linear/under-trained: bias off"]),
    ("network", "linear/converged", "bias", 0.1, ["linear/converged: largest mean"]),
    ("nesting", "relu-1, gain 1", "left_out", 1e-3, ["training leaves out"]),
    ("population", "relu-2", "bias", 0.1, ["relu-2: bias off its table", "|bias| at tau = 1e3"]),
    ("population", "relu-bias", "eigenvalue", 0.1, ["relu-bias: leading eigenvalues"]),
    ("population", "relu", "mse", 1e-3, ["error of two-layer ReLU"]),
    ("population", "linear", "linear", 0.5, ["off the closed form"]),
    ("sample", "relu-2, rho 0.85", "bias", 0.5, ["relu-2: bias off its table"]),
    ("sample", "erf, rho 0.85", "last_bias", -1.9, ["erf: mean rise of the bias"]),
    ("sample", "linear, rho 0.85", "last_bias", 0.1, ["linear: largest mean |bias|"]),
    ("points", "four", "switch", 1e-4, ["off the table of four points"]),
    ("points", "four", "critical", 1e-4, ["linear follows the shortcut first"]),
    ("points", "four", "angular", 1e-3, ["angular coefficients of depth 1"]),
    ("clusters", "corners", "exact", 0.01, ["off 2b + s^2"]),
    ("clusters", "corners", "sampled", 9.0, ["sampled eigenvalues of relu-bias"]),
]


@pytest.mark.parametrize("study, label, name, shift, words", SPOILT)
def test_spoilt_results_are_not_held(study, label, name, shift, words):
    run = ideal()[study, label]
    arrays = {**run.arrays, name: run.arrays[name] + shift}
    entries = {**ideal().entries, (study, label): dataclasses.replace(run, arrays=arrays)}
    failed = [
        claim.name for claim in judged(StemResults("", "default", entries)).values()
        if not claim.held
    ]  # fmt: skip
    for word in words:
        assert any(word in each for each in failed), (word, failed)


def test_a_rise_of_the_population_bias_and_a_wrong_order_of_kappa_are_not_held():
    entries = dict(ideal().entries)
    run = entries["population", "relu-bias"]
    bias = run.arrays["bias"][:, ..., ::-1].copy()
    entries["population", "relu-bias"] = dataclasses.replace(
        run, arrays={**run.arrays, "bias": bias}
    )
    four = entries["points", "four"]
    kappa = four.arrays["kappa"][:, ::-1].copy()
    entries["points", "four"] = dataclasses.replace(four, arrays={**four.arrays, "kappa": kappa})
    failed = [
        claim.name for claim in judged(StemResults("", "default", entries)).values()
        if not claim.held
    ]  # fmt: skip
    assert any("relu-bias: largest rise" in name for name in failed)
    assert any("kappa of linear less that of relu-2" in name for name in failed)


def test_orderings_are_context_with_paired_errors_and_a_one_sided_test():
    entries = dict(ideal().entries)
    more = entries["network", "relu-3"]
    less = entries["network", "linear/converged"]
    bias = less.arrays["bias"][..., -1:].repeat(more.arrays["bias"].shape[-1], axis=-1)
    shift = np.linspace(0.1, 0.3, len(more.seeds))[:, None, None, None]
    entries["network", "relu-3"] = dataclasses.replace(
        more, arrays={**more.arrays, "bias": bias + shift}
    )
    found = networks.claims(StemResults("", "default", entries))
    claim = next(c for c in found if "relu-3 less that of linear/converged" in c.name)
    assert claim.held is None and claim.measured == pytest.approx(0.2)
    error = np.std(shift, ddof=1) / 10**0.5
    assert f"standard error {error:.3f}, one-sided p = 0.000, 10 paired seeds" in claim.note


def test_scales_without_the_cells_make_no_claims_of_them():
    smoke = figure_checks.made_up(EXPERIMENT, "smoke")
    names = [claim.name for claim in networks.claims(smoke)]
    assert not any("table" in name and "network" in name for name in names)
    with pytest.raises(ValueError, match="taus of population/.* must hold 3"):
        run = next(run for run in smoke.values() if run.study == "population")
        kernels.at(run, "bias", 0.85, 1.0, 3.0)
