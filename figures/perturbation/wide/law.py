"""Scenario (a): how much of the agreement the drawn label imbalance decides, by law B4."""

from __future__ import annotations

import itertools

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from twolayer.figures.engine import style
from twolayer.figures.perturbation.wide import series
from twolayer.figures.perturbation.wide.published import FITTED_IMBALANCE
from twolayer.figures.perturbation.wide.series import AXES, Point
from twolayer.sims.engine.results import StemResults
from twolayer.theory.perturbation.wide import surrogate

# Too few units, too short a training, or another loss: the law assumes none of these.
_FEW_UNITS = 20
_SHORT_TIME = 100
# A sweep looks the same in both panels; colours repeat, markers do not.
_MARKERS = dict(zip(("base", *AXES), "osD^vPX<>d", strict=True))
_COLORS = dict(zip(_MARKERS, itertools.cycle(style.CYCLE), strict=False))


@style.styled()
def imbalance(results: StemResults) -> Figure:
    """Agreement at the base point against the label imbalance that each seed drew."""
    point = series.base(results, "shifted-a")
    config = point.run.config
    drawn = point.samples("label_imbalance")
    reach = 1.15 * max(np.abs(drawn).max(), 2 * FITTED_IMBALANCE)
    grid = np.linspace(-reach, reach, 401)
    law = jax.vmap(surrogate.threshold_agreement, (None, None, None, 0))(
        config.mu, config.d, config.eps[0], jnp.asarray(grid)
    )
    figure = style.figure(style.COLUMN, 2.5)
    axes = figure.subplots()
    axes.plot(grid, law, color=style.THEORY, label="threshold law, no fit")
    axes.plot(
        drawn,
        point.samples("agreement"),
        "o",
        color=style.BOTH,
        label="independent labels, each seed",
    )
    balanced = point.samples("agreement", "balanced")
    axes.plot(
        np.zeros_like(balanced),
        balanced,
        "D",
        color=style.BOTH,
        mfc="white",
        label="balanced labels, all seeds",
    )
    for side in (-1, 1):
        axes.axvline(
            side * FITTED_IMBALANCE,
            color=style.PUBLISHED,
            linestyle="--",
            label="published seed (fitted)" if side > 0 else None,
        )
    axes.set(
        xlabel=r"label imbalance $\bar y$ (mean of the target labels)",
        ylabel="agreement of $f$ and $g$",
        ylim=(0.45, 1.02),
        xlim=(-reach, reach),
    )
    figure.legend(loc="outside upper center", ncols=2)
    return figure


@style.styled()
def law(results: StemResults) -> Figure:
    """Every cell of shifted-a: agreement against law B4 at the labels that the seed drew."""
    series.base(results, "shifted-a")
    groups: dict[bool, dict[str, list[Point]]] = {True: {}, False: {}}
    for name in AXES:
        for point in series.points(results, "shifted-a", name):
            if not point.is_base:
                groups[_assumed(point, name)].setdefault(name, []).append(point)
    groups[True] = {"base": [series.base(results, "shifted-a")], **groups[True]}
    figure = style.figure(style.DOUBLE, 2.8)
    left, right = figure.subplots(1, 2, sharex=True, sharey=True)
    _scatter(left, groups[True])
    _scatter(right, groups[False])
    left.set_title("within the assumptions of the law")
    right.set_title(f"$m < {_FEW_UNITS}$, short training, or logistic loss")
    left.set_ylabel("agreement of $f$ and $g$, measured")
    handles = {
        label: handle
        for axes in (left, right)
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(list(handles.values()), list(handles), loc="outside right center")
    return figure


def _assumed(point: Point, name: str) -> bool:
    """Whether a cell is within what the law assumes."""
    config = point.run.config
    epochs = config.epochs_g[point.index.get("epoch_g", 0)]
    return (
        config.loss == "identity"
        and name != "epochs_f"
        and config.width >= _FEW_UNITS
        and epochs >= _SHORT_TIME
    )


def _scatter(axes: Axes, groups: dict[str, list[Point]]) -> None:
    axes.plot([0.5, 1], [0.5, 1], color=style.THEORY, linewidth=0.8, label="agreement = law")
    for name, points in groups.items():
        predicted = np.concatenate([point.samples("law") for point in points])
        measured = np.concatenate([point.samples("agreement") for point in points])
        label = "base point" if name == "base" else f"sweep of {AXES[name].symbol}"
        marker, color = _MARKERS[name], _COLORS[name]
        axes.plot(predicted, measured, marker, color=color, mfc="none", mew=0.8, label=label)
    if not groups:
        axes.text(0.5, 0.5, "no cells at this scale", ha="center", transform=axes.transAxes)
    axes.set(xlabel=r"threshold law at the drawn $\bar y$")
