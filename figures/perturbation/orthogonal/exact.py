"""Exact families, the flow towards the closed form, and where the hypotheses hold."""

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

# Light for what is not proved, full for what is; blue where the networks agree.
_PHASES = ("#F6D9C3", "#D55E00", "#CFE3F1", "#0072B2")
_TIER_COLORS = ("#FFFFFF", "#CFE3F1", "#56B4E9", "#0072B2")
_TIERS = ("none", "certificate", "sharp", "paper")


@style.styled()
def phases(results: StemResults) -> Figure:
    """Left: flipped labels over tau and gamma. Right: agreement over tau of all families."""
    runs = {run.label: run for run in results.values() if run.study == "family"}
    if "phase" not in runs or len(runs["phase"].coords["tau"]) < 10:
        raise Absent(f"scale {results.scale} has no dense grid of exact families")
    figure = style.figure(style.DOUBLE, 3.3)
    left, right = figure.subplots(1, 2)
    _phase_map(left, runs["phase"])
    _agreement(right, runs)
    return figure


def _phase_map(axes: Axes, run: Run) -> None:
    tau, gamma = np.array(run.coords["tau"]), np.array(run.coords["gamma"])
    agrees = run.arrays["agreement"][0] > 0.5
    holds = run.arrays["certificate"][0].astype(bool)
    axes.pcolormesh(
        tau,
        gamma,
        2 * agrees + holds,
        cmap=ListedColormap(_PHASES),
        vmin=0,
        vmax=3,
        shading="nearest",
        rasterized=True,
    )
    fine = np.linspace(0, 1, 300)
    reach = np.sqrt((1 - fine) / (1 + fine))
    for side in (1 - reach, 1 + reach):
        axes.plot(side, fine, color=style.THEORY, linewidth=0.9)
    axes.axvline(1.0, color=style.THEORY, linestyle="--", linewidth=0.9)
    # Thinner than the grid in places: edges solve |q| = (gamma^3/3)(1 + q/N), q = tau^2 - 2 tau.
    share = fine**3 / 3
    for q in (share / (1 - share / run.config.n), -share / (1 + share / run.config.n)):
        for edge in (1 - np.sqrt(1 + q), 1 + np.sqrt(1 + q)):
            axes.plot(edge, fine, color=style.NEGATIVE, linewidth=1.0)
    axes.set(xlabel=r"scaled budget $\tau = \varepsilon\sqrt{N}/R$", ylabel=r"slope $\gamma$")
    axes.set(xlim=(tau[0], tau[-1]), ylim=(gamma[0], gamma[-1]))
    axes.legend(
        handles=[
            Patch(color=_PHASES[1], label="opposite, certified"),
            Patch(color=_PHASES[0], label="opposite"),
            Patch(color=_PHASES[3], label="the same, certified"),
            Patch(color=_PHASES[2], label="the same"),
            Line2D([], [], color=style.THEORY, label=r"$|\tau-1|=\sqrt{(1-\gamma)/(1+\gamma)}$"),
            Line2D([], [], color=style.NEGATIVE, label="paper's hypothesis"),
        ],
        loc="lower center",
        bbox_to_anchor=(0.5, 1.0),
        ncols=2,
        columnspacing=0.8,
        handlelength=1.2,
        fontsize=6.0,
    )


def _agreement(axes: Axes, runs: dict[str, Run]) -> None:
    grid = np.linspace(0.02, 3, 200)
    axes.plot(grid, (grid > 1).astype(float), color=style.F, label="flipped, orthogonal: exact")
    flipped = runs["flipped"]
    axes.plot(
        flipped.coords["tau"],
        flipped.arrays["trained"][:, 0].mean(axis=0),
        "o",
        color=style.F,
        markerfacecolor="none",
        label="the same, trained network",
    )
    for label, color, name in (
        ("near", style.G, r"flipped, cosines $\pm 0.01$"),
        ("random", style.BOUND, "orthogonal, random targets"),
    ):
        run = runs[label]
        samples = run.arrays["agreement"][:, 0]
        axes.plot(run.coords["tau"], np.median(samples, axis=0), color=color, label=name)
        style.spread(axes, np.array(run.coords["tau"]), list(samples.T), color)
    for label, marker in zip(
        (label for label in runs if label.startswith("noise")), "s^d", strict=False
    ):
        run = runs[label]
        tau = np.array(run.coords["tau"])[4::12]
        axes.plot(
            tau,
            run.arrays["agreement"][0, 0][4::12],
            marker,
            color=style.BOTH,
            label=f"orthogonal noise, $N^a$ = {run.config.n_adv}",
        )
    axes.plot(
        grid,
        1 - np.arctan(1 / grid) / np.pi,
        ":",
        color=style.THEORY,
        label=r"$1-\arctan(1/\tau)/\pi$",
    )
    axes.set(xlabel=r"scaled budget $\tau = \varepsilon\sqrt{N^a}/R_b$", ylim=(-0.03, 1.03))
    axes.set_ylabel("agreement on isotropic points")
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, fontsize=6.0)


@style.styled()
def tiers(results: StemResults) -> Figure:
    """The strongest hypothesis that most draws satisfy, over d and N, one panel a slope."""
    run = results.get(("tier", "gauss"))
    if run is None or len(run.seeds) < 10:
        raise Absent(f"scale {results.scale} has too few draws of Gaussian samples")
    d, n = np.array(run.coords["d"], float), run.coords["n"]
    figure = style.figure(style.DOUBLE, 2.0)
    panels = figure.subplots(1, len(run.coords["gamma"]), sharey=True)
    for axes, (index, gamma) in zip(panels, enumerate(run.coords["gamma"]), strict=True):
        strongest = np.zeros((len(n), len(d)))
        for strength, name in enumerate(_TIERS[1:], start=1):
            share = run.arrays[name][:, :, :, index].mean(axis=0)
            strongest[share >= 0.5] = strength
        axes.pcolormesh(
            np.append(d, d[-1] ** 2 / d[-2]) / (d[1] / d[0]) ** 0.5,
            np.arange(len(n) + 1),
            strongest,
            cmap=ListedColormap(_TIER_COLORS),
            vmin=0,
            vmax=3,
            edgecolors="0.85",
            linewidth=0.2,
        )
        axes.set(xscale="log", title=rf"$\gamma$ = {gamma:g}", xlabel="dimension $d$")
        axes.set_xticks([1e2, 1e4, 1e6])
        axes.minorticks_off()
        axes.set_yticks(np.arange(len(n)) + 0.5, [str(value) for value in n])
    panels[0].set_ylabel("samples $N$")
    figure.legend(
        handles=[
            Patch(facecolor=color, edgecolor="0.6", linewidth=0.4, label=label)
            for color, label in zip(
                _TIER_COLORS,
                ("no hypothesis", "certificate", "sharp hypothesis", "paper's hypothesis"),
                strict=True,
            )
        ],
        loc="outside upper center",
        ncols=4,
    )
    return figure


@style.styled()
def flow(results: StemResults) -> Figure:
    """Angle of the weights, of the gradient, and the sample weights, along the flow."""
    runs = [run for run in results.values() if run.study == "flow"]
    if not runs or runs[0].config.chunks < 20:
        raise Absent(f"scale {results.scale} has no long flow")
    figure = style.figure(style.DOUBLE, 2.7)
    panels = figure.subplots(1, 3)
    names = ("angle", "gradient_angle", "weight_gap")
    for run, color in zip(runs, style.CYCLE, strict=True):
        time = run.arrays["time"][0]
        broken = not run.arrays["certificate"].all()
        for axes, name in zip(panels, names, strict=True):
            style.spread(axes, time, list(run.arrays[name].T), color)
            axes.loglog(
                time,
                np.median(run.arrays[name], axis=0),
                "--" if broken else "-",
                color=color,
                # The first curve lies below that of exactly orthogonal samples.
                linewidth=2.6 if run is runs[0] else 1.1,
                label=run.label + (" (no certificate)" if broken else ""),
            )
    time = runs[0].arrays["time"][0]
    first = np.median(runs[0].arrays["angle"], axis=0)
    panels[0].loglog(
        time, 0.5 * first[-1] * time[-1] / time, ":", color=style.THEORY, label=r"$\propto 1/s$"
    )
    titles = (
        "angle of the weights to $W^*$",
        r"angle of the gradient to $W^*$",
        r"$\max_n |p_n - \lambda_n/\sum\lambda|$",
    )
    for axes, title in zip(panels, titles, strict=True):
        axes.set(xlabel="rescaled time $s$", title=title)
    panels[0].set_ylabel("radians")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=4)
    return figure
