"""Names and colours of kernels and architectures, and grids drawn on common axes."""

from __future__ import annotations

import numpy as np

from twolayer.figures.engine import style
from twolayer.sims.engine.results import Run

KERNELS = {
    "linear": ("linear", style.CYCLE[0], "-"),
    "relu": ("ReLU, no bias", style.CYCLE[5], "--"),
    "relu-bias": (r"ReLU, $\beta$ = 1", style.CYCLE[1], "-"),
    "relu-2": ("ReLU, 2 hidden layers", style.CYCLE[2], "-"),
    "relu-3": ("ReLU, 3 hidden layers", style.CYCLE[4], "-"),
    "erf": ("erf, no bias", style.CYCLE[3], "--"),
    "erf-bias": (r"erf, $\beta$ = 1", style.CYCLE[3], "-"),
}
ARCHITECTURES = {
    "linear": ("linear", style.CYCLE[0]),
    "linear/converged": ("linear, 3000 steps", style.CYCLE[0]),
    "linear-1": ("linear, 1 hidden", style.CYCLE[5]),
    "relu-1": ("ReLU, 1 hidden", style.CYCLE[1]),
    "relu-2": ("ReLU, 2 hidden", style.CYCLE[1]),
    "relu-3": ("ReLU, 3 hidden", style.CYCLE[1]),
    "tanh-1": ("tanh, 1 hidden", style.CYCLE[2]),
    "tanh-2": ("tanh, 2 hidden", style.CYCLE[2]),
    "tanh-3": ("tanh, 3 hidden", style.CYCLE[2]),
}


def on_grid(run: Run, values: np.ndarray, rhos: list[float], ratios: list[float]) -> np.ndarray:
    """Values (rho, ratio) of a run on a larger grid; NaN where it has none."""
    grid = np.full((len(rhos), len(ratios)), np.nan)
    for i, rho in enumerate(run.coords["rho"]):
        for j, ratio in enumerate(run.coords["ratio"]):
            grid[rhos.index(rho), ratios.index(ratio)] = values[i, j]
    return grid


def union(runs: list[Run], name: str) -> list[float]:
    """All values along an axis of any of the runs, in order."""
    return sorted({value for run in runs for value in run.coords[name]})
