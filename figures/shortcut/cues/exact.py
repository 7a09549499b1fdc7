"""The images of cues by their levels, and kernel machines against the vote beside networks."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from twolayer.figures.engine import style
from twolayer.figures.shortcut.cues.style import COLORS, grouped, legend
from twolayer.sims.engine.results import StemResults
from twolayer.sims.shortcut.cues.images import COLOURS, LEVELS

_SHAPES = ("square", "disc", "triangle")
_MARKERS = ("o", "s", "^", "v", "D")


@style.styled()
def examples(results: StemResults) -> Figure:
    """An image of every combination of three cues; the diagonal is framed."""
    run = next(iter(grouped(results, "example").values()))[""]
    levels, image = run.arrays["levels"][0], run.arrays["image"][0]
    figure = style.figure(style.DOUBLE, 2.75)
    grid = figure.subplots(LEVELS, LEVELS**2)
    for cell, x in zip(levels, image, strict=True):
        if cell[3:].any():
            continue
        colour, shape, scale = cell[:3]
        axes = grid[shape, LEVELS * colour + scale]
        axes.imshow(x.astype(np.uint8), interpolation="nearest")
        axes.set(xticks=[], yticks=[])
        framed = colour == shape == scale
        for side in axes.spines.values():
            side.set(visible=framed, edgecolor=style.NEGATIVE, linewidth=2)
        if framed:
            axes.set_title(f"label {colour}", fontsize=7, pad=3)
    for column, axes in enumerate(grid[-1]):
        colour, scale = divmod(column, LEVELS)
        radius = (2 + scale) * run.config.size // 16
        axes.set_xlabel(f"{COLOURS[colour]},\n$s$ = {radius} px", fontsize=7)
    for row, axes in enumerate(grid[:, 0]):
        axes.set_ylabel(_SHAPES[row], fontsize=7)
    figure.supxlabel("colour and scale", fontsize=8)
    figure.supylabel("shape", fontsize=8)
    return figure


@style.styled()
def machines(results: StemResults) -> Figure:
    """Accuracy for each cue as the first one's availability grows: vote, kernels, networks."""
    run = next(iter(grouped(results, "machine").values()))[""]
    first = np.array(run.coords["first"])
    figure = style.figure(style.DOUBLE, 2.2)
    panels = figure.subplots(1, len(run.coords["cue"]), sharey=True)
    vote, kernels, network = (run.arrays[name] for name in ("vote", "kernel", "network"))
    for number, (axes, cue) in enumerate(zip(panels, run.coords["cue"], strict=True)):
        axes.step(
            first, vote[0, :, number], where="mid", color=style.THEORY, label="vote (theorem)"
        )
        for place, kernel in enumerate(run.coords["kernel"]):
            some = slice(place, None, len(_MARKERS))
            axes.plot(
                first[some],
                kernels[0, place, some, number],
                _MARKERS[place],
                markerfacecolor="none",
                color=style.BOTH,
                label=kernel,
            )
        style.spread(axes, first, list(network[:, :, number].T), COLORS[cue])
        axes.plot(first, network[:, :, number].mean(axis=0), color=COLORS[cue])
        axes.set_title(f"label of cue {number + 1}")
        axes.set_xscale("log", base=2)
        axes.set_xlabel(r"availability $\alpha_1$")
        axes.set_ylim(-0.03, 1.05)
    panels[0].plot([], [], color="0.4", label="networks (range over seeds)")
    panels[0].set_ylabel("accuracy off the diagonal")
    legend(figure, columns=4)
    return figure
