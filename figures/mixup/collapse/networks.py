"""Last-layer activations of networks on mixed images, beside the optimum of free features."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure

from twolayer.figures.engine import style
from twolayer.figures.engine.registry import Absent
from twolayer.figures.mixup.collapse.optimal_features import COLORS, UNIT, rows, square
from twolayer.sims.engine.results import Run, StemResults
from twolayer.sims.mixup.collapse.claims import midpoint_share

_SETTINGS = (("fixed", "mixup"), ("fixed", "plain"), ("trained", "mixup"), ("trained", "plain"))
_SAMPLE_NAMES = {"mixup": "mixup", "plain": "no mixup"}
_SINGLE = "0.6"
_SAMPLE_COLORS = {"mixup": style.G, "plain": style.F}


@style.styled()
def planes(results: StemResults) -> Figure:
    """Activations on the plane of the rows: a row of panels a data set, a panel a setting."""
    sets = _sets(results)
    figure = style.figure(style.DOUBLE, 0.6 + 1.6 * len(sets))
    grid = figure.subplots(len(sets), len(_SETTINGS), squeeze=False)
    for panels, (name, runs) in zip(grid, sets.items(), strict=True):
        for axes, setting in zip(panels, _SETTINGS, strict=True):
            _plane(axes, runs[setting])
            axes.set_title(f"{setting[0]} classifier, {_SAMPLE_NAMES[setting[1]]}", fontsize=7)
        panels[0].set_ylabel(f"{name}\n$h_2$")
    figure.supxlabel("$h_1$", fontsize=8)
    figure.colorbar(
        ScalarMappable(UNIT, COLORS),
        ax=list(grid.ravel()),
        label=r"weight $\lambda$ of the first class",
        aspect=30,
    )
    handles, labels = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels), markerscale=4)
    return figure


def _plane(axes: Axes, run: Run) -> None:
    points, optimum = run.arrays["point"][0], run.arrays["optimum"][0]
    lams = np.array(run.coords["lam"])
    classes = range(len(run.config.classes))
    apart = [(i, j) for i in classes for j in classes if i > j]
    for number, (i, j) in enumerate(apart):
        weights = np.broadcast_to(lams[:, None], points.shape[2:4])
        x, y = points[i, j].reshape(-1, 2).T
        axes.scatter(
            x,
            y,
            c=weights.ravel(),
            cmap=COLORS,
            norm=UNIT,
            s=1.2,
            linewidths=0,
            rasterized=True,
            label="images of two classes" if number == 0 else None,
        )
        axes.plot(
            *optimum[i, j].T,
            color=style.THEORY,
            linewidth=0.9,
            label="optimum of free features" if number == 0 else None,
        )
    for i in classes:
        axes.plot(
            *points[i, i].reshape(-1, 2).T,
            ".",
            color=_SINGLE,
            markersize=1.2,
            rasterized=True,
            label="images of one class" if i == 0 else None,
        )
        axes.plot(*optimum[i, i, 0], "o", color=style.THEORY, markersize=3)
    longest = np.quantile(np.linalg.norm(points, axis=-1), 0.995)
    longest = max(longest, np.linalg.norm(optimum, axis=-1).max())
    rows(axes, run.arrays["row"][0], 0.5 * longest)
    square(axes, 1.1 * longest)


@style.styled()
def logits(results: StemResults) -> Figure:
    """Difference of the logits over lambda, by classifier; and distances at lambda = 1/2."""
    sets = _sets(results)
    figure = style.figure(style.DOUBLE, 0.4 + 1.9 * len(sets))
    grid = figure.subplots(len(sets), 3, squeeze=False, sharex="col")
    for panels, (name, runs) in zip(grid, sets.items(), strict=True):
        for axes, classifier in zip(panels, ("fixed", "trained"), strict=False):
            _differences(axes, [runs[classifier, samples] for samples in ("mixup", "plain")])
            axes.set_title(f"{name}, {classifier} classifier")
        panels[0].set_ylabel("$(z_i - z_j)$ / gap of one class")
        _midpoints(panels[2], runs)
        panels[2].set_title(name)
    for axes in grid[-1, :2]:
        axes.set_xlabel(r"weight $\lambda$ of class $i$")
    grid[-1, 2].set_xlabel("classifier")
    handles, labels = grid[0, 0].get_legend_handles_labels()
    more = grid[0, 2].get_legend_handles_labels()
    figure.legend(handles + more[0], labels + more[1], loc="outside upper center", ncols=3)
    return figure


def _differences(axes: Axes, runs: list[Run]) -> None:
    lam = np.array(runs[0].coords["lam"])
    axes.plot(lam, 2 * lam - 1, ":", color=_SINGLE, label="straight line")
    for run in runs:
        samples = run.config.samples
        color = _SAMPLE_COLORS[samples]
        apart = ~np.eye(len(run.config.classes), dtype=bool)
        gap = run.arrays["same_gap"][:, None]
        measured, exact = (
            run.arrays[name][:, apart].mean(axis=1) / gap
            for name in ("difference", "optimal_difference")
        )
        style.spread(axes, lam, list(measured.T), color)
        axes.plot(lam, measured.mean(axis=0), "o-", color=color, label=_SAMPLE_NAMES[samples])
        if samples == "mixup":
            axes.plot(lam, exact.mean(axis=0), color=style.THEORY, label="optimum of free features")
    axes.set(ylim=(-1.3, 1.3))


def _midpoints(axes: Axes, runs: dict[tuple[str, str], Run]) -> None:
    """Mean |z_i - z_j| at lambda = 1/2 over the gap of one class: bars of means, dots of seeds."""
    for place, classifier in enumerate(("fixed", "trained")):
        for shift, samples in ((-0.2, "mixup"), (0.2, "plain")):
            share = midpoint_share(runs[classifier, samples])
            axes.bar(place + shift, share.mean(), 0.36, color=_SAMPLE_COLORS[samples], alpha=0.75)
            axes.plot(np.full(len(share), place + shift), share, ".", color="black", markersize=2)
    axes.axhline(
        0.25, color=style.THEORY, linestyle="--", linewidth=0.8, label="asserted with mixup"
    )
    axes.set_xticks([0, 1], ["fixed", "trained"])
    axes.set_ylabel(r"$|z_i - z_j|$ / gap at $\lambda = 1/2$")


def _sets(results: StemResults) -> dict[str, dict[tuple[str, str], Run]]:
    """Runs by data set and network, then by classifier and samples; only complete ones."""
    sets: dict[str, dict[tuple[str, str], Run]] = {}
    for run in results.values():
        if run.study == "network" and len(run.config.classes) == 3:
            name, classifier, samples = run.label.rsplit("/", 2)
            sets.setdefault(name, {})[classifier, samples] = run
    sets = {name: runs for name, runs in sets.items() if set(runs) == set(_SETTINGS)}
    if not sets:
        raise Absent(f"scale {results.scale} has no networks on three classes")
    return sets
