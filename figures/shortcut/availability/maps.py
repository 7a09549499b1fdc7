"""Maps of shortcut bias over predictivity and availability, and decisions of networks."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from scipy import stats

from twolayer.figures.engine import style
from twolayer.figures.engine.registry import Absent
from twolayer.figures.shortcut.availability.style import ARCHITECTURES, KERNELS, on_grid, union
from twolayer.sims.engine.results import Run, StemResults
from twolayer.theory.shortcut.availability import shortcut_bias

_COLORS = "PuOr_r"
_SHOWN = ("linear", "relu-1", "tanh-1", "relu-3")
_OTHERS = ("linear-1", "relu-2", "tanh-2", "tanh-3")
_TAUS = (1.0, 10.0, 100.0, 1e3)
_BIAS = "shortcut bias"
_NOT_RUN = "0.9"


def _map(axes: Axes, grid: np.ndarray, rhos: list, ratios: list, reach: float) -> AxesImage:
    """A diverging map with white at no bias and grey where nothing was run."""
    axes.set_facecolor(_NOT_RUN)
    image = axes.imshow(
        np.ma.masked_invalid(grid), cmap=_COLORS, vmin=-reach, vmax=reach, origin="lower",
        aspect="auto",
    )  # fmt: skip
    axes.set_xticks(range(len(ratios)), [f"{ratio:g}" for ratio in ratios])
    axes.set_yticks(range(len(rhos)), [f"{rho:g}" for rho in rhos])
    axes.tick_params(labelsize=6, length=2)
    for spine in axes.spines.values():
        spine.set_visible(False)
    return image


def _numbers(axes: Axes, grid: np.ndarray, reach: float, errors: np.ndarray | None = None) -> None:
    """The numbers of a map, with standard errors where they are given and not 0."""
    for (i, j), value in np.ndenumerate(grid):
        if not np.isfinite(value):
            continue
        words = f"{value:.2f}".replace("-0.00", "0.00")
        if errors is not None and errors[i, j] > 0:
            words += f"\n\u00b1 {errors[i, j]:.3f}"
        color = "white" if abs(value) > 0.7 * reach else "black"
        size = 5 if errors is None else 4.5
        axes.text(
            j, i, words, ha="center", va="center", fontsize=size, color=color, linespacing=0.95
        )


def networks(results: StemResults) -> Figure:
    """Finite networks early and near convergence: mean bias over seeds, a panel an architecture."""
    return _networks(_several(results, "network", _SHOWN))


def other_networks(results: StemResults) -> Figure:
    """The same of the other architectures, where all of them have the whole grid."""
    runs = _several(results, "network", _OTHERS)
    grids = {tuple(run.coords["rho"] + run.coords["ratio"]) for run in runs.values()}
    if len(grids) > 1:
        raise Absent(f"scale {results.scale} has no whole maps of {', '.join(_OTHERS)}")
    return _networks(runs)


@style.styled()
def _networks(runs: dict[str, Run]) -> Figure:
    rhos, ratios = (union(list(runs.values()), name) for name in ("rho", "ratio"))
    figure = style.figure(style.DOUBLE, 3.9)
    grid = figure.subplots(2, len(runs), sharex=True, sharey=True)
    for panels, place, reach in ((grid[0], 0, 2.0), (grid[1], -1, 0.3)):
        for axes, (label, run) in zip(panels, runs.items(), strict=True):
            bias = run.arrays["bias"][..., place]
            values = on_grid(run, bias.mean(axis=0), rhos, ratios)
            errors = stats.sem(bias, axis=0)
            image = _map(axes, values, rhos, ratios, reach)
            _numbers(axes, values, reach, on_grid(run, errors, rhos, ratios))
            step = run.coords["step"][place]
            axes.set_title(f"{ARCHITECTURES[label][0]}, {step} steps", fontsize=7)
        figure.colorbar(
            image, ax=list(panels), label=f"mean {_BIAS}", extend="both" if reach < 2 else "neither"
        )
    figure.supxlabel(r"availability ratio $\alpha_s/\alpha_c$", fontsize=8)
    figure.supylabel(r"predictivity $\rho_s$", fontsize=8)
    return figure


@style.styled()
def population(results: StemResults) -> Figure:
    """Infinitely wide networks on the whole mixture: a row a kernel, a column a time."""
    labels = ("linear", "relu-bias", "relu-2", "erf-bias")
    runs = _several(results, "population", labels, seeds=1)
    figure = style.figure(style.DOUBLE, 5.0)
    grid = figure.subplots(len(runs), len(_TAUS), sharex=True, sharey=True)
    for panels, (label, run) in zip(grid, runs.items(), strict=True):
        rhos, ratios = run.coords["rho"], run.coords["ratio"]
        for axes, tau in zip(panels, _TAUS, strict=True):
            bias = run.arrays["bias"][0, ..., _nearest(run, tau)]
            image = _map(axes, bias, rhos, ratios, 2.0)
            _numbers(axes, bias, 2.0)
        panels[0].set_ylabel(KERNELS[label][0])
    for axes, tau in zip(grid[0], _TAUS, strict=True):
        axes.set_title(rf"$\tau = t \lambda_1$ = {tau:g}")
    figure.supxlabel(r"availability ratio $\alpha_s/\alpha_c$", fontsize=8)
    figure.supylabel(r"predictivity $\rho_s$", fontsize=8)
    figure.colorbar(image, ax=list(grid.ravel()), label=_BIAS, aspect=40)
    return figure


@style.styled()
def samples(results: StemResults) -> Figure:
    """Kernel regression on finite samples: a row a kernel, a column a time, the last infinite."""
    found: dict[str, list[Run]] = {}
    for run in results.values():
        if run.study == "sample":
            found.setdefault(run.config.kernel, []).append(run)
    kernels = [name for name in ("linear", "relu-bias") if len(found.get(name, [])) > 1]
    if not kernels:
        raise Absent(f"scale {results.scale} has no maps of kernel regression")
    shown = [run for name in kernels for run in found[name]]
    rhos = sorted({run.config.rho_s for run in shown})
    ratios = union(shown, "ratio")
    taus = (10.0, 100.0, 1e3, 1e5, np.inf)
    figure = style.figure(style.DOUBLE, 0.9 + 1.5 * len(kernels))
    grid = figure.subplots(len(kernels), len(taus), sharex=True, sharey=True, squeeze=False)
    for panels, name in zip(grid, kernels, strict=True):
        for axes, tau in zip(panels, taus, strict=True):
            values = np.full((len(rhos), len(ratios)), np.nan)
            for run in found[name]:
                bias = (
                    run.arrays["bias"][..., _nearest(run, tau)]
                    if np.isfinite(tau)
                    else run.arrays["last_bias"]
                )
                columns = [ratios.index(ratio) for ratio in run.coords["ratio"]]
                values[rhos.index(run.config.rho_s), columns] = bias.mean(axis=0)
            image = _map(axes, values, rhos, ratios, 2.0)
            _numbers(axes, values, 2.0)
        panels[0].set_ylabel(KERNELS[name][0])
    for axes, tau in zip(grid[0], taus, strict=True):
        power = rf"10^{{{np.log10(tau):.0f}}}" if np.isfinite(tau) else r"\infty"
        axes.set_title(rf"$\tau = {power}$")
    figure.supxlabel(r"availability ratio $\alpha_s/\alpha_c$", fontsize=8)
    figure.supylabel(r"predictivity $\rho_s$", fontsize=8)
    figure.colorbar(image, ax=list(grid.ravel()), label=f"mean {_BIAS}", aspect=30)
    return figure


@style.styled()
def decisions(results: StemResults) -> Figure:
    """Outputs of one seed's networks at the probes, with LDA's line and some of the sample."""
    runs = _several(results, "network", _SHOWN)
    ratio = max(runs["relu-3"].coords["ratio"])
    seed = int(np.argmax(runs["relu-3"].arrays["bias"][:, -1, -1, -1]))
    figure = style.figure(style.DOUBLE, 2.15)
    panels = figure.subplots(1, len(runs), sharex=True, sharey=True)
    for axes, (label, run) in zip(panels, runs.items(), strict=True):
        image = _decision(axes, run, seed, run.coords["ratio"].index(ratio))
        bias = run.arrays["bias"][seed, -1, run.coords["ratio"].index(ratio), -1]
        words = f"{bias:.2f}".replace("-0.00", "0.00")
        axes.set_title(f"{ARCHITECTURES[label][0]}, bias {words}", fontsize=7)
    panels[0].set_ylabel("core $z_c$")
    figure.supxlabel("shortcut $z_s$", fontsize=8)
    figure.colorbar(image, ax=list(panels), label="probability of $y = 1$", ticks=[0, 0.5, 1])
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=4)
    return figure


def _decision(axes: Axes, run: Run, seed: int, place: int) -> AxesImage:
    c = run.config
    mu = np.array(shortcut_bias.mu_from_rho([c.rho_s[-1], c.rho_c]))
    reach = 3 * mu
    surface = run.arrays["surface"][seed, place]
    probability = 1 / (1 + np.exp(-np.clip(surface, -50, 50)))
    extent = (-reach[0], reach[0], -reach[1], reach[1])
    # The first axis of the surface is the shortcut's.
    image = axes.imshow(
        probability.T, origin="lower", extent=extent, cmap=_COLORS, norm=Normalize(0, 1),
        aspect="auto", alpha=0.8, interpolation="nearest",
    )  # fmt: skip
    line = np.linspace(-reach[0], reach[0], probability.shape[0])
    core = np.linspace(-reach[1], reach[1], probability.shape[1])
    if surface.min() < 0 < surface.max():
        axes.contour(line, core, surface.T, levels=[0], colors="black", linewidths=1.2)
    axes.plot([], [], color="black", linewidth=1.2, label="decision of the network")
    v_s, v_c, b = run.arrays["lda"][seed]
    axes.plot(line, -(v_s * line + b) / v_c, "--", color=style.G, label="LDA of the sample")
    points, labels = run.arrays["point"][seed], run.arrays["label"][seed]
    for sign, color, marker, name in (
        (1, style.POSITIVE, "o", "$y = 1$"),
        (-1, style.BOTH, "^", "$y = -1$"),
    ):
        x, y = points[np.sign(labels) == sign].T
        axes.plot(x, y, marker, color=color, markersize=1.6, alpha=0.6, linewidth=0, label=name)
    axes.set(xlim=(-reach[0], reach[0]), ylim=(-reach[1], reach[1]))
    return image


def _nearest(run: Run, tau: float) -> int:
    return int(np.argmin(np.abs(np.log(run.coords["tau"]) - np.log(tau))))


def _several(
    results: StemResults, study: str, labels: tuple[str, ...], seeds: int = 3
) -> dict[str, Run]:
    """Runs by label; Absent where one of them is not there with that many seeds."""
    found = {label: run for label in labels if (run := results.get((study, label))) is not None}
    if len(found) < len(labels) or any(len(run.seeds) < seeds for run in found.values()):
        raise Absent(f"scale {results.scale} has not all of {study} {', '.join(labels)}")
    return found
