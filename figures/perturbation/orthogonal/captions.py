"""Figures of the stem ``perturbation.orthogonal``."""

from __future__ import annotations

import functools
from collections.abc import Callable

from matplotlib.figure import Figure

from twolayer.figures.perturbation.orthogonal import artificial, exact, images
from twolayer.sims.engine.results import StemResults

_DATASETS = {"digits": "Digits", "mnist": "MNIST", "fashion-mnist": "Fashion-MNIST"}
_NORMS = {"l2": "L2", "linf": "L∞", "l0": "L0"}

FIGURES: dict[str, Callable[[StemResults], Figure]] = {
    "phases": exact.phases,
    "tiers": exact.tiers,
    "flow": exact.flow,
    **{f"artificial-{norm}": functools.partial(artificial.sweeps, norm=norm) for norm in _NORMS},
    "attacks": artificial.attacks,
    "maps": artificial.maps,
    **{
        f"images-{dataset}": functools.partial(images.pictures, dataset=dataset)
        for dataset in _DATASETS
    },
    "image-accuracy": images.accuracy,
}

_SWEEPS = (
    "Accuracy, on the clean training samples of the first network, of a network trained on noise"
    " that was perturbed against the first one by {norm} attacks (orange: mean, band: range over"
    " seeds), and on the same noise unperturbed (blue). At the default scale all sizes are a"
    " twentieth of the published ones, which the axes state; diamonds: runs at the published d, N"
    " and N^a. Grey: published [fig], seeds chosen by its authors. With slope 0.01 these runs"
    " satisfy none of the theorem's hypotheses: theory here is {theory}"
)
_THEORY = {
    "l2": (
        "the average-case formula [derived, heuristic], and two linear functions on the same data,"
        " with equal multipliers and with those of the closed-form limit."
    ),
    "linf": (
        "two linear functions on the same data. The published attack is in effect an L2 attack:"
        " radii are raised with the smaller dimension so that lengths are the published ones."
    ),
    "l0": (
        "two linear functions on the same data. This attack has no length but that of the clamp,"
        " and does not keep its strength in smaller sizes: published values are context. Its"
        " published plateau is not reproduced; best points are tracked by their margin, which"
        " cannot underflow."
    ),
}

CAPTIONS = {
    "phases": (
        "Exactly solvable families [derived]. Left: orthogonal samples perturbed towards the"
        " opposite labels. The second boundary is the first one for τ > 1 and its negative for"
        " τ < 1. Outside of the black curves a certificate makes the closed form stationary; that"
        " training ends there follows from the paper's hypothesis only in thin strips, at the left"
        " edge and around τ = 2, where perturbed samples are mirror images. Right: probability"
        " that both networks classify an isotropic point alike at slope 0.5 (bands: range over"
        " seeds). Trained networks (circles) follow the exact step where the certificate holds,"
        " and not between. Agreement after orthogonal noise depends on τ alone."
    ),
    "tiers": (
        "Strongest hypothesis that at least half of the draws of Gaussian samples with balanced"
        " labels satisfy. The paper's needs dimensions of the order of N²/γ⁶; the certificate,"
        " checked after solving for the multipliers, of N/γ². At the slope of the published"
        " experiments, 0.01, with d = 10000 and N = 1000, none holds."
    ),
    "flow": (
        "Normalised gradient flow of a network of 20 units on 6 samples in 30 dimensions, medians"
        " over seeds (bands: range). The angle of the weights to the closed form falls as 1/s,"
        " whatever the start, slope and loss; that of the gradient, and the weights of the samples,"
        " exponentially, down to rounding. Two nearly equal samples with opposite labels (dashed)"
        " break the hypotheses, and the flow goes elsewhere."
    ),
    **{
        f"artificial-{norm}": _SWEEPS.format(norm=name, theory=_THEORY[norm])
        for norm, name in _NORMS.items()
    },
    "attacks": (
        "Uniform data, means over seeds (bands and whiskers: range). Left and middle: the published"
        " L∞ attack moves along the gradient itself and fills its box no better than an L2 attack"
        " does; the textbook's attack, by signs, does. L0 changes few coordinates a lot. Right:"
        " slope (in brackets the share of samples at which the closed form has its sign pattern),"
        " start and number of rows change little: networks started from zero keep equal rows in"
        " each half, so that two rows compute them exactly."
    ),
    "maps": (
        "Decisions of the three networks on the plane of the first network's mean rows, uniform"
        " data, L2 attacks, one seed. The clean boundary lies near the diagonal; what is learnt"
        " from perturbed noise approaches it as the number of perturbed samples or their length"
        " grows, and what is learnt from the noise alone never does."
    ),
    **{
        f"images-{dataset}": (
            f"{name}: what the standard network's attacks make of images and, where that was run,"
            " of noise: the sample, what is added (red: brighter, blue: darker, each at its own"
            " scale), and the sum that the second network is trained on, labelled with the target"
            " alone."
        )
        for dataset, name in _DATASETS.items()
    },
    "image-accuracy": (
        "Accuracy on untouched test images of networks trained on perturbed samples and the"
        " attack's targets alone: bars are means at the last epoch, dots seeds, dashes the best"
        " epoch. Without perturbation the same samples and targets teach nothing, or less, as the"
        " true class is never a target. Where the target is a function of the class, mislabelling"
        " competes with the perturbations. At the default scale networks, training and image sets"
        " are small: published values [fig] are context."
    ),
}
