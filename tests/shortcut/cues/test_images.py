"""Images made of cues: levels, colours, areas, places, orientation."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from twolayer.sims.shortcut.cues import images as cue_images
from twolayer.theory.shortcut.cues import accuracy

CELLS = {
    k: jnp.concatenate([jnp.asarray(part) for part in accuracy.wcst_cells(k, 3)]) for k in (3, 4)
}


COPIES = 30
draw = jax.jit(cue_images.draw, static_argnums=2)


@functools.partial(jax.jit, static_argnums=(1, 2))
def images(key, k, size, grey=False):
    return cue_images.wcst_images(key, CELLS[k], COPIES * len(CELLS[k]), size, grey=grey)


@pytest.mark.parametrize(("size", "k"), [(16, 3), (32, 3), (32, 4)])
def test_area_tells_the_size_alone(size, k):
    """Equal over shapes and orientations within 10 %, and pi s^2."""
    x, levels = map(np.asarray, images(jax.random.key(0), k, size))
    assert x.dtype == np.float32 and x.shape[1:] == (size, size, 3)
    assert x.min() == 0 and x.max() == 1
    area = x.sum(axis=(1, 2, 3))
    for scale in range(3):
        at_scale = levels[:, 2] == scale
        means = [area[at_scale & (levels[:, 1] == shape)].mean() for shape in range(3)]
        assert max(means) / min(means) < 1.1
        s = (2 + scale) * size / 16
        np.testing.assert_allclose(means, np.pi * s**2, rtol=0.04)
        # No picture is cut off by more than its edge.
        assert area[at_scale].min() > 0.9 * np.pi * s**2


def test_levels_take_turns_and_colour_is_the_channel():
    x, levels = map(np.asarray, images(jax.random.key(1), 3, 16))
    np.testing.assert_array_equal(levels, np.tile(CELLS[3], (COPIES, 1)))
    used = x.sum(axis=(1, 2)) > 0
    np.testing.assert_array_equal(used, np.eye(3, dtype=bool)[levels[:, 0]])
    again, _ = images(jax.random.key(1), 3, 16)
    other, _ = images(jax.random.key(2), 3, 16)
    assert (again == x).all() and not (other == x).all(axis=(1, 2, 3)).any()


def test_grey_images_hide_colour_and_keep_the_norm():
    colour, grey = (np.asarray(images(jax.random.key(2), 3, 16, hidden)[0]) for hidden in (0, 1))
    assert (grey[..., :1] == grey).all()
    norms = [np.linalg.norm(x.reshape(len(x), -1), axis=1) for x in (grey, colour)]
    np.testing.assert_allclose(*norms, rtol=1e-5)


def test_places_are_uniform_in_the_middle_and_shapes_are_there():
    levels = jnp.tile(CELLS[3], (COPIES, 1))
    places = np.asarray(cue_images.centres(jax.random.key(3), levels, 16))
    assert places.min() >= 5 and places.max() <= 10
    np.testing.assert_allclose(places.mean(axis=0), 7.5, atol=0.25)
    x = np.asarray(draw(levels, places, 16)).sum(axis=3)
    disc = np.asarray(levels[:, 1]) == 1
    rows = (x * np.arange(16)[:, None]).sum(axis=(1, 2)) / x.sum(axis=(1, 2))
    np.testing.assert_allclose(rows[disc], places[disc, 0], atol=0.1)


def test_images_of_32_pixels_are_twice_as_large():
    levels = jnp.tile(CELLS[3], (COPIES, 1))
    small, large = (
        np.asarray(draw(levels, np.full((len(levels), 2), middle, np.float32), size))
        for size, middle in ((16, 7.5), (32, 15.5))
    )
    pooled = large.reshape(len(levels), 16, 2, 16, 2, 3).mean(axis=(2, 4))
    # But for edges, which are one pixel wide on either.
    assert np.abs(pooled - small).mean() < 0.01


def test_orientation_is_seen_on_every_shape():
    x = np.asarray(draw(CELLS[4], np.full((81, 2), 15.5, np.float32), 32))
    levels = np.asarray(CELLS[4])
    for shape in range(3):
        largest = [
            x[(levels == (0, shape, 2, turned)).all(axis=1)][0, ..., 0] for turned in range(3)
        ]
        for first, second in ((0, 1), (0, 2), (1, 2)):
            assert np.abs(largest[first] - largest[second]).sum() > 0.1 * largest[0].sum()


@pytest.mark.parametrize(
    ("cells", "n", "size", "words"),
    [
        (np.zeros((1, 3), int), 1, 28, "size must be 16 or 32; got 28"),
        (np.zeros((1, 2), int), 1, 16, "cells must be levels (c, 3) or (c, 4)"),
        (np.full((1, 3), 3), 1, 16, "cells must hold levels in {0, 1, 2}"),
        (np.zeros((1, 3), int), 0, 16, "n must be at least 1; got 0"),
    ],
)
def test_wrong_arguments_are_named(cells, n, size, words, rejects):
    with rejects(words):
        cue_images.wcst_images(jax.random.key(0), cells, n, size)
