"""Deviations of means over the number of flips, beside Hoeffding's radius."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from twolayer.sims.toy.coin.experiment import DELTA
from twolayer.theory.toy.coin import hoeffding

from twolayer.figures.engine import style
from twolayer.sims.engine.results import StemResults


@style.styled()
def deviations(results: StemResults) -> Figure:
    """The 95 % quantile of the measured distances, and the radius."""
    runs = sorted(results.runs("flips"), key=lambda run: run.config.n)
    n = np.array([run.config.n for run in runs])
    measured = [np.quantile(run.arrays["distance"], 1 - DELTA) for run in runs]
    figure = style.figure(style.COLUMN, 2.4)
    axes = figure.subplots()
    radius = [float(hoeffding.radius(each, DELTA)) for each in n]
    axes.plot(n, radius, color=style.BOUND, label="Hoeffding's radius")
    axes.plot(n, measured, "o-", color=style.F, label="measured, 95 % quantile")
    axes.set(xscale="log", yscale="log", xlabel="flips $n$", ylabel="distance of the mean from $p$")
    axes.legend(loc="upper right")
    return figure
