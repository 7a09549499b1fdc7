"""What the figures of cues share: one colour a cue, names of networks, runs by label."""

from __future__ import annotations

from figures import style
from figures.catalogue import Absent
from sims.experiment import Run, StemResults

COLORS = dict(zip(("colour", "shape", "scale", "orientation"), style.CYCLE, strict=False))
NETS = {"mlp": "perceptron", "conv": "convolutional"}


def named(name: str) -> str:
    """A label's network in words: ``mlp, 32 x 32`` becomes ``perceptron, 32 x 32``."""
    net, comma, rest = name.partition(",")
    return NETS.get(net, net) + comma + rest


def height(rows: int, each: float) -> float:
    """Inches for rows of panels and a legend; rows are lower where a page would not hold them."""
    return 0.5 + min(each * rows, style.TEXT_HEIGHT - 0.5)


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
