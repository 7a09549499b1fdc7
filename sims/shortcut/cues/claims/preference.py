"""What the stem ``shortcut.cues`` measured of preferences and of kernel machines.

Labels of the sources: [derived] a consequence of this project's theorems, [measured] a number or a
band of the specification's own small experiment (perceptron, 6 seeds, hard-edged images), [paper]
what the paper says in words; its numbers are [not recovered]. Solutions of one cue are judged in
:mod:`twolayer.sims.shortcut.cues.claims.solutions`.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy import stats

from twolayer.sims.engine.claims import Claim
from twolayer.sims.engine.results import Run, StemResults
from twolayer.sims.shortcut.cues import examples
from twolayer.sims.shortcut.cues.claims import solutions
from twolayer.sims.shortcut.cues.images import CUES, LEVELS
from twolayer.theory.shortcut.cues import accuracy

# Networks trained for a few steps are not worth a verdict.
_EPOCHS = 10
# With fewer seeds a share says nothing.
_SEEDS = 3
# Accuracy for colour; for each of the others, off the diagonal.
_COLOUR, _OTHERS = 0.95, (0.2, 0.35)


def claims(results: StemResults) -> list[Claim]:
    """Acceptance list of the stem, as far as the scale has the cells for it."""
    return [
        *_machines(results),
        *_images(results),
        *_preferences(results),
        *solutions.claims(results),
    ]


# Kernel machines ---------------------------------------------------------------------------------


def _machines(results: StemResults) -> Iterator[Claim]:
    for label, run in runs(results, "machine"):
        name, arrays = f"machine, {label}", run.arrays
        asked = int(arrays["wrong"][0].size * arrays["cells"][0])
        yield Claim(
            name=f"{name}: kernel machines that do not follow the vote, of {asked} predictions",
            source="[derived] Theorem B1; [measured] 0 of 360",
            expected=0,
            measured=float(arrays["wrong"].sum(axis=(1, 2)).max()),
        )
        yield Claim(
            name=f"{name}: the same with four copies of one training item",
            source="[derived] control: B1 asks for equal counts",
            expected=1,
            measured=float(arrays["unbalanced_wrong"].sum(axis=(1, 2)).min()),
            kind="at_least",
        )
        yield Claim(
            name=f"{name}: accuracies of kernel machines less the vote's, largest",
            source="[derived] Theorem B1, availability of one cue from 1/4 to 4",
            expected=0,
            measured=float(np.abs(arrays["kernel"] - arrays["vote"][:, None]).max()),
        )
        yield Claim(
            name=f"{name}: share of cells where a network follows the vote, mean",
            source="[derived] Theorem B1, for kernel machines",
            expected=1,
            measured=float(arrays["agreement"].mean()),
            kind="context",
            note="networks of one hidden layer, finite width",
        )


# Images ------------------------------------------------------------------------------------------


def _images(results: StemResults) -> Iterator[Claim]:
    for label, run in runs(results, "example"):
        levels, area = run.arrays["levels"][0], run.arrays["area"].mean(axis=(0, 2))
        shape, scale = (levels[:, CUES.index(cue)] for cue in ("shape", "scale"))
        table = np.array(
            [
                [area[(shape == i) & (scale == j)].mean() for i in range(LEVELS)]
                for j in range(LEVELS)
            ]
        )
        yield Claim(
            name=f"images, {label}: areas of shapes of one size, largest over smallest less 1",
            source="[derived] B.4: area must tell the size alone",
            expected=0.1,
            measured=float(np.max(table.max(axis=1) / table.min(axis=1) - 1)),
            kind="at_most",
        )
        lengths = examples.description_lengths(run)
        yield Claim(
            name=f"images, {label}: bytes that describe colour, over the least of the others",
            source="[paper] preferred cues are simpler, in words",
            expected=1,
            measured=float(lengths[0] / lengths[1:].min()),
            kind="context",
            note="proxy: zlib; bytes "
            + ", ".join(f"{cue} {size:.0f}" for cue, size in zip(CUES, lengths, strict=False)),
        )


# Preferences -------------------------------------------------------------------------------------


def _preferences(results: StemResults) -> Iterator[Claim]:
    for label, run in runs(results, "preference"):
        c = run.config
        if c.epochs < _EPOCHS or len(run.seeds) < _SEEDS:
            continue
        last = run.arrays["accuracy"][:, -1]
        name = f"preference, {label}"
        yield Claim(
            name=f"{name}: accuracies summed over cues, largest",
            source="[derived] B.2, cues.majority",
            expected=accuracy.majority_baseline(c.num_cues, LEVELS),
            tolerance=1e-12,
            measured=float(last.sum(axis=1).max()),
            kind="at_most",
        )
        if c.labels == "shuffled":
            yield from _shuffled(name, last)
        elif c.images == "grey":
            yield from _grey(name, run)
        else:
            yield from _coloured(name, run)


def _coloured(name: str, run: Run) -> Iterator[Claim]:
    """Adjusted accuracies are those less what another cue alone would give."""
    last = run.arrays["accuracy"][:, -1]
    mean, spread = last.mean(axis=0), last.std(axis=0)
    baseline = accuracy.cue_baseline(run.config.num_cues, LEVELS)
    # The bands are of three cues on 16 x 16 pixels.
    judged = run.config.num_cues == 3 and run.config.size == 16
    yield Claim(
        name=f"{name}: accuracy for colour off the diagonal",
        source="[measured] band of B.4; [paper] colour, in words",
        expected=_COLOUR,
        measured=float(mean[0]),
        kind="at_least" if judged else "context",
        note=f"std over seeds {spread[0]:.3f}; adjusted {mean[0] - baseline:+.3f}",
    )
    for place, cue in enumerate(CUES[1 : run.config.num_cues], start=1):
        yield Claim(
            name=f"{name}: accuracy for {cue} off the diagonal",
            source="[measured] band of B.4",
            expected=sum(_OTHERS) / 2,
            tolerance=(_OTHERS[1] - _OTHERS[0]) / 2,
            measured=float(mean[place]),
            kind="close" if judged else "context",
            note=f"std over seeds {spread[place]:.3f}; adjusted {mean[place] - baseline:+.3f}",
        )
    share, low, high = abundance(run, 0)
    yield Claim(
        name=f"{name}: share of random starts that end with colour",
        source="[paper] almost exclusively; [measured] 6 of 6",
        expected=0.9,
        measured=share,
        kind="at_least",
        note=f"Wilson 95 % interval {low:.3f} to {high:.3f}, {len(run.seeds)} starts",
    )
    yield Claim(
        name=f"{name}: loss of the last epoch",
        source="[measured] B.4, 200 full-batch steps",
        expected=5e-4,
        measured=float(run.arrays["loss"][:, -1].mean()),
        kind="context",
    )


def _grey(name: str, run: Run) -> Iterator[Claim]:
    share, _, high = abundance(run, 0)
    yield Claim(
        name=f"{name}: share of random starts that end with colour",
        source="[derived] control: grey images do not show it",
        expected=0,
        measured=share,
        note=f"upper end of the Wilson 95 % interval {high:.3f}",
    )
    place = CUES.index("scale")
    share, low, high = abundance(run, place)
    yield Claim(
        name=f"{name}: share of random starts that end with scale",
        source="hypothesis of the specification",
        expected=1,
        measured=share,
        kind="context",
        note=f"Wilson 95 % interval {low:.3f} to {high:.3f}; accuracy for scale "
        f"{run.arrays['accuracy'][:, -1, place].mean():.3f}",
    )


def _shuffled(name: str, last: np.ndarray) -> Iterator[Claim]:
    for place, cue in enumerate(CUES[: last.shape[1]]):
        error = stats.sem(last[:, place])
        yield Claim(
            name=f"{name}: accuracy for {cue} off the diagonal",
            source="[derived] control: chance, for labels that no cue tells",
            expected=1 / LEVELS,
            tolerance=3 * error,
            measured=float(last[:, place].mean()),
            note="within three standard errors",
        )


def abundance(run: Run, cue: int) -> tuple[float, float, float]:
    """Share of seeds whose accuracy is best for this cue, with its Wilson 95 % interval."""
    chosen = np.argmax(run.arrays["accuracy"][:, -1], axis=1) == cue
    low, high = accuracy.wilson_interval(int(chosen.sum()), len(chosen))
    return float(chosen.mean()), float(low), float(high)


def runs(results: StemResults, study: str) -> Iterator[tuple[str, Run]]:
    """Labels and runs of one study; none where the scale has no cells for it."""
    return ((label, run) for (name, label), run in results.items() if name == study)
