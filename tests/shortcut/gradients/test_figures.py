"""The figures of the stem shortcut.gradients, from made-up results."""

import functools

import matplotlib.colors
import numpy as np
import pytest

from tests.figures import figure_checks
from tests.figures.figure_checks import check, legend
from twolayer.figures.engine import registry, style
from twolayer.figures.shortcut.gradients import captions as figures
from twolayer.sims.shortcut.gradients.experiment import EXPERIMENT


@functools.cache
def made_up(scale):
    def adjust(study, coords, arrays):
        if study == "blocks" and arrays is not None:
            points = arrays["place"].shape[1]
            arrays["place"] = np.tile(np.arange(points) % 5, (len(arrays["place"]), 1))
            arrays["gradient"] -= 0.5
        if study == "images" and arrays is not None:
            arrays["gradient"] -= 0.5

    return figure_checks.made_up(EXPERIMENT, scale, adjust)


@pytest.mark.parametrize("scale", ["default", "paper"])
@pytest.mark.parametrize("name", figures.FIGURES)
def test_figures_are_drawn(name, scale):
    check(figures.FIGURES[name](made_up(scale)))


def test_smoke_draws_what_it_has_cells_for():
    assert figure_checks.drawn(figures, made_up("smoke")) == ["maps", "pictures", "leakage"]


def test_every_figure_has_a_caption():
    assert set(figures.FIGURES) == set(figures.CAPTIONS)
    assert registry.get("shortcut.gradients") is figures


def test_maps_show_the_gradients_of_the_trainings():
    results = made_up("default")
    panels = figures.FIGURES["maps"](results).axes
    assert [axes.get_title().split(",")[0] for axes in panels[:3]] == [
        "usual training", "usual training", "robust training",
    ]  # fmt: skip
    run = results["blocks", "robust/init=0.1/eps=0.35"]
    order = np.argsort(run.arrays["place"][0], kind="stable")
    size = np.abs(run.arrays["gradient"][0][order])
    np.testing.assert_allclose(
        panels[2].images[0].get_array(), size / size.max(axis=1, keepdims=True)
    )
    np.testing.assert_array_equal(panels[2].lines[0].get_xdata(), run.arrays["place"][0][order])


def test_margins_show_theory_programmes_and_trainings():
    results = made_up("default")
    axes = figures.FIGURES["margin"](results).axes[0]
    lines = {line.get_label(): line for line in axes.lines}
    closed = lines["any neurons, closed form"]
    np.testing.assert_allclose(closed.get_ydata(), 0.5 / np.sqrt(closed.get_xdata() + 1))
    solved = lines["linear programme"]
    assert solved.get_xdata().tolist() == [1, 2, 3, 5, 10]
    at = results["lp", "m=3"].coords["problem"].index("all")
    assert solved.get_ydata()[2] == results["lp", "m=3"].arrays["value"][0, at]
    trained = lines["trained, init 0.1 (range over seeds)"]
    assert trained.get_xdata().tolist() == [2, 3, 5, 10]
    last = results["blocks", "init=0.1/m=10"].arrays["margin"][:, -1]
    assert trained.get_ydata()[-1] == pytest.approx(last.mean())


def test_diffroar_and_leakage_show_means_and_the_control():
    results = made_up("default")
    figure = figures.FIGURES["diffroar"](results)
    words = legend(figure)
    assert {"usual training", "random ranking (control)"} <= set(words) and len(words) == 4
    run = results["roar", "digits/glyph/random/random ranking"]
    grey = [
        line for line in figure.axes[0].lines
        if matplotlib.colors.to_hex(line.get_color()) == matplotlib.colors.to_hex(style.PUBLISHED)
    ]  # fmt: skip
    np.testing.assert_allclose(grey[0].get_ydata(), run.arrays["diffroar"].mean(axis=0))
    bars = figures.FIGURES["leakage"](results).axes[0].patches
    first = results["images", "digits/glyph/random/standard"].arrays["leakage"].mean()
    assert bars[0].get_height() == pytest.approx(first)
