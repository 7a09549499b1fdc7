"""The figures of the stem mixup.collapse, from smoke results and from made-up ones."""

import functools

import matplotlib.colors
import numpy as np
import pytest

from tests.figures import figure_checks
from tests.figures.figure_checks import check, legend
from twolayer.figures.engine import registry
from twolayer.figures.mixup.collapse import captions as figures
from twolayer.figures.mixup.collapse import networks
from twolayer.sims.engine import plan
from twolayer.sims.engine.loading import load
from twolayer.sims.mixup.collapse.experiment import EXPERIMENT

STEM = "mixup.collapse"


@functools.cache
def made_up(scale):
    def adjust(study, coords, arrays):
        if study == "ufm" and arrays is not None:
            strength = 10.0
            arrays["kappa"][:] = strength / np.array(coords["decay"])
        if study == "network" and arrays is not None:
            for name in ("point", "optimum", "row", "difference", "optimal_difference"):
                arrays[name] -= 0.5

    return figure_checks.made_up(EXPERIMENT, scale, adjust)


def test_smoke_draws_what_it_has_cells_for(tmp_path):
    plan.run(STEM, "smoke", tmp_path, progress=False)
    smoke = load(STEM, "smoke", tmp_path)
    assert figure_checks.drawn(figures, smoke) == ["network", "network-logit"]


@pytest.mark.parametrize("name", figures.FIGURES)
def test_figures_of_the_default_scale(name):
    check(figures.FIGURES[name](made_up("default")))


@pytest.mark.parametrize("name", ["ufm", "network"])
def test_figures_of_the_full_scale(name):
    check(figures.FIGURES[name](made_up("paper")))


def test_every_figure_has_a_caption():
    assert set(figures.FIGURES) == set(figures.CAPTIONS)


def test_features_and_activations_are_drawn_where_they_were_measured():
    results = made_up("default")
    planes = figures.FIGURES["ufm"](results)
    run = results["ufm", "K=3"]
    panels = planes.axes[:3]
    assert [axes.get_title().split(",")[0] for axes in panels] == [
        rf"$\mu$ = {decay:g}" for decay in run.config.decays
    ]
    segments = np.concatenate(panels[1].collections[0].get_segments())
    assert np.ptp(segments, axis=0).max() > 0
    np.testing.assert_allclose(segments[0], run.arrays["feature"][0, 1, 1, 0, 0])
    colors = panels[1].collections[0].get_array()
    assert colors[0] < 0.05 and colors[-1] > 0.95

    network = figures.FIGURES["network"](results)
    titles = [axes.get_title() for axes in network.axes if axes.get_title()]
    assert titles == ["fixed classifier, mixup", "fixed classifier, no mixup",
                      "trained classifier, mixup", "trained classifier, no mixup"] * 2  # fmt: skip
    points = results["network", "digits/fixed/plain"].arrays["point"][0]
    drawn = network.axes[1].collections[0].get_offsets()
    np.testing.assert_allclose(drawn, points[1, 0].reshape(-1, 2))


def test_the_means_over_seeds_and_the_band_are_drawn():
    results = made_up("default")
    figure = figures.FIGURES["network-logit"](results)
    words = legend(figure)
    assert {"mixup", "no mixup", "optimum of free features", "asserted with mixup"} <= set(words)
    run = results["network", "digits/trained/mixup"]
    apart = ~np.eye(3, dtype=bool)
    share = run.arrays["difference"][:, apart].mean(axis=1) / run.arrays["same_gap"][:, None]
    color = matplotlib.colors.to_hex(networks._SAMPLE_COLORS["mixup"])
    lines = [
        line for line in figure.axes[1].lines if matplotlib.colors.to_hex(line.get_color()) == color
    ]
    np.testing.assert_allclose(lines[0].get_ydata(), share.mean(axis=0))
    bars = [patch.get_height() for patch in figure.axes[2].patches]
    half = run.arrays["distance"][:, apart][:, :, 10].mean(axis=1) / run.arrays["same_gap"]
    assert bars[2] == pytest.approx(half.mean())


def test_incomplete_sets_of_networks_are_left_out():
    results = made_up("default")
    kept = {key: run for key, run in results.items() if key != ("network", "digits/fixed/plain")}
    some = type(results)(results.stem, results.scale, kept)
    names = [axes.get_title() for axes in figures.FIGURES["network-logit"](some).axes]
    assert not any("digits" in name for name in names) and len(names) == 3
    none = {key: run for key, run in kept.items() if key[0] != "network"}
    with pytest.raises(registry.Absent, match="no networks on three classes"):
        figures.FIGURES["network"](type(results)(results.stem, results.scale, none))
