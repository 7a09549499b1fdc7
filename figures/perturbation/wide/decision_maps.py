"""Decision maps in the plane of the class means: where f and g decide alike."""

from __future__ import annotations

from typing import Literal

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from twolayer.figures.engine import style
from twolayer.figures.engine.registry import Absent
from twolayer.sims.engine.results import Run, StemResults

_ALIKE, _APART = "0.82", "#CFEFC6"
_SURROGATE_F, _SURROGATE_G = "#D7191C", "black"


@style.styled()
def maps(results: StemResults) -> Figure:
    """Scenario (a) above, (b) below, one column a data set."""
    cells = {run.label: run for run in results.values() if run.study == "map"}
    if not cells:
        raise Absent(f"scale {results.scale} has no decision maps")
    sets = list(dict.fromkeys(label.rsplit("-", 1)[0] for label in cells))
    side = style.DOUBLE / max(len(sets), 3)
    figure = style.figure(len(sets) * side, 2 * side + 0.9)
    grid = figure.subplots(2, len(sets), squeeze=False)
    for row, scenario in zip(grid, "ab", strict=True):
        for axes, name in zip(row, sets, strict=True):
            if f"{name}-{scenario}" in cells:
                _panel(axes, cells[f"{name}-{scenario}"])
            else:
                axes.remove()
    figure.supxlabel("coefficient of the positive class mean", fontsize=8)
    figure.supylabel("coefficient of the negative class mean", fontsize=8)
    figure.legend(handles=_legend(), loc="outside upper center", ncols=4 if len(sets) > 2 else 2)
    return figure


def _panel(axes: Axes, run: Run) -> None:
    """The map of the first seed."""
    arrays = {name: array[0] for name, array in run.arrays.items()}
    alpha, beta = np.array(run.coords["alpha"]), np.array(run.coords["beta"])
    low, high = alpha[0], alpha[-1]
    apart = np.sign(arrays["f"]) != np.sign(arrays["g"])
    axes.imshow(
        apart,
        extent=(low, high, low, high),
        origin="lower",
        cmap=ListedColormap([_ALIKE, _APART]),
        vmin=0,
        vmax=1,
        interpolation="nearest",
    )
    shown = arrays["samples"]
    for label, color, marker in ((1, style.POSITIVE, "o"), (-1, style.NEGATIVE, "s")):
        chosen = arrays["sample_labels"] == label
        axes.plot(*shown[chosen].T, marker, color=color, markersize=2, markeredgewidth=0)
    for name, color, dashes, width in (
        ("f", "0.35", "solid", 0.5),
        ("fh", _SURROGATE_F, "solid", 1.2),
        ("gh", _SURROGATE_G, "dashed", 1.2),
    ):
        axes.contour(
            alpha, beta, arrays[name], [0], colors=color, linestyles=dashes, linewidths=width
        )
    axes.set(xlim=(low, high), ylim=(low, high), aspect="equal")
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.set_title(
        f"{run.label}\nagreement {arrays['agreement']:.2f}, "
        rf"$\bar y = {arrays['label_imbalance']:+.3f}$",
        fontsize=7,
        linespacing=1.15,
    )


def _legend() -> list[Artist]:
    def line(form: Literal["-", "--"], color: str, label: str, width: float = 1.2) -> Line2D:
        return Line2D([], [], color=color, linestyle=form, linewidth=width, label=label)

    def dot(marker: str, color: str, label: str) -> Line2D:
        return Line2D([], [], color=color, marker=marker, linestyle="none", label=label)

    return [
        Patch(color=_ALIKE, label=r"sgn $f$ = sgn $g$"),
        Patch(color=_APART, label=r"sgn $f$ $\neq$ sgn $g$"),
        line("-", _SURROGATE_F, r"surrogate $\hat f = 0$"),
        line("--", _SURROGATE_G, r"surrogate $\hat g = 0$"),
        dot("o", style.POSITIVE, "positive samples"),
        dot("s", style.NEGATIVE, "negative samples"),
        line("-", "0.35", "network $f = 0$", 0.5),
    ]
