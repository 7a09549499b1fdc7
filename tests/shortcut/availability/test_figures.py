"""The figures of the stem shortcut.availability, from smoke results and from made-up ones."""

import functools

import numpy as np
import pytest

from tests.figures import figure_checks
from tests.figures.figure_checks import check, legend
from twolayer.figures.engine.registry import Absent
from twolayer.figures.shortcut.availability import captions as figures
from twolayer.figures.shortcut.availability import maps as availability_maps
from twolayer.sims.shortcut.availability.experiment import EXPERIMENT


@functools.cache
def made_up(scale):
    def adjust(study, coords, arrays):
        if arrays is None:
            return
        if study == "network":
            arrays["surface"] -= 0.5
            arrays["label"][:] = np.sign(arrays["label"] - 0.5)
        if study == "points":
            arrays["switch"][..., :5] = np.nan

    return figure_checks.made_up(EXPERIMENT, scale, adjust)


@pytest.mark.parametrize("name", [name for name in figures.FIGURES if name != "network-map-others"])
def test_figures_of_the_default_scale(name):
    maps = {"network-map", "population-map", "sample-map"}
    check(figures.FIGURES[name](made_up("default")), legend=name not in maps)


@pytest.mark.parametrize("name", figures.FIGURES)
def test_figures_of_the_full_scale(name):
    check(figures.FIGURES[name](made_up("paper")), legend="map" not in name)


def test_maps_of_the_other_networks_need_the_whole_grid():
    with pytest.raises(Absent, match="scale default has not all of network linear-1, relu-2"):
        figures.FIGURES["network-map-others"](made_up("default"))


def test_smoke_leaves_out_what_it_has_no_cells_for():
    assert figure_checks.drawn(figures, made_up("smoke")) == []


def test_every_figure_has_a_caption():
    assert set(figures.FIGURES) == set(figures.CAPTIONS)
    assert "open" in figures.CAPTIONS["phase"] and "open" in figures.CAPTIONS["population-map"]


def test_maps_show_means_where_they_were_measured_and_grey_elsewhere():
    results = made_up("default")
    figure = figures.FIGURES["network-map"](results)
    panels = [axes for axes in figure.axes if axes.images]
    titles = [axes.get_title() for axes in panels]
    assert titles[0] == "linear, 50 steps" and titles[7] == "ReLU, 3 hidden, 400 steps"
    shown = panels[4].images[0].get_array()
    mean = results["network", "linear"].arrays["bias"][..., -1].mean(axis=0)
    np.testing.assert_allclose(shown, mean)
    deep = panels[7].images[0].get_array()
    run = results["network", "relu-3"]
    assert (~deep.mask).sum() == len(run.config.rho_s) * len(run.config.ratios)
    place = [0.6, 0.65, 0.7, 0.75, 0.8, 0.85].index(0.85), [1, 2, 4, 8, 16].index(16)
    assert deep[place] == pytest.approx(run.arrays["bias"][:, -1, -1, -1].mean())
    texts = [text.get_text() for text in panels[4].texts]
    error = results["network", "linear"].arrays["bias"][:, 0, 0, -1].std(ddof=1) / 10**0.5
    assert texts[0] == f"{mean[0, 0]:.2f}\n± {error:.3f}"


def test_decisions_show_the_shortcut_along_x():
    results = made_up("default")
    run = results["network", "linear"]
    surface = run.arrays["surface"]
    surface[:] = np.linspace(-3, 3, 30)[None, None, :, None]  # by the shortcut alone
    figure = figures.FIGURES["decision"](results)
    shown = figure.axes[0].images[0].get_array()
    assert np.all(np.diff(shown, axis=1) > 0) and np.ptp(shown, axis=0).max() == 0
    assert legend(figure) == ["decision of the network", "LDA of the sample", "$y = 1$", "$y = -1$"]


def test_times_are_found_by_their_logarithm():
    run = made_up("default")["population", "linear"]
    for tau in (1e-3, 1.0, 1e3):
        assert run.coords["tau"][availability_maps._nearest(run, tau)] == pytest.approx(tau)
