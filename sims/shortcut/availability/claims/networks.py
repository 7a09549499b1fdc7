"""What the networks of the stem ``shortcut.availability`` measured, against tables and theory.

Labels of the sources: [measured] a number of a small experiment before this one, [derived] of this
project's theorems, [paper] of the paper. Orderings of finite networks are suggested by three seeds
of those experiments and not established: they are context, with a standard error and a one-sided
test. A claim whose cells a scale does not have is left out.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy import stats

from twolayer.sims.engine.claims import Claim
from twolayer.sims.engine.results import Run, StemResults
from twolayer.sims.shortcut.availability.claims import four_points, kernels
from twolayer.sims.shortcut.availability.reference import (
    NETWORK_RATIOS,
    NETWORK_RHO,
    NETWORK_SEEDS,
    NETWORKS,
)

# What the spec allows beyond sampling error, and what it calls unbiased.
_BAND, _UNBIASED = 0.1, 0.05
# Where availability matters and the best classifier does use the core more.
_RHO = 0.85


def claims(results: StemResults) -> list[Claim]:
    """Acceptance list of the stem, as far as the scale has the cells for it."""
    return [
        *_tables(results),
        *_linear(results),
        *_orderings(results),
        *_nesting(results),
        *kernels.claims(results),
        *four_points.claims(results),
    ]


# Tables ------------------------------------------------------------------------------------------


def _tables(results: StemResults) -> Iterator[Claim]:
    for label, expected in NETWORKS.items():
        run = results.get(("network", label))
        if run is None or len(run.seeds) < NETWORK_SEEDS:
            continue
        found = compare(run, label, expected)
        if not found:
            continue
        shares = [abs(gap) / max(_BAND, 3 * error) for _, gap, error in found]
        worst = found[int(np.argmax(shares))]
        in_band = sum(abs(gap) <= _BAND for _, gap, _ in found)
        in_error = sum(abs(gap) <= 3 * error + 1e-12 for _, gap, error in found)
        yield Claim(
            name=f"network, {label}: bias off its table, worst point, over max(.1, 3 s.e.)",
            source=f"[measured] table 4, {NETWORK_SEEDS} seeds",
            expected=1.0,
            measured=max(shares),
            kind="at_most",
            note=f"off by {worst[1]:+.3f} +- {worst[2]:.3f} at rho_s, ratio = {worst[0]}; "
            f"{in_band} of {len(found)} within .1, {in_error} within 3 s.e.; "
            f"{len(run.seeds)} seeds",
        )


def compare(
    run: Run, label: str, expected: tuple[tuple[tuple[float, float], ...], ...]
) -> list[tuple[tuple[float, float], float, float]]:
    """Points of the table that the run has: distance of the means, and its standard error."""
    ratios = NETWORK_RATIOS[label.partition("/")[2]]
    bias = run.arrays["bias"][..., -1]
    found = []
    for i, rho in enumerate(NETWORK_RHO):
        for j, ratio in enumerate(ratios):
            if rho in run.config.rho_s and ratio in run.config.ratios:
                values = bias[:, run.config.rho_s.index(rho), run.config.ratios.index(ratio)]
                mean, deviation = expected[i][j]
                error = np.hypot(stats.sem(values), deviation / NETWORK_SEEDS**0.5)
                found.append(((rho, ratio), float(values.mean() - mean), float(error)))
    return found


# Linear models -----------------------------------------------------------------------------------


def _linear(results: StemResults) -> Iterator[Claim]:
    for label, judged in (("linear/converged", True), ("linear-1", True), ("linear", False)):
        run = results.get(("network", label))
        if run is None or run.config.steps < 400:
            continue
        bias = np.abs(run.arrays["bias"][..., -1].mean(axis=0))
        row, column = np.unravel_index(np.argmax(bias), bias.shape)
        yield Claim(
            name=f"network, {label}: largest mean |bias| after {run.config.steps} steps",
            source="[derived] A1 (i), up to logistic loss for LDA; [paper] linear is unbiased",
            expected=_UNBIASED,
            measured=float(bias.max()),
            kind="at_most" if judged else "context",
            note=f"at rho_s = {run.config.rho_s[row]:g}, ratio {run.config.ratios[column]:g}; mean "
            f"training loss above that of least squares by at most {_excess(run).max():.1e}, mean "
            f"norm of the gradient at most {run.arrays['gradient'].mean(axis=0).max():.1e}"
            + ("" if judged else "; not converged at large ratios: A1 does not apply"),
        )


def _excess(run: Run) -> np.ndarray:
    """Final training loss above that of least squares, mean over seeds."""
    return np.mean(run.arrays["loss"][..., -1] - run.arrays["reference_loss"][..., None], axis=0)


# Orderings ---------------------------------------------------------------------------------------


def _orderings(results: StemResults) -> Iterator[Claim]:
    headline = "[paper] more than linear; open conflict: in the tangent-kernel regime less (A4)"
    for other in ("relu-1", "relu-2", "relu-3", "tanh-1", "tanh-2", "tanh-3"):
        for linear in ("linear/converged", "linear"):
            yield from _ordering(results, other, linear, headline)
    for other in ("relu-1", "tanh-1", "relu-3"):
        yield from _ordering(
            results,
            "linear/under-trained",
            f"{other}/under-trained",
            "[measured] table 4b: the linear model is the most biased where training is short",
        )


def _ordering(results: StemResults, more: str, less: str, source: str) -> Iterator[Claim]:
    runs = [results.get(("network", label)) for label in (more, less)]
    several = [run for run in runs if run is not None and len(run.seeds) > 1]
    if len(several) < 2:
        return
    found = paired(*several)
    if found is None:
        return
    gaps, ratios = found
    test = stats.ttest_1samp(gaps, 0.0, alternative="greater")
    yield Claim(
        name=f"network: mean bias of {more} less that of {less} at rho_s = {_RHO}",
        source=source,
        expected=0.0,
        measured=float(gaps.mean()),
        kind="context",
        note=f"standard error {stats.sem(gaps):.3f}, one-sided p = {test.pvalue:.3f}, "
        f"{len(gaps)} paired seeds, mean over ratios {', '.join(f'{r:g}' for r in ratios)}",
    )


def paired(more: Run, less: Run) -> tuple[np.ndarray, list[float]] | None:
    """Differences of the final biases at rho_s = .85 seed by seed, mean over the common ratios."""
    ratios = [ratio for ratio in more.config.ratios if ratio in less.config.ratios]
    if not ratios or any(_RHO not in run.config.rho_s for run in (more, less)):
        return None
    seeds = min(len(more.seeds), len(less.seeds))
    means = []
    for run in (more, less):
        places = [run.config.ratios.index(ratio) for ratio in ratios]
        at = run.config.rho_s.index(_RHO)
        means.append(run.arrays["bias"][:seeds, at][:, places, -1].mean(axis=1))
    return means[0] - means[1], ratios


# Nesting -----------------------------------------------------------------------------------------


def _nesting(results: StemResults) -> Iterator[Claim]:
    for (study, label), run in results.items():
        if study != "nesting" or run.config.steps < 400:
            continue
        layers = run.config.layers
        deepest, flat = (layers.index(each(layers)) for each in (max, min))
        for name, words in (
            ("bias", "LDA of the embedded sample"),
            ("latent_bias", "LDA of the latents"),
        ):
            gaps = run.arrays[name][:, deepest, -1] - run.arrays[name][:, flat, -1]
            yield Claim(
                name=f"nesting, {label}: bias against {words}, {max(layers)} layers less none",
                source="hypothesis [paper]: nesting the core makes it less available; no number",
                expected=0.0,
                measured=float(gaps.mean()),
                kind="context",
                note=f"standard error {stats.sem(gaps):.3f}, {len(gaps)} seeds",
            )
        yield Claim(
            name=f"nesting, {label}: largest singular value that training leaves out",
            source="below rounding of single precision",
            expected=6e-8,
            measured=float(run.arrays["left_out"].max()),
            kind="at_most",
        )
