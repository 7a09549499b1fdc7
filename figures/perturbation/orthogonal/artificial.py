"""The artificial experiment: sweeps beside theory and published curves, attacks, decision maps."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from twolayer.figures.engine import style
from twolayer.figures.engine.registry import Absent
from twolayer.sims.engine.results import Run, StemResults
from twolayer.sims.perturbation.orthogonal import published
from twolayer.sims.perturbation.orthogonal.artificial import LAWS, variants
from twolayer.sims.perturbation.orthogonal.claims import artificial as claims

_AXIS_NAMES = {
    "d": "dimension $d$",
    "n": "clean samples $N$",
    "n_adv": "perturbed samples $N^a$",
    "l2": r"length $\varepsilon$ (L2)",
    "linf": r"radius $\varepsilon$ (L$\infty$)",
    "l0": "share of coordinates (L0)",
}
_NORM_NAMES = {"l2": "L2", "linf": r"L$\infty$", "l0": "L0"}


@style.styled()
def sweeps(results: StemResults, norm: str) -> Figure:
    """Accuracy on the clean samples of networks trained on perturbed noise: one row a law."""
    axes_names = [
        axis
        for axis in ("d", "n", "n_adv", norm)
        if any(len(claims.curve(results, law, norm, axis)) > 1 for law in LAWS)
    ]
    if not axes_names:
        raise Absent(f"scale {results.scale} has no sweep of {norm}")
    figure = style.figure(style.DOUBLE if len(axes_names) > 1 else style.COLUMN, 4.0)
    grid = figure.subplots(2, len(axes_names), sharey=True, sharex="col", squeeze=False)
    for row, law in zip(grid, LAWS, strict=True):
        for axes, axis in zip(row, axes_names, strict=True):
            _sweep(axes, results, law, norm, axis)
        row[0].set_ylabel(law)
    for axes, axis in zip(grid[1], axes_names, strict=True):
        axes.set_xlabel(_AXIS_NAMES[axis])
    figure.supylabel("accuracy on clean training samples", fontsize=8)
    handles: dict[str, Line2D] = {}
    for axes in grid.ravel():
        handles |= dict(zip(*axes.get_legend_handles_labels()[::-1], strict=True))
    figure.legend(
        list(handles.values()),
        list(handles),
        loc="outside upper center",
        ncols=3 if axes_names[1:] else 1,
    )
    return figure


def _sweep(axes: Axes, results: StemResults, law: str, norm: str, axis: str) -> None:
    known = published.AXES[axis], published.ACCURACY[law, norm, axis]
    axes.plot(*known, "s", color=style.PUBLISHED, markersize=3.5, label="published [fig]")
    points = claims.curve(results, law, norm, axis)
    x = np.array(list(points))
    shrink = claims.shrinkage(next(iter(points.values()))[0], axis) if points else 1
    if points:

        def over(name: str) -> list[np.ndarray]:
            return [run.arrays[name][:, i] for run, i in points.values()]

        label = f"trained, sizes over {shrink}" if shrink > 1 else "trained"
        style.spread(axes, x, over("acc"), style.G)
        axes.plot(x, _means(over("acc")), "o-", color=style.G, label=label)
        axes.plot(x, _means(over("acc_equal")), "--", color=style.BOTH, label="equal multipliers")
        limit = _means(over("acc_limit"))
        axes.plot(x, limit, ":", color=style.BOUND, marker="x", label="closed-form limit")
        noise = [run.arrays["acc"][:, 0] for run, _ in points.values()]
        style.spread(axes, x, noise, style.F)
        axes.plot(x, _means(noise), color=style.F, label="trained on noise alone")
        if norm == "l2":
            formula = [claims.predicted(run, i) for run, i in points.values()]
            axes.plot(x, formula, color=style.THEORY, label="average-case formula")
    full = claims.curve(results, law, norm, axis, "published ")
    if full:
        samples = [run.arrays["acc"][:, i] for run, i in full.values()]
        axes.plot(
            list(full),
            _means(samples),
            "D",
            color=style.NEGATIVE,
            markersize=4,
            markeredgecolor="black",
            markeredgewidth=0.4,
            label="trained, published sizes",
        )
    if axis in ("d", "n_adv", "l0"):
        style.log_ticks(axes, np.array(known[0]))
    axes.set_ylim(0.25, 1.03)


def _means(samples: list[np.ndarray]) -> np.ndarray:
    return np.array([np.mean(each) for each in samples])


@style.styled()
def attacks(results: StemResults) -> Figure:
    """What the attacks do, and what the slope and the number of rows change."""
    base, textbook = (results.get(("artificial", f"uniform/{k}")) for k in ("base", "textbook"))
    slopes = {
        run.config.gamma: run
        for (study, label), run in results.items()
        if study == "artificial" and label.startswith("uniform/gamma=")
    }
    if base is None or textbook is None or not slopes:
        raise Absent(f"scale {results.scale} does not compare attacks")
    figure = style.figure(style.DOUBLE, 2.6)
    left, middle, right = figure.subplots(1, 3)
    for run, norm, color, name in (
        (base, "l2", style.F, "L2"),
        (base, "linf", style.G, r"L$\infty$, published"),
        (textbook, "linf", style.NEGATIVE, r"L$\infty$, textbook"),
        (base, "l0", style.BOTH, "L0"),
    ):
        chosen = [i for i, (each, _) in enumerate(variants(run.config)) if each == norm]
        length = run.arrays["length"][:, chosen].mean(axis=0)
        for axes, measure in ((left, "gradient_cosine"), (middle, "spread")):
            samples = run.arrays[measure][:, chosen]
            style.spread(axes, length, list(samples.T), color)
            axes.plot(length, samples.mean(axis=0), "o-", color=color, label=name)
    left.axhline((2 / np.pi) ** 0.5, color=style.THEORY, linestyle=":", linewidth=0.8)
    left.annotate(r"$\sqrt{2/\pi}$", (0.06, (2 / np.pi) ** 0.5 - 0.07), fontsize=7)
    left.set(ylabel="cosine to the gradient", ylim=(0, 1.03))
    middle.set(ylabel=r"$|\delta|_2\,/\,(\sqrt{d}\,|\delta|_\infty)$", ylim=(0, 1.03))
    for axes in (left, middle):
        axes.set(xscale="log", xlabel=r"mean length $|\delta|_2$")
    _forms(right, results, {0.01: base, **slopes})
    handles, labels = left.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=4)
    return figure


def _forms(axes: Axes, results: StemResults, slopes: dict[float, Run]) -> None:
    """Accuracy over the L2 length for other slopes, widths and starts."""
    others = {
        "from zero": results.get(("artificial", "uniform/from zero")),
        "from zero, two rows": results.get(("artificial", "uniform/two rows")),
        "published width": results.get(("artificial", "uniform/published width")),
    }
    shown = [
        *((rf"$\gamma$ = {gamma:g} ({run.arrays['pattern'].mean():.0%})", run) for gamma, run in
          sorted(slopes.items())),
        *((name, run) for name, run in others.items() if run is not None),
    ]  # fmt: skip
    markers = "osd^vx"
    for (name, run), color, marker in zip(shown, style.CYCLE, markers, strict=False):
        chosen = [i for i, (each, _) in enumerate(variants(run.config)) if each == "l2"]
        x = [variants(run.config)[i][1] for i in chosen]
        samples = run.arrays["acc"][:, chosen]
        style.whiskers(axes, np.array(x), list(samples.T), color)
        axes.plot(
            x, samples.mean(axis=0), marker + "-", color=color, label=name, markerfacecolor="none"
        )
    axes.set(xlabel=r"length $\varepsilon$ (L2)", ylabel="accuracy on clean samples")
    axes.set_xlim(0, 0.82)
    axes.legend(loc="lower right", fontsize=6.0)


@style.styled()
def maps(results: StemResults) -> Figure:
    """Decisions on the plane of the first network's mean rows, along N^a and along the budget."""
    columns = [
        (rf"$N^a$ = {run.config.n_adv}", run, index)
        for value, (run, index) in claims.curve(results, "uniform", "l2", "n_adv").items()
        if value in (100, 1000, 10000)
    ]
    columns += [
        (rf"$\varepsilon$ = {value:g}", run, index)
        for value, (run, index) in claims.curve(results, "uniform", "l2", "l2").items()
        if value in (0.05, 0.2)
    ]
    if len(columns) < 3:
        raise Absent(f"scale {results.scale} has too few cells for decision maps")
    figure = style.figure(style.DOUBLE, 4.3)
    grid = figure.subplots(3, len(columns), sharex=True, sharey=True)
    for column, (title, run, index) in zip(grid.T, columns, strict=True):
        column[0].set_title(title)
        nets = (
            run.arrays["clean_plane"][0],
            run.arrays["plane"][0, index],
            run.arrays["plane"][0, 0],
        )
        for axes, rows in zip(column, nets, strict=True):
            _map(axes, rows, run.config.gamma)
    for axes, name in zip(grid[:, 0], ("clean", "perturbed noise", "noise alone"), strict=True):
        axes.set_ylabel(name)
    figure.supxlabel(r"coefficient of $\hat v$", fontsize=8)
    figure.supylabel(r"coefficient of $\hat u$", fontsize=8)
    figure.legend(
        handles=[
            Patch(color=style.POSITIVE, alpha=0.55, label="decides +1"),
            Patch(color=style.NEGATIVE, alpha=0.55, label="decides -1"),
            Line2D([], [], color="black", linestyle="--", label="the diagonal"),
        ],
        loc="outside upper center",
        ncols=3,
    )
    return figure


def _map(axes: Axes, rows: np.ndarray, gamma: float) -> None:
    """Sign of the network whose rows have these products with the axes of the plane."""
    ticks = np.linspace(-3.4, 3.4, 160)
    first, second = np.meshgrid(ticks, ticks)
    h = first[..., None] * rows[:, 0] + second[..., None] * rows[:, 1]
    half = rows.shape[0] // 2
    active = np.where(h > 0, h, gamma * h)
    values = active[..., :half].sum(axis=-1) - active[..., half:].sum(axis=-1)
    axes.imshow(
        values > 0,
        extent=(-3.4, 3.4, -3.4, 3.4),
        origin="lower",
        cmap=ListedColormap([style.NEGATIVE, style.POSITIVE]),
        vmin=0,
        vmax=1,
        alpha=0.55,
        interpolation="nearest",
    )
    axes.plot([-3.4, 3.4], [-3.4, 3.4], "--", color="black", linewidth=0.7)
    axes.set(xlim=(-3.4, 3.4), ylim=(-3.4, 3.4), aspect="equal")
