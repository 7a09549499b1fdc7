"""What the stem ``mixup.calibration`` measured, against the theory and an earlier replication.

Labels of the sources: [derived] a consequence of this project's theorems, [measured] a number of an
independent replication in numpy, [paper] published values. A claim whose cells a scale does not
have is left out. Claims on networks are in :mod:`twolayer.sims.mixup.calibration.claims.networks`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from twolayer.sims.engine.claims import Claim
from twolayer.sims.engine.results import Run, StemResults
from twolayer.sims.mixup.calibration.claims import networks
from twolayer.sims.mixup.calibration.claims.networks import standard_error
from twolayer.theory.mixup.calibration import overlapping_pairs

# Expected KL and its largest pointwise value for mixup, and of the best temperature at k = 100.
MIXUP = {0.0: 0.0, 0.1: 0.01699, 0.25: 0.0316, 0.5: 0.05262, 0.75: 0.08058, 0.9: 0.10789}
MIXUP[1.0] = 0.13776
SUPREMUM = {0.1: 0.352, 0.25: 0.247, 0.5: 0.282, 0.75: 0.383, 0.9: 0.497, 1.0: math.log(2)}
BEST_AT_100 = {0.0: 2.2976, 0.1: 2.1321, 0.25: 1.8649, 0.5: 1.3645, 0.75: 0.7779, 0.9: 0.359}
BEST_AT_100[1.0] = 0.0
# Overlap and number of classes.
BEST = {(1.0, 10): 1.0986123, (0.5, 10): 0.7650677, (1.0, 1000): 3.4533774, (1.0, 2): 0.0}
# Expected KL of the nearest neighbour with the best temperature, and of mixup: k, alpha.
SAMPLED = {
    (10, 0.0): (1.0986, 0.1425),
    (10, 0.5): (0.7715, 0.0648),
    (10, 1.0): (0.062, 0.1483),
    (50, 0.0): (1.9459, 0.1315),
    (50, 0.5): (1.238, 0.0621),
}
# Direction: midpoint loss, and loss of single samples to one digit, at s = 40 and k = 4.
MIDPOINT = {(1.0, 1.0): (0.5198604, 1e-17), (1.0, 2.0): (1.36, 3e-23), (2.0, 0.2): (2.314, 4e-13)}
_REPLICATION = "[measured] replication"


def claims(results: StemResults) -> list[Claim]:
    """Acceptance list of the stem, as far as the scale has the cells for it."""
    return [
        *_population(results),
        *_growth(results),
        *_sample(results),
        *_midpoint(results),
        *networks.claims(results),
    ]


def _population(results: StemResults) -> Iterator[Claim]:
    run = results.get(("population", "pairs"))
    if run is None:
        return
    ks, alphas = run.coords["k"], run.coords["alpha"]
    ts, mixup = run.arrays["ts"][0], run.arrays["mixup"][0]
    for (overlap, k), value in BEST.items():
        yield Claim(
            name=f"best temperature, overlap {overlap:g}, k = {k}: expected KL",
            source="[derived] C2",
            expected=value,
            tolerance=5e-8,
            measured=float(ts[ks.index(k), alphas.index(1 - overlap)]),
        )
    yield Claim(
        name="best temperature: largest distance of the formula from a scan of temperatures",
        source="[derived] C2",
        expected=0.0,
        tolerance=4e-9,
        measured=float(np.abs(ts - run.arrays["ts_scan"][0]).max()),
        kind="at_most",
    )
    yield Claim(
        name="best temperature: least excess over the general lower bound",
        source="[derived] C1",
        expected=0.0,
        tolerance=1e-12,
        measured=float((ts - run.arrays["lower_bound"][0]).min()),
        kind="at_least",
    )
    at_100 = {alpha: ts[ks.index(100), alphas.index(alpha)] for alpha in BEST_AT_100}
    limits = {alpha: run.arrays["supremum"][0, alphas.index(alpha)] for alpha in SUPREMUM}
    means = {alpha: mixup[alphas.index(alpha)] for alpha in MIXUP}
    for name, source, found, table, tolerance in (
        ("best temperature, k = 100", "[derived] C2", at_100, BEST_AT_100, 5e-5),
        ("mixup", f"{_REPLICATION} of C4, quadrature", means, MIXUP, 1e-4),
        ("mixup, pointwise supremum", f"{_REPLICATION} of C4", limits, SUPREMUM, 1e-3),
    ):
        yield Claim(
            name=f"{name}: largest distance of the KL from the table over alpha",
            source=source,
            expected=0.0,
            tolerance=tolerance,
            measured=max(abs(float(found[alpha]) - value) for alpha, value in table.items()),
            kind="at_most",
        )
    listed = [alphas.index(alpha) for alpha in MIXUP if alpha < 1]
    middle = [alphas.index(alpha) for alpha in MIXUP if 0.1 <= alpha <= 0.9]
    many = [row for row, k in enumerate(ks) if k >= 4]
    for name, rows, columns in (
        ("k >= 4, alpha < 1", many, listed),
        ("k = 2, alpha .1 to .9", [ks.index(2)], middle),
    ):
        yield Claim(
            name=f"{name}: least excess of the best temperature's KL over mixup's",
            source="[derived] C2, C4",
            expected=0.0,
            measured=float((ts[np.ix_(rows, columns)] - mixup[columns]).min()),
            kind="at_least",
        )
    last = alphas.index(1.0)
    yield Claim(
        name="alpha = 1, no overlap: excess of mixup's KL over the best temperature's",
        source="[derived] C2, C4",
        expected=0.0,
        measured=float((mixup[last] - ts[:, last]).min()),
        kind="at_least",
        note="where classes do not overlap a temperature is better",
    )


def _growth(results: StemResults) -> Iterator[Claim]:
    run = results.get(("population", "pairs"))
    if run is None:
        return
    for overlap, slope in growth_slopes(run).items():
        yield Claim(
            name=f"best temperature, overlap {overlap:g}: slope in log k, k = 1e2 to 1e4",
            source="[derived] C2, half of the overlap",
            expected=overlap / 2,
            tolerance=0.01 * overlap / 2,
            measured=slope,
        )


def growth_slopes(run: Run) -> dict[float, float]:
    """Least-squares slope of the best temperature's KL in log k over 1e2 to 1e4, by overlap."""
    ks = np.array(run.coords["growth_k"], float)
    kept = (ks >= 100) & (ks <= 10000)
    return {
        overlap: float(np.polyfit(np.log(ks[kept]), run.arrays["growth"][0, row, kept], 1)[0])
        for row, overlap in enumerate(run.coords["overlap"])
    }


def _sample(results: StemResults) -> Iterator[Claim]:
    for (k, alpha), (ts, mixup) in SAMPLED.items():
        run = results.get(("sample", f"k={k}"))
        if run is None or alpha not in run.coords["alpha"] or run.config.per_class != 40:
            continue
        if len(run.seeds) < 5:
            continue
        least, _ = overlapping_pairs.oracle_ts_optimum(1 - alpha, k)
        column = run.coords["alpha"].index(alpha)
        values = {name: run.arrays[name][:, column] for name in ("ts", "mixup")}
        yield Claim(
            name=f"sample, k = {k}, alpha = {alpha:g}: nearest neighbour, best temperature",
            source="[derived] C2 in the population",
            expected=float(least),
            tolerance=0.1,
            measured=float(values["ts"].mean()),
            note=f"{standard_error(values['ts'])}; replication {ts:.4g}",
        )
        yield Claim(
            name=f"sample, k = {k}, alpha = {alpha:g}: mixup",
            source="[measured] band of the replication",
            expected=0.12,
            tolerance=0.08,
            measured=float(values["mixup"].mean()),
            note=f"{standard_error(values['mixup'])}; replication {mixup:.4g}",
        )


def _midpoint(results: StemResults) -> Iterator[Claim]:
    run = results.get(("midpoint", "rays"))
    if run is None or run.config.k != 4 or 40.0 not in run.config.scales:
        return
    directions = list(zip(run.config.firsts, run.config.seconds, strict=True))
    column = run.coords["scale"].index(40.0)
    midpoint, single = run.arrays["midpoint"][0], run.arrays["single"][0]
    yield Claim(
        name="midpoint mixup, k = 4: least excess of the loss over (1 - 1/k) log 2",
        source="[derived] D1",
        expected=0.0,
        tolerance=1e-12,
        measured=float(midpoint.min() - (1 - 1 / run.config.k) * math.log(2)),
        kind="at_least",
    )
    for (first, second), (loss, alone) in MIDPOINT.items():
        row = directions.index((first, second))
        equal = first == second
        yield Claim(
            name=f"midpoint mixup, k = 4, 40 x ({first:g}, {second:g}): loss",
            source="[derived] D1, the floor" if equal else _REPLICATION,
            expected=loss,
            tolerance=5e-8 if equal else 5e-4,
            measured=float(midpoint[row, column]),
        )
        yield Claim(
            name=f"single samples, k = 4, 40 x ({first:g}, {second:g}): log10 of the loss",
            source=f"{_REPLICATION}, one digit",
            expected=math.log10(alone),
            tolerance=0.2,
            measured=float(np.log10(single[row, column])),
        )
    if (-1.0, -1.0) in directions:
        yield Claim(
            name="midpoint mixup, k = 4, -40 x (1, 1): loss",
            source=f"{_REPLICATION}: equal but negative correlations diverge",
            expected=25.8,
            tolerance=0.05,
            measured=float(midpoint[directions.index((-1.0, -1.0)), column]),
        )
