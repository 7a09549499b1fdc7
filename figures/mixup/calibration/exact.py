"""Temperature against mixup on overlapping pairs, and the rays of midpoint mixup."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from twolayer.figures.engine import style
from twolayer.sims.engine.results import StemResults
from twolayer.sims.mixup.calibration.claims.exact import growth_slopes

# Numbers of classes with a curve; those with samples get one too.
_KS = (2, 10, 100, 1000)
_TS, _MIXUP, _TRUTH = style.F, style.G, style.THEORY
_MARKERS = "os^d"


@style.styled()
def ts_vs_mixup(results: StemResults) -> Figure:
    """Expected KL over the shift alpha: one curve for each k, one for mixup, samples as dots."""
    run = results["population", "pairs"]
    samples = [found for found in results.values() if found.study == "sample"]
    sampled = [found.config.k for found in samples]
    alphas = np.array(run.coords["alpha"])
    figure = style.figure(style.DOUBLE, 2.9)
    left, right = figure.subplots(1, 2, width_ratios=(1.25, 1))
    ks = sorted(set(_KS) | (set(sampled) & set(run.coords["k"])))
    shades = np.linspace(0.35, 1.0, len(ks))
    for k, shade in zip(ks, shades, strict=True):
        curve = run.arrays["ts"][0, run.coords["k"].index(k)]
        left.plot(alphas, curve, color=_TS, alpha=shade)
        # At the curve's start, but for k = 2 at its top: there curves are furthest apart.
        top = int(np.argmax(curve))
        left.annotate(
            f"k = {k}",
            (alphas[top], curve[top]),
            xytext=(-7, 0) if top == 0 else (0, 2),
            textcoords="offset points",
            ha="right" if top == 0 else "center",
            va="center" if top == 0 else "bottom",
            fontsize=6.5,
            color=_TS,
        )
    left.set_xlim(-0.18, 1.05)
    for axes in (left, right):
        axes.plot(alphas, run.arrays["mixup"][0], color=_MIXUP)
    # It jumps at 0, where the classes of a pair are one.
    inside = alphas > 0
    right.plot(alphas[inside], run.arrays["supremum"][0, inside], ":", color=_MIXUP)
    right.axhline(math.log(2), color=_TRUTH, linestyle="--", linewidth=0.8)
    for index, (found, marker) in enumerate(zip(samples, _MARKERS, strict=False)):
        # Side by side, as mixup's do not differ.
        at = np.array(found.coords["alpha"]) + 0.016 * (index - (len(samples) - 1) / 2)
        for axes, names in ((left, ("ts", "mixup")), (right, ("mixup",))):
            for name in names:
                color = _TS if name == "ts" else _MIXUP
                values = found.arrays[name]
                style.whiskers(axes, at, list(values.T), color)
                axes.plot(at, values.mean(axis=0), marker, color=color, markerfacecolor="white")
    for axes in (left, right):
        axes.set_xlabel(r"shift $\alpha$ inside a pair (overlap $1-\alpha$)")
    left.set_ylabel("expected KL from the truth, nats")
    left.set_ylim(bottom=-0.05)
    right.set(ylim=(-0.01, 0.78), title="mixup alone, enlarged")
    entries = [
        Line2D([], [], color=_TS, label=r"best temperature, $F^*(1-\alpha, k)$"),
        Line2D([], [], color=_MIXUP, label="mixup, every $k$"),
        Line2D([], [], color=_MIXUP, linestyle=":", label="mixup, largest pointwise KL"),
        Line2D([], [], color=_TRUTH, linestyle="--", linewidth=0.8, label=r"$\log 2$"),
        *(
            Line2D(
                [],
                [],
                color="0.3",
                linestyle="",
                marker=marker,
                markerfacecolor="white",
                label=f"sample, k = {k} (mean, range)",
            )
            for k, marker in zip(sampled, _MARKERS, strict=False)
        ),
    ]
    figure.legend(handles=entries, loc="outside upper center", ncols=3)
    return figure


@style.styled()
def posterior(results: StemResults) -> Figure:
    """Probability of the left class along one pair: truth, best temperature, mixup."""
    run = results["population", "pairs"]
    alpha = run.config.alpha
    samples = [
        found
        for found in results.values()
        if found.study == "sample"
        and found.config.k == run.config.k
        and alpha in found.coords["alpha"]
    ]
    figure = style.figure(style.DOUBLE, 2.5)
    panels = figure.subplots(1, 2, sharey=True)
    u = np.array(run.coords["place"]) * (1 + alpha)
    for axes, name, color, word in (
        (panels[0], "ts_left", _TS, "best temperature"),
        (panels[1], "mixup_left", _MIXUP, "mixup"),
    ):
        axes.axvspan(alpha, 1, color="0.93", linewidth=0, label="overlap")
        for found in samples:
            column = found.coords["alpha"].index(alpha)
            at = np.array(found.coords["place"]) * (1 + alpha)
            # Nearest neighbours of several seeds would be one grey block.
            seeds = found.arrays[name][: 1 if name == "ts_left" else None, column]
            for curve in seeds:
                axes.plot(at, curve, color=color, alpha=0.4, linewidth=0.6)
        axes.plot(u, run.arrays["truth_left"][0], "--", color=_TRUTH, label="truth")
        axes.plot(u, run.arrays[name][0], color=color, linewidth=1.6, label=f"{word}: population")
        axes.set(xlabel="place in the pair", ylim=(-0.03, 1.03))
    panels[0].set_ylabel("probability of the left class")
    total = run.arrays["ts_left"][0] + run.arrays["ts_right"][0]
    panels[0].plot(u, total, ":", color=_TS, label="both classes of the pair together")
    if samples:
        number = samples[0].config.k * samples[0].config.per_class
        panels[1].plot([], [], color="0.5", linewidth=0.6, label=f"thin: {number} training points")
    handles: dict = {}
    for axes in panels:
        handles |= dict(zip(*axes.get_legend_handles_labels()[::-1], strict=True))
    figure.legend(list(handles.values()), list(handles), loc="outside upper center", ncols=3)
    return figure


@style.styled()
def growth(results: StemResults) -> Figure:
    """Best temperature's KL over log k, with the slopes that the overlap gives."""
    run = results["population", "pairs"]
    ks = np.array(run.coords["growth_k"], float)
    slopes = growth_slopes(run)
    figure = style.figure(style.COLUMN, 3.1)
    axes = figure.subplots()
    for (row, overlap), color in zip(
        enumerate(run.coords["overlap"]), style.CYCLE[:4], strict=False
    ):
        curve = run.arrays["growth"][0, row]
        axes.plot(
            ks,
            curve,
            "o",
            markersize=2.2,
            color=color,
            label=f"overlap {overlap:g}: slope {slopes[overlap]:.3f}",
        )
        asymptote = overlap / 2 * np.log(ks / ks[-1]) + curve[-1]
        axes.plot(ks, np.where(asymptote > 0, asymptote, np.nan), color=color, linewidth=0.8)
    axes.plot(
        ks, np.log(ks) - math.log(2), ":", color=_TRUTH, label="uniform prediction, overlap 1"
    )
    axes.set(xscale="log", xlabel="number of classes $k$", ylim=(-0.1, 6.0))
    axes.set_ylabel(r"expected KL of the best temperature $F^*$")
    axes.plot([], [], color="0.3", linewidth=0.8, label="slope: half of the overlap")
    figure.legend(
        *axes.get_legend_handles_labels(), loc="outside upper center", ncols=2, fontsize=6.5
    )
    return figure


@style.styled()
def midpoint(results: StemResults) -> Figure:
    """Both losses along rays of correlations, and the floor of the midpoint loss."""
    run = results["midpoint", "rays"]
    scales = np.array(run.config.scales)
    figure = style.figure(style.DOUBLE, 2.5)
    left, right = figure.subplots(1, 2)
    floor = (1 - 1 / run.config.k) * math.log(2)
    directions = list(zip(run.config.firsts, run.config.seconds, strict=True))
    for row, ((first, second), color) in enumerate(zip(directions, style.CYCLE, strict=False)):
        dashes = "--" if min(first, second) < 0 else "-"
        label = rf"$(a_1, a_2) \propto ({first:g}, {second:g})$"
        left.plot(scales, run.arrays["midpoint"][0, row], dashes, color=color, label=label)
        right.plot(scales, run.arrays["single"][0, row], dashes, color=color)
    left.axhline(
        floor, color=_TRUTH, linestyle=":", linewidth=1.0, label=r"floor $(1-1/k)\,\log 2$"
    )
    left.set(title=f"midpoint mixup, k = {run.config.k}", ylim=(0.4, 2.6))
    right.set(title="single samples", yscale="log", ylim=(1e-18, 1e2))
    for axes in (left, right):
        style.log_ticks(axes, scales)
        axes.set(xlabel="scale $s$ of the correlations $s\\,(a_1, a_2)$")
    left.set_ylabel("expected loss, nats")
    figure.legend(*left.get_legend_handles_labels(), loc="outside upper center", ncols=3)
    return figure
