"""Figures of the stem ``mixup.calibration``."""

from __future__ import annotations

from collections.abc import Callable

from matplotlib.figure import Figure

from twolayer.figures.mixup.calibration import exact, networks
from twolayer.sims.engine.results import StemResults

FIGURES: dict[str, Callable[[StemResults], Figure]] = {
    "ts-vs-mixup": exact.ts_vs_mixup,
    "posterior": exact.posterior,
    "growth": exact.growth,
    "gauss": networks.gauss,
    "digits": networks.images,
    "midpoint": exact.midpoint,
}

CAPTIONS = {
    "ts-vs-mixup": (
        "Two classes of a pair overlap with mass 1 - α. Lines: expected KL from the truth in the"
        " population, for the best temperature that knows the truth on a classifier with one logit"
        " above equal others [derived, C2], and for mixup with uniform weights [derived, C4], which"
        " does not depend on the number of classes k. Dots: 40 k training points and 1000 test"
        " points, nearest neighbour with its best temperature, and mixup's optimal prediction"
        " [derived, C3]. A temperature spreads its doubt over all classes and costs of the order"
        " log k; only without overlap (α = 1) it beats mixup."
    ),
    "posterior": (
        "Probability of the left class along one pair, α = 0.5, k = 10. Left: an interpolator is"
        " sure of one class everywhere; the best temperature makes it a little less sure"
        " everywhere, and gives what it takes away to all other classes, so that the pair's"
        " classes together do not get probability 1 (dotted). Right: mixup predicts the expected"
        " mixed label, which is near the truth in the overlap. Thin: from finite samples, the"
        " nearest neighbour of one seed and mixup's prediction for each."
    ),
    "growth": (
        "Expected KL of the best temperature against the number of classes [derived, C2]. Slopes"
        " are fitted over k from 100 to 10000; the ratio to the uniform prediction tends to half"
        " of the overlap: no better than random in order, not in its constant."
    ),
    "gauss": (
        "Two Gaussians in 300 dimensions whose means differ by μ in each, perceptron with 64 hidden"
        " units; bars are means over seeds, whiskers their range. Mixup of 2, 3 or 5 points draws"
        " one vector of weights for each batch [code]. Where the classes overlap, plain training"
        " has the worst raw NLL, and one exact temperature repairs all trainings alike: with two"
        " classes it cannot do worse than log 2 on its calibration set, so that the published 4.30"
        " (residual network, context) is not that of an exact fit. The fit that stops early, 20"
        " damped quasi-Newton steps [code, emulated], hardly moves. At μ = 0.25 plain training is"
        " best."
    ),
    "digits": (
        "Networks trained on wrong labels (each class has one wrong label, drawn once for each"
        " seed) and tested on clean ones: a stand-in for published networks and images. Means over"
        " seeds, bars of two standard errors. On digits raw mixup has the lower NLL where labels"
        " are wrong, and the higher where they are right. Temperatures are fitted to wrong labels:"
        " whether plain training with one beats raw mixup depends on their share. Fashion-MNIST: a"
        " part of it at the default scale, shown where it is installed."
    ),
    "midpoint": (
        "Expected losses of linear scores with correlations s (a₁, a₂) with the two features of the"
        " own class, four classes [derived, D1]. Midpoint mixup tends to its floor only if both"
        " features are learnt alike; for single samples any positive correlations do. Dashed: equal"
        " but negative correlations."
    ),
}
