"""Claims of the stem mixup.calibration: what holds, and that each kind of them can fail."""

import dataclasses
import functools

import numpy as np
import pytest

from tests.figures import figure_checks
from twolayer.sims.engine import execution
from twolayer.sims.engine.results import StemResults
from twolayer.sims.mixup.calibration import experiment, gaussians
from twolayer.sims.mixup.calibration.claims import exact, networks

STUDIES = {study.name: study for study in experiment.EXPERIMENT.studies}


@functools.cache
def _exact():
    """Config and arrays of the studies that are computed, not drawn."""
    found = {}
    for study, label in (("population", "pairs"), ("midpoint", "rays")):
        config, _ = STUDIES[study].cells["smoke"][label]
        found[study] = config, execution.results(STUDIES[study], config, [0], None)[0]
    return found


def _as_replicated():
    """Results that agree with the tables: what is exact is computed, the rest is written."""
    rng = np.random.default_rng(1)

    def adjust(study, coords, arrays):
        if arrays is None:
            return
        if study in ("gauss", "images"):
            arrays["nll_calibration"][:] = 0.6

    results = figure_checks.made_up(experiment.EXPERIMENT, "default", adjust)
    entries = dict(results.entries)
    for key, found in results.items():
        if key[0] in _exact():
            config, arrays = _exact()[key[0]]
            stacked = {name: np.copy(values)[None] for name, values in arrays.items()}
            coords = STUDIES[key[0]].coords(config)
            entries[key] = dataclasses.replace(
                found, config=config, arrays=stacked, coords=coords, seeds=(0,)
            )
        elif key[0] == "sample":
            for column, alpha in enumerate(found.coords["alpha"]):
                ts, mixup = exact.SAMPLED.get((found.config.k, alpha), (0.0, 0.1))
                found.arrays["ts"][:, column], found.arrays["mixup"][:, column] = ts, mixup
        elif key[0] == "gauss":
            mu, names = found.config.mu, ("nll_raw", "nll_exact")
            for column, points in enumerate(found.coords["points"]):
                for name, value in zip(names, networks.GAUSS[mu][points], strict=True):
                    found.arrays[name][:, column] = value
            found.arrays["nll_weak"][:] = networks.WEAK.get(mu, 1.0)
            nll, deviation, error = gaussians.population(mu, found.config.d)
            noise = rng.normal(size=len(found.seeds)) / found.config.num_test**0.5 / 3
            found.arrays["bayes_nll"][:] = nll + deviation * noise
            found.arrays["bayes_error"][:] = error
        elif found.config.dataset == "digits":
            for column, points in enumerate(found.coords["points"]):
                raw, fitted = networks.DIGITS[found.config.noise][points]
                found.arrays["nll_raw"][:, column] = raw
                found.arrays["nll_exact"][:, column] = fitted
    return StemResults(results.stem, results.scale, entries)


def _verdicts(results):
    found = {claim.name: claim.held for claim in exact.claims(results)}
    assert len(found) == len(exact.claims(results))
    return found


def test_claims_hold_on_the_replication():
    verdicts = _verdicts(_as_replicated())
    assert not [name for name, held in verdicts.items() if held is False]
    assert sum(held is True for held in verdicts.values()) >= 70


def _at(array, *place):
    def spoil(run, value):
        run.arrays[array][(slice(None), *place)] += value

    return spoil


SPOILT = [
    ("population", "pairs", _at("ts", 2, 0), 1e-6, "overlap 1, k = 10"),
    ("population", "pairs", _at("ts_scan", 1, 3), 1e-6, "from a scan of temperatures"),
    ("population", "pairs", _at("lower_bound", -1, 0), 5.0, "over the general lower bound"),
    ("population", "pairs", _at("ts", 4), 1e-3, "k = 100: largest distance"),
    ("population", "pairs", _at("mixup"), 1e-3, "mixup: largest distance of the KL"),
    ("population", "pairs", _at("supremum"), 0.01, "pointwise supremum"),
    ("population", "pairs", _at("mixup"), 0.2, "k >= 4, alpha < 1"),
    ("population", "pairs", _at("mixup"), 0.2, "k = 2, alpha .1 to .9"),
    ("population", "pairs", _at("mixup"), -0.5, "alpha = 1, no overlap"),
    ("population", "pairs", _at("growth", 3, -1), 0.5, "overlap 1: slope in log k"),
    ("sample", "k=10", _at("ts", 2), 0.2, "k = 10, alpha = 0.5: nearest neighbour"),
    ("sample", "k=50", _at("mixup", 0), 0.2, "k = 50, alpha = 0: mixup"),
    ("midpoint", "rays", _at("midpoint", 0), -0.01, "least excess of the loss"),
    ("midpoint", "rays", _at("midpoint", 1), 0.01, "40 x (1, 2): loss"),
    ("midpoint", "rays", _at("single", 2), 1e-11, "40 x (2, 0.2): log10"),
    ("midpoint", "rays", _at("midpoint", 3), 1.0, "-40 x (1, 1): loss"),
    ("gauss", "mu=0.01", _at("nll_calibration", 0), 0.2, "NLL on the calibration set"),
    ("gauss", "mu=0.25", _at("bayes_nll"), 0.1, "mu=0.25: NLL of the true posterior"),
    ("gauss", "mu=0.05", _at("bayes_error"), 0.1, "mu=0.05: error of the true posterior"),
    ("gauss", "mu=0.05", _at("nll_raw", 1), 0.3, "mu=0.05, mixup of 2: raw NLL"),
    ("gauss", "mu=0.05", _at("nll_exact", 3), 0.04, "mixup of 5: NLL after the exact fit"),
    ("gauss", "mu=0.05", _at("nll_raw", 0), -0.6, "less the largest of any mixup"),
    ("gauss", "mu=0.01", _at("nll_exact", 0), 0.1, "range of the NLL after the exact fit"),
    ("gauss", "mu=0.25", _at("nll_raw", 0), 0.2, "that of plain training, raw"),
    ("gauss", "mu=0.25", _at("nll_exact", 0), 0.2, "plain training, after the exact fit"),
    ("gauss", "mu=0.01", _at("nll_weak", 0), 3.0, "after the fit that stops early"),
    ("images", "digits/noise=0.0", _at("nll_raw", 0), 1.0, "noise=0.0: raw NLL of plain"),
    ("images", "digits/noise=0.25", _at("nll_raw", 0), -1.0, "noise=0.25: raw NLL of plain"),
    ("images", "digits/noise=0.5", _at("nll_raw", 1), 1.0, "noise=0.5: raw NLL of plain"),
]


@pytest.mark.parametrize("study, label, spoil, value, words", SPOILT)
def test_every_kind_of_claim_can_fail(study, label, spoil, value, words):
    results = _as_replicated()
    spoil(results[study, label], value)
    wrong = [name for name, held in _verdicts(results).items() if held is False]
    assert any(words in name for name in wrong), wrong


def test_other_settings_are_context():
    results = _as_replicated()
    gauss = results["gauss", "mu=0.05"]
    longer = dataclasses.replace(gauss.config, epochs=200)
    results.entries["gauss", "mu=0.05"] = dataclasses.replace(gauss, config=longer)
    verdicts = _verdicts(results)
    assert verdicts["gauss, mu=0.05, plain training: raw NLL"] is None
    assert verdicts["gauss, mu=0.25, plain training: raw NLL"] is True
    fashion = [held for name, held in verdicts.items() if "fashion" in name]
    assert fashion and all(held is None for held in fashion)
    # Published values are never judged.
    published = {
        claim.name: claim.held
        for claim in exact.claims(results)
        if claim.source.startswith("[paper]")
    }
    assert len(published) == 4 and set(published.values()) == {None}
