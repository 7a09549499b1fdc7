"""Early-stopped Mixup on images: the one qualitative claim, and what it is worth.

No published number is compared with: the published networks and images are others.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy import stats

from twolayer.sims.engine.claims import Claim
from twolayer.sims.engine.results import Run, StemResults

# Standard errors of fewer seeds are worth nothing.
_SEEDS = 5


def claims(results: StemResults) -> list[Claim]:
    """Acceptance list of the study ``digits``, as far as the scale has the cells for it."""
    return [
        claim
        for (study, label), run in results.items()
        if study == "digits" and len(run.seeds) >= _SEEDS
        for claim in _of_run(label, run)
    ]


def final_errors(run: Run) -> dict[int, np.ndarray]:
    """Test errors at the end, one a seed, by the epoch at which Mixup stopped."""
    last = run.arrays["test_error"][:, :, -1]
    return {stop: last[:, i] for i, stop in enumerate(run.coords["stop"])}


def _of_run(label: str, run: Run) -> Iterator[Claim]:
    errors = final_errors(run)
    full, plain = errors[run.config.epochs], errors[0]
    half = min(errors, key=lambda stop: abs(2 * stop - run.config.epochs))
    yield Claim(
        name=f"{label}: test error after a stop at half time, epoch {half}, above full Mixup's",
        source="[paper] qualitatively; one standard error of full Mixup",
        expected=0.0,
        tolerance=stats.sem(full),
        measured=float(errors[half].mean() - full.mean()),
        kind="at_most",
        note="negative: the early stop is better",
    )
    for name, other in (("full Mixup", full), ("Mixup to half time", errors[half])):
        yield Claim(
            name=f"{label}: test error of plain training above that of {name}",
            source="no claim: the published networks and images are others",
            expected=0.0,
            measured=float(plain.mean() - other.mean()),
            kind="context",
            note=f"standard error over paired seeds {stats.sem(plain - other):.4f}",
        )
    for i, pair in enumerate(run.coords["pair"]):
        yield Claim(
            name=f"{label}, fixed weights of inputs, labels {pair}: test error above full Mixup's",
            source="[paper] label and input weights may differ; no number",
            expected=0.0,
            measured=float(run.arrays["pair_error"][:, i, -1].mean() - full.mean()),
            kind="context",
        )
