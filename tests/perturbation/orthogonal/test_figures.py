"""The figures of the orthogonal stem, from smoke results and from made-up ones."""

import functools

import numpy as np
import pytest

from tests.figures import figure_checks
from tests.figures.figure_checks import check, legend
from twolayer.figures.perturbation.orthogonal import captions
from twolayer.sims.engine import plan
from twolayer.sims.engine.loading import load
from twolayer.sims.perturbation.orthogonal import published
from twolayer.sims.perturbation.orthogonal.experiment import EXPERIMENT

STEM = "perturbation.orthogonal"


@pytest.fixture(scope="module")
def smoke(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    plan.run(STEM, "smoke", folder, progress=False)
    return load(STEM, "smoke", folder)


@functools.cache
def made_up(scale):
    def adjust(study, coords, arrays):
        if study == "flow" and arrays is not None:
            length = len(coords["chunk"])
            arrays["time"] = np.broadcast_to(np.arange(1.0, length + 1), arrays["time"].shape)
        if study in ("flow", "family") and arrays is not None:
            arrays["certificate"] = arrays["certificate"] > 0.5
        if study == "family" and arrays is not None:
            arrays["paper"] = arrays["paper"] > 0.5

    return figure_checks.made_up(EXPERIMENT, scale, adjust)


def test_smoke_draws_what_it_has_cells_for(smoke):
    drawn = figure_checks.drawn(captions, smoke, without_legend=["images-digits"])
    assert drawn == ["images-digits", "image-accuracy"]


@pytest.mark.parametrize("name", sorted(set(captions.FIGURES) - {"images-mnist"}))
def test_figures_of_the_default_scale(name):
    check(captions.FIGURES[name](made_up("default")), legend=not name.startswith("images-"))


@pytest.mark.parametrize("name", [f"artificial-{norm}" for norm in ("l2", "linf", "l0")])
def test_sweeps_of_the_published_scale(name):
    figure = captions.FIGURES[name](made_up("paper"))
    check(figure)
    assert "trained" in legend(figure)


def test_the_sizes_that_were_run_are_named():
    words = legend(captions.FIGURES["artificial-l2"](made_up("default")))
    assert {"trained, sizes over 20", "trained, published sizes", "published [fig]"} <= set(words)
    assert "average-case formula" in words
    assert "average-case formula" not in legend(
        captions.FIGURES["artificial-l0"](made_up("default"))
    )


def test_every_figure_has_a_caption():
    assert set(captions.FIGURES) == set(captions.CAPTIONS)


def test_published_curves_fit_their_axes():
    for (law, norm, axis), values in published.ACCURACY.items():
        assert law in ("uniform", "gauss") and axis in ("d", "n", "n_adv", norm)
        assert len(values) == len(published.AXES[axis])
        assert all(np.isnan(value) or 0.5 <= value <= 1 for value in values)
