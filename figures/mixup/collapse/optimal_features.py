"""Optimal unconstrained features: in the plane, along lambda and kappa, and found by training."""

from __future__ import annotations

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from scipy import special

from twolayer.figures.engine import style
from twolayer.figures.engine.registry import Absent
from twolayer.sims.engine.results import Run, StemResults

# Of the weight lambda, alike for both classes of a pair; readable on white at both ends.
COLORS = matplotlib.colormaps["viridis"]
UNIT = Normalize(0, 1)
_ROWS = style.BOUND


def rows(axes: Axes, row: np.ndarray, length: float) -> None:
    """The classifier's rows as arrows, all scaled so that the longest has this length."""
    row = row * length / np.linalg.norm(row, axis=1).max()
    arrow = {"arrowstyle": "-|>", "color": _ROWS, "linewidth": 1.0, "shrinkA": 0, "shrinkB": 0}
    for index, tip in enumerate(row):
        axes.annotate("", tuple(tip), (0, 0), arrowprops=arrow, zorder=4)
        # Beside the middle of the arrow, where few activations lie.
        beside = 0.55 * tip + 0.2 * np.array([-tip[1], tip[0]])
        axes.text(
            beside[0],
            beside[1],
            f"$w_{index}$",
            color=_ROWS,
            ha="center",
            va="center",
            fontsize=7,
            zorder=5,
            path_effects=[withStroke(linewidth=2, foreground="white")],
        )


def square(axes: Axes, reach: float) -> None:
    """Equal axes around 0."""
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")


@style.styled()
def planes(results: StemResults) -> Figure:
    """Features of all pairs of three classes over lambda, one panel a decay."""
    run = _planar(results)
    figure = style.figure(style.DOUBLE, 2.5)
    panels = figure.subplots(1, len(run.config.decays))
    for at, (axes, decay) in enumerate(zip(panels, run.config.decays, strict=True)):
        features = run.arrays["feature"][0, at]
        lams = np.array(run.coords["lam"])
        longest = np.linalg.norm(features, axis=-1).max()
        for i in range(3):
            axes.plot(
                *features[i, i, 0],
                "o",
                color="black",
                markersize=5,
                zorder=3,
                label="one class" if i == 0 else None,
            )
            for j in range(i):
                ends = np.stack([features[i, i, 0], features[j, j, 0]])
                axes.plot(
                    *ends.T,
                    ":",
                    color=style.THEORY,
                    linewidth=0.8,
                    label="straight line" if (i, j) == (1, 0) else None,
                )
                path = features[i, j]
                axes.add_collection(
                    LineCollection(
                        list(np.stack([path[:-1], path[1:]], axis=1)),
                        cmap=COLORS,
                        norm=UNIT,
                        array=(lams[1:] + lams[:-1]) / 2,
                        linewidth=2.2,
                    )
                )
        rows(axes, run.arrays["row"][0], 0.62 * longest)
        square(axes, 1.15 * longest)
        kappa = run.arrays["kappa"][0, at]
        axes.set_title(rf"$\mu$ = {decay:g}, $\kappa$ = {kappa:g}")
    figure.supxlabel("$h_1$", fontsize=8)
    panels[0].set_ylabel("$h_2$")
    figure.colorbar(
        ScalarMappable(UNIT, COLORS), ax=list(panels), label=r"weight $\lambda$ of the first class"
    )
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=2)
    return figure


@style.styled()
def logits(results: StemResults) -> Figure:
    """Left: z_i - z_j over lambda and kappa. Right: how far both lead all other classes."""
    run = _sweep(results)
    figure = style.figure(style.DOUBLE, 2.7)
    left, right = figure.subplots(1, 2)
    lam, kappa = np.array(run.coords["lam"]), run.arrays["kappa"][0]
    shown = [int(np.argmin(np.abs(np.log10(kappa) - power))) for power in (0, 1, 2, 4, 12)]
    colors = COLORS(np.linspace(0.9, 0.0, len(shown)))
    for at, color in zip(shown, colors, strict=True):
        left.plot(lam, run.arrays["difference"][0, at, 0, 1], color=color, label=_power(kappa[at]))
    inside = (lam > 0) & (lam < 1)
    left.plot(
        lam[inside],
        special.logit(lam[inside]),
        "o",
        color=style.THEORY,
        markersize=2.0,
        label=r"$\mathrm{logit}\,\lambda$",
    )
    # Squared loss: z = kappa / (kappa + 1) times the centred target.
    share = kappa[shown[3]] / (kappa[shown[3]] + 1)
    left.plot(lam, share * (2 * lam - 1), "--", color=style.BOUND, label="squared loss")
    left.set(xlabel=r"weight $\lambda$ of class $i$", ylabel="$z_i - z_j$", ylim=(-7, 7))
    left.legend(ncols=2, loc="upper left", fontsize=6.5)

    middle = int(np.argmin(np.abs(lam - 0.5)))
    right.semilogx(
        kappa, run.arrays["lead"][0, :, 0, 1, middle], "o-", color=style.F, label="exact"
    )
    k = run.config.num_classes
    fine = np.geomspace(kappa.min(), kappa.max(), 400)
    crowd = special.wrightomega(np.log(fine))
    u = (k - 2) * crowd / fine
    far = u < 1
    floor = np.log(fine / 2 / crowd)[far] + np.log1p(-u[far])
    right.semilogx(fine[far], floor, "--", color=style.THEORY, label="lower bound [derived]")
    large = fine > 10
    growth = np.log(fine[large]) - np.log(np.log(fine[large]))
    offset = run.arrays["lead"][0, np.argmax(kappa), 0, 1, middle] - growth[-1]
    right.semilogx(
        fine[large],
        growth + offset,
        ":",
        color=style.G,
        label=r"$\log\kappa - \log\log\kappa$ + const.",
    )
    right.set(xlabel=r"$\kappa = A/\mu$", ylabel=r"$z_i - z_o$ at $\lambda = 1/2$")
    right.set_ylim(-1, None)
    right.legend(loc="upper left")
    return figure


@style.styled()
def norms(results: StemResults) -> Figure:
    """Length of the feature over lambda, in units of that of one class."""
    run = _planar(results)
    figure = style.figure(style.COLUMN, 2.5)
    axes = figure.subplots()
    lam = np.array(run.coords["lam"])
    colors = COLORS(np.linspace(0.75, 0.0, len(run.config.decays)))
    for at, (decay, color) in enumerate(zip(run.config.decays, colors, strict=True)):
        lengths = np.linalg.norm(run.arrays["feature"][0, at, 0, 1], axis=-1)
        axes.plot(lam, lengths / lengths[-1], color=color, label=rf"$\mu$ = {decay:g}")
    # Between two of three rows, at 120 degrees.
    axes.plot(
        lam,
        np.sqrt(lam**2 + (1 - lam) ** 2 - lam * (1 - lam)),
        ":",
        color=style.THEORY,
        label="straight line,\nsquared loss",
    )
    axes.set(
        xlabel=r"weight $\lambda$ of the first class",
        ylabel=r"$|h^*(\lambda)|\;/\;|h^*_{\mathrm{same}}|$",
    )
    axes.legend(loc="lower left", fontsize=6.5)
    return figure


@style.styled()
def training(results: StemResults) -> Figure:
    """Excess loss, distance from a frame, balance and features along L-BFGS, one line a seed."""
    runs = [run for run in results.values() if run.study == "free"]
    if not runs or runs[0].config.steps < 100:
        raise Absent(f"scale {results.scale} has no long training of classifier and features")
    run = runs[0]
    figure = style.figure(style.DOUBLE, 2.3)
    panels = figure.subplots(1, 3, sharex=True)
    step = np.array(run.coords["step"])
    quantities = (
        ("etf_error", "classifier off a simplex frame", style.F),
        ("balance", r"$|\omega |W|^2 - \mu\,\mathrm{mean}\,|h|^2|$", style.BOTH),
        ("feature_error", "features off the optimum", style.G),
    )
    for axes, (name, title, color) in zip(panels, quantities, strict=True):
        # Below rounding there is nothing to see, and 0 has no logarithm.
        values = np.maximum(run.arrays[name], 1e-17)
        axes.semilogy(step, values.T, color=color, linewidth=0.6, alpha=0.5)
        axes.semilogy(
            step, np.median(values, axis=0), color=color, linewidth=1.6, label="median of seeds"
        )
        axes.semilogy([], [], color=color, linewidth=0.6, alpha=0.5, label="one seed")
        axes.set(title=title, xlabel="steps of L-BFGS")
        axes.legend()
    panels[0].set_ylabel("distance")
    return figure


def _planar(results: StemResults) -> Run:
    for run in results.values():
        if run.study == "ufm" and run.config.dim == 2 and len(run.config.lams) > 20:
            return run
    raise Absent(f"scale {results.scale} has no dense grid of optima in the plane")


def _sweep(results: StemResults) -> Run:
    for run in results.values():
        if run.study == "ufm" and len(run.config.decays) > 5:
            return run
    raise Absent(f"scale {results.scale} has no optima over kappa")


def _power(value: float) -> str:
    return (
        rf"$\kappa = 10^{{{round(np.log10(value))}}}$" if value > 50 else rf"$\kappa = {value:.0f}$"
    )
