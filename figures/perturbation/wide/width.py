"""Measured deviation of finite networks from the theory, and what is proved, as width grows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from twolayer.figures.engine import style
from twolayer.figures.engine.registry import Absent
from twolayer.sims.engine.results import StemResults


@style.styled()
def widths(results: StemResults) -> Figure:
    """Left: gate kernel against Theorem W. Right: lazy training against Theorem L."""
    runs = [run for run in results.values() if run.study == "width"]
    if len(runs) < 2:
        raise Absent(f"scale {results.scale} has no sweep over widths")
    runs.sort(key=lambda run: run.config.width)
    m = np.array([run.config.width for run in runs], float)

    def over_runs(name: str) -> list[np.ndarray]:
        return [run.arrays[name].ravel() for run in runs]

    figure = style.figure(style.DOUBLE, 2.9)
    left, right = figure.subplots(1, 2)
    _kernel(left, m, over_runs)
    _lazy(right, m, over_runs)
    for axes in (left, right):
        axes.set(xscale="log", yscale="log", xlabel="width $m$")
        axes.legend(loc="upper right")
    right.set_ylim(top=20 * right.get_ylim()[1])  # room for the legend
    return figure


Over = Callable[[str], list[np.ndarray]]


def _kernel(axes: Axes, m: np.ndarray, over_runs: Over) -> None:
    gaps = over_runs("kernel_gap")
    middle = _medians(gaps)
    axes.plot(m, _medians(over_runs("kernel_radius")), color=style.BOUND, label="Theorem W, radius")
    style.spread(axes, m, gaps, style.F)
    axes.plot(m, middle, "o-", color=style.F, label="measured: median, all nets")
    axes.plot(
        m,
        middle[-1] * (m / m[-1]) ** -0.5,
        color=style.THEORY,
        linestyle=":",
        label="$m^{-1/2}$ through the last",
    )
    axes.set_ylabel(r"gate kernel: $\max\,|\Phi_m - \Phi|$")


def _lazy(axes: Axes, m: np.ndarray, over_runs: Over) -> None:
    gaps = over_runs("lazy_gap")
    axes.plot(m, _medians(over_runs("lazy_bound")), color=style.BOUND, label="Theorem L, bound")
    axes.plot(
        m,
        _medians(over_runs("lazy_expected")),
        color=style.BOUND,
        linestyle="--",
        label="Theorem L, expected bound",
    )
    axes.plot(
        m,
        _medians(over_runs("drift")),
        color=style.PUBLISHED,
        marker="s",
        label="size of the prediction",
    )
    style.spread(axes, m, gaps, style.F)
    axes.plot(m, _medians(gaps), "o-", color=style.F, label="measured: median, all nets")
    axes.set_ylabel("outputs: max distance to lazy training")


def _medians(samples: list[np.ndarray]) -> np.ndarray:
    return np.array([np.median(each) for each in samples])
