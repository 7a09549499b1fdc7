"""What every figure must satisfy, and results of the right shapes to draw without simulating."""

import warnings

import numpy as np

from twolayer.figures.engine import registry
from twolayer.sims.engine.results import Run, StemResults


def check(figure, legend=True):
    """Axes are named, there is a legend where one is needed, and nothing is cut off."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # a layout that did not fit, a missing glyph
        figure.draw_without_rendering()
    legends = [*figure.legends, *(axes.get_legend() for axes in figure.axes)]
    assert not legend or any(box and box.get_texts() for box in legends)
    for axes in figure.axes:
        shared = (figure.get_supxlabel(), figure.get_supylabel())
        place = axes.get_subplotspec()
        below = [
            other for other in figure.axes if other in axes.get_shared_x_axes().get_siblings(axes)
        ]
        assert shared[0] or any(each.get_xlabel() for each in below)
        assert axes.get_ylabel() or shared[1] or not place.is_first_col()
        assert all(np.isfinite(axes.dataLim.extents))
    width, height = figure.get_size_inches()
    box = figure.get_tightbbox()
    assert box.x0 > -0.02 and box.y0 > -0.02
    assert box.x1 < width + 0.02 and box.y1 < height + 0.02


def made_up(experiment, scale, adjust=lambda study, coords, arrays: None):
    """Results of a stem with numbers in (0, 1); ``adjust`` changes coords first, then arrays."""
    rng = np.random.default_rng(0)
    runs = {}
    for study, label, config, seeds in experiment.table(scale):
        coords = study.coords(config)
        adjust(study.name, coords, None)
        arrays = {
            name: rng.uniform(0.01, 0.99, (seeds, *(len(coords[dim]) for dim in dims)))
            for name, dims in study.dims.items()
        }
        adjust(study.name, coords, arrays)
        dims = {name: ("seed", *each) for name, each in study.dims.items()}
        coords["seed"] = list(range(seeds))
        runs[study.name, label] = Run(
            study.name, label, config, tuple(range(seeds)), arrays, dims, coords, [{}] * seeds
        )
    return StemResults(experiment.stem, scale, runs)


def drawn(figures, results, without_legend=()):
    """Names of the figures that the results have cells for, each checked; the others say so."""
    names = []
    for name, draw in figures.FIGURES.items():
        try:
            check(draw(results), legend=name not in without_legend)
            names.append(name)
        except registry.Absent as reason:
            assert f"scale {results.scale}" in str(reason)
    return names


def legend(figure):
    """Texts of the legends outside of the panels."""
    return [text.get_text() for box in figure.legends for text in box.get_texts()]
