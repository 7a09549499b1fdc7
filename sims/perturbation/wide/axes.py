"""Settings along the axes of a sweep."""

from __future__ import annotations

import dataclasses
from typing import Any

from twolayer.sims.perturbation.wide.sweep import Config
from twolayer.sims.perturbation.wide.width import WidthConfig

BASE = "base"
Sweeps = dict[str, tuple[Config, int]]


def sweep_cells(name: str, base: Config, seeds: int, axes: dict[str, dict[str, Config]]) -> Sweeps:
    """Cells of one setting: its base point and, for each axis, the configs along it."""
    cells = {f"{name}/{BASE}": (base, seeds)}
    for axis, points in axes.items():
        cells |= {f"{name}/{axis}{point}": (config, seeds) for point, config in points.items()}
    return cells


def along(base: Config, field: str, values: tuple, **with_it: Any) -> dict[str, Config]:
    """One config a value of a field; ``with_it`` are functions of the value for other fields."""
    return {
        f"={value}": dataclasses.replace(
            base, **{field: value}, **{other: rule(value) for other, rule in with_it.items()}
        )
        for value in values
        if value != getattr(base, field)
    }


def inside(base: Config, **axis: Any) -> dict[str, Config]:
    """One config that holds a whole axis."""
    return {"": dataclasses.replace(base, **axis)}


def width_cells(widths: tuple[int, ...], inits: int) -> dict[str, tuple[WidthConfig, int]]:
    return {f"m={m}": (WidthConfig(width=m, inits=inits), 5) for m in widths}
