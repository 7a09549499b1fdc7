"""Figures of the study ``toy.coin``."""

from twolayer.figures.toy.coin import deviations

FIGURES = {"deviations": deviations.deviations}
CAPTIONS = {
    "deviations": "Distance of the mean of n flips from p that 95 % of the means keep: measured, "
    "and as Hoeffding's inequality bounds it."
}
