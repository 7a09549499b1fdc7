"""Examples of the images of cues, their areas, and how long a description each cue needs."""

from __future__ import annotations

import dataclasses
import zlib

import jax.numpy as jnp
import numpy as np
from jax import Array

from twolayer.sims.engine.results import Run
from twolayer.sims.shortcut.cues import images
from twolayer.sims.shortcut.cues.images import CUES, LEVELS
from twolayer.sims.shortcut.cues.networks import Cells
from twolayer.sims.shortcut.cues.preference import check_images
from twolayer.theory import validation

# Places in a row, and in a column, of the images whose description is measured.
_PLACES = 3


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExampleConfig:
    """``copies`` images of every cell, at random places."""

    size: int = 16
    num_cues: int = 3
    copies: int = 32

    def __post_init__(self) -> None:
        check_images("mlp", self.size, self.num_cues)
        validation.integer("copies", self.copies)


_PIXELS = ("row", "column", "channel")
DIMS = {
    "levels": ("cell", "cue"),
    "image": ("cell", *_PIXELS),
    "area": ("cell", "copy"),
    "still": ("cell", "place", *_PIXELS),
}


def coords(config: ExampleConfig) -> dict[str, list]:
    """Values along each axis of the results."""
    return {
        "cell": list(range(LEVELS**config.num_cues)),
        "cue": list(CUES[: config.num_cues]),
        "copy": list(range(config.copies)),
        "place": list(range(_PLACES**2)),
        "row": list(range(config.size)),
        "column": list(range(config.size)),
        "channel": list(range(3)),
    }


def simulate(key: Array, config: ExampleConfig, inputs: dict[str, Array]) -> dict[str, Array]:
    """Images of all cells, in the order of their levels.

    Results, along the axes of :data:`DIMS`, images in 8 bits:

    - ``levels`` of the cells; ``image``: one of each; ``area``: of each copy, in pixels;
    - ``still``: images of each cell at the same places.
    """
    levels = jnp.concatenate(Cells.of(config.num_cues))
    order = jnp.lexsort(levels.T[::-1])
    levels = levels[order]
    number = levels.shape[0]
    x, _ = images.wcst_images(key, levels, number * config.copies, config.size)
    area = jnp.sum(x, axis=(1, 2, 3)).reshape(config.copies, number).T
    step = jnp.asarray([-config.size / 32, 0, config.size / 32], jnp.float32)
    grid = jnp.stack(jnp.meshgrid(step, step), axis=-1).reshape(-1, 2) + (config.size - 1) / 2
    still = images.draw(
        jnp.repeat(levels, grid.shape[0], axis=0), jnp.tile(grid, (number, 1)), config.size
    )
    return {
        "levels": levels,
        "image": _bytes(x[:number]),
        "area": area,
        "still": _bytes(still).reshape(number, grid.shape[0], config.size, config.size, 3),
    }


def description_lengths(run: Run) -> np.ndarray:
    """Bytes that zlib needs for images of one cue at all its levels, the others fixed; by cue.

    The images of all levels are strung together in order at the same places and compressed at
    level 9; the mean is over what the other cues are fixed at. A computable proxy of Kolmogorov
    complexity, not that itself.
    """
    levels, still = run.arrays["levels"][0], run.arrays["still"][0]
    found = []
    for cue in range(levels.shape[1]):
        others = np.delete(levels, cue, axis=1)
        groups = np.unique(others, axis=0)
        lengths = [
            len(zlib.compress(still[(others == group).all(axis=1)].tobytes(), 9))
            for group in groups
        ]
        found.append(np.mean(lengths))
    return np.array(found)


def _bytes(x: Array) -> Array:
    return jnp.round(255 * x).astype(jnp.uint8)
