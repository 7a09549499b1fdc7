"""Shortcut bias of finite networks by architecture, in training, and behind frozen layers."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import stats

from twolayer.figures.engine import style
from twolayer.figures.engine.registry import Absent
from twolayer.figures.shortcut.availability.style import ARCHITECTURES
from twolayer.sims.engine.results import Run, StemResults
from twolayer.sims.shortcut.availability.reference import NETWORK_RATIOS, NETWORKS

_RHO = 0.85
_CONVERGED, _SHORT = 4.0, 8.0


@style.styled()
def bars(results: StemResults) -> Figure:
    """Bias at one point by architecture: near convergence, and under-trained; final losses."""
    near = _runs(results, "", _CONVERGED)
    short = _runs(results, "/under-trained", _SHORT)
    if len(near) < 3 or len(short) < 2:
        raise Absent(f"scale {results.scale} has too few architectures")
    figure = style.figure(style.DOUBLE, 3.3)
    grid = figure.subplots(
        2, 2, sharex="col", height_ratios=(3, 1.3), width_ratios=(len(near), len(short) + 0.5)
    )
    for (top, bottom), runs, ratio, suffix in (
        (grid[:, 0], near, _CONVERGED, ""),
        (grid[:, 1], short, _SHORT, "/under-trained"),
    ):
        _bars(top, runs, ratio, suffix)
        _losses(bottom, runs, ratio)
        bottom.set_xticks(
            range(len(runs)), [ARCHITECTURES[label][0].replace(", ", "\n") for label in runs]
        )
        bottom.tick_params(axis="x", labelsize=6.5)
    grid[0, 0].set(ylabel="shortcut bias", title=rf"near convergence, ratio {_CONVERGED:g}")
    grid[0, 1].set_title(rf"under-trained, ratio {_SHORT:g}")
    grid[1, 0].set_ylabel("training loss")
    figure.supxlabel("network", fontsize=8)
    handles, labels = grid[0, 0].get_legend_handles_labels()
    more = grid[1, 0].get_legend_handles_labels()
    figure.legend(handles + more[0], labels + more[1], loc="outside upper center", ncols=4)
    return figure


def _bars(axes: Axes, runs: dict[str, Run], ratio: float, suffix: str) -> None:
    for place, (label, run) in enumerate(runs.items()):
        bias = _at(run, "bias", ratio)[:, -1]
        axes.bar(place, bias.mean(), 0.7, color=ARCHITECTURES[label][1], alpha=0.6)
        axes.errorbar(
            place,
            bias.mean(),
            stats.sem(bias),
            color="black",
            linewidth=1,
            capsize=2,
            label="standard error" if place == 0 else None,
        )
        jitter = np.linspace(-0.25, 0.25, len(bias))
        axes.plot(
            place + jitter, bias, ".", color="0.35", markersize=2, linewidth=0,
            label="one seed" if place == 0 else None,
        )  # fmt: skip
        if label + suffix in NETWORKS:
            at = NETWORK_RATIOS[suffix.strip("/")].index(ratio)
            mean, _ = NETWORKS[label + suffix][1][at]
            axes.plot(
                place + 0.38, mean, "<", color=style.BOUND, markersize=4, linewidth=0,
                label="earlier experiment, 3 seeds" if place == 0 else None,
            )  # fmt: skip
    axes.axhline(0, color="0.4", linewidth=0.6)


def _losses(axes: Axes, runs: dict[str, Run], ratio: float) -> None:
    for place, (label, run) in enumerate(runs.items()):
        loss = _at(run, "loss", ratio)[:, -1]
        axes.plot(place, loss.mean(), "s", color=ARCHITECTURES[label][1])
        style.whiskers(axes, np.array([place]), [loss], ARCHITECTURES[label][1])
        least = run.arrays["reference_loss"][:, run.coords["rho"].index(_RHO)].mean()
        axes.plot(
            [place - 0.35, place + 0.35], [least, least], color=style.THEORY, linewidth=0.9,
            label="LDA" if place == 0 else None,
        )  # fmt: skip
    axes.set_ylim(0, None)


@style.styled()
def training(results: StemResults) -> Figure:
    """Bias in training steps at one ratio, and the training loss at the same time."""
    labels = ("linear", "relu-1", "tanh-1", "relu-3")
    shown = {}
    for suffix in ("", "/under-trained"):
        for label in labels:
            run = results.get(("network", label + suffix))
            if run is not None and len(run.seeds) > 2 and _RHO in run.coords["rho"]:
                shown[label, suffix] = run
    if len(shown) < 4:
        raise Absent(f"scale {results.scale} has too few trainings")
    figure = style.figure(style.DOUBLE, 3.6)
    grid = figure.subplots(2, 2, sharex=True, sharey="row")
    for (top, bottom), suffix in zip(grid.T, ("", "/under-trained"), strict=True):
        for label in labels:
            if (label, suffix) not in shown:
                continue
            run = shown[label, suffix]
            ratio = _SHORT if suffix else max(run.coords["ratio"])
            title, color = ARCHITECTURES[label]
            if label == "relu-3":
                color = style.CYCLE[4]
            for axes, name in ((top, "bias"), (bottom, "loss")):
                values = _at(run, name, ratio)
                steps = np.array(run.coords["step"])
                style.spread(axes, steps, list(values.T), color)
                axes.plot(steps, values.mean(axis=0), "o-", color=color, label=title)
            top.set_title(
                f"{'core attenuated' if suffix else 'shortcut amplified'}, ratio {ratio:g}, "
                f"rate {run.config.rate:g}, n = {run.config.n}",
                fontsize=8,
            )
        bottom.set_xlabel("steps of Adam")
        top.axhline(0, color="0.6", linewidth=0.6, zorder=0)
    grid[0, 0].set_ylabel("shortcut bias")
    grid[1, 0].set_ylabel("training loss")
    handles, words = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, words, loc="outside upper center", ncols=4)
    return figure


@style.styled()
def nesting(results: StemResults) -> Figure:
    """Bias over the layers that the core is nested in, against both references."""
    runs = {
        label: run
        for (study, label), run in results.items()
        if study == "nesting" and len(run.seeds) > 2
    }
    if not runs:
        raise Absent(f"scale {results.scale} has too few seeds of nested features")
    names = list(dict.fromkeys(label.split(", ")[0] for label in runs))
    figure = style.figure(style.COLUMN if len(names) == 1 else style.DOUBLE, 3.9)
    grid = figure.subplots(
        2, len(names), sharex=True, sharey="row", squeeze=False, height_ratios=(3, 2)
    )
    for label, run in runs.items():
        name, gain = label.split(", ")
        _nested(grid[:, names.index(name)], run, style.F if gain == "gain 1" else style.G)
        grid[0, names.index(name)].set_title(ARCHITECTURES[name][0])
    grid[0, 0].set_ylabel("shortcut bias")
    grid[1, 0].set_ylabel("training loss")
    figure.supxlabel(r"frozen layers around the core, $\eta_c - \eta_s$", fontsize=8)
    handles = {
        label: handle
        for axes in figure.axes
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(
        handles.values(), handles, loc="outside upper center", ncols=2 if len(names) == 1 else 3
    )
    return figure


def _nested(panels: np.ndarray, run: Run, color: str) -> None:
    """Bias against both references, and losses, of one network and gain."""
    above, below = panels
    gain = f"$g$ = {run.config.gain:g}"
    layers = np.array(run.coords["nesting"])
    for name, line, words in (("bias", "-", "embedded"), ("latent_bias", "--", "latents")):
        bias = run.arrays[name][..., -1]
        above.plot(
            layers, bias.mean(axis=0), "o" + line, color=color, label=f"{gain}, LDA of {words}"
        )
        style.spread(above, layers, list(bias.T), color)
    loss = run.arrays["loss"][..., -1]
    below.plot(layers, loss.mean(axis=0), "o-", color=color)
    style.spread(below, layers, list(loss.T), color)
    below.plot(
        layers, run.arrays["reference_loss"].mean(axis=0), "s:", color=color, mfc="none",
        label=f"{gain}, loss of LDA of embedded",
    )  # fmt: skip
    above.axhline(0, color="0.6", linewidth=0.6, zorder=0)
    below.set_xticks(layers)


def _runs(results: StemResults, suffix: str, ratio: float) -> dict[str, Run]:
    """Runs by architecture that have several seeds at this point."""
    found = {}
    for label in ARCHITECTURES:
        run = results.get(("network", label + suffix))
        if run is not None and len(run.seeds) > 1:
            if _RHO in run.coords["rho"] and ratio in run.coords["ratio"]:
                found[label] = run
    return found


def _at(run: Run, name: str, ratio: float) -> np.ndarray:
    """A result over seeds and steps at rho_s = .85 and a ratio."""
    return run.arrays[name][:, run.coords["rho"].index(_RHO), run.coords["ratio"].index(ratio)]
