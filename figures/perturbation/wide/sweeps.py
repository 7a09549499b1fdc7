"""Sweeps of the settings: accuracies and agreement, and cosines, as in the published figures."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from twolayer.figures.engine import style
from twolayer.figures.engine.registry import Absent
from twolayer.figures.perturbation.wide import series
from twolayer.figures.perturbation.wide.published import AGREEMENT, COSINE, Published
from twolayer.figures.perturbation.wide.series import AXES, Point
from twolayer.sims.engine.results import StemResults

_ACC = (style.F, "o", "standard: $f$ on its samples")
_ADV_ACC = (style.G, "s", "perturbation: $g$ on natural samples")
_AGREEMENT = (style.BOTH, "^", "agreement of $f$ and $g$")
_COSINE = (style.BOUND, "D", r"$|\cos(r_n, P(x_n))|$, mean over samples")


@style.styled()
def sweeps(results: StemResults, setting: str) -> Figure:
    """One panel a sweep of this setting: accuracies of f and g and their agreement."""
    series.base(results, setting)
    found = {name: series.points(results, setting, name) for name in AXES}
    found = {name: points for name, points in found.items() if len(points) > 1}
    if not found:
        raise Absent(f"scale {results.scale} has no sweeps of {setting}")
    columns = min(len(found), 4 if len(found) > 6 else 3)
    rows = math.ceil(len(found) / columns)
    # A single column has its legend in one column too, which is higher.
    figure = (
        style.figure(style.DOUBLE, 0.65 + 1.62 * rows)
        if columns > 1
        else style.figure(style.COLUMN, 1.2 + 1.62 * rows)
    )
    grid = figure.subplots(rows, columns, squeeze=False, sharey=True).ravel()
    for axes in grid[len(found) :]:
        axes.remove()
    for axes, (name, points) in zip(grid, found.items(), strict=False):
        _measured(axes, points, "acc", _ACC)
        _measured(axes, points, "adv_acc", _ADV_ACC)
        _measured(axes, points, "agreement", _AGREEMENT, band=True)
        if setting.endswith("-a"):
            x, balanced = _medians(points, "agreement", "balanced")
            axes.plot(x, balanced, "--", color=style.BOTH, label="agreement, balanced labels")
            _theory(axes, points, name, is_shifted=setting == "shifted-a")
        _published(axes, AGREEMENT.get((setting, name)), points, "agreement, published (one seed)")
        _explain_hollow(axes, points)
        axes.axhline(0.5, color="0.8", linewidth=0.6, zorder=0.5)
        _name_axis(axes, name, points)
    for axes in grid[::columns]:
        axes.set_ylabel("share of points")
    grid[0].set_ylim(min(0.38, grid[0].get_ylim()[0]), 1.04)
    _share_legend(figure, columns)
    return figure


@style.styled()
def cosines(results: StemResults) -> Figure:
    """|cos| of perturbations and representer direction, with acc, against d and time of f."""
    rows = [
        (name, panels)
        for name in ("d", "epochs_f")
        for panels in _batched(_groups(results, name), 4)
    ]
    if not rows:
        raise Absent(f"scale {results.scale} has no sweeps over d or training time of f")
    columns = max(len(panels) for _, panels in rows)
    figure = style.figure(style.DOUBLE, 0.45 + 1.85 * len(rows))
    grid = figure.subplots(len(rows), columns, squeeze=False, sharey=True)
    for row, (name, panels) in zip(grid, rows, strict=True):
        for axes in row[len(panels) :]:
            axes.remove()
        row[0].set_ylabel("share, or cosine")
        for axes, (settings, points) in zip(row, panels, strict=False):
            _measured(axes, points, "acc", _ACC)
            _measured(axes, points, "cosine", _COSINE, band=True)
            axes.axhline(1, color=style.THEORY, linewidth=0.8, linestyle=":", label="aligned: 1")
            published = COSINE.get((settings[0], name))
            _published(axes, published, points, "cosine, published (one seed)")
            _explain_hollow(axes, points)
            _name_axis(axes, name, points)
            axes.set_title("\n".join(settings), linespacing=1.15)
    grid[0, 0].set_ylim(-0.1, 1.1)
    _share_legend(figure, columns=3)
    return figure


def _groups(results: StemResults, name: str) -> list[tuple[list[str], list[Point]]]:
    """Sweeps of f over one axis; settings that train the same f share a panel."""
    groups: dict[bytes, tuple[list[str], list[Point]]] = {}
    for setting in series.settings(results):
        points = series.points(results, setting, name)
        if len(points) > 1:
            values = [point.samples(what) for point in points for what in ("acc", "cosine")]
            same = np.array([point.x for point in points]).tobytes() + b"".join(
                each.tobytes() for each in values
            )
            groups.setdefault(same, ([], points))[0].append(setting)
    return list(groups.values())


def _batched(items: list, size: int) -> list[list]:
    return [items[start : start + size] for start in range(0, len(items), size)]


def _medians(points: list[Point], name: str, targets: str = "iid") -> tuple[np.ndarray, np.ndarray]:
    x = np.array([point.x for point in points])
    return x, np.array([np.nanmedian(point.samples(name, targets)) for point in points])


def _measured(
    axes: Axes, points: list[Point], name: str, look: tuple[str, str, str], band: bool = False
) -> None:
    """Median and range over seeds; base points that were trained longer are hollow."""
    color, marker, label = look
    x, middle = _medians(points, name)
    draw_range = style.spread if band else style.whiskers
    draw_range(axes, x, [point.samples(name) for point in points], color)
    axes.plot(x, middle, color=color, marker=marker, label=label)
    for k in _trained_longer(points):
        axes.plot(x[k], middle[k], color=color, marker=marker, mfc="white")


def _trained_longer(points: list[Point]) -> list[int]:
    """The base point, where the other points of the sweep were not trained for as long."""
    return [k for k, point in enumerate(points) if point.is_base and point.differs(points[k - 1])]


def _explain_hollow(axes: Axes, points: list[Point]) -> None:
    """An empty line that brings its label to the legend."""
    for k in _trained_longer(points):
        longer, shorter = (points[j].run.config.epochs_f[-1] for j in (k, k - 1))
        label = f"hollow: {longer} epochs, else {shorter}"
        axes.plot([], [], "o", color="0.3", mfc="white", label=label)


def _theory(axes: Axes, points: list[Point], name: str, *, is_shifted: bool) -> None:
    """Law B4 where its assumptions hold: identity loss and f trained on shifted Gaussians.

    Elsewhere in scenario (a) its sign rule with the measured mean direction. Medians, as for what
    was measured: the law of one seed is a function of the labels that it drew.
    """
    if name.startswith("logistic"):
        return
    if is_shifted and name != "epochs_f":
        axes.plot(*_medians(points, "law"), color=style.THEORY, label="threshold law, drawn labels")
    else:
        label = r"threshold rule, measured $\bar u$"
        axes.plot(*_medians(points, "threshold"), ":", color=style.THEORY, label=label)


def _published(axes: Axes, published: Published | None, points: list[Point], label: str) -> None:
    if published is not None and published.belongs(points[0].run.config):
        axes.plot(published.x, published.y, "x", color=style.PUBLISHED, label=label, zorder=1.5)


def _name_axis(axes: Axes, name: str, points: list[Point]) -> None:
    axes.set_xlabel(AXES[name].title)
    x = np.array([point.x for point in points])
    if AXES[name].log:
        style.log_ticks(axes, x)
    if name == "n" and points[-1].run.config.n == 0:
        # Few sizes by name, many by decades that keep clear of the last tick.
        decades = [value for value in x if math.log10(value).is_integer() and 5 * value < x[-1]]
        shown = x[:-1] if len(x) < 6 else decades
        axes.set_xticks([*shown, x[-1]], [*(f"{value:g}" for value in shown), "all"])
        axes.set_xticks([], minor=True)


def _share_legend(figure: Figure, columns: int) -> None:
    """One legend above all panels, with every label that occurs in any of them."""
    handles: dict[str, Artist] = {}
    for axes in figure.axes:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    figure.legend(
        list(handles.values()), list(handles), loc="outside upper center", ncols=min(columns, 3)
    )
