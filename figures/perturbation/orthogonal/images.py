"""Learning from perturbed images: what they look like, and what is learnt from them."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from twolayer.figures.engine import style
from twolayer.figures.engine.registry import Absent
from twolayer.sims.engine.results import Run, StemResults
from twolayer.sims.perturbation.orthogonal import published

_NORM_NAMES = {"l2": "L2", "linf": r"L$\infty$", "l0": "L0", "none": "none"}
_BASE_NAMES = {
    "random": "images, random targets",
    "deterministic": "images, next class",
    "noise": "noise, random targets",
}
_COLORS = {"l2": style.F, "linf": style.G, "l0": style.BOTH, "none": style.PUBLISHED}


@style.styled()
def pictures(results: StemResults, dataset: str) -> Figure:
    """Sample, perturbation and their sum, for each attack: images above, noise below."""
    runs = [run for run in results.values() if run.study == "images"]
    runs = [run for run in runs if run.config.dataset == dataset]
    if not runs:
        raise Absent(f"scale {results.scale} has no images of {dataset}")
    # The run with most attacks on images themselves.
    run = max(runs, key=lambda run: ("random" in run.coords["base"], len(run.coords["norm"])))
    bases = [base for base in ("random", "noise") if base in run.coords["base"]]
    norms = [norm for norm in run.coords["norm"] if norm != "none"]
    columns = [(norm, i) for norm in norms for i in range(2 if len(norms) > 1 else 4)]
    side = style.DOUBLE / max(6, len(columns))
    figure = style.figure(side * len(columns), 0.8 + 3 * len(bases) * (side - 0.25))
    grid = figure.subplots(3 * len(bases), len(columns), squeeze=False)
    for block, base in enumerate(bases):
        rows = grid[3 * block : 3 * block + 3]
        for column, (norm, example) in zip(rows.T, columns, strict=True):
            _triple(column, run, base, norm, example)
        for axes, name in zip(rows[:, 0], ("sample", "perturbation", "sum"), strict=True):
            axes.set_ylabel(name if base != "noise" else f"{name} (noise)", fontsize=7)
    for axes, (norm, _) in zip(grid[0], columns, strict=True):
        axes.set_title(f"{_NORM_NAMES[norm]}\n{axes.get_title()}", fontsize=7)
    figure.supxlabel(f"{run.config.dataset}; true class $\\to$ target of the attack", fontsize=8)
    return figure


def _triple(column: np.ndarray, run: Run, base: str, norm: str, example: int) -> None:
    b, n = run.coords["base"].index(base), run.coords["norm"].index(norm)
    before = run.arrays["example"][0, b, example, :, :, 0]
    after = run.arrays["example_perturbed"][0, b, n, example, :, :, 0]
    moved = after - before
    largest = max(float(np.abs(moved).max()), 1e-12)
    for axes, values, (low, high), colors in zip(
        column,
        (before, moved, after),
        ((0, 1), (-largest, largest), (0, 1)),
        ("gray", "RdBu_r", "gray"),
        strict=True,
    ):
        axes.imshow(values, cmap=colors, vmin=low, vmax=high, interpolation="nearest")
        axes.set(xticks=[], yticks=[])
        for side in axes.spines.values():
            side.set_visible(True)
    target = int(run.arrays["example_target"][0, b, example])
    label = "noise" if base == "noise" else str(int(run.arrays["example_label"][0, example]))
    column[0].set_title(rf"{label} $\to$ {target}", fontsize=7)
    column[1].set_xlabel(f"max {largest:.2f}", fontsize=6, labelpad=1)


@style.styled()
def accuracy(results: StemResults) -> Figure:
    """Test accuracy on untouched images after training on perturbed ones, a panel a data set."""
    runs = [run for run in results.values() if run.study == "images"]
    sets = list(dict.fromkeys(run.config.dataset for run in runs))
    if not sets:
        raise Absent(f"scale {results.scale} has no images")
    figure = style.figure(style.DOUBLE, 2.9)
    panels = figure.subplots(1, len(sets), sharey=True, squeeze=False)[0]
    for axes, dataset in zip(panels, sets, strict=True):
        _bars(axes, [run for run in runs if run.config.dataset == dataset])
        axes.set_title(dataset)
    panels[0].set_ylabel("accuracy on clean test images")
    handles: dict = {}
    for axes in panels:
        handles |= dict(zip(*axes.get_legend_handles_labels()[::-1], strict=True))
    figure.legend(list(handles.values()), list(handles), loc="outside upper center", ncols=4)
    return figure


def _bars(axes: Axes, runs: list[Run]) -> None:
    """Final accuracies with their seeds, the best epoch, and the published best epoch."""
    bases = list(dict.fromkeys(base for run in runs for base in run.coords["base"]))
    norms = list(dict.fromkeys(norm for run in runs for norm in run.coords["norm"]))
    breadth = min(0.2, 0.8 / len(norms))
    for run in runs:
        for b, base in enumerate(run.coords["base"]):
            for n, norm in enumerate(run.coords["norm"]):
                place = bases.index(base) + (norms.index(norm) - (len(norms) - 1) / 2) * breadth
                epochs = run.arrays["acc"][:, b, n]
                name = _NORM_NAMES[norm] if norm != "none" else "no perturbation"
                axes.bar(
                    place, epochs[:, -1].mean(), 0.9 * breadth, color=_COLORS[norm], label=name
                )
                axes.plot(
                    np.full(len(epochs), place), epochs[:, -1], ".", color="black", markersize=2
                )
                best = epochs.max(axis=1).mean()
                axes.plot(place, best, "_", color="black", markersize=7, label="best epoch")
                shown = published.IMAGES.get((run.config.dataset, base, norm))
                if shown is not None:
                    axes.plot(
                        place, shown, "s", color=style.PUBLISHED, markersize=5,
                        markeredgecolor="white", label="published, full setting [fig]",
                    )  # fmt: skip
    standard = np.mean([run.arrays["standard_acc"][:, -1].mean() for run in runs])
    axes.axhline(standard, color=style.THEORY, linewidth=0.8, label="standard training")
    axes.axhline(0.1, color=style.THEORY, linestyle=":", linewidth=0.8, label="chance")
    names = [_BASE_NAMES[base].replace(", ", ",\n") for base in bases]
    axes.set_xticks(range(len(bases)), names)
    axes.set(ylim=(0, 1.02), xlabel="what is perturbed, towards which targets")
    axes.set_xlim(-0.6, len(bases) - 0.4)
