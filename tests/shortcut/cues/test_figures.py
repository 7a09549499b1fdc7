"""The figures of the stem shortcut.cues, from smoke results and from made-up ones."""

import functools

import matplotlib.colors
import numpy as np
import pytest

from tests.figures import figure_checks
from tests.figures.figure_checks import check, legend
from twolayer.figures.engine import registry, style
from twolayer.figures.shortcut.cues import captions as figures
from twolayer.figures.shortcut.cues.style import COLORS
from twolayer.sims.engine import plan
from twolayer.sims.engine.loading import load
from twolayer.sims.shortcut.cues.claims.solutions import mean_rise
from twolayer.sims.shortcut.cues.experiment import EXPERIMENT

STEM = "shortcut.cues"
IMAGES = ("examples",)


@functools.cache
def made_up(scale):
    def adjust(study, coords, arrays):
        if study == "example" and arrays is not None:
            number = len(coords["cue"])
            arrays["levels"] = np.array(list(np.ndindex(*[3] * number)))[None]
            for name in ("image", "still"):
                arrays[name] = (255 * arrays[name]).astype(np.uint8)
        if study == "solution" and arrays is not None:
            arrays["accepted"][:] = 1
            arrays["norm"] *= 10

    return figure_checks.made_up(EXPERIMENT, scale, adjust)


def test_smoke_draws_all_figures(tmp_path):
    plan.run(STEM, "smoke", tmp_path, progress=False)
    smoke = load(STEM, "smoke", tmp_path)
    for name, draw in figures.FIGURES.items():
        check(draw(smoke), legend=name not in IMAGES)


@pytest.mark.parametrize("name", figures.FIGURES)
def test_figures_of_the_default_scale(name):
    check(figures.FIGURES[name](made_up("default")), legend=name not in IMAGES)


@pytest.mark.parametrize("name", ["preference", "rerun"])
def test_figures_of_the_full_scale_fit_a_page(name):
    figure = figures.FIGURES[name](made_up("paper"))
    check(figure)
    assert figure.get_size_inches()[1] <= style.TEXT_HEIGHT


def test_every_figure_has_a_caption():
    assert set(figures.FIGURES) == set(figures.CAPTIONS)


def test_missing_studies_are_named():
    results = made_up("default")
    some = {key: run for key, run in results.items() if key[0] == "example"}
    only = type(results)(results.stem, results.scale, some)
    for name, study in (("flatness", "solution"), ("preference", "preference")):
        with pytest.raises(registry.Absent, match=f"no cells of the study {study}"):
            figures.FIGURES[name](only)


def test_bars_are_means_and_references_are_drawn():
    results = made_up("default")
    figure = figures.FIGURES["preference"](results)
    words = legend(figure)
    assert {"chance", "another cue alone is used", "label of colour"} <= set(words)
    accuracy = results["preference", "mlp/grey"].arrays["accuracy"][:, -1]
    bars = [patch.get_height() for patch in figure.axes[0].patches]
    np.testing.assert_allclose(bars[3:6], accuracy.mean(axis=0))
    heights = {
        float(line.get_ydata()[0]) for line in figure.axes[0].lines if len(line.get_ydata()) == 2
    }
    assert {0.25, 1 / 3} <= heights


def test_flatness_is_the_geometric_mean_over_seeds():
    results = made_up("default")
    figure = figures.FIGURES["flatness"](results)
    run = results["solution", "conv/scale"]
    color = matplotlib.colors.to_hex(COLORS["scale"])
    axes = figure.axes[2]
    lines = [line for line in axes.lines if matplotlib.colors.to_hex(line.get_color()) == color]
    expected = np.exp(np.log(mean_rise(run)).mean(axis=0))
    np.testing.assert_allclose(lines[-1].get_ydata(), expected)
    np.testing.assert_allclose(lines[-1].get_xdata(), run.config.radii)


def test_solutions_that_were_not_accepted_say_so():
    def reject_one(study, coords, arrays):
        if study == "solution" and arrays:
            arrays["accepted"][0] = 0

    results = figure_checks.made_up(EXPERIMENT, "default", reject_one)
    words = legend(figures.FIGURES["flatness"](results))
    assert any("shape solutions (not accepted)" in word for word in words)
    titles = [axes.get_title() for axes in figures.FIGURES["rerun"](results).axes]
    assert all("not accepted" in title for title in titles)
