"""The cells of the study ``sweep`` as curves: points along an axis, one value a seed at each."""

from __future__ import annotations

import dataclasses

import numpy as np

from figures.catalogue import Absent
from sims.experiment import Run, StemResults


@dataclasses.dataclass(frozen=True)
class Axis:
    """One sweep: its config field, its axis label, and the axis of the results that it may be."""

    field: str
    title: str
    dim: str | None = None
    log: bool = True


AXES = {
    "d": Axis("d", "dimension $d$"),
    "width": Axis("width", "width $m$"),
    "gamma": Axis("gamma", r"slope $\gamma$", log=False),
    "n": Axis("n", "samples $N$"),
    "eps": Axis("eps", r"length $\varepsilon$", dim="eps", log=False),
    "epochs_f": Axis("epochs_f", "training time of $f$ [epochs]", dim="epoch_f"),
    "epochs_g": Axis("epochs_g", "training time of $g$ [epochs]", dim="epoch_g"),
    "logistic-d": Axis("d", "dimension $d$, logistic loss"),
    "logistic-eps": Axis("eps", r"length $\varepsilon$, logistic loss", dim="eps", log=False),
}


@dataclasses.dataclass(frozen=True)
class Point:
    """One value of the swept field: a run, and for an axis of its results the index along it."""

    x: float
    run: Run
    index: dict[str, int]
    is_base: bool = False

    def samples(self, name: str, targets: str = "iid") -> np.ndarray:
        """One value a seed, the largest over the rates, as published; NaN where undefined."""
        array = self.run.arrays[name]
        index = {**self.index, "targets": self.run.coords["targets"].index(targets)}
        for position, dim in reversed(list(enumerate(self.run.dims[name]))):
            if dim.startswith("rate"):
                array = np.fmax.reduce(array, axis=position)
            elif dim != "seed":
                array = np.take(array, index.get(dim, 0), axis=position)
        return array

    def differs(self, other: Point) -> bool:
        """Whether the runs were trained for different times."""
        a, b = self.run.config, other.run.config
        return (a.epochs_f, a.epochs_g) != (b.epochs_f, b.epochs_g)


def settings(results: StemResults) -> list[str]:
    """The settings that the scale has, in the order of its table."""
    return list(dict.fromkeys(run.label.split("/")[0] for run in results.runs("sweep")))


def base(results: StemResults, setting: str) -> Point:
    """The base point of a setting; Absent if the scale does not have the setting."""
    run = results.get(("sweep", f"{setting}/base"))
    if run is None:
        raise Absent(f"scale {results.scale} has no cells {setting}")
    return Point(0.0, run, {}, is_base=True)


def points(results: StemResults, setting: str, name: str) -> list[Point]:
    """The points of one sweep in ascending order, the base point among those that are cells.

    Empty where the scale has no such sweep. ``n = 0``, all images, is placed beyond the largest
    size.
    """
    axis = AXES[name]
    found = []
    for run in results.runs("sweep"):
        owner, _, label = run.label.partition("/")
        if owner != setting or label.split("=")[0] != name:
            continue
        if axis.dim:
            values = run.coords[axis.dim]
            found += [Point(x, run, {axis.dim: k}) for k, x in enumerate(values)]
        else:
            found.append(Point(getattr(run.config, axis.field), run, {}))
    if found and not axis.dim and not name.startswith("logistic"):
        start = base(results, setting)
        found.append(dataclasses.replace(start, x=getattr(start.run.config, axis.field)))
    if name == "n":
        beyond = 2 * max((point.x for point in found), default=0)
        found = [dataclasses.replace(point, x=point.x or beyond) for point in found]
    return sorted(found, key=lambda point: point.x)


def holds_all_images(found: list[Point]) -> bool:
    """Whether the last point of a sweep over sizes stands for all images."""
    return bool(found) and found[-1].run.config.n == 0
