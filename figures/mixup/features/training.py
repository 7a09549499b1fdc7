"""Both trainings of the patch model: in time, over the initial size, and stopped early."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from twolayer.figures.engine import style
from twolayer.figures.engine.registry import Absent
from twolayer.sims.engine.results import Run, StemResults
from twolayer.sims.mixup.features.claims.sweeps import rare_gap, scale_slopes
from twolayer.sims.mixup.features.patches import KINDS

COLORS = {"standard": style.F, "mixup": style.G}
NAMES = {"standard": "standard training", "mixup": "Mixup"}


@style.styled()
def dynamics(results: StemResults) -> Figure:
    """Common and rare gaps, noise and loss against the step."""
    run = results.get(("dynamics", "reference"))
    if run is None or len(run.coords["step"]) < 10:
        raise Absent(f"scale {results.scale} has no long training")
    figure = style.figure(style.DOUBLE, 2.35)
    panels = figure.subplots(1, 4)
    for k, kind in enumerate(KINDS):
        _follow(panels, run, k, color=COLORS[kind], label=NAMES[kind])
    others = {
        "beta": (style.BOTH, "Mixup, random weights"),
        "random layout": (style.BOUND, "Mixup, random layout"),
    }
    for label, (color, name) in others.items():
        other = results.get(("dynamics", label))
        if other is not None:
            _follow(panels, other, 1, color=color, label=name, linestyle="--")
    # What the rare gap must exceed: the common gap through feature noise.
    gaps = np.abs(run.arrays["signal_gap"][:, 1, :, :2]).max(axis=-1)
    needed = run.config.alpha**2 * np.median(gaps, axis=0)
    panels[1].plot(
        run.coords["step"],
        needed,
        ":",
        color=style.THEORY,
        label=r"error 0 above $\alpha^2|D_v|$ of Mixup",
    )
    titles = (
        r"common gap $|D_v|$",
        r"rare gap $\min_y |D_{u_y}|$",
        "noise energy in a patch",
        "loss",
    )
    for axes, title in zip(panels, titles, strict=True):
        axes.set(title=title, xlabel="step", xlim=(0, run.coords["step"][-1]))
        axes.set_xticks([0, 1000, 2000])
    panels[0].set_ylabel("measured")
    panels[0].set_ylim(bottom=0)
    panels[1].set_yscale("log")
    panels[2].set_ylim(bottom=0)
    panels[3].set_ylim(0, 0.72)
    handles, labels = panels[1].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=3)
    return figure


def _follow(panels: np.ndarray, run: Run, kind: int, color: str, label: str, **line: str) -> None:
    """Median and range over seeds of one training in every panel."""
    step = np.array(run.coords["step"])
    gaps = run.arrays["signal_gap"][:, kind]
    curves = (
        np.abs(gaps[..., :2]).mean(axis=-1),
        rare_gap(gaps),
        run.arrays["noise_square"][:, kind],
        run.arrays["loss"][:, kind],
    )
    for axes, values in zip(panels, curves, strict=True):
        axes.plot(step, np.median(values, axis=0), color=color, label=label, **line)
        style.spread(axes, step, list(values.T), color)


@style.styled()
def sigma0(results: StemResults) -> Figure:
    """Rare gap against the initial size, with the slope of the bound."""
    run = results.get(("sigma0", "grid"))
    if run is None or len(run.seeds) < 2:
        raise Absent(f"scale {results.scale} has no sweep of the initial size")
    scales = np.array(run.coords["scale"])
    gaps = rare_gap(run.arrays["signal_gap"])
    means = np.exp(np.log(gaps).mean(axis=0))
    figure = style.figure(style.COLUMN, 2.6)
    axes = figure.subplots()
    for k, (kind, slope) in enumerate(zip(KINDS, scale_slopes(run), strict=True)):
        axes.plot(
            scales,
            means[k],
            "o-",
            color=COLORS[kind],
            label=f"{NAMES[kind]}: slope {slope:.2f}",
        )
        style.whiskers(axes, scales, list(gaps[:, k].T), COLORS[kind])
    exponent = 2 * (1 - round(run.config.rho * run.config.n / 2) / run.config.noise_energy)
    middle = len(scales) // 2
    axes.plot(
        scales,
        means[0, middle] * (scales / scales[middle]) ** exponent,
        "--",
        color=style.THEORY,
        label=rf"slope $2(1-|R_y|/s^2)$ = {exponent:.2f}",
    )
    axes.set(yscale="log", xlabel=r"initial size $\sigma_0$", ylabel=r"rare gap $\min_y |D_{u_y}|$")
    style.log_ticks(axes, scales)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=1)
    return figure


@style.styled()
def earlystop(results: StemResults) -> Figure:
    """Margin ratio and rare error at a hand-over and after it, against its step."""
    run = results.get(("earlystop", "grid"))
    if run is None or len(run.coords["stop"]) < 4:
        raise Absent(f"scale {results.scale} has no sweep of the hand-over")
    stop = np.array(run.coords["stop"])
    figure = style.figure(style.DOUBLE, 2.4)
    left, right = figure.subplots(1, 2)
    after = f"{run.config.steps} standard steps later"
    for phase, (color, name) in enumerate(((style.G, "at the end of Mixup"), (style.F, after))):
        _points(left, stop, run.arrays["ratio"][:, :, phase], color, name)
        _points(right, stop, run.arrays["rare_error"][:, :, phase], color, name)
    left.axhline(
        1.0, color=style.THEORY, linestyle=":", linewidth=0.9, label="error 0 from here on"
    )
    left.axhline(
        2.1, color=style.BOUND, linestyle="--", linewidth=0.9, label="kept after a hand-over"
    )
    left.set(xlabel="step of the hand-over", ylabel="margin ratio of the rare features")
    left.set_ylim(bottom=0)
    right.set(xlabel="step of the hand-over", ylabel="rare error", ylim=(-0.02, 0.56))
    figure.legend(*left.get_legend_handles_labels(), loc="outside upper center", ncols=4)
    return figure


def _points(axes: Axes, x: np.ndarray, values: np.ndarray, color: str, name: str) -> None:
    """Mean and range over seeds, NaN left out."""
    axes.plot(x, np.nanmean(values, axis=0), "o-", color=color, label=name)
    style.spread(axes, x, list(values.T), color)
