"""The figures of the features stem, from results of made-up numbers."""

import functools

import numpy as np
import pytest

from tests.figures import figure_checks
from tests.figures.figure_checks import check, legend
from twolayer.figures.engine import registry
from twolayer.figures.mixup.features import captions, grids
from twolayer.sims.mixup.features.experiment import EXPERIMENT


@functools.cache
def made_up(scale):
    def adjust(study, coords, arrays):
        # No ratio where a common feature is not learned yet.
        if study == "earlystop" and arrays is not None:
            arrays["ratio"][0, 0] = np.nan

    return figure_checks.made_up(EXPERIMENT, scale, adjust)


@pytest.mark.parametrize("scale", ["default", "paper"])
@pytest.mark.parametrize("name", sorted(captions.FIGURES))
def test_figures_are_drawn(name, scale):
    check(captions.FIGURES[name](made_up(scale)))


def test_smoke_has_no_cells_for_them():
    for draw in captions.FIGURES.values():
        with pytest.raises(registry.Absent, match="scale smoke"):
            draw(made_up("smoke"))


def test_every_figure_has_a_caption():
    assert set(captions.FIGURES) == set(captions.CAPTIONS)
    assert registry.get("mixup.features") is captions


def test_legends_say_what_was_run():
    words = legend(captions.FIGURES["dynamics"](made_up("default")))
    assert {"standard training", "Mixup", "Mixup, random weights"} <= set(words)
    words = legend(captions.FIGURES["sigma0"](made_up("default")))
    assert words[-1].endswith("= 1.33") and words[0].startswith("standard training: slope")
    words = legend(captions.FIGURES["earlystop"](made_up("default")))
    assert "1500 standard steps later" in words


def test_the_numbers_drawn_are_those_of_the_results():
    results = made_up("default")
    figure = captions.FIGURES["lambda"](results)
    shown = [text.get_text().split("\n")[0] for text in figure.axes[0].texts]
    least = results["lambda", "grid"].arrays["ratio"].min(axis=0)
    assert shown == [f"{value:.2f}" for value in least.ravel()]
    line = captions.FIGURES["sigma0"](results).axes[0].lines[1]
    gaps = np.abs(results["sigma0", "grid"].arrays["signal_gap"][:, 1, :, 2:]).min(axis=-1)
    np.testing.assert_allclose(line.get_ydata(), np.exp(np.log(gaps).mean(axis=0)))


def test_edges_enclose_their_values_on_a_logarithmic_axis():
    edges = grids.edges(np.array([1.0, 4.0, 16.0]))
    np.testing.assert_allclose(edges, (0.5, 2.0, 8.0, 32.0))
