"""The figures of the wide stem: from smoke results, and from made-up ones of the larger scales."""

import functools

import numpy as np
import pytest

from tests.figures import figure_checks
from tests.figures.figure_checks import check, legend
from twolayer.figures.engine import registry
from twolayer.figures.perturbation.wide import captions, published, series
from twolayer.sims.engine import plan
from twolayer.sims.engine.loading import load
from twolayer.sims.engine.results import Run, StemResults
from twolayer.sims.perturbation.wide.experiment import EXPERIMENT

ABSENT_AT_SMOKE = {
    **{
        f"sweeps-{name}-{scenario}": f"scale smoke has no cells {name}-{scenario}"
        for name in ("digits", "mnist", "fashion-mnist")
        for scenario in "ab"
    },
    "cosine": "scale smoke has no sweeps over d or training time of f",
}


@pytest.fixture(scope="module")
def smoke(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    plan.run("perturbation.wide", "smoke", folder, progress=False)
    return load("perturbation.wide", "smoke", folder)


@functools.cache
def made_up(scale):
    """Results of the right shapes, numbers in (0, 1), without computing anything."""

    def adjust(study, coords, arrays):
        if study != "map":
            return
        if arrays is None:
            coords |= {"alpha": coords["alpha"][::20], "beta": coords["beta"][::20]}
        else:
            arrays |= {name: arrays[name] - 0.5 for name in ("f", "g", "fh", "gh")}
            arrays["sample_labels"] = np.sign(arrays["sample_labels"] - 0.5)

    return figure_checks.made_up(EXPERIMENT, scale, adjust)


def test_every_setting_has_a_figure():
    settings = {
        label.split("/")[0]
        for scale in ("smoke", "default", "paper")
        for study, label, _, _ in EXPERIMENT.table(scale)
        if study.name == "sweep"
    }
    assert {f"sweeps-{setting}" for setting in settings} <= set(captions.FIGURES)


def test_smoke_leaves_out_what_it_has_no_cells_for(smoke):
    absent = {}
    for name, draw in captions.FIGURES.items():
        try:
            draw(smoke)
        except registry.Absent as reason:
            absent[name] = str(reason)
    assert absent == ABSENT_AT_SMOKE


@pytest.mark.parametrize("name", sorted(set(captions.FIGURES) - set(ABSENT_AT_SMOKE)))
def test_figures_from_smoke_results(smoke, name):
    check(captions.FIGURES[name](smoke))


@pytest.mark.parametrize(
    "scale, name",
    [
        *(("default", name) for name in captions.FIGURES if "mnist" not in name),
        ("paper", "sweeps-shifted-a"),
        ("paper", "sweeps-mnist-b"),
        ("paper", "cosine"),
        ("paper", "maps"),
    ],
)
def test_figures_of_larger_scales(scale, name):
    check(captions.FIGURES[name](made_up(scale)))


def test_the_theory_is_drawn_where_it_applies():
    law, rule = "threshold law, drawn labels", r"threshold rule, measured $\bar u$"
    draw = functools.partial(captions.sweeps.sweeps, made_up("default"))
    assert {law, rule} <= set(legend(draw("shifted-a")))
    assert rule in legend(draw("digits-a")) and law not in legend(draw("digits-a"))
    assert not {law, rule} & set(legend(draw("shifted-b")))


def test_published_values_are_drawn_only_for_the_published_problem():
    label = "agreement, published (one seed)"
    draw = captions.sweeps.sweeps
    assert label in legend(draw(made_up("default"), "shifted-a"))
    assert label not in legend(draw(made_up("default"), "gauss-b"))
    assert label in legend(draw(made_up("paper"), "gauss-b"))


def test_published_curves_are_well_formed():
    for table in (published.AGREEMENT, published.COSINE):
        for (_, axis), curve in table.items():
            assert axis in series.AXES
            assert len(curve.x) == len(curve.y)
            assert list(curve.x) == sorted(curve.x)
            assert all(0 <= y <= 1 for y in curve.y)


def test_points_of_a_sweep():
    results = made_up("default")
    points = series.points(results, "shifted-a", "d")
    assert [point.x for point in points] == [10, 30, 100, 200]
    assert [point.is_base for point in points] == [False, False, True, False]
    # The base point has 24 seeds: here those that the others have too.
    assert {point.samples("acc").size for point in points} == {5}
    assert series.base(results, "shifted-a").samples("acc").size == 24
    along = series.points(results, "shifted-a", "eps")
    assert [point.x for point in along] == list(results["sweep", "shifted-a/eps"].config.eps)
    expected = results["sweep", "shifted-a/eps"].arrays["agreement"][:, 1, 0, 0, 2, 0, 0]
    assert np.array_equal(along[2].samples("agreement", "balanced"), expected)


def test_each_seed_takes_its_best_rates():
    point = series.base(made_up("paper"), "shifted-a")
    agreement = point.run.arrays["agreement"]
    assert agreement.shape[2] == agreement.shape[5] == 2
    expected = [max(agreement[seed, 0].ravel()) for seed in range(5)]
    assert np.array_equal(point.samples("agreement"), expected)


def test_all_images_come_last():
    points = series.points(made_up("default"), "digits-a", "n")
    assert [point.run.config.n for point in points] == [20, 80, 0]
    assert points[-1].x > 80


def test_settings_that_train_the_same_f_share_a_panel():
    results = made_up("default")
    entries = dict(results.entries)
    for (study, label), run in results.items():
        if study == "sweep" and label.startswith("gauss-a/"):
            entries[study, label.replace("-a/", "-b/")] = Run(
                study, label.replace("-a/", "-b/"), *(run.config, run.seeds, run.arrays),
                *(run.dims, run.coords, run.sidecars),
            )  # fmt: skip
    figure = captions.FIGURES["cosine"](StemResults(results.stem, results.scale, entries))
    assert [axes.get_title() for axes in figure.axes].count("gauss-a\ngauss-b") == 2
