"""What the sweeps over patch data found: initial size, mixing weights, hand-overs, noise energy.

Sources as in :mod:`twolayer.sims.mixup.features.claims.dynamics`.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from twolayer.sims.engine.claims import Claim
from twolayer.sims.engine.results import Run, StemResults

_STANDARD, _MIXUP = 0, 1
_ROUNDING = 1e-12


def claims(results: StemResults) -> list[Claim]:
    """Acceptance list of the sweeps, as far as the scale has the cells for it."""
    return [
        *_scales(results),
        *_weights(results),
        *_handovers(results),
        *_phases(results),
    ]


def trained(results: StemResults, study: str, label: str, steps: int = 1500) -> Run | None:
    """The run of a label, where it trained long enough for a verdict."""
    run = results.get((study, label))
    return run if run is not None and run.config.steps >= steps else None


def rare_gap(gaps: np.ndarray) -> np.ndarray:
    """The smaller of |D_u0| and |D_u1|; the last axis has the features."""
    return np.abs(gaps[..., 2:]).min(axis=-1)


# Initial size ------------------------------------------------------------------------------------


def scale_slopes(run: Run) -> tuple[float, float]:
    """Log-log slopes over the initial size of the geometric mean of the rare gap, by training."""
    logs = np.log(rare_gap(run.arrays["signal_gap"])).mean(axis=0)
    scales = np.log(run.coords["scale"])
    plain, mixed = (float(np.polyfit(scales, row, 1)[0]) for row in logs)
    return plain, mixed


def _scales(results: StemResults) -> Iterator[Claim]:
    run = trained(results, "sigma0", "grid")
    if run is None or len(run.coords["scale"]) < 3:
        return
    plain, mixed = scale_slopes(run)
    yield Claim(
        name="standard training: slope of the rare gap over the initial size",
        source="[derived] A3: 2 (1 - |R|/s^2) = 4/3; [measured] 1.314, band [1.15, 1.45]",
        expected=1.30,
        tolerance=0.15,
        measured=plain,
    )
    yield Claim(
        name="Mixup: slope of the rare gap over the initial size",
        source="[measured] -0.24: it does not vanish",
        expected=0.0,
        measured=mixed,
        kind="at_most",
    )
    means = np.exp(np.log(rare_gap(run.arrays["signal_gap"])).mean(axis=0))
    for kind, name, shown in (
        (_STANDARD, "standard training", (1.27e-2, 3.19e-3, 6.5e-4, 1.51e-4, 3.03e-5)),
        (_MIXUP, "Mixup", (0.74, 1.04, 1.47, 1.87, 2.16)),
    ):
        if run.coords["scale"] == [3e-2, 1e-2, 3e-3, 1e-3, 3e-4]:
            apart = means[kind] / np.array(shown)
            yield Claim(
                name=f"{name}: rare gaps over those measured beforehand, furthest from 1",
                source="[measured] six other seeds",
                expected=1.0,
                measured=float(apart[np.argmax(np.abs(np.log(apart)))]),
                kind="context",
            )


# Mixing weights ----------------------------------------------------------------------------------


def _weights(results: StemResults) -> Iterator[Claim]:
    run = trained(results, "lambda", "grid")
    if run is None:
        return
    ratio = run.arrays["ratio"]
    yield Claim(
        name="weights: largest step of the ratio along the label weight, all rows and seeds",
        source="[derived] A6, the code admits any pair; [measured] falls in every row",
        expected=0.0,
        measured=float(np.diff(ratio, axis=2).max()),
        kind="at_most",
    )
    low, high = (
        [i for i, lam in enumerate(run.coords["lam_x"]) if (lam > 0.85) == above]
        for above in (False, True)
    )
    if low and high:
        yield Claim(
            name="weights: ratio of input weights .6 to .8 above that of .9, least",
            source="[measured] A6",
            expected=0.0,
            measured=float((ratio[:, low] - ratio[:, high].max(axis=1, keepdims=True)).min()),
            kind="at_least",
        )
    learned = run.arrays["rare_error"] == 0
    yield Claim(
        name="weights: cells where error 0 and a ratio of 1 or more do not go together",
        source="[derived] A4, one patch of feature noise",
        expected=0.0,
        measured=float(np.sum(learned != (ratio >= 1))),
        kind="at_most",
    )
    yield Claim(
        name="weights: Mixup with both 1 against standard training, largest distance",
        source="[derived] A6: identical iterates",
        expected=0.0,
        tolerance=1e-12,
        measured=float(run.arrays["control"].max()),
        kind="at_most",
    )
    unequal = [
        (i, j)
        for i, x in enumerate(run.coords["lam_x"])
        for j, y in enumerate(run.coords["lam_y"])
        if x != y and learned[:, i, j].all()
    ]
    yield Claim(
        name="weights: pairs of unequal weights that learned the rare features in every seed",
        source="[paper] label and input weights may differ; [measured] 4",
        expected=1.0,
        measured=float(len(unequal)),
        kind="at_least",
    )


# Early stops -------------------------------------------------------------------------------------


def _handovers(results: StemResults) -> Iterator[Claim]:
    run = trained(results, "earlystop", "grid")
    if run is None:
        return
    yield Claim(
        name="hand-over: largest fall of a rare gap over 50 standard steps",
        source="[derived] A7: standard training never unlearns",
        expected=0.0,
        tolerance=_ROUNDING,
        measured=float(run.arrays["unlearned"].max()),
        kind="at_most",
    )
    ratio, error = run.arrays["ratio"], run.arrays["rare_error"]
    safe = ratio[:, :, 0] >= 2.1
    if safe.any():
        yield Claim(
            name="hand-over at a ratio of 2.1 or more: largest rare error 1500 steps later",
            source="[measured] A7: kept in 9 of 9 from 1.95 on",
            expected=0.0,
            measured=float(error[:, :, 1][safe].max()),
            kind="at_most",
            note=f"{int(safe.sum())} hand-overs",
        )
    learned = ratio[:, :, 0] >= 1
    lost = learned & (error[:, :, 1] > 0)
    yield Claim(
        name="hand-over: share of those with error 0 that lose it in 1500 standard steps",
        source="[measured] early stops are safe only once the ratio is about 2",
        expected=0.0,
        measured=float(lost.sum() / max(1, learned.sum())),
        kind="context",
    )
    if 2500 in run.coords["stop"]:
        stop = run.coords["stop"].index(2500)
        fall = ratio[:, stop, 1] / ratio[:, stop, 0]
        yield Claim(
            name="hand-over at step 2500: ratio after over ratio before, mean",
            source="[measured] .52 to .57: common features grow on",
            expected=0.545,
            measured=float(fall.mean()),
            kind="context",
        )


# Noise energy against rare samples ---------------------------------------------------------------


def _phases(results: StemResults) -> Iterator[Claim]:
    run = trained(results, "phase", "grid")
    if run is None:
        return
    energies, counts = np.array(run.coords["energy"]), np.array(run.coords["count"])
    error, gaps = run.arrays["rare_error"], rare_gap(run.arrays["signal_gap"])
    if 5 in counts and energies[0] <= 1:
        row = error[:, list(counts).index(5)]
        weak = float(np.where(energies <= 1, row, 0).max())
        yield Claim(
            name="5 rare samples of a class, noise energy 1: rare error, largest",
            source="[measured] control (i): standard training learns the rare features",
            expected=0.0,
            measured=weak,
            kind="at_most",
            note=f"least rare gap {gaps[:, list(counts).index(5), 0].min():.2f}",
        )
        yield Claim(
            name="5 rare samples of a class, noise energy 5 and above: rare error, least",
            source="[measured] control (i): memorisation wins from s^2 = |R| on",
            expected=0.5,
            tolerance=_ROUNDING,
            measured=float(row[:, energies >= 5].min()),
            kind="at_least",
        )
    if 25 in counts and 15 in energies:
        place = list(counts).index(25), list(energies).index(15)
        yield Claim(
            name="25 rare samples of a class, noise energy 15: rare error, largest",
            source="[measured] control (ii): |R| > s^2, standard training learns everything",
            expected=0.0,
            measured=float(error[:, *place].max()),
            kind="at_most",
            note=f"least rare gap {gaps[:, *place].min():.2f}",
        )
    # Where A3's hypotheses hold with room, and where the first of them fails with room.
    common = run.config.n // 2 - counts
    frozen = (energies[None, :] >= 1.5 * counts[:, None]) & (energies[None, :] < common[:, None])
    free = energies[None, :] <= counts[:, None] / 1.5
    yield Claim(
        name="phase: least mean rare error where |R| < s^2/1.5 and s^2 < |C|",
        source="[derived] hypotheses of A3; the error is [measured]",
        expected=0.5,
        measured=float(error.mean(axis=0)[frozen].min()),
        kind="context",
    )
    yield Claim(
        name="phase: largest mean rare error where s^2 <= |R|/1.5",
        source="[derived] a hypothesis of A3 fails; the error is [measured]",
        expected=0.0,
        measured=float(error.mean(axis=0)[free].max()),
        kind="context",
    )
