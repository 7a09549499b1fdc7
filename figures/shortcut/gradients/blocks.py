"""Networks on block data: maps of their gradients, and margins against the number of signals."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter

from twolayer.figures.engine import style
from twolayer.figures.engine.registry import Absent
from twolayer.sims.engine.results import Run, StemResults

_SHARE = Normalize(0, 1)
_COLORS = "viridis"


@style.styled()
def maps(results: StemResults) -> Figure:
    """Gradients at fresh points, sorted by the place of the signal; a panel a training."""
    runs = {
        "usual training": _find(results, init=0.1, eps=0.0, noise=0.0),
        "usual training, noise": _find(results, init=0.1, eps=0.0, noise=0.3),
        "robust training": _find(results, eps=0.35, noise=0.0),
    }
    found = {name: run for name, run in runs.items() if run is not None}
    if not found:
        raise Absent(f"scale {results.scale} has no networks on five signal coordinates")
    figure = style.figure(style.DOUBLE, 3.0)
    panels = figure.subplots(1, len(found), squeeze=False, sharey=True)[0]
    for axes, (name, run) in zip(panels, found.items(), strict=True):
        _map(axes, run)
        eps = f", $\\varepsilon$ = {run.config.eps:g}" if run.config.eps else ""
        axes.set_title(f"{name}, init {run.config.init:g}{eps}")
    panels[0].set_ylabel("fresh points, by place of the signal")
    figure.supxlabel("coordinate of the input", fontsize=8)
    figure.colorbar(
        ScalarMappable(_SHARE, _COLORS),
        ax=list(panels),
        label=r"$|\partial f/\partial x_i|$ over the largest of the point",
        pad=0.02,
    )
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=2)
    return figure


def _map(axes: Axes, run: Run) -> None:
    place = run.arrays["place"][0]
    order = np.argsort(place, kind="stable")
    size = np.abs(run.arrays["gradient"][0][order])
    size = size / size.max(axis=1, keepdims=True)
    axes.imshow(size, cmap=_COLORS, norm=_SHARE, aspect="auto", interpolation="nearest")
    axes.plot(
        place[order],
        np.arange(len(order)),
        "s",
        color="white",
        markeredgecolor="black",
        markeredgewidth=0.3,
        markersize=1.6,
        label="coordinate with the label",
    )
    m = run.config.signal
    axes.axvline(m - 0.5, color=style.G, linewidth=1.2, label="null coordinates right of it")
    axes.set_xticks(range(0, size.shape[1], 2), [str(i + 1) for i in range(0, size.shape[1], 2)])
    axes.set_yticks([])


@style.styled()
def margins(results: StemResults) -> Figure:
    """Largest margin against m: closed forms, linear programmes, trained; and |cos|."""
    programmes = {run.config.signal: run for run in results.values() if run.study == "lp"}
    trained = {
        run.config.signal: run
        for run in results.values()
        if run.study == "blocks" and not run.config.eps and not run.config.noise
        and run.config.init == 0.1
    }  # fmt: skip
    if len(programmes) < 2 or len(trained) < 2:
        raise Absent(f"scale {results.scale} has no margins of several numbers of signals")
    figure = style.figure(style.DOUBLE, 2.9)
    left, right = figure.subplots(1, 2)
    fine = np.geomspace(1, max(programmes), 100)
    m = np.array(sorted(programmes))
    for name, theory, color, line in (
        ("all", 1 / (2 * np.sqrt(fine + 1)), style.THEORY, "-"),
        ("bias-free", 1 / (4 * np.sqrt(fine)), style.THEORY, "--"),
        ("axis", 1 / (2 * np.sqrt(2) * fine), style.BOUND, "-"),
        ("axis, bias-free", 1 / (4 * fine), style.BOUND, "--"),
    ):
        left.plot(fine, theory, line, color=color, label=f"{_KINDS[name]}, closed form")
        at = programmes[int(m[0])].coords["problem"].index(name)
        values = [programmes[each].arrays["value"][0, at] for each in m.tolist()]
        words = "linear programme" if name == "all" else None
        left.plot(m, values, "o", color=color, fillstyle="none", markersize=4.5, label=words)
    places = np.array(sorted(trained))
    reached = [trained[each].arrays["margin"][:, -1] for each in places.tolist()]
    _points(left, places, reached, style.F, "trained, init 0.1 (range over seeds)")
    other = _find(results, init=1.0, eps=0.0, noise=0.0)
    if other is not None:
        last = other.arrays["margin"][:, -1]
        _points(left, np.array([other.config.signal]), [last], style.G, "trained, init 1")
    style.log_ticks(left, m)
    left.set_yscale("log")
    left.yaxis.set_major_locator(FixedLocator([0.02, 0.05, 0.1, 0.2, 0.4]))
    left.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    left.yaxis.set_minor_formatter(NullFormatter())
    left.set(xlabel="number of signal coordinates $m$", ylabel="normalised margin")

    right.plot(fine[fine >= 2], fine[fine >= 2] ** -0.5, color=style.THEORY)
    cosines = [trained[each].arrays["cos"] for each in places.tolist()]
    _points(right, places, cosines, style.F, None)
    if other is not None:
        number = np.array([other.config.signal])
        _points(right, number, [other.arrays["cos"]], style.G, None)
    robust = _find(results, init=0.1, noise=0.0, eps=0.35)
    if robust is not None:
        number, values = np.array([robust.config.signal]), [robust.arrays["cos"]]
        _points(right, number, values, style.BOTH, r"robust, init 0.1, $\varepsilon$ = 0.35")
    right.axhline(0.29, color=style.PUBLISHED, linestyle=":", label="paper, usual, $m$ = 10")
    right.text(fine[-1], fine[-1] ** -0.5 + 0.03, r"$1/\sqrt{m}$", ha="right", va="bottom")
    style.log_ticks(right, m)
    right.set(
        xlabel="number of signal coordinates $m$",
        ylabel=r"$|\cos(x, \nabla f)|$ on signal coordinates",
        ylim=(0, 1.05),
    )
    pairs = [axes.get_legend_handles_labels() for axes in (left, right)]
    handles, labels = pairs[0][0] + pairs[1][0], pairs[0][1] + pairs[1][1]
    figure.legend(handles, labels, loc="outside upper center", ncols=3)
    return figure


_KINDS = {
    "all": "any neurons",
    "bias-free": "without biases",
    "axis": "axis-aligned",
    "axis, bias-free": "axis-aligned, without biases",
}


def _points(
    axes: Axes, x: np.ndarray, samples: list[np.ndarray], color: str, label: str | None
) -> None:
    style.whiskers(axes, x, samples, color)
    means = [each.mean() for each in samples]
    axes.plot(x, means, "s", color=color, markersize=3.2, label=label)


def _find(results: StemResults, **wanted: float) -> Run | None:
    """The training on five signal coordinates with these fields; the most draws of noise."""
    found = [
        run
        for run in results.values()
        if run.study == "blocks" and run.config.signal == 5
        and all(getattr(run.config, name) == value for name, value in wanted.items())
    ]  # fmt: skip
    return max(found, key=lambda run: (run.config.draws, -run.config.init), default=None)
