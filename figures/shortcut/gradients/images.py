"""Images of two blocks: gradients as pictures, leakage into the block without a label, DiffROAR."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from scipy import stats

from twolayer.figures.engine import style
from twolayer.figures.engine.registry import Absent
from twolayer.sims.engine.results import Run, StemResults

_SIGNED = Normalize(-1, 1)
_COLORS = "RdBu_r"
_ATTACKS = {"none": "usual training", "l2": r"robust, $\ell_2$", "linf": r"robust, $\ell_\infty$"}
_ATTACK_COLORS = {"none": style.F, "l2": style.G, "linf": style.BOTH}
_WIDE = 8  # pictures side by side


@style.styled()
def pictures(results: StemResults) -> Figure:
    """Test images of one seed in columns; below each its gradients, a row a training."""
    groups = [
        (name, runs)
        for name, runs in _variants(results).items()
        if {"none", "l2"} <= set(runs) and len(runs["none"].config.classes) > 2
        and "permuted" not in name
    ]  # fmt: skip
    if not groups:
        raise Absent(f"scale {results.scale} has no block images of several trainings")
    stored = min(runs["none"].config.pictures for _, runs in groups)
    each = min(stored, max(1, _WIDE // len(groups)))
    attacks = [attack for attack in _ATTACKS if any(attack in runs for _, runs in groups)]
    figure = style.figure(style.DOUBLE, 1.4 * (1 + len(attacks)) + 0.7)
    grid = figure.subplots(1 + len(attacks), each * len(groups), squeeze=False)
    for axes in grid.ravel():
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set(visible=True, color="0.6", linewidth=0.4)
    for group, (name, runs) in enumerate(groups):
        for i in range(each):
            column = grid[:, group * each + i]
            first = runs["none"].arrays
            column[0].imshow(first["picture"][0, i], cmap="gray", vmin=0, vmax=1)
            _frame(column[0], first["on_top"][0, i], first["picture"].shape[-1])
            if i == 0:
                column[0].set_title(
                    name.replace("/glyph", "").replace("/", ", "), loc="left", fontsize=7
                )
            for axes, attack in zip(column[1:], attacks, strict=True):
                if attack in runs:
                    g = runs[attack].arrays["gradient"][0, i]
                    axes.imshow(g / np.abs(g).max(), cmap=_COLORS, norm=_SIGNED)
                    _frame(axes, first["on_top"][0, i], g.shape[-1])
                else:
                    axes.remove()
    for axes, words in zip(
        grid[:, 0], ("image", *(_ATTACKS[attack] for attack in attacks)), strict=True
    ):
        axes.set_ylabel(words)
    figure.supxlabel("test images, pixels", fontsize=8)
    figure.colorbar(
        ScalarMappable(_SIGNED, _COLORS),
        ax=figure.axes,
        label="derivative of the winning logit by the pixel, over the largest of the image",
        shrink=0.6,
        pad=0.02,
    )
    handle = Line2D([], [], color=style.NEGATIVE, linewidth=1.4, label="block with the label")
    figure.legend(handles=[handle], loc="outside upper center")
    return figure


def _frame(axes: Axes, on_top: float, side: int) -> None:
    corner = (-0.5, -0.5 if on_top > 0.5 else side - 0.5)
    axes.add_patch(
        Rectangle(corner, side, side, fill=False, edgecolor=style.NEGATIVE, linewidth=1.4)
    )


@style.styled()
def leakage(results: StemResults) -> Figure:
    """Size of gradients in the block without a label over that in the other: bars of means."""
    groups = _variants(results)
    if not groups:
        raise Absent(f"scale {results.scale} has no block images")
    figure = style.figure(style.DOUBLE, 2.7)
    axes = figure.subplots()
    for place, runs in enumerate(groups.values()):
        for number, attack in enumerate(_ATTACKS):
            if attack not in runs:
                continue
            values = runs[attack].arrays["leakage"]
            at = place + 0.26 * (number - 1)
            axes.bar(
                at,
                values.mean(),
                0.24,
                yerr=stats.sem(values),
                color=_ATTACK_COLORS[attack],
                alpha=0.75,
                error_kw={"linewidth": 0.8},
            )
            axes.plot(np.full(len(values), at), values, ".", color="black", markersize=2)
    handles: list = [
        Rectangle((0, 0), 1, 1, color=_ATTACK_COLORS[attack], alpha=0.75, label=words)
        for attack, words in _ATTACKS.items()
    ]
    handles.append(Line2D([], [], linestyle="", marker=".", color="black", label="seeds"))
    handles.append(
        axes.axhline(
            1.0, color=style.THEORY, linestyle="--", linewidth=0.8, label="blocks not told apart"
        )
    )
    axes.set_xticks(range(len(groups)), [name.replace("/", "\n") for name in groups])
    axes.set(
        xlabel="images: null block, position of the block with the label",
        ylabel="mean $|$gradient$|$:\nnull block over block with the label",
    )
    figure.legend(handles=handles, loc="outside upper center", ncols=5)
    return figure


@style.styled()
def diffroar(results: StemResults) -> Figure:
    """DiffROAR against the share of pixels kept, with a random ranking; and what is kept."""
    runs = [run for run in results.values() if run.study == "roar" and len(run.seeds) >= 3]
    if not runs:
        raise Absent(f"scale {results.scale} has too few retrainings")
    order = list(_ATTACKS)
    runs.sort(
        key=lambda run: (run.config.attribution, run.config.null, order.index(run.config.attack))
    )
    figure = style.figure(style.DOUBLE, 2.7)
    left, right = figure.subplots(1, 2)
    for run in runs:
        color, line, words = _look(run)
        ks = np.array(run.coords["k"])
        for axes, name, factor in ((left, "diffroar", 1), (right, "signal_share", 100)):
            values = factor * run.arrays[name]
            axes.errorbar(
                ks,
                values.mean(axis=0),
                stats.sem(values),
                fmt=line,
                marker="o",
                color=color,
                capsize=2,
                label=words if axes is left else None,
            )
            shifts = np.broadcast_to(ks, values.shape)
            axes.plot(shifts.ravel(), values.ravel(), ".", color=color, alpha=0.35, markersize=2)
    left.axhline(0, color=style.THEORY, linewidth=0.7)
    right.axhline(50, color=style.THEORY, linewidth=0.7)
    left.set(
        xlabel="share $k$ of the pixels kept", ylabel="DiffROAR($k$), difference of accuracies"
    )
    right.set(
        xlabel="share $k$ of the pixels kept",
        ylabel="top pixels in the block\nwith the label, %",
        ylim=(40, 103),
    )
    figure.legend(*left.get_legend_handles_labels(), loc="outside upper center", ncols=3)
    return figure


def _look(run: Run) -> tuple[str, str, str]:
    if run.config.attribution == "random":
        return style.PUBLISHED, "--", "random ranking (control)"
    color, words = _ATTACK_COLORS[run.config.attack], _ATTACKS[run.config.attack]
    return (
        (color, ":", f"{words}, glyph inset") if run.config.null == "inset" else (color, "-", words)
    )


def _variants(results: StemResults) -> dict[str, dict[str, Run]]:
    """Runs by kind of image, then by attack."""
    found: dict[str, dict[str, Run]] = {}
    for run in results.values():
        if run.study == "images":
            found.setdefault(run.label.rsplit("/", 1)[0], {})[run.config.attack] = run
    # Those of scikit-learn first.
    order = sorted(found, key=lambda name: name.startswith("fashion"))
    return {name: found[name] for name in order}
