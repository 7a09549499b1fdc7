"""What the figures of cues share: one colour a cue, names of networks, runs by label."""

from __future__ import annotations

from matplotlib.artist import Artist
from matplotlib.figure import Figure

from twolayer.figures.engine import style
from twolayer.figures.engine.registry import Absent
from twolayer.sims.engine.results import Run, StemResults

COLORS = dict(zip(("colour", "shape", "scale", "orientation"), style.CYCLE, strict=False))
NETS = {"mlp": "perceptron", "conv": "ConvNet"}


def named(name: str) -> str:
    """A label's network in words: ``mlp, 32 x 32`` becomes ``perceptron, 32 x 32``."""
    net, comma, rest = name.partition(",")
    return NETS.get(net, net) + comma + rest


def height(rows: int, each: float) -> float:
    """Inches for rows of panels and a legend; rows are lower where a page would not hold them."""
    return 0.5 + min(each * rows, style.TEXT_HEIGHT - 0.5)


def legend(figure: Figure, columns: int = 6) -> None:
    """One legend above all panels of what any of them shows."""
    found: dict[str, Artist] = {}
    for axes in figure.axes:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    figure.legend(
        list(found.values()),
        list(found),
        loc="outside upper center",
        ncols=min(columns, len(found)),
    )


def grouped(results: StemResults, study: str) -> dict[str, dict[str, Run]]:
    """Runs of a study by what stands before the slash of their labels, then by what stands after.

    Raises:
      Absent: where the scale has none.
    """
    found: dict[str, dict[str, Run]] = {}
    for run in results.values():
        if run.study == study:
            name, _, kind = run.label.partition("/")
            found.setdefault(name, {})[kind] = run
    if not found:
        raise Absent(f"scale {results.scale} has no cells of the study {study}")
    return found
