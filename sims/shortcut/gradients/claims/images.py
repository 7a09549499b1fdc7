"""What was measured of gradients on images, beside hypotheses.

Images are not the theorems' data: everything is context, but that a random ranking tells nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

from scipy import stats

from twolayer.sims.engine.claims import Claim
from twolayer.sims.engine.results import Run, StemResults

# Standard errors within which a mean of few seeds must be of its expectation.
_ERRORS = 5.0


def claims(results: StemResults) -> list[Claim]:
    """Claims on images and on retrainings, as far as the scale has the cells for them."""
    return [*_images(results), *_roar(results)]


def _images(results: StemResults) -> Iterator[Claim]:
    for label, run in _of(results, "images"):
        if len(run.seeds) < 3:
            continue
        c, values = run.config, run.arrays["leakage"]
        if c.attack == "none":
            expected = 1.0 if c.position == "random" else 0.5
            source = (
                "hypothesis: about 1 where the blocks' order is random"
                if c.position == "random"
                else "hypothesis: below a half where the order is fixed"
            )
        else:
            expected, source = 0.0, "hypothesis: less than in usual training"
        yield Claim(
            name=f"images, {label}: gradients in the null block over the other's, mean",
            source=source,
            expected=expected,
            measured=float(values.mean()),
            kind="context",
            note=f"standard error {stats.sem(values):.2g}; accuracy "
            f"{run.arrays['accuracy'].mean():.3f}",
        )


def _roar(results: StemResults) -> Iterator[Claim]:
    for label, run in _of(results, "roar"):
        values = run.arrays["diffroar"]
        if len(values) < 5:
            continue
        errors = stats.sem(values)
        ks = run.coords["k"]
        if run.config.attribution == "random":
            # Of each seed the mean over k, as one ranking serves all of them.
            mean = values.mean(axis=1)
            yield Claim(
                name=f"roar, {label}: DiffROAR, mean over k and retrainings",
                source="[derived] 0, as top and bottom are exchangeable; tolerance 5 s.e.",
                expected=0.0,
                tolerance=_ERRORS * stats.sem(mean),
                measured=float(mean.mean()),
            )
        for at, k in enumerate(ks):
            yield Claim(
                name=f"roar, {label}: DiffROAR at k = {k:g}",
                source=_HYPOTHESES[
                    "random" if run.config.attribution == "random" else run.config.attack != "none"
                ],
                expected=0.0,
                measured=float(values[:, at].mean()),
                kind="context",
                note=f"standard error {errors[at]:.2g}, {len(values)} retrainings",
            )


_HYPOTHESES: dict[str | bool, str] = {
    "random": "within 2 standard errors of 0 at most k",
    True: "hypothesis: positive",
    False: "hypothesis: below .1 in size, or negative, at small k",
}


def _of(results: StemResults, study: str) -> Iterator[tuple[str, Run]]:
    return ((label, run) for (name, label), run in results.items() if name == study)
