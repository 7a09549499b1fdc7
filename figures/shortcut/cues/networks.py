"""Which cue networks use, over training and at its end, and what controls do to that."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from twolayer.figures.engine import style
from twolayer.figures.shortcut.cues.style import COLORS, grouped, height, legend, named
from twolayer.sims.engine.results import Run, StemResults
from twolayer.sims.shortcut.cues.claims.preference import abundance
from twolayer.sims.shortcut.cues.examples import description_lengths
from twolayer.sims.shortcut.cues.images import LEVELS
from twolayer.theory.shortcut.cues import accuracy as cues

_KINDS = {"colour": "colour images", "grey": "grey images", "shuffled": "shuffled labels"}


@style.styled()
def preference(results: StemResults) -> Figure:
    """Accuracies off the diagonal, a bar a cue; and how they come about. A row a network."""
    nets = grouped(results, "preference")
    figure = style.figure(style.DOUBLE, height(len(nets), 1.75))
    grid = figure.subplots(
        len(nets), 2, squeeze=False, width_ratios=(1.6, 1), sharey=True, sharex="col"
    )
    for row, (name, runs) in enumerate(nets.items()):
        bars, path = grid[row]
        _bars(bars, runs)
        bars.set_title(f"{named(name)}: end of training")
        bars.set_ylabel("accuracy off the diagonal")
        _training(path, runs["colour"])
        path.set_title(f"{named(name)}: colour images")
    grid[-1, 0].set_xlabel("training set")
    grid[-1, 1].set_xlabel("epoch")
    legend(figure)
    return figure


def _bars(axes: Axes, runs: dict[str, Run]) -> None:
    kinds = [kind for kind in _KINDS if kind in runs]
    for place, kind in enumerate(kinds):
        accuracy = runs[kind].arrays["accuracy"][:, -1]
        names = runs[kind].coords["cue"]
        for number, cue in enumerate(names):
            x = place + (number - (len(names) - 1) / 2) * 0.8 / len(names)
            axes.bar(
                x,
                accuracy[:, number].mean(),
                0.72 / len(names),
                color=COLORS[cue],
                alpha=0.75,
                label=f"label of {cue}",
            )
            seeds = np.linspace(-0.24, 0.24, len(accuracy)) / len(names)
            axes.plot(x + seeds, accuracy[:, number], ".", color="black", markersize=1.5)
    _references(axes, len(runs[kinds[0]].coords["cue"]))
    axes.set_xticks(range(len(kinds)), [_KINDS[kind] for kind in kinds])
    axes.set_ylim(0, 1.05)


def _training(axes: Axes, run: Run) -> None:
    epochs = np.array(run.coords["epoch"])
    accuracy = run.arrays["accuracy"]
    for number, cue in enumerate(run.coords["cue"]):
        style.spread(axes, epochs, list(accuracy[:, :, number].T), COLORS[cue])
        axes.plot(epochs, accuracy[:, :, number].mean(axis=0), color=COLORS[cue])
    _references(axes, len(run.coords["cue"]))


def _references(axes: Axes, num_cues: int) -> None:
    axes.axhline(
        cues.cue_baseline(num_cues, LEVELS),
        color=style.THEORY,
        linestyle="--",
        linewidth=0.8,
        label="another cue alone is used",
    )
    axes.axhline(1 / LEVELS, color=style.PUBLISHED, linestyle=":", linewidth=0.9, label="chance")


@style.styled()
def abundance_and_length(results: StemResults) -> Figure:
    """Share of random starts that end with each cue; bytes that describe each cue's images."""
    nets = grouped(results, "preference")
    examples = next(iter(grouped(results, "example").values()))[""]
    figure = style.figure(style.DOUBLE, 2.1 if len(nets) < 3 else 2.8)
    left, right = figure.subplots(1, 2, width_ratios=(2.2, 1))
    ticks: list[str] = []
    for name, runs in nets.items():
        for kind in ("colour", "grey"):
            if kind not in runs:
                continue
            names = runs[kind].coords["cue"]
            for number, cue in enumerate(names):
                share, low, high = abundance(runs[kind], number)
                x = len(ticks) + (number - (len(names) - 1) / 2) * 0.8 / len(names)
                label = cue if kind == "colour" else None
                left.bar(x, share, 0.72 / len(names), color=COLORS[cue], alpha=0.75, label=label)
                left.errorbar(
                    x,
                    share,
                    [[share - low], [high - share]],
                    color="black",
                    linewidth=0.8,
                    capsize=1.5,
                )
            ticks.append(f"{named(name)},\n{kind}, {len(runs[kind].seeds)}")
    if len(ticks) > 4:
        words = [tick.replace("\n", " ") for tick in ticks]
        left.set_xticks(range(len(ticks)), words, fontsize=6, rotation=35, ha="right")
    else:
        left.set_xticks(range(len(ticks)), ticks, fontsize=6)
    left.set(
        ylabel="share of random starts", ylim=(0, 1.05), xlabel="network, images, number of starts"
    )
    names = examples.coords["cue"]
    lengths = description_lengths(examples)
    for number, cue in enumerate(names):
        right.bar(number, lengths[number], 0.7, color=COLORS[cue], alpha=0.75)
    right.set_xticks(range(len(names)), names)
    right.set(ylabel="bytes (zlib)", xlabel="cue that varies")
    legend(figure)
    return figure
