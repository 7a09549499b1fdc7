"""What the stem ``shortcut.gradients`` measured, against theory, a replication and the paper.

Labels of the sources: [derived] a consequence of Theorems C1 and C2, [measured] of a replication
on the same data, [paper] of much larger networks. What training picks is not proved: the bands of
block data are the replication's.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy import stats

from twolayer.sims.engine.claims import Claim
from twolayer.sims.engine.results import Run, StemResults
from twolayer.sims.shortcut.gradients.claims import images

# (m, init, noise, eps): ratio of the gradient at the signal to the other signal coordinates, null
# to others, |cos|, share of top-1 and bottom-1, of the replication. None was not meaningful there.
REPLICATED: dict[tuple[int, float, float, float], tuple[float, ...]] = {
    (5, 0.1, 0.0, 0.0): (0.985, 0.019, 0.442, 0.0, 1.0),
    (5, 0.1, 0.3, 0.0): (0.984, 0.011, 0.442, 0.0, 1.0),
    (5, 1.0, 0.0, 0.0): (0.890, 0.117, 0.405, 0.0, 0.70),
    (5, 1.0, 0.0, 0.35): (85.9, 0.59, 0.998, 1.0, 0.0),
    (5, 0.1, 0.0, 0.35): (126.0, 0.05, 0.9993, 1.0, 0.0),
    (5, 1.0, 0.0, 0.45): (120.0, 1.02, 0.971, 1.0, 0.0),
}
_WORDS = {
    "ratio": "gradient at the signal over other signal coordinates",
    "null_ratio": "gradient in null coordinates over other signal coordinates",
    "cos": "|cos(x, gradient)| on signal coordinates",
    "top1": "share with the largest gradient at the signal",
    "bottom1": "share with the smallest of the signal coordinates at the signal",
}
# Bands of the replication: for usual training with init <= 1, and for robust training at radii
# from 1/m to this, beyond which it does not end within so many steps.
_RATIO, _NULL, _COS = (0.8, 1.0), 0.2, 0.06
_ROBUST_EPS, _ROBUST_COS, _ROBUST_RATIO = 0.4, 0.95, 10.0
# Short trainings are not worth a verdict; nor is noise of which each point has a draw or few.
_STEPS, _DRAWS = 2000, 6
# Share of the largest margin that training from a small start reaches at least.
_TRAINED = 0.8


def claims(results: StemResults) -> list[Claim]:
    """Acceptance list of the stem, as far as the scale has the cells for it."""
    return [
        *_programmes(results),
        *_blocks(results),
        *_margins(results),
        *_published(results),
        *images.claims(results),
    ]


def largest_margin(run: Run) -> float:
    """Theorem C1's margin for the number of signal coordinates of a run."""
    return 1 / (2 * np.sqrt(run.config.signal + 1))


# Linear programmes -------------------------------------------------------------------------------


def _programmes(results: StemResults) -> Iterator[Claim]:
    for label, run in _of(results, "lp"):
        names = run.coords["problem"]
        arrays = run.arrays
        for problem, words in (
            ("all", "neurons with biases"),
            ("bias-free", "neurons without biases"),
            ("axis", "axis-aligned neurons with biases"),
            ("axis, bias-free", "axis-aligned neurons without biases"),
        ):
            at = names.index(problem)
            expected = float(arrays["theory"][0, at])
            yield Claim(
                name=f"lp, {label}: largest margin, {words}",
                source="[derived] C1, closed form",
                expected=expected,
                tolerance=1e-9,
                measured=_worst(arrays["value"][:, at], expected),
            )
        for problem in ("all", "bias-free"):
            at = names.index(problem)
            yield Claim(
                name=f"lp, {label}: mass on the closed form's two neurons, {problem}",
                source="[derived] C1, unique",
                expected=1.0,
                tolerance=1e-9,
                measured=_worst(arrays["atoms"][:, at], 1.0),
            )
            yield Claim(
                name=f"lp, {label}: difference of their masses, {problem}",
                source="[derived] C1, unique",
                expected=0.0,
                tolerance=1e-9,
                measured=_worst(arrays["imbalance"][:, at], 0.0),
            )
        at = names.index("own noise")
        yield Claim(
            name=f"lp, {label}: largest margin, noise of every point's own",
            source="[derived] C1: no less than with noise alike for all",
            expected=float(arrays["theory"][0, at]),
            tolerance=1e-9,
            measured=float(arrays["value"][:, at].min()),
            kind="at_least",
        )


# Block data --------------------------------------------------------------------------------------


def _blocks(results: StemResults) -> Iterator[Claim]:
    for label, run in _long(results):
        c, arrays = run.config, run.arrays
        found = REPLICATED.get((c.signal, c.init, c.noise, c.eps))
        if found is not None:
            for (name, words), expected in zip(_WORDS.items(), found, strict=True):
                values = arrays[name]
                yield Claim(
                    name=f"blocks, {label}: {words}, mean",
                    source="[measured] replication",
                    expected=expected,
                    measured=float(values.mean()),
                    kind="context",
                    note=f"standard error {stats.sem(values):.2g}, {len(values)} seeds",
                )
        if c.eps == 0 and c.init <= 1 and (c.noise == 0 or c.draws >= _DRAWS):
            yield from _standard(f"blocks, {label}", run)
        if 1 / c.signal < c.eps <= _ROBUST_EPS:
            yield from _robust(f"blocks, {label}", run)


def _standard(name: str, run: Run) -> Iterator[Claim]:
    arrays = run.arrays
    for kind, expected, measured in (
        ("at_least", _RATIO[0], arrays["ratio"].min()),
        ("at_most", _RATIO[1], arrays["ratio"].max()),
    ):
        yield Claim(
            name=f"{name}: {_WORDS['ratio']}, {'least' if kind == 'at_least' else 'largest'}",
            source="[measured] band of the replication; [derived] C1: 1",
            expected=expected,
            measured=float(measured),
            kind=kind,
        )
    if run.config.dim > run.config.signal:
        yield Claim(
            name=f"{name}: {_WORDS['null_ratio']}, largest",
            source="[measured] band of the replication; [derived] C1: 0",
            expected=_NULL,
            measured=float(arrays["null_ratio"].max()),
            kind="at_most",
        )
    expected = float(1 / np.sqrt(run.config.signal))
    yield Claim(
        name=f"{name}: {_WORDS['cos']}, worst seed",
        source="[derived] C1: 1/sqrt m; [measured] band of the replication",
        expected=expected,
        tolerance=_COS,
        measured=_worst(arrays["cos"], expected),
    )


def _robust(name: str, run: Run) -> Iterator[Claim]:
    for key, expected, source in (
        ("top1", 1.0, "[derived] C2 has such a network"),
        ("cos", _ROBUST_COS, "[measured] band of the replication; [derived] C2: 1 for one network"),
        ("ratio", _ROBUST_RATIO, "[measured] band of the replication, 40 to 126 there"),
    ):
        yield Claim(
            name=f"{name}: {_WORDS[key]}, least",
            source=source,
            expected=expected,
            measured=float(run.arrays[key].min()),
            kind="at_least",
        )


def _margins(results: StemResults) -> Iterator[Claim]:
    for label, run in _long(results):
        c = run.config
        if c.noise:
            continue
        theory, margin = largest_margin(run), run.arrays["margin"]
        yield Claim(
            name=f"blocks, {label}: normalised margin, largest of the training",
            source="[derived] C1: of any network",
            expected=float(theory),
            tolerance=1e-6,
            measured=float(margin.max()),
            kind="at_most",
        )
        if c.eps == 0:
            small = c.init <= 0.1
            yield Claim(
                name=f"blocks, {label}: normalised margin at the end over gamma*, least",
                source="[derived] C1 for infinite width and time; [measured] .89 to .92, .085 with "
                "init 1",
                expected=_TRAINED,
                measured=float(margin[:, -1].min() / theory),
                kind="at_least" if small else "context",
            )


def _published(results: StemResults) -> Iterator[Claim]:
    """Beside what the paper reports for ten signal coordinates and far wider networks."""
    for label, run in _long(results):
        c, arrays = run.config, run.arrays
        is_robust = c.eps > 0
        if not is_robust and (c.signal, c.dim) != (10, 10):
            continue
        if is_robust and c.eps * c.signal <= 1:
            continue
        numbers = {"cos": 1.0, "top1": 1.0} if is_robust else {"cos": 0.29}
        for key, expected in numbers.items():
            yield Claim(
                name=f"blocks, {label}: {_WORDS[key]}, mean, beside the paper's",
                source="[paper] d = 10, eps = .45, width 25000 [code]",
                expected=expected,
                measured=float(arrays[key].mean()),
                kind="context",
            )
        if not is_robust:
            yield Claim(
                name=f"blocks, {label}: predictive power of the top coordinate less the bottom's",
                source="[paper] d = 10, width 25000 [code]; -1/2 where the signal is at the bottom",
                expected=-0.521,
                measured=float((arrays["top_power"] - arrays["bottom_power"]).mean()),
                kind="context",
            )


# Helpers -----------------------------------------------------------------------------------------


def _of(results: StemResults, study: str) -> Iterator[tuple[str, Run]]:
    return ((label, run) for (name, label), run in results.items() if name == study)


def _long(results: StemResults) -> Iterator[tuple[str, Run]]:
    """Trainings on block data that are long enough for a verdict."""
    return ((label, run) for label, run in _of(results, "blocks") if run.config.steps >= _STEPS)


def _worst(values: np.ndarray, expected: float) -> float:
    """The value that is furthest from what is expected; NaN if there is one."""
    values = values.ravel()
    return float(values[np.argmax(np.abs(values - expected))])
