"""Figures of the stem ``perturbation.wide``."""

from __future__ import annotations

import functools
from collections.abc import Callable

from matplotlib.figure import Figure

from twolayer.figures.perturbation.wide import decision_maps, law, sweeps, width
from twolayer.sims.engine.results import StemResults

_SETTINGS = {
    "shifted-a": "Shifted Gaussians N(±µ1, I), scenario (a): g sees perturbations alone.",
    "shifted-b": "Shifted Gaussians N(±µ1, I), scenario (b): perturbations on natural samples.",
    "gauss-a": "Gaussian samples with random labels, scenario (a): g sees perturbations alone.",
    "gauss-b": "Gaussian samples with random labels, scenario (b): perturbations on samples.",
    "digits-a": "Handwritten digits 1 and 2, scenario (a): g sees perturbations alone.",
    "digits-b": "Handwritten digits 1 and 2, scenario (b): perturbations on natural images.",
    "mnist-a": "MNIST 1 and 2, scenario (a): g sees perturbations alone.",
    "mnist-b": "MNIST 1 and 2, scenario (b): perturbations on natural images.",
    "fashion-mnist-a": "Fashion-MNIST 0 and 9, scenario (a): g sees perturbations alone.",
    "fashion-mnist-b": "Fashion-MNIST 0 and 9, scenario (b): perturbations on natural images.",
}
_READING = (
    " Lines are medians, bands and whiskers the whole range over seeds, each value the largest over"
    " the rates, as published; hollow markers: the base point, where it was trained longer than the"
    " others."
)
_THEORY = {
    "shifted-a": (
        " Black: median of the threshold law B4 at the drawn label imbalances [derived]; for short"
        " training of f its sign rule with the measured mean direction (dotted). With balanced"
        " labels (dashed) the law says 1. Grey: published single seeds [fig], which drew one"
        " imbalance each and trained g and f for 1000 epochs where these are not swept."
    ),
    "a": (
        " Dotted: the sign rule behind the threshold law with the measured mean direction"
        " [derived]; dashed: balanced labels. Grey, where the problem is the published one: single"
        " seeds [fig]."
    ),
    "b": (
        " The theory [derived] says when signs agree, not how often: there is no curve to compare."
        " Grey, where the problem is the published one: single seeds [fig]."
    ),
}

FIGURES: dict[str, Callable[[StemResults], Figure]] = {
    **{
        f"sweeps-{setting}": functools.partial(sweeps.sweeps, setting=setting)
        for setting in _SETTINGS
    },
    "cosine": sweeps.cosines,
    "maps": decision_maps.maps,
    "imbalance": law.imbalance,
    "law": law.law,
    "widths": width.widths,
}

CAPTIONS = {
    **{
        f"sweeps-{setting}": text + _READING + _THEORY.get(setting, _THEORY[setting[-1]])
        for setting, text in _SETTINGS.items()
    },
    "cosine": (
        "Alignment of the perturbations with the representer direction P(x) = mean of y Φ(x, x')"
        " x' over the samples, and accuracy of f, against dimension and training time of f."
        " Infinitely wide lazy training gives cosines near 1 [derived, A2 and A3]; f is neither at"
        " the start of training. Grey: published single seeds [fig]."
    ),
    "maps": (
        "Decisions of f and g in the plane of the class means, one seed each (digits: 1 and 2,"
        " digits38: 3 and 8). Both surrogates vanish on nearly one line through the origin [fig];"
        " in scenario (a) the networks disagree on a strip beside it whose side and breadth"
        " the drawn label imbalance ȳ sets, which the surrogates cannot show as they have no bias."
        " In scenario (b) they disagree on a thin wedge."
    ),
    "imbalance": (
        "Shifted Gaussians, scenario (a), base point: agreement is a matter of the imbalance of"
        " the random target labels. The curve is the threshold law B4 [derived], without a fitted"
        " number; the published agreement is that of one seed, and its curve over ε fits the law"
        " at |ȳ| = 0.0115 [fig, fitted]."
    ),
    "law": (
        "Agreement against the threshold law B4 [derived] at the label imbalance that was drawn,"
        " one marker a seed and cell of shifted-a with independent labels. Left, within its"
        " assumptions, the law predicts single seeds, except where perturbations are so short that"
        " the initial output of g still counts; right, with few units, short training or the"
        " logistic loss, it does not predict them and is not meant to."
    ),
    "widths": (
        "Largest deviation of networks from the infinitely wide theory against their width, over"
        " initialisations and data seeds (bands: whole range), with the proved bounds [derived]:"
        " Theorem W with probability 0.95 for each network, Theorem L for every one. The bounds"
        " are far from tight; where that of L exceeds the size of the prediction it says nothing"
        " about its sign."
    ),
}
