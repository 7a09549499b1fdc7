"""Maps of the patch model: mixing weights, and noise energy against rare samples."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from twolayer.figures.engine import style
from twolayer.figures.engine.registry import Absent
from twolayer.sims.engine.results import Run, StemResults


@style.styled()
def weights(results: StemResults) -> Figure:
    """Margin ratio over input and label weights: a map, and its rows as curves."""
    run = results.get(("lambda", "grid"))
    if run is None or len(run.seeds) < 2:
        raise Absent(f"scale {results.scale} has too few seeds of the mixing weights")
    figure = style.figure(style.DOUBLE, 2.7)
    left, right = figure.subplots(1, 2)
    _ratio_map(figure, left, run)
    lam_y = np.array(run.coords["lam_y"])
    for i, (lam_x, color) in enumerate(zip(run.coords["lam_x"], style.CYCLE, strict=False)):
        ratios = run.arrays["ratio"][:, i]
        right.plot(
            lam_y, np.nanmean(ratios, axis=0), "o-", color=color, label=rf"$\lambda_x$ = {lam_x:g}"
        )
        style.spread(right, lam_y, list(ratios.T), color)
    right.axhline(1.0, color=style.THEORY, linestyle=":", linewidth=0.9, label="rare error 0 above")
    right.set(xlabel=r"weight of labels $\lambda_y$", ylabel="margin ratio of the rare features")
    right.set_xticks(lam_y)
    right.set_ylim(bottom=0)
    right.legend(loc="upper right")
    return figure


def _ratio_map(figure: Figure, axes: Axes, run: Run) -> None:
    """Least ratio over seeds in colour and numbers, with the mean rare error."""
    least = run.arrays["ratio"].min(axis=0)
    error = run.arrays["rare_error"].mean(axis=0)
    image = axes.imshow(np.log2(least), cmap="RdBu", vmin=-2, vmax=2, origin="lower", aspect="auto")
    for i in range(least.shape[0]):
        for j in range(least.shape[1]):
            axes.text(
                j,
                i,
                f"{least[i, j]:.2f}\nerror {error[i, j]:.2g}",
                ha="center",
                va="center",
                fontsize=6.5,
                color="white" if abs(np.log2(least[i, j])) > 1.3 else "black",
            )
    axes.set_xticks(range(least.shape[1]), [f"{value:g}" for value in run.coords["lam_y"]])
    axes.set_yticks(range(least.shape[0]), [f"{value:g}" for value in run.coords["lam_x"]])
    axes.set(xlabel=r"weight of labels $\lambda_y$", ylabel=r"weight of inputs $\lambda_x$")
    bar = figure.colorbar(image, ax=axes, label="least margin ratio over seeds")
    bar.set_ticks([-2, -1, 0, 1, 2], labels=["1/4", "1/2", "1", "2", "4"])
    bar.ax.set_xlabel(" ")


@style.styled()
def phase(results: StemResults) -> Figure:
    """Rare error of standard training over noise energy and number of rare samples."""
    run = results.get(("phase", "grid"))
    if run is None or len(run.coords["energy"]) < 4:
        raise Absent(f"scale {results.scale} has no grid of energies and rare samples")
    energy, count = (np.array(run.coords[name], float) for name in ("energy", "count"))
    figure = style.figure(style.COLUMN, 2.9)
    axes = figure.subplots()
    image = axes.pcolormesh(
        edges(energy),
        edges(count),
        run.arrays["rare_error"].mean(axis=0),
        cmap="Blues",
        vmin=0,
        vmax=0.5,
        edgecolors="0.8",
        linewidth=0.2,
    )
    fine = np.geomspace(edges(energy)[0], edges(energy)[-1], 50)
    axes.plot(fine, fine, color=style.G, label=r"$s^2 = |R_y|$")
    axes.plot(fine, run.config.n / 2 - fine, ":", color=style.THEORY, label=r"$s^2 = |C_y|$")
    axes.set(xscale="log", yscale="log", xlabel=r"noise energy $s^2$")
    axes.set(xlim=edges(energy)[[0, -1]], ylim=edges(count)[[0, -1]])
    axes.set_ylabel(r"rare samples of a class $|R_y|$")
    for axis, values in ((axes.xaxis, (1, 2, 5, 10, 20)), (axes.yaxis, (1, 2, 5, 10, 20))):
        axis.set_ticks(values, [str(value) for value in values])
        axis.set_ticks([], minor=True)
    bar = figure.colorbar(image, ax=axes, label="rare error, mean over seeds")
    bar.ax.set_xlabel(" ")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=2)
    return figure


def edges(centres: np.ndarray) -> np.ndarray:
    """Borders of cells on a logarithmic axis, half-way between their values."""
    logs = np.log(centres)
    inner = (logs[1:] + logs[:-1]) / 2
    return np.exp([2 * logs[0] - inner[0], *inner, 2 * logs[-1] - inner[-1]])
