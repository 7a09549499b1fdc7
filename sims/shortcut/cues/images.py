r"""Images made of cues: a shape in one colour at one size, anywhere on black.

Each cue has three levels: the colour channel; a square, a disc or a triangle of equal areas
:math:`\pi s^2`, so that area tells the size alone; and the size :math:`s \in \{2, 3, 4\}` pixels on
images of 16 x 16, twice as many on 32 x 32. A fourth cue, if there is one, turns the shape by 0, 30
or 60 degrees. A disc does not show that, so an ellipse stands in for it then.

Source: colour, shape and scale on 16 x 16 pixels [measured] in the shortcut specification, in the
manner of the coloured sprites of Scimeca et al., ICLR 2022 [paper]. Its triangle (height 1.8 s,
base 2.2 s) has two thirds of the area that it asks for; ours has height 2.4 s.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jax import Array

from twolayer.theory import validation

CUES = ("colour", "shape", "scale", "orientation")
COLOURS = ("red", "green", "blue")
LEVELS = 3
# Angles that no symmetry of the square, the triangle or the ellipse confuses.
_DEGREES = (0.0, 30.0, 60.0)
_SIDE = math.sqrt(math.pi)
_HEIGHT = 2.4
_BASE = 2 * math.pi / _HEIGHT
# Ratio of the half axes of the ellipse.
_ASPECT = 2.0
# Distance of centres from the border in shares of the size: shapes that are turned reach further.
_MARGIN = {3: 5 / 16, 4: 13 / 32}


def wcst_images(
    key: Array,
    cells: Array,
    n: int,
    size: int = 16,
    *,
    grey: bool | Array = False,
) -> tuple[Array, Array]:
    """Images of some cells, as many of each, at random places.

    Args:
      key: of the places.
      cells: levels of colour, shape and scale, and perhaps orientation: integers in {0, 1, 2}.
      n: number of images; cells take turns.
      size: 16 or 32 pixels a side.
      grey: all channels alike, of the same norm: colour cannot be seen. It may be traced.

    Returns:
      X in [0, 1], float32, shape ``(n, size, size, 3)``, and the levels, shape ``(n, k)``.

    Raises:
      ValueError: for another size, number of cues or level.
    """
    cells = jnp.asarray(cells)
    count = validation.integer("n", n)
    if size not in (16, 32):
        raise ValueError(f"size must be 16 or 32; got {size}.")
    if cells.ndim != 2 or cells.shape[0] == 0 or cells.shape[1] not in _MARGIN:
        raise ValueError(f"cells must be levels (c, 3) or (c, 4); got shape {cells.shape}.")
    if not validation.holds(lambda known: (known >= 0) & (known < LEVELS), cells):
        raise ValueError(f"cells must hold levels in {{0, 1, 2}}; got {cells!r:.80}.")
    levels = cells[jnp.arange(count) % cells.shape[0]]
    return draw(levels, centres(key, levels, size), size, grey=grey), levels


def centres(key: Array, levels: Array, size: int) -> Array:
    """Random places, (row, column) of pixels, at which every shape is on the image."""
    margin = _MARGIN[levels.shape[1]] * size
    shape = (levels.shape[0], 2)
    return jax.random.uniform(key, shape, jnp.float32, margin, size - 1 - margin)


def draw(
    levels: Array,
    places: Array,
    size: int,
    *,
    grey: bool | Array = False,
) -> Array:
    """Images of these levels with shapes centred at these places, in pixels.

    Edges are one pixel wide: coverage falls linearly with the distance from the shape.
    """
    grid = jnp.arange(size, dtype=jnp.float32)
    dy = (grid[None, :] - places[:, :1])[:, :, None]
    dx = (grid[None, :] - places[:, 1:])[:, None, :]
    s = (2.0 + levels[:, 2]).astype(jnp.float32)[:, None, None] * (size / 16)
    turned = levels.shape[1] == 4
    if turned:
        degrees = jnp.asarray(_DEGREES, jnp.float32)[levels[:, 3]][:, None, None]
        cos, sin = jnp.cos(jnp.deg2rad(degrees)), jnp.sin(jnp.deg2rad(degrees))
        dx, dy = cos * dx + sin * dy, cos * dy - sin * dx
    distance = _distance(dx, dy, s, levels[:, 1], turned=turned)
    coverage = jnp.clip(0.5 - distance, 0, 1)
    colour = jax.nn.one_hot(levels[:, 0], LEVELS, dtype=jnp.float32)
    colour = jnp.where(grey, LEVELS**-0.5, colour)
    return coverage[..., None] * colour[:, None, None, :]


def _distance(dx: Array, dy: Array, s: Array, shape: Array, *, turned: bool) -> Array:
    """Signed distance in pixels from the edge of each shape, negative inside; ``(n, h, w)``."""
    dx, dy = jnp.broadcast_arrays(dx, dy)
    square = jnp.maximum(jnp.abs(dx), jnp.abs(dy)) - _SIDE / 2 * s
    if turned:
        a, b = s * math.sqrt(_ASPECT), s / math.sqrt(_ASPECT)
        radius = jnp.sqrt((dx / a) ** 2 + (dy / b) ** 2)
        slope = jnp.sqrt((dx / a**2) ** 2 + (dy / b**2) ** 2)
        round_ = radius * (radius - 1) / jnp.maximum(slope, 1e-6)
    else:
        round_ = jnp.sqrt(dx**2 + dy**2) - s
    # Half planes: below the base, and beyond either leg. What is turned is turned about its centre
    # of mass, and reaches less far; what is not, about the middle of its height.
    above = _HEIGHT * (2 / 3 if turned else 1 / 2)
    side = _HEIGHT * jnp.abs(dx) - _BASE / 2 * (dy + above * s)
    triangle = jnp.maximum(dy - (_HEIGHT - above) * s, side / math.hypot(_BASE / 2, _HEIGHT))
    which = shape[:, None, None]
    return jnp.where(which == 0, square, jnp.where(which == 1, round_, triangle))
