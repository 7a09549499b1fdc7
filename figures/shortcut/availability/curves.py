"""Shortcut bias in time, the shortcut phase on four points, and spectra."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from twolayer.figures.engine import style
from twolayer.figures.engine.registry import Absent
from twolayer.figures.shortcut.availability.style import KERNELS
from twolayer.sims.engine.results import Run, StemResults

_RHO, _RATIO = 0.85, 4.0


@style.styled()
def time(results: StemResults) -> Figure:
    """Bias against time: on the whole mixture, and on samples, where it rises again."""
    population = _in_order(results, "population")
    sample = {name: run for name, run in _in_order(results, "sample").items() if len(run.seeds) > 1}
    if len(population) < 2 or len(sample) < 2:
        raise Absent(f"scale {results.scale} has too few kernels in time")
    figure = style.figure(style.DOUBLE, 2.8)
    left, right = figure.subplots(1, 2, sharey=True)
    for name, run in population.items():
        title, color, line = KERNELS[name]
        bias = run.arrays["bias"][0, run.coords["rho"].index(_RHO), _ratio(run)]
        left.semilogx(run.coords["tau"], bias, line, color=color, label=title)
    run = population["linear"]
    left.semilogx(
        run.coords["tau"],
        run.arrays["linear"][0, run.coords["rho"].index(_RHO), _ratio(run)],
        ":",
        color=style.THEORY,
        label="linear, closed form",
    )
    drawn: list[float] = []
    for name, run in sample.items():
        title, color, line = KERNELS[name]
        taus = np.array(run.coords["tau"])
        bias = run.arrays["bias"][:, _ratio(run)]
        right.semilogx(taus, bias.mean(axis=0), line, color=color, label=title)
        style.spread(right, taus, list(bias.T), color)
        # At infinity, beyond the last time, side by side.
        last = run.arrays["last_bias"][:, _ratio(run)]
        place = 30 * taus[-1] * 1.5 ** (len(drawn) - 2)
        right.plot(place, last.mean(), "o", color=color)
        style.whiskers(right, np.array([place]), [last], color)
        drawn.append(place)
    powers = [0, 2, 4, 6]
    right.set_xticks(
        [*(10.0**power for power in powers), float(np.exp(np.mean(np.log(drawn))))],
        [*(f"$10^{power}$" for power in powers), r"$\infty$"],
    )
    right.set_xticks([], minor=True)
    for axes in (left, right):
        axes.axhline(0, color="0.6", linewidth=0.6, zorder=0)
        axes.set_xlabel(r"time $\tau = t\lambda_1$")
    left.set(ylabel="shortcut bias", title="whole mixture")
    right.set_title(f"samples of {next(iter(sample.values())).config.n}")
    handles = {
        label: handle
        for axes in (left, right)
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(handles.values(), handles.keys(), loc="outside upper center", ncols=4)
    return figure


@style.styled()
def phase(results: StemResults) -> Figure:
    """Left: kappa against its threshold. Right: when the change to the core comes."""
    run = _points(results)
    figure = style.figure(style.DOUBLE, 2.6)
    left, right = figure.subplots(1, 2)
    alphas = np.array(run.coords["alpha"])
    for at, name in enumerate(run.coords["kernel"]):
        title, color, line = KERNELS[name]
        left.plot(alphas, run.arrays["kappa"][0, at], line, color=color, label=title)
        switch = run.arrays["switch"][0, at]
        right.semilogy(alphas, switch, line, color=color)
        critical = run.arrays["critical"][0, at]
        if np.isfinite(critical):
            left.plot(critical, run.arrays["threshold"][0], "o", color=color, markersize=3.5)
    left.axhline(
        run.arrays["threshold"][0], color=style.THEORY, linestyle=":", label="threshold $g$"
    )
    left.set(
        xlabel=r"amplification $\alpha_s$ of the shortcut ($\alpha_c = 1$)",
        ylabel=r"$\kappa = -k_1/k_0$",
        ylim=(0, 1),
    )
    right.set(
        xlabel=r"amplification $\alpha_s$ of the shortcut ($\alpha_c = 1$)",
        ylabel=r"end of the shortcut phase, $\lambda_1 t^*$",
    )
    right.set_ylim(0.05, None)
    handles, labels = left.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=4)
    return figure


@style.styled()
def spectra(results: StemResults) -> Figure:
    """Angular coefficients of ReLU kernels by depth: odd ones beyond 1 are non-linear odd parts."""
    run = _points(results)
    figure = style.figure(style.COLUMN, 2.5)
    axes = figure.subplots()
    k = np.array(run.coords["k"])
    depths = run.coords["depth"]
    colors = ("#440154", "#31688e", "#35b779", "#b8a515")
    for at, (depth, color) in enumerate(zip(depths, colors, strict=False)):
        share = run.arrays["angular"][0, at] / run.arrays["angular"][0, at, 1]
        # What is 0 in exact arithmetic has no place on a logarithmic axis.
        share = np.where(share > 1e-8, share, np.nan)
        layers = "hidden layer" if depth == 1 else "hidden layers"
        axes.semilogy(k, share, "-", color=color, linewidth=0.6, alpha=0.5)
        odd = k % 2 == 1
        axes.semilogy(k[odd], share[odd], "o", color=color, label=f"{depth} {layers}")
        axes.semilogy(k[~odd], share[~odd], "o", color=color, markerfacecolor="white")
    axes.set(xlabel="angular frequency $k$", ylabel="coefficient $a_k / a_1$")
    axes.set_xticks(k)
    axes.legend(title="filled: odd $k$", title_fontsize=7)
    return figure


@style.styled()
def clusters(results: StemResults) -> Figure:
    """Eigenvalues against the share of items whose features agree."""
    run = next((run for run in results.values() if run.study == "clusters"), None)
    if run is None or len(run.coords["mass"]) < 3:
        raise Absent(f"scale {results.scale} has no clusters over their imbalance")
    figure = style.figure(style.DOUBLE, 2.5)
    left, right = figure.subplots(1, 2)
    mass = np.array(run.coords["mass"])
    fine = np.linspace(mass[0], mass[-1], 100)
    for mode, (color, name) in enumerate(
        ((style.F, "along agreement"), (style.G, "along conflict"))
    ):
        values = run.arrays["sampled"][:, 0, :, mode]
        _cloud(left, mass, values, color, f"{name}, sampled")
        exact = 2 * (fine if mode == 0 else 1 - fine) + run.config.spread**2
        left.plot(fine, exact, color=color, linewidth=0.9, label=f"{name}, D1")
    for mode, color in enumerate(style.CYCLE[:4]):
        _cloud(right, mass, run.arrays["sampled"][:, 1, :, mode], color, f"eigenvalue {mode + 1}")
        right.plot(mass, run.arrays["centre"][0, 1, :, mode], color=color, linewidth=0.9)
    right.plot([], [], color="0.4", linewidth=0.9, label="centres alone, D2")
    left.set_title("linear kernel")
    right.set_title(r"two-layer ReLU kernel, $\beta$ = 1")
    for axes in (left, right):
        axes.set(xlabel="share $b$ of items whose features agree", ylabel="eigenvalue")
        axes.legend(fontsize=6)
    left.set_ylim(0, 2.6)
    right.set_ylim(0, 4.4)
    return figure


def _cloud(axes: Axes, mass: np.ndarray, values: np.ndarray, color: str, label: str) -> None:
    """Mean over seeds as markers, range over seeds as whiskers."""
    axes.plot(mass, values.mean(axis=0), "o", color=color, label=label)
    style.whiskers(axes, mass, list(values.T), color)


def _in_order(results: StemResults, study: str) -> dict[str, Run]:
    """Runs by kernel that have the predictivity and the ratio of these figures."""
    found: dict[str, Run] = {}
    for run in results.values():
        if run.study == study and _RATIO in run.config.ratios:
            rhos = run.config.rho_s
            if _RHO in (rhos if isinstance(rhos, tuple) else (rhos,)):
                found.setdefault(run.config.kernel, run)
    return {name: found[name] for name in KERNELS if name in found}


def _ratio(run: Run) -> int:
    return run.coords["ratio"].index(_RATIO)


def _points(results: StemResults) -> Run:
    for run in results.values():
        if run.study == "points" and len(run.coords["kernel"]) > 3:
            return run
    raise Absent(f"scale {results.scale} has too few kernels on four points")
