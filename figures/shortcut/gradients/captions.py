"""Figures of the stem ``shortcut.gradients``."""

from __future__ import annotations

from collections.abc import Callable

from matplotlib.figure import Figure

from twolayer.figures.shortcut.gradients import blocks, images
from twolayer.sims.engine.results import StemResults

FIGURES: dict[str, Callable[[StemResults], Figure]] = {
    "maps": blocks.maps,
    "margin": blocks.margins,
    "pictures": images.pictures,
    "leakage": images.leakage,
    "diffroar": images.diffroar,
}

CAPTIONS = {
    "maps": (
        "Input gradients of networks on block data (five signal and five null coordinates, width"
        " 400, one seed), at fresh points. The label is in one signal coordinate of each point"
        " (squares). After usual training gradients are alike in all signal coordinates, as in the"
        " max-margin network [derived, Theorem C1], slightly smaller where the label is; after"
        " robust training they single it out, as in the network of Theorem C2 [derived]; that"
        " training picks that one is [measured]. The paper's networks are far wider."
    ),
    "margin": (
        "Left: largest margin of any network on block data: closed forms [derived], linear"
        " programmes over thousands of random neurons and the closed form's two (circles), and"
        " trained networks, smallest y f(x) over the sum of squared parameters. From a small start"
        " training reaches about nine tenths of it, from init 1 far less in as many steps. Right:"
        " cosine of input and gradient. The max-margin network has 1/√m [derived]; the paper"
        " reports .29 for m = 10 and 1.00 for robust training [paper]."
    ),
    "pictures": (
        "Test images of two blocks, one of which has a label, and the gradients of the winning"
        " logit after usual and robust training of perceptrons with one hidden layer (one seed)."
        " Where the position of the labelled block is random, usual training leaves gradients in"
        " both blocks alike; robust training, or a fixed position, moves them to the block with"
        " the label [measured]. Stand-ins for the published BlockMNIST and its deep networks."
    ),
    "leakage": (
        "Mean size of the gradients of the winning logit in the block without a label, over that"
        " in the block with it (bars: mean over seeds and standard error). It is largest in usual"
        " training where the position is random, nearest to 1 with a null block of random pixels;"
        " smaller in robust training, and smallest where the position is fixed [measured]. That it"
        " is about 1 where the position is random, and below a half where it is fixed, were"
        " hypotheses, shown and not gated."
    ),
    "diffroar": (
        "Left: DiffROAR, the test accuracy of networks retrained on the share k of pixels with the"
        " largest gradients less that on the smallest (mean and standard error over seeds, each"
        " retrained; dots: seeds), digits with a glyph as null block, position random. A random"
        " ranking has expectation 0 exactly [derived]. Gradients of usual training tell as little;"
        " those of robust training rank what is discriminative first. How much depends on the null"
        " block: where the glyph reaches the edge, which of its pixels are kept shows, and may"
        " itself tell the label, at the bottom of the ranking too; inset by a pixel, the edge is"
        " as black as what is masked [measured; hypotheses, not gated]. Right: share of the top"
        " pixels that are in the block with the label."
    ),
}
