"""What networks learn from perturbed images, against chance and the published accuracies.

Sources: [derived] what the attack's targets say of the true classes; [fig] published accuracies of
the full setting, one seed each, best epoch. The scale ``default`` is a substitute in every respect:
there the published numbers are context, and the order of the sets is what is judged.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from twolayer.sims.engine.claims import Claim
from twolayer.sims.engine.results import Run, StemResults
from twolayer.sims.perturbation.orthogonal import published

CHANCE = 0.1
# Networks trained for a few epochs are not worth a verdict.
_EPOCHS = 10


def claims(results: StemResults) -> list[Claim]:
    """Acceptance list of the study ``images``, as far as the scale has the cells for it."""
    return [
        claim
        for (study, label), run in results.items()
        if study == "images" and run.config.epochs >= _EPOCHS
        for claim in _of_run(label, run)
    ]


def _of_run(label: str, run: Run) -> Iterator[Claim]:
    bases, norms = run.coords["base"], run.coords["norm"]
    last = {
        (base, norm): run.arrays["acc"][:, b, n, -1]
        for b, base in enumerate(bases)
        for n, norm in enumerate(norms)
    }
    for (base, norm), values in last.items():
        if norm == "none":
            yield Claim(
                name=f"images, {label}, {base} targets, no perturbation: final accuracy",
                source="[derived] targets say nothing of the classes, or what they are not",
                expected=CHANCE,
                tolerance=0.05,
                measured=float(values.mean()),
                kind="at_most",
            )
        elif base != "deterministic" and (norm != "l0" or base == "noise"):
            yield Claim(
                name=f"images, {label}, {base} targets, {norm}: final accuracy, worst seed",
                source="[derived] perturbations alone teach the classes",
                expected=2 * CHANCE,
                measured=float(values.min()),
                kind="at_least",
                note="twice chance",
            )
        if base == "deterministic" and norm != "none" and ("random", norm) in last:
            yield Claim(
                name=f"images, {label}, {norm}: next class below random targets by",
                source="[derived] A3 against A5: the same wrong label for a whole class competes",
                expected=0.0,
                measured=float(np.mean(last["random", norm] - values)),
                kind="at_least",
            )
        yield from _published(run, label, base, norm)


def _published(run: Run, label: str, base: str, norm: str) -> Iterator[Claim]:
    shown = published.IMAGES.get((run.config.dataset, base, norm))
    if shown is None:
        return
    b, n = run.coords["base"].index(base), run.coords["norm"].index(norm)
    full = run.config.width == 1 and run.config.num_train == 0
    yield Claim(
        name=f"images, {label}, {base} targets, {norm}: best accuracy over the epochs",
        source="[fig] one seed",
        expected=shown,
        tolerance=0.08 if base == "noise" else 0.05,
        measured=float(run.arrays["acc"][:, b, n].max(axis=1).mean()),
        kind="close" if full else "context",
        note="" if full else "a subset, a narrow network and a short training",
    )
