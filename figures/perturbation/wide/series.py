"""The cells of the study ``sweep`` as curves: points along an axis, one value a seed at each."""

from __future__ import annotations

import dataclasses

import numpy as np

from twolayer.figures.engine.registry import Absent
from twolayer.sims.engine.results import Run, StemResults


@dataclasses.dataclass(frozen=True)
class Axis:
    """One sweep: its config field, how it is written, and the axis of the results it may be."""

    field: str
    symbol: str
    title: str
    dim: str | None = None
    log: bool = True


AXES = {
    "d": Axis("d", "$d$", "dimension $d$"),
    "width": Axis("width", "$m$", "width $m$"),
    "gamma": Axis("gamma", r"$\gamma$", r"slope $\gamma$", log=False),
    "n": Axis("n", "$N$", "samples $N$"),
    "eps": Axis("eps", r"$\varepsilon$", r"length $\varepsilon$", dim="eps", log=False),
    "epochs_f": Axis("epochs_f", "$T_f$", "training of $f$, $T_f$ [epochs]", dim="epoch_f"),
    "epochs_g": Axis("epochs_g", "$T_g$", "training of $g$, $T_g$ [epochs]", dim="epoch_g"),
    "logistic-d": Axis("d", "$d$, logistic", "dimension $d$, logistic loss"),
    "logistic-eps": Axis(
        "eps", r"$\varepsilon$, logistic", r"length $\varepsilon$, logistic", dim="eps", log=False
    ),
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

    Empty where the scale has no such sweep. All points have the same seeds, the first of each, as
    the labels drawn decide much: a base point with more seeds would be another population.
    ``n = 0``, all images, is placed beyond the largest size.
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
        seeds = min(len(point.run.seeds) for point in found)
        start = dataclasses.replace(start, run=_first_seeds(start.run, seeds))
        found.append(dataclasses.replace(start, x=getattr(start.run.config, axis.field)))
    if name == "n":
        beyond = 2 * max((point.x for point in found), default=0)
        found = [dataclasses.replace(point, x=point.x or beyond) for point in found]
    return sorted(found, key=lambda point: point.x)


def _first_seeds(run: Run, count: int) -> Run:
    return dataclasses.replace(
        run,
        seeds=run.seeds[:count],
        arrays={name: array[:count] for name, array in run.arrays.items()},
        sidecars=run.sidecars[:count],
    )
