"""Claims of the stem mixup.features: what holds, and that each of them can fail."""

import numpy as np
import pytest

from tests.figures import figure_checks
from twolayer.sims.mixup.features import experiment
from twolayer.sims.mixup.features.claims import dynamics


def _as_expected(study, coords, arrays):
    """What satisfies every claim."""
    if arrays is None:
        return
    for array in arrays.values():
        array[:] = 0
    if study == "dynamics":
        arrays["rare_error"][:, 0] = 0.5
        arrays["signal_gap"][:, 0] = (8.0, -8.0, 1e-3, -1e-3)
        arrays["signal_gap"][:, 1] = (3.0, -3.0, 1.0, -1.0)
        arrays["loss"][:, 1] = 0.34
        arrays["flow_gap"][:] = (1.6e-6, 1e-7)
        arrays["flow_control"][:] = 1.0
        arrays["frozen_slack"][:] = 0.02
        arrays["growth"][:, 1] = 4.0
        arrays["memorised"][:, 1] = 1.0
    if study == "gaussian":
        arrays["fresh_error"][:, 0] = arrays["rare_error"][:, 0] = 0.5
    if study == "sigma0":
        scale = np.array(coords["scale"])
        arrays["signal_gap"][:, 0, :, 2] = arrays["signal_gap"][:, 0, :, 3] = scale ** (4 / 3)
        arrays["signal_gap"][:, 1, :, 2] = arrays["signal_gap"][:, 1, :, 3] = scale**-0.2
    if study == "lambda":
        lam_x, lam_y = np.meshgrid(coords["lam_x"], coords["lam_y"], indexing="ij")
        arrays["ratio"][:] = 3.0 * (1 - lam_y) + 0.1 - 1.5 * (lam_x > 0.85)
        arrays["rare_error"][:] = 0.5 * (arrays["ratio"] < 1)
    if study == "earlystop":
        arrays["ratio"][:, :, 0] = np.linspace(0.1, 2.5, len(coords["stop"]))
        arrays["ratio"][:, :, 1] = 0.54 * arrays["ratio"][:, :, 0]
        arrays["rare_error"][:] = 0.5 * (arrays["ratio"] < 1)
        arrays["unlearned"][:] = -1e-3
    if study == "phase":
        below = np.array(coords["energy"])[None, :] >= np.array(coords["count"])[:, None]
        arrays["rare_error"][:] = 0.5 * below
    if study == "digits":
        errors = arrays["test_error"]
        errors[:] = 0.05 + np.linspace(-0.003, 0.003, len(errors))[:, None, None]


def _results(scale="default"):
    return figure_checks.made_up(experiment.EXPERIMENT, scale, _as_expected)


def test_what_the_theory_says_is_held():
    found = dynamics.claims(_results())
    assert all(claim.held is not False for claim in found), [
        claim.describe() for claim in found if claim.held is False
    ]
    assert sum(claim.held is True for claim in found) == 33
    assert len({claim.name for claim in found}) == len(found)


SPOILT = [
    # Study, label, array, where, value, words of the claims that must fall.
    ("dynamics", "reference", "rare_error", (3, 0, 60), 0.25, "standard training: rare error"),
    ("dynamics", "reference", "rare_error", (slice(2), 1, 60), 0.5, "rare error after 1500 steps"),
    ("dynamics", "reference", "rare_error", (0, 1, 100), 0.25, "rare error after 2500 steps"),
    ("dynamics", "reference", "signal_gap", (5, 0, 60, 3), 0.021, "least rare gap under"),
    ("dynamics", "reference", "common_error", (0, 0, 80), 0.25, "largest common error"),
    ("dynamics", "reference", "train_error", (0, 1), 0.01, "Mixup: largest common error"),
    ("dynamics", "reference", "loss", (0, 1, 70), 0.32, "Mixup: least loss"),
    ("dynamics", "reference", "loss", (0, 1, 16), 0.37, "Mixup: largest loss"),
    ("dynamics", "reference", "flow_gap", (7, slice(None)), (2.5e-5, 1.5e-6), "flow to time 60"),
    ("dynamics", "reference", "flow_gap", (7, 0), 8e-7, "error at twice the step over it"),
    ("dynamics", "reference", "flow_control", 0, 0.3, "twice the noise energy in the law"),
    ("dynamics", "reference", "frozen_slack", 0, -1e-6, "room of the rare features' growth"),
    ("dynamics", "reference", "growth", (0, 1, 2), 1.5, "beyond what its noise would pay for"),
    ("dynamics", "reference", "memorised_spread", (0, 0), 0.1, "spread of the log growths"),
    ("dynamics", "random layout", "flow_gap", (0, 1), 1e-5, "random layout: largest error"),
    ("gaussian", "gaussian", "fresh_error", (slice(None), 1), 0.1, "Mixup: error on fresh rare"),
    ("gaussian", "gaussian", "fresh_error", (0, 0), 0.4, "standard training: distance from"),
    ("sigma0", "grid", "signal_gap", (slice(None), 0, slice(None), 2), 1e-9, "training: slope"),
    ("sigma0", "grid", "signal_gap", (slice(None), 1, 0), 1e3, "Mixup: slope"),
    ("lambda", "grid", "ratio", (0, 0, 1), 5.0, "largest step of the ratio along"),
    ("lambda", "grid", "ratio", (0, 3, 0), 2.0, "above that of .9"),
    ("lambda", "grid", "rare_error", (0, 0, 0), 0.25, "do not go together"),
    ("lambda", "grid", "control", 0, 1e-9, "with both 1 against standard"),
    ("lambda", "grid", "rare_error", slice(None), 0.5, "pairs of unequal weights"),
    ("earlystop", "grid", "unlearned", (0, 3), 1e-6, "largest fall of a rare gap"),
    ("earlystop", "grid", "rare_error", (0, 9, 1), 0.25, "hand-over at a ratio of 2.1"),
    ("phase", "grid", "rare_error", (0, 3, 0), 0.25, "noise energy 1: rare error"),
    ("phase", "grid", "rare_error", (0, 3, 3), 0.25, "noise energy 5 and above"),
    ("phase", "grid", "rare_error", (0, 6, 5), 0.25, "25 rare samples of a class"),
    ("digits", "digits", "test_error", (slice(None), 3, -1), 0.06, "digits: test error after"),
]  # fmt: skip


@pytest.mark.parametrize(("study", "label", "name", "where", "value", "words"), SPOILT)
def test_claims_fall_with_what_they_claim(study, label, name, where, value, words):
    results = _results()
    results[study, label].arrays[name][where] = value
    fallen = [claim.name for claim in dynamics.claims(results) if claim.held is False]
    assert any(words in claim for claim in fallen), fallen
    assert len(fallen) <= 2


def test_short_trainings_have_no_verdicts():
    assert not dynamics.claims(_results("smoke"))
