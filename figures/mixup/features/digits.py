"""Early-stopped Mixup of images: test error against the stop, and fixed mixing weights."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import stats

from twolayer.figures.engine import style
from twolayer.figures.engine.registry import Absent
from twolayer.sims.engine.results import Run, StemResults
from twolayer.sims.mixup.features.claims.images import final_errors


@style.styled()
def digits(results: StemResults) -> Figure:
    """A panel for each data set, and one for fixed weights of inputs and labels."""
    runs = [run for run in results.values() if run.study == "digits" and len(run.seeds) > 1]
    if not runs or runs[0].config.epochs < 10:
        raise Absent(f"scale {results.scale} has no long training on images")
    paired = [run for run in runs if run.coords["pair"]]
    figure = style.figure(style.DOUBLE, 2.5)
    panels = figure.subplots(1, len(runs) + len(paired), squeeze=False)[0]
    for axes, run in zip(panels, runs, strict=False):
        _stops(axes, run)
    for axes, run in zip(panels[len(runs) :], paired, strict=True):
        _pairs(axes, run)
    panels[0].set_ylabel("test error, %")
    handles: dict = {}
    for axes in panels:
        handles |= dict(zip(*axes.get_legend_handles_labels()[::-1], strict=True))
    figure.legend(list(handles.values()), list(handles), loc="outside upper center", ncols=4)
    return figure


def _stops(axes: Axes, run: Run) -> None:
    errors = {stop: 100 * each for stop, each in sorted(final_errors(run).items())}
    stops = np.array(list(errors))
    axes.errorbar(
        stops,
        [each.mean() for each in errors.values()],
        [stats.sem(each) for each in errors.values()],
        fmt="o-",
        color=style.G,
        capsize=2,
        label="mean and standard error",
    )
    for stop, each in errors.items():
        axes.plot(np.full(len(each), stop), each, ".", color="0.6", markersize=2, label="seeds")
    _band(axes, errors[run.config.epochs])
    axes.set(xlabel=f"epoch at which Mixup stops, of {run.config.epochs}", title=run.label)


def _pairs(axes: Axes, run: Run) -> None:
    pairs = run.coords["pair"]
    for i in range(len(pairs)):
        each = 100 * run.arrays["pair_error"][:, i, -1]
        axes.errorbar(i, each.mean(), stats.sem(each), fmt="o", color=style.G, capsize=2)
        axes.plot(np.full(len(each), i), each, ".", color="0.6", markersize=2)
    errors = final_errors(run)
    _band(axes, 100 * errors[run.config.epochs])
    axes.axhline(
        100 * errors[0].mean(), color=style.F, linestyle="--", linewidth=0.9, label="plain training"
    )
    axes.set_xticks(range(len(pairs)), [pair.replace(",", "\n") for pair in pairs])
    axes.set_xlim(-0.5, len(pairs) - 0.5)
    axes.set(xlabel=r"fixed weights $\lambda_x$ (above), $\lambda_y$", title=f"{run.label}, fixed")


def _band(axes: Axes, full: np.ndarray) -> None:
    """Mixup throughout: mean and one standard error to each side."""
    middle, half = full.mean(), stats.sem(full)
    axes.axhspan(
        middle - half, middle + half, color=style.PUBLISHED, alpha=0.25, linewidth=0,
        label="Mixup throughout, one standard error",
    )  # fmt: skip
