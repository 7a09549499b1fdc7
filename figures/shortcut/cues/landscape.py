"""Around solutions of one given cue: flatness, training anew from there, paths to others."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from twolayer.figures.engine import style
from twolayer.figures.shortcut.cues.style import COLORS, grouped, height, legend, named
from twolayer.sims.engine.results import Run, StemResults
from twolayer.sims.shortcut.cues.claims.solutions import accepted, barriers, basin_radius, mean_rise
from twolayer.sims.shortcut.cues.images import LEVELS
from twolayer.theory.shortcut.cues import accuracy as cues

# Rises of the loss of a perceptron's solutions, r: colour, shape, scale; [measured] elsewhere.
_REPLICATED = {
    "colour": ((10.0,), (1e-4,)),
    "shape": ((2.0, 5.0, 10.0), (0.0006, 0.0045, 0.0452)),
    "scale": ((2.0, 5.0, 10.0), (0.0001, 0.0007, 0.0076)),
}
# Below this a rise of the loss is rounding; it is drawn here.
_FLOOR = 1e-6


@style.styled()
def flatness(results: StemResults) -> Figure:
    """Rise of the loss on the diagonal over the distance, and over its share of the norm."""
    nets = grouped(results, "solution")
    figure = style.figure(style.DOUBLE, height(len(nets), 1.8))
    grid = figure.subplots(len(nets), 2, squeeze=False, sharey=True, sharex="col")
    for row, (name, runs) in enumerate(nets.items()):
        for cue, run in runs.items():
            _rise(grid[row, 0], cue, run, relative=False)
            _rise(grid[row, 1], cue, run, relative=True)
        if name == "mlp":
            for cue, (radii, rises) in _REPLICATED.items():
                if cue in runs:
                    grid[row, 0].plot(
                        radii, rises, "s", color=COLORS[cue], markerfacecolor="none", markersize=4
                    )
            grid[row, 0].plot(
                [], [], "s", color="0.4", markerfacecolor="none", markersize=4,
                label="earlier small run",
            )  # fmt: skip
        for axes in grid[row]:
            axes.set(xscale="log", yscale="log")
            axes.set_title(named(name))
        grid[row, 0].set_ylabel("rise of the loss $S(r)$")
    grid[-1, 0].set_xlabel("distance $r$")
    grid[-1, 1].set_xlabel(r"$r / |\theta|$")
    legend(figure)
    return figure


def _rise(axes: Axes, cue: str, run: Run, *, relative: bool) -> None:
    radii, rise = np.array(run.config.radii), np.maximum(mean_rise(run), _FLOOR)
    label = f"{cue} solutions" + ("" if accepted(run) else " (not accepted)")
    norm = run.arrays["norm"]
    if relative:
        for own, values in zip(norm, rise, strict=True):
            axes.plot(radii / own, values, color=COLORS[cue], linewidth=0.5, alpha=0.5)
        middle = np.exp(np.log(rise).mean(axis=0))
        axes.plot(radii / np.median(norm), middle, "o-", color=COLORS[cue])
        return
    style.spread(axes, radii, list(rise.T), COLORS[cue])
    axes.plot(radii, np.exp(np.log(rise).mean(axis=0)), "o-", color=COLORS[cue], label=label)


@style.styled()
def reruns(results: StemResults) -> Figure:
    """Accuracies after training on the diagonal from around each cue's solutions."""
    nets = grouped(results, "solution")
    columns = max(map(len, nets.values()))
    figure = style.figure(style.DOUBLE, height(len(nets), 1.7))
    grid = figure.subplots(len(nets), columns, squeeze=False, sharey=True, sharex=True)
    for row, (name, runs) in enumerate(nets.items()):
        for axes in grid[row, len(runs) :]:
            axes.remove()
        for axes, (cue, run) in zip(grid[row], runs.items(), strict=False):
            starts = np.array(run.config.starts)
            accuracy = run.arrays["rerun"].mean(axis=2)
            for number, label in enumerate(run.coords["cue"]):
                style.spread(axes, starts, list(accuracy[:, :, number].T), COLORS[label])
                axes.plot(
                    starts,
                    accuracy[:, :, number].mean(axis=0),
                    "o-",
                    color=COLORS[label],
                    label=f"label of {label}",
                )
            axes.axhline(
                cues.cue_baseline(run.config.num_cues, LEVELS),
                color=style.THEORY,
                linestyle="--",
                linewidth=0.8,
                label="another cue alone is used",
            )
            axes.axvline(
                np.median(basin_radius(run)),
                color=style.PUBLISHED,
                linestyle=":",
                label="distance to which the solution's cue is kept (median)",
            )
            axes.set_xscale("symlog", linthresh=1.0)
            ticks = [tick for tick in (0, 1, 10, 100) if tick <= starts[-1]]
            axes.set_xticks(ticks, [str(tick) for tick in ticks])
            title = f"{named(name)}: from {cue}" + ("" if accepted(run) else ", not accepted")
            axes.set_title(title, fontsize=7)
            axes.set_ylim(0, 1.05)
        grid[row, 0].set_ylabel("accuracy off the diagonal")
    figure.supxlabel("distance $r$ of the start from the solution", fontsize=8)
    legend(figure, columns=3)
    return figure


@style.styled()
def paths(results: StemResults) -> Figure:
    """Loss on the diagonal from the solution that was trained there to each cue's."""
    nets = grouped(results, "solution")
    figure = style.figure(style.DOUBLE, height(len(nets), 1.8))
    grid = figure.subplots(len(nets), 2, squeeze=False, width_ratios=(1.6, 1), sharex="col")
    for row, (name, runs) in enumerate(nets.items()):
        axes, bars = grid[row]
        for place, (cue, run) in enumerate(runs.items()):
            t, found = np.array(run.coords["t"]), barriers(run)
            for number, (kind, line) in enumerate((("line", "--"), ("curve", "-"))):
                loss = np.maximum(run.arrays["path"][:, number], _FLOOR)
                if kind == "curve":
                    style.spread(axes, t, list(loss.T), COLORS[cue])
                label = cue if kind == "curve" else None
                axes.plot(
                    t, np.exp(np.log(loss).mean(axis=0)), line, color=COLORS[cue], label=label
                )
                x = place + 0.4 * number - 0.2
                bars.bar(
                    x,
                    found[kind].mean(),
                    0.36,
                    facecolor=COLORS[cue] if kind == "curve" else "none",
                    edgecolor=COLORS[cue],
                    linestyle=line,
                    alpha=0.75,
                )
                seeds = np.full(len(found[kind]), x)
                bars.plot(seeds, found[kind], ".", color="black", markersize=2)
        axes.set_yscale("log")
        axes.set_title(named(name))
        axes.set_ylabel("loss on the diagonal")
        bars.set_xticks(range(len(runs)), list(runs))
        bars.set_title(named(name))
        bars.set_ylabel("barrier")
        bars.set_yscale("symlog", linthresh=1e-3)
        bars.set_ylim(
            0,
            3
            * max(1e-3, *(each.max() for run in runs.values() for each in barriers(run).values())),
        )
    grid[0, 0].plot([], [], "--", color="0.4", label="straight line")
    grid[0, 0].plot([], [], "-", color="0.4", label="curve of one bend")
    grid[-1, 0].set_xlabel("from the diagonal solution (0) to the solution of a cue (1)")
    grid[-1, 1].set_xlabel("solution's cue")
    legend(figure)
    return figure
