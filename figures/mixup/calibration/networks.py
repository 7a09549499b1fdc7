"""Scores of networks: two overlapping Gaussians, and wrong labels."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import stats

from twolayer.figures.engine import style
from twolayer.figures.engine.registry import Absent
from twolayer.sims.engine.results import Run, StemResults
from twolayer.sims.mixup.calibration import gaussians
from twolayer.sims.mixup.calibration.claims.networks import mixture

# Without temperature, after the fit that stops early, after the exact one.
_FITS = {
    "raw": ("no temperature", style.NEGATIVE),
    "weak": ("fit that stops early", style.BOUND),
    "exact": ("exact fit", style.F),
}
_POINT_COLORS = {1: style.F, 2: style.G}
_MIN_EPOCHS = 20


@style.styled()
def gauss(results: StemResults) -> Figure:
    """NLL above and calibration error below, one column for each distance of the means."""
    runs = [run for run in results.values() if run.study == "gauss"]
    if not runs or runs[0].config.epochs < _MIN_EPOCHS:
        raise Absent(f"scale {results.scale} has no trained networks on Gaussians")
    runs.sort(key=lambda run: -run.config.mu)
    figure = style.figure(style.DOUBLE, 4.2)
    grid = figure.subplots(2, len(runs), sharex=True, sharey="row", squeeze=False)
    for (above, below), run in zip(grid.T, runs, strict=True):
        _bars(above, run, ("raw", "weak", "exact"), "nll")
        _bars(below, run, ("raw", "exact"), "ece")
        nll, _, error = gaussians.population(run.config.mu, run.config.d)
        above.axhline(
            nll, color=style.THEORY, linestyle="--", linewidth=0.8, label="true posterior"
        )
        above.axhline(
            math.log(2), color=style.THEORY, linestyle=":", linewidth=0.8, label=r"$\log 2$"
        )
        above.set_title(rf"$\mu$ = {run.config.mu:g} (Bayes error {error:.3f})")
        names = [mixture(points).replace(" ", "\n", 1) for points in run.coords["points"]]
        below.set_xticks(range(len(names)), names)
    grid[0, 0].set_ylabel("NLL on the test set, nats")
    grid[1, 0].set_ylabel("expected calibration error")
    figure.supxlabel("training", fontsize=8)
    figure.legend(*grid[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=5)
    return figure


def _bars(axes: Axes, run: Run, fits: tuple[str, ...], score: str) -> None:
    """Bars of means, whiskers for the range over the seeds."""
    breadth = 0.8 / len(fits)
    for index, fit in enumerate(fits):
        name, color = _FITS[fit]
        values = run.arrays[f"{score}_{fit}"]
        place = np.arange(values.shape[1]) + (index - (len(fits) - 1) / 2) * breadth
        axes.bar(place, values.mean(axis=0), 0.9 * breadth, color=color, label=name)
        style.whiskers(axes, place, list(values.T), style.THEORY)


@style.styled()
def images(results: StemResults) -> Figure:
    """Test error, NLL raw and after the exact fit, over the share of wrong labels."""
    runs = [run for run in results.values() if run.study == "images"]
    if not runs or runs[0].config.epochs < _MIN_EPOCHS:
        raise Absent(f"scale {results.scale} has no networks trained on wrong labels")
    sets = list(dict.fromkeys(run.config.dataset for run in runs))
    figure = style.figure(style.DOUBLE, 0.7 + 1.9 * len(sets))
    grid = figure.subplots(len(sets), 3, squeeze=False, sharex=True)
    for row, dataset in zip(grid, sets, strict=True):
        chosen = sorted(
            (run for run in runs if run.config.dataset == dataset),
            key=lambda run: run.config.noise,
        )
        _curves(row[0], chosen, ("error",))
        _curves(row[1], chosen, ("nll_raw", "nll_exact"))
        _curves(row[2], chosen, ("ece_raw", "ece_exact"))
        row[0].set_ylabel(f"{dataset}: test error")
        row[1].set_ylabel("NLL on clean labels, nats")
        row[2].set_ylabel("expected calibration error")
    for axes in grid[-1]:
        axes.set_xlabel("share of wrong training labels")
    figure.legend(*grid[0, 1].get_legend_handles_labels(), loc="outside upper center", ncols=4)
    return figure


def _curves(axes: Axes, runs: list[Run], names: tuple[str, ...]) -> None:
    """Means with bars of two standard errors, seeds as dots."""
    noise = np.array([run.config.noise for run in runs])
    for points, color in _POINT_COLORS.items():
        for name in names:
            samples = [run.arrays[name][:, run.coords["points"].index(points)] for run in runs]
            mean = np.array([each.mean() for each in samples])
            error = [2 * stats.sem(each) for each in samples]
            fitted = name.endswith("exact")
            side = (points - 1.5) * 0.012
            axes.errorbar(
                noise + side,
                mean,
                error,
                fmt="s--" if fitted else "o-",
                color=color,
                markerfacecolor="white" if fitted else color,
                elinewidth=0.8,
                label=f"{mixture(points)}{', exact fit' if fitted else ''}",
            )
    axes.set_ylim(bottom=0)
    axes.set_xticks(noise)
