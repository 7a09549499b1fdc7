"""Sweeps of the settings: accuracies and agreement, and cosines, as in the published figures."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from figures import style
from figures.catalogue import Absent
from figures.perturbation import wide_series as series
from figures.perturbation.wide_published import AGREEMENT, COSINE, Published
from figures.perturbation.wide_series import AXES, Point
from sims.experiment import StemResults

_SERIES = {
    "acc": (style.F, "o", "standard: $f$ on its samples"),
    "adv_acc": (style.G, "s", "perturbation: $g$ on natural samples"),
    "agreement": (style.BOTH, "^", "agreement of $f$ and $g$"),
}
_PUBLISHED = {"color": style.PUBLISHED, "marker": "x", "linestyle": "none", "zorder": 1.5}


@style.styled()
def sweeps(results: StemResults, setting: str) -> Figure:
    """One panel a sweep of this setting: accuracies of f and g and their agreement."""
    series.base(results, setting)
    found = {name: series.points(results, setting, name) for name in AXES}
    found = {name: points for name, points in found.items() if len(points) > 1}
    if not found:
        raise Absent(f"scale {results.scale} has no sweeps of {setting}")
    panels = _panels(len(found), row_height=1.62)
    for axes, (name, points) in zip(panels, found.items(), strict=True):
        for measure, look in _SERIES.items():
            _measured(axes, points, measure, look)
        if setting.endswith("-a"):
            _balanced(axes, points)
            _theory(axes, points, name, is_shifted=setting == "shifted-a")
        _published(axes, AGREEMENT.get((setting, name)), points, "agreement, published (one seed)")
        _frame(axes, name, points, (0.35, 1.04))
        axes.axhline(0.5, color="0.8", linewidth=0.6, zorder=0.5)
    _share_legend(panels)
    return _first(panels).figure  # type: ignore[return-value]


@style.styled()
def cosines(results: StemResults) -> Figure:
    """|cos| of perturbations and representer direction, with acc, against d and time of f."""
    cells = {
        (setting, name): points
        for setting in series.settings(results)
        for name in ("d", "epochs_f")
        if len(points := series.points(results, setting, name)) > 1
    }
    if not cells:
        raise Absent(f"scale {results.scale} has no sweeps over d or training time of f")
    panels = _panels(len(cells), row_height=1.45)
    for axes, ((setting, name), points) in zip(panels, cells.items(), strict=True):
        _measured(axes, points, "acc", (style.F, "o", "standard: $f$ on its samples"))
        look = (style.BOUND, "D", r"$|\cos(r_n, P(x_n))|$, mean over samples")
        _measured(axes, points, "cosine", look)
        axes.axhline(1.0, color=style.THEORY, linewidth=0.8, linestyle=":", label="lazy limit")
        published = COSINE.get((setting, name))
        _published(axes, published, points, "cosine, published (one seed)")
        _frame(axes, name, points, (-0.1, 1.1))
        axes.set_title(setting)
    _share_legend(panels, columns=4)
    return _first(panels).figure  # type: ignore[return-value]


def _panels(count: int, row_height: float) -> list[Axes]:
    """As many panels in rows of at most four."""
    columns = min(count, 4 if count > 6 or count == 4 else 3)
    rows = math.ceil(count / columns)
    width = style.DOUBLE if columns > 1 else style.COLUMN
    figure = style.figure(width, 0.55 + rows * row_height)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in grid[count:]:
        axes.remove()
    return list(grid[:count])


def _first(panels: list[Axes]) -> Axes:
    return panels[0]


def _measured(axes: Axes, points: list[Point], name: str, look: tuple[str, str, str]) -> None:
    """Median and range over seeds; base points that were trained longer are hollow."""
    color, marker, label = look
    x = np.array([point.x for point in points])
    samples = [point.samples(name) for point in points]
    middle = np.array([np.nanmedian(each) for each in samples])
    style.spread(axes, x, samples, color)
    axes.plot(x, middle, color=color, marker=marker, label=label)
    odd = [k for k, point in enumerate(points) if point.is_base and _trained_apart(point, points)]
    axes.plot(x[odd], middle[odd], color=color, marker=marker, linestyle="none", mfc="white")


def _trained_apart(point: Point, points: list[Point]) -> bool:
    return any(point.differs(other) for other in points)


def _balanced(axes: Axes, points: list[Point]) -> None:
    x = [point.x for point in points]
    middle = [np.median(point.samples("agreement", "balanced")) for point in points]
    axes.plot(x, middle, color=style.BOTH, linestyle="--", label="agreement, balanced labels")


def _theory(axes: Axes, points: list[Point], name: str, *, is_shifted: bool) -> None:
    """Law B4 where its assumptions hold: identity loss and f trained on shifted Gaussians.

    Elsewhere in scenario (a) its sign rule with the measured mean direction.
    """
    if name.startswith("logistic"):
        return
    x = [point.x for point in points]
    if is_shifted and name != "epochs_f":
        law = [np.mean(point.samples("law")) for point in points]
        axes.plot(x, law, color=style.THEORY, label="threshold law at the drawn labels (mean)")
    else:
        rule = [np.mean(point.samples("threshold")) for point in points]
        axes.plot(
            x, rule, color=style.THEORY, linestyle=":", label="threshold rule, measured $\\bar u$"
        )


def _published(axes: Axes, published: Published | None, points: list[Point], label: str) -> None:
    if published is not None and published.belongs(points[0].run.config):
        axes.plot(published.x, published.y, label=label, **_PUBLISHED)  # type: ignore[arg-type]


def _frame(axes: Axes, name: str, points: list[Point], limits: tuple[float, float]) -> None:
    axis = AXES[name]
    axes.set(xlabel=axis.title, ylim=limits)
    if axis.log:
        axes.set_xscale("log")
    if name == "n" and series.holds_all_images(points):
        x = [point.x for point in points]
        axes.set_xticks(x, [*(f"{value:g}" for value in x[:-1]), "all"], minor=False)
        axes.set_xticks([], minor=True)
    if axes.get_subplotspec().is_first_col():  # type: ignore[union-attr]
        axes.set_ylabel("share of points")


def _share_legend(panels: list[Axes], columns: int = 3) -> None:
    """One legend above all panels, with every label that occurs in any of them."""
    handles = {}
    for axes in panels:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    panels[0].figure.legend(  # type: ignore[union-attr]
        handles.values(), handles.keys(), loc="outside upper center", ncols=columns
    )
