"""The figures of the calibration stem, from made-up results."""

import functools

import numpy as np
import pytest

from tests.figures import figure_checks
from tests.figures.figure_checks import check, legend
from twolayer.figures.mixup.calibration import captions as figures
from twolayer.sims.mixup.calibration.experiment import EXPERIMENT


@functools.cache
def made_up(scale):
    def adjust(study, coords, arrays):
        if study == "population" and arrays is not None:
            arrays["growth"] = np.sort(arrays["growth"], axis=-1)

    return figure_checks.made_up(EXPERIMENT, scale, adjust)


@pytest.mark.parametrize("scale", ["default", "paper"])
@pytest.mark.parametrize("name", figures.FIGURES)
def test_figures(name, scale):
    check(figures.FIGURES[name](made_up(scale)))


def test_smoke_draws_what_it_has_cells_for():
    drawn = figure_checks.drawn(figures, made_up("smoke"))
    assert drawn == ["ts-vs-mixup", "posterior", "growth", "midpoint"]


def test_without_fashion_there_is_one_row():
    results = made_up("default")
    kept = {key: run for key, run in results.items() if "fashion" not in key[1]}
    figure = figures.FIGURES["digits"](type(results)(results.stem, "default", kept))
    check(figure)
    assert len(figure.axes) == 3 and len(figures.FIGURES["digits"](results).axes) == 6


def test_both_fits_and_the_samples_are_named():
    words = legend(figures.FIGURES["gauss"](made_up("default")))
    assert {"no temperature", "fit that stops early", "exact fit", "true posterior"} <= set(words)
    words = legend(figures.FIGURES["ts-vs-mixup"](made_up("default")))
    assert {"sample, k = 10 (mean, range)", "sample, k = 50 (mean, range)"} <= set(words)


def test_bars_are_means_and_whiskers_the_range():
    results = made_up("default")
    values = results["gauss", "mu=0.05"].arrays["nll_raw"]
    figure = figures.FIGURES["gauss"](results)
    panel = next(axes for axes in figure.axes if "0.05" in axes.get_title())
    bars = panel.containers[0]
    np.testing.assert_allclose([bar.get_height() for bar in bars], values.mean(axis=0))
    segments = np.array(panel.collections[0].get_segments())
    np.testing.assert_allclose(segments[:, :, 1], np.stack([values.min(0), values.max(0)], axis=1))


def test_every_figure_has_a_caption():
    assert list(figures.FIGURES) == list(figures.CAPTIONS)
