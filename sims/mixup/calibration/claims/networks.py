"""What networks measured: overlapping Gaussians, and wrong labels.

Sources: [derived] a consequence of two classes or of the exact fit; [measured] a replication in
numpy with two seeds, whose bands are 20 % of a raw NLL and 0.03 of one after the exact fit; [paper]
published values of residual networks, which are context here and never judged: with two classes an
exact temperature has NLL log 2 at most on the set that it is fitted to.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from scipy import stats

from twolayer.sims.engine.claims import Claim
from twolayer.sims.engine.results import Run, StemResults
from twolayer.sims.mixup.calibration import gaussians

# NLL on the test set, raw and after the exact fit: mean of the Gaussians, number of mixed points.
GAUSS = {
    0.25: {1: (0.088, 0.085), 2: (0.153, 0.120), 3: (0.180, 0.138), 5: (0.238, 0.198)},
    0.05: {1: (1.183, 0.652), 2: (0.876, 0.664), 3: (0.803, 0.659), 5: (0.747, 0.658)},
    0.01: {1: (1.348, 0.693), 2: (1.036, 0.694), 3: (0.944, 0.692), 5: (0.874, 0.693)},
}
# Plain training after the fit that stops early, and raw calibration errors at mean 0.05.
WEAK = {0.05: 1.108, 0.01: 1.264}
RAW_ECE = {1: 0.260, 2: 0.204, 3: 0.177, 5: 0.147}
# Published NLL: plain training with temperature, and five mixed points without.
PUBLISHED = {0.25: (0.26, 0.27), 0.01: (4.30, 0.74)}
# Digits: share of wrong labels, number of points: NLL raw and after the exact fit.
DIGITS = {
    0.0: {1: (0.075, 0.249), 2: (0.146, 0.092)},
    0.25: {1: (0.661, 0.655), 2: (0.522, 0.549)},
    0.5: {1: (1.538, 1.040), 2: (1.147, 1.122)},
}
_EPOCHS = 80
_REPLICATION = "[measured] replication, 2 seeds"


def claims(results: StemResults) -> list[Claim]:
    """Acceptance list of the studies ``gauss`` and ``images``, where networks were trained."""
    gauss = [run for (study, _), run in results.items() if study == "gauss"]
    images = [run for (study, _), run in results.items() if study == "images"]
    return [
        *_bound([run for run in gauss if len(run.seeds) >= 2]),
        *(claim for run in gauss if _is_long(run) for claim in _gauss(run)),
        *(claim for run in images if _is_long(run, 60) for claim in _images(run)),
    ]


def mean(run: Run, name: str, points: int) -> float:
    """Mean over the seeds of a score at a number of mixed points."""
    return float(scores(run, name, points).mean())


def scores(run: Run, name: str, points: int) -> np.ndarray:
    """A score at a number of mixed points, for each seed."""
    return run.arrays[name][:, run.coords["points"].index(points)]


def standard_error(values: np.ndarray) -> str:
    """The standard error of a mean over seeds, in words."""
    if len(values) < 2:
        return "one seed"
    return f"s.e. {stats.sem(values):.3f}"


def _is_long(run: Run, epochs: int = _EPOCHS) -> bool:
    """Networks trained for a few epochs are not worth a verdict."""
    return run.config.epochs >= epochs


def _mixes(run: Run) -> list[int]:
    return [points for points in run.coords["points"] if points > 1]


def _bound(runs: list[Run]) -> Iterator[Claim]:
    """Whatever was trained, and for however long."""
    if runs:
        yield Claim(
            name="gauss, exact temperature: largest NLL on the calibration set",
            source="[derived] two classes: log 2, at T infinite",
            expected=math.log(2),
            tolerance=1e-12,
            measured=max(float(run.arrays["nll_calibration"].max()) for run in runs),
            kind="at_most",
            note="so that the published 4.30 is not that of an exact fit",
        )


def _gauss(run: Run) -> Iterator[Claim]:
    mu, where = run.config.mu, f"gauss, {run.label}"
    yield from _bayes(run)
    judged = run.config.epochs == _EPOCHS and len(run.seeds) >= 5
    other = "" if judged else f"; {run.config.epochs} epochs, {len(run.seeds)} seeds"
    for points, (raw, exact) in GAUSS.get(mu, {}).items():
        if points not in run.coords["points"]:
            continue
        for name, score, value, tolerance in (
            ("raw NLL", "nll_raw", raw, 0.2 * raw),
            ("NLL after the exact fit", "nll_exact", exact, 0.03),
        ):
            yield Claim(
                name=f"{where}, {mixture(points)}: {name}",
                source=_REPLICATION,
                expected=value,
                tolerance=tolerance,
                measured=mean(run, score, points),
                kind="close" if judged else "context",
                note=standard_error(scores(run, score, points)) + other,
            )
    means = {points: mean(run, "nll_raw", points) for points in run.coords["points"]}
    if mu <= 0.05:
        yield Claim(
            name=f"{where}: raw NLL of plain training less the largest of any mixup",
            source="[measured] mixup is better where classes overlap",
            expected=0.0,
            measured=means[1] - max(means[points] for points in _mixes(run)),
            kind="at_least",
        )
        fitted = [mean(run, "nll_exact", points) for points in run.coords["points"]]
        yield Claim(
            name=f"{where}: range of the NLL after the exact fit",
            source="[measured] with two classes one temperature repairs all trainings alike",
            expected=0.0,
            tolerance=0.03,
            measured=max(fitted) - min(fitted),
            kind="at_most",
            note=f"raw {max(means.values()) - min(means.values()):.2f}",
        )
    if mu == 0.25:
        for name, score in (("raw", "nll_raw"), ("after the exact fit", "nll_exact")):
            least = min(mean(run, score, points) for points in _mixes(run))
            yield Claim(
                name=f"{where}: least NLL of any mixup less that of plain training, {name}",
                source="[measured] plain training is better where classes hardly overlap",
                expected=0.0,
                measured=least - mean(run, score, 1),
                kind="at_least",
            )
    yield from _weak(run)
    if mu == 0.05:
        for points, value in RAW_ECE.items():
            yield Claim(
                name=f"{where}, {mixture(points)}: raw calibration error",
                source=_REPLICATION,
                expected=value,
                measured=mean(run, "ece_raw", points),
                kind="context",
            )
        yield Claim(
            name=f"{where}, {mixture(1)}: inverse temperature of the exact fit",
            source=f"{_REPLICATION}, T = 6.2",
            expected=1 / 6.2,
            measured=mean(run, "beta_exact", 1),
            kind="context",
        )
    for value, points, score in zip(
        PUBLISHED.get(mu, ()), (1, 5), ("nll_exact", "nll_raw"), strict=False
    ):
        yield Claim(
            name=f"{where}, {mixture(points)}: published NLL{' with temperature' * (points == 1)}",
            source="[paper] a residual network",
            expected=value,
            measured=mean(run, score, points),
            kind="context",
            note=f"after the fit that stops early {mean(run, 'nll_weak', 1):.3f}"
            if points == 1
            else "without temperature",
        )


def _bayes(run: Run) -> Iterator[Claim]:
    """The true posterior on the test samples of all seeds, against the population."""
    nll, deviation, error = gaussians.population(run.config.mu, run.config.d)
    number = run.config.num_test * len(run.seeds)
    for name, expected, spread in (
        ("nll", nll, deviation),
        ("error", error, (error * (1 - error)) ** 0.5),
    ):
        yield Claim(
            name=f"gauss, {run.label}: {name if name == 'error' else 'NLL'} of the true posterior",
            source="[derived] its population value, three standard errors",
            expected=expected,
            tolerance=3 * spread / number**0.5,
            measured=float(run.arrays[f"bayes_{name}"].mean()),
        )


def _weak(run: Run) -> Iterator[Claim]:
    value = WEAK.get(run.config.mu)
    if value is None:
        return
    judged = run.config.epochs == _EPOCHS and len(run.seeds) >= 5
    yield Claim(
        name=f"gauss, {run.label}, {mixture(1)}: NLL after the fit that stops early",
        source=f"{_REPLICATION}; band of a raw NLL",
        expected=value,
        tolerance=0.2 * value,
        measured=mean(run, "nll_weak", 1),
        kind="close" if judged else "context",
        note=f"stops at T = {1 / mean(run, 'beta_weak', 1):.3f}, replication 1.09",
    )


def mixture(points: int) -> str:
    """What a number of mixed points is called."""
    return "plain training" if points == 1 else f"mixup of {points}"


def _images(run: Run) -> Iterator[Claim]:
    noise, digits = run.config.noise, run.config.dataset == "digits"
    where = f"images, {run.label}"
    gap = scores(run, "nll_raw", 1) - scores(run, "nll_raw", 2)
    enough = digits and len(run.seeds) >= 5
    yield Claim(
        name=f"{where}: raw NLL of plain training less that of mixup",
        source=f"[measured] on digits {'plain training' if noise == 0 else 'mixup'} is better",
        expected=0.0,
        measured=float(gap.mean()),
        kind="context" if not enough else "at_most" if noise == 0 else "at_least",
        note=standard_error(gap),
    )
    table = DIGITS.get(noise) if digits else None
    if table is None:
        return
    for points, values in table.items():
        for name, score, value in zip(
            ("raw NLL", "NLL after the exact fit"), ("nll_raw", "nll_exact"), values, strict=True
        ):
            yield Claim(
                name=f"{where}, {mixture(points)}: {name}",
                source=_REPLICATION,
                expected=value,
                measured=mean(run, score, points),
                kind="context",
            )
    yield Claim(
        name=f"{where}: NLL of plain training after the exact fit less that of raw mixup",
        source=f"{_REPLICATION}; temperatures are fitted to wrong labels",
        expected=table[1][1] - table[2][0],
        measured=mean(run, "nll_exact", 1) - mean(run, "nll_raw", 2),
        kind="context",
        note="mixup is not always better",
    )
