"""Figures of the stem ``mixup.collapse``."""

from __future__ import annotations

from collections.abc import Callable

from matplotlib.figure import Figure

from twolayer.figures.mixup.collapse import networks, optimal_features
from twolayer.sims.engine.results import StemResults

FIGURES: dict[str, Callable[[StemResults], Figure]] = {
    "ufm": optimal_features.planes,
    "logit": optimal_features.logits,
    "norm": optimal_features.norms,
    "free": optimal_features.training,
    "network": networks.planes,
    "network-logit": networks.logits,
}

CAPTIONS = {
    "ufm": (
        "Exact optimal features of unconstrained features [derived] for three classes in the"
        " plane, a fixed simplex frame of rows of norm 1 (arrows, drawn at one length), all pairs"
        " of classes. Images of one class mix to one point on their row, whatever the weight;"
        " those of two classes to a curve that bends away from the straight line (dotted), the"
        " more so the smaller the decay of the features. The geometry is that of the paper; its"
        " own constants are [not recovered]."
    ),
    "logit": (
        "Left: difference of the two mixed classes' logits at the optimum (K = 10) for κ from 1"
        " to 10¹² against its limit, the logit of λ [derived]; squared loss at the same κ is a"
        " straight line for every κ (dashed: κ = 10⁴). Right: distance of the two classes from"
        " all others at λ = 1/2 grows like log κ − log log κ, above its proved lower bound."
    ),
    "norm": (
        "Length of the optimal feature of two classes in units of that of one class"
        " [derived], three classes. The straight line between both classes' features"
        " (dotted) is what squared loss gives at every decay; with cross-entropy features"
        " are shorter near the ends, and longer between, where their length hardly depends"
        " on the weight once the decay is small."
    ),
    "free": (
        "Classifier and features trained together by L-BFGS from random starts (four classes in"
        " six dimensions, μ = ω = 0.02; lines: one a seed). All end at the loss of the best"
        " simplex frame [measured], with a classifier that is one down to rounding, squared norms"
        " balanced as at every stationary point [derived], and the features of the theorem for a"
        " given frame. That the frame is the global minimum is not proved."
    ),
    "network": (
        "Last-layer activations of mixed training images, one seed, projected on the span of the"
        " classifier's rows (arrows, drawn at one length); black: the optimum of unconstrained"
        " features, at the decay of the features where the classifier is fixed, else at the κ"
        " that fits the gap of single classes. Perceptrons of one hidden layer on three classes"
        " stand in for the paper's networks and images. A fixed classifier is trained against"
        " with decay of the features, a trained one with decay of all parameters. Without mixup"
        " activations of mixed images are not trained, and go nearly straight from class to"
        " class."
    ),
    "network-logit": (
        "Difference of the two mixed classes' logits in units of the gap of a single class, mean"
        " over mixed training images and pairs of classes (band: range over seeds), against the"
        " optimum of unconstrained features at the κ of each run and the straight line. Mixup"
        " bends it towards the optimum; networks cannot give every mixed image a feature of its"
        " own, and stay between. Bars: mean distance of the two logits at λ = 1/2, where the"
        " optimum has none, and the band that is asserted with mixup. At the default"
        " scale networks on the digits without mixup are below it, too."
    ),
}
