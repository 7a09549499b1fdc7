"""Figures of the stem ``mixup.features``."""

from __future__ import annotations

from collections.abc import Callable

from matplotlib.figure import Figure

from twolayer.figures.mixup.features import digits, grids, training
from twolayer.sims.engine.results import StemResults

FIGURES: dict[str, Callable[[StemResults], Figure]] = {
    "dynamics": training.dynamics,
    "sigma0": training.sigma0,
    "lambda": grids.weights,
    "earlystop": training.earlystop,
    "phase": grids.phase,
    "digits": digits.digits,
}

CAPTIONS = {
    "dynamics": (
        "Reference configuration [derived]: n = 100 samples, 5 rare ones of each class, noise"
        " energy 15; medians over seeds, bands from least to largest. Both trainings learn the"
        " common features; standard training memorises its rare samples instead of learning their"
        " feature, Mixup learns it, and classifies fresh rare samples once it exceeds the feature"
        " noise (dotted). Noise energy: mean over noise patches of the sum over filters of q²."
        " Random weights, Beta(1, 1), learn more slowly; where the patches of each sample stand in"
        " random order, the drive of the rare by the common feature is diluted, and 2500 steps do"
        " not suffice. The loss of Mixup stays above zero. That standard training learns no rare"
        " features and Mixup does is the paper's claim [paper]; the numbers are [measured]."
    ),
    "sigma0": (
        "What is left of the rare feature after 1500 steps, geometric means over seeds (whiskers:"
        " range), against the size of the initial filters. Standard training freezes it with the"
        " exponent of the bound [derived], for noise memorised to a size that does not depend on"
        " σ₀; Mixup learns it, from smaller filters if anything better."
    ),
    "lambda": (
        "Margin ratio of the rare features after 1500 steps of Mixup with input weight λx and"
        " label weight λy; from 1 on the rare error is 0. Left: least over seeds, with the mean"
        " error; right: means, bands over seeds. That the two weights may differ is the paper's"
        " claim [paper]. Ratios below 1 are still rising: not yet learned, rather than never."
    ),
    "earlystop": (
        "Mixup up to a step, then 1500 steps of standard training; means over seeds, bands from"
        " least to largest. Standard training never shrinks a rare feature [derived], but common"
        " features grow on, and with them the feature noise: the ratio roughly halves. Error 0 is"
        " kept where the ratio at the hand-over was about 2 or more, so that early stopping is safe"
        " later than it looks at the stop."
    ),
    "phase": (
        "Rare error of standard training after 1500 steps, mean over seeds. Below the line"
        " s² = |R|, to its right, memorising a sample pays more than its rare feature, which stays"
        " unlearned (error 1/2); above it the feature is learned like a common one. Where s²"
        " exceeds |C| (dotted) the common feature too competes with memorisation. The law is for"
        " small filters [derived]; the errors are [measured]."
    ),
    "digits": (
        "Stand-in for the paper's image experiments, which need deep networks: a perceptron of 64"
        " hidden units on the digits of scikit-learn (8 × 8), and on a part of Fashion-MNIST where"
        " it is installed. Mixup with uniform weights until an epoch, plain training afterwards;"
        " at 0 plain training throughout. The one claim: the error after an early stop is within"
        " one standard error of Mixup throughout, or better. It does not say that Mixup helps: in"
        " the short trainings of the default scale no stop is better than plain training, and Mixup"
        " throughout is worse. Right: Mixup throughout with fixed weights of inputs and labels."
    ),
}
