"""Figures of the stem ``shortcut.cues``."""

from __future__ import annotations

from collections.abc import Callable

from matplotlib.figure import Figure

from twolayer.figures.shortcut.cues import exact, landscape, networks
from twolayer.sims.engine.results import StemResults

FIGURES: dict[str, Callable[[StemResults], Figure]] = {
    "examples": exact.examples,
    "preference": networks.preference,
    "abundance": networks.abundance_and_length,
    "flatness": landscape.flatness,
    "rerun": landscape.reruns,
    "paths": landscape.paths,
    "machines": exact.machines,
}

CAPTIONS = {
    "examples": (
        "An image of every combination of colour, shape and scale; on the diagonal (framed) all"
        " three cues have the label's level, and each alone predicts it. Shapes have equal areas at"
        " equal scale, so that area tells the scale alone. Images are made here, in the manner of"
        " the paper's coloured sprites [paper]."
    ),
    "preference": (
        "Accuracy on images off the diagonal for the label of each cue, of networks trained on the"
        " diagonal alone (bars: means, dots: seeds), and over training (band: range over seeds)."
        " Dashed: what a cue gets if another one alone is used [derived], which is less than chance"
        " (dotted). Colour is used almost exclusively, as in the paper [paper, in words]; without"
        " colour another cue takes its place, and with shuffled labels none is learned: all are at"
        " chance in the mean, with a wide spread, as networks tie the noise to whatever they see"
        " best. Small networks on images of 16 x 16 pixels stand in for the paper's."
    ),
    "abundance": (
        "Left: share of random starts whose training on the diagonal ends with each cue, with"
        " Wilson's 95 % intervals. Right: bytes that zlib needs for the images of one cue at all"
        " its levels in order, the others fixed: a computable proxy of the descriptional"
        " complexity that the paper argues with, not that itself."
    ),
    "flatness": (
        "Rise of the loss on the diagonal at distance r in random directions around solutions of"
        " one cue, accepted if both accuracies are above 0.99 (lines: geometric means, bands and"
        " thin lines: seeds). Training stops when a solution is accepted, which takes shape many"
        " times the steps and a larger norm; on the right distances are shares of the norm."
        " Squares: an earlier run of a perceptron on fewer images [measured], whose shape and scale"
        " solutions were not accepted. Rises below a millionth are drawn there."
    ),
    "rerun": (
        "Accuracy off the diagonal for the label of each cue after training on the diagonal alone"
        " from distance r of solutions of one cue, in random directions (band: range over seeds)."
        " Solutions of colour stay; those of the others are left for colour from far away, and by"
        " the perceptron those of scale from near too: Adam, which begins anew, moves even where"
        " the loss is small. Dotted: the distance up to which the solution's own cue stays the"
        " best, median over seeds, 0 if it is lost at the smallest one."
    ),
    "paths": (
        "Loss on the diagonal from a solution trained there to one of a given cue trained from the"
        " same random parameters: along the straight line and along a quadratic curve whose bend"
        " was trained (geometric means, bands: range over seeds); and the barriers, how far the"
        " loss rises above the larger of its ends (dashed: line, filled: curve, dots: seeds)."
        " Losses below a millionth are drawn there."
    ),
    "machines": (
        "Cues as coordinates, without noise: accuracy off the diagonal for the label of each cue"
        " as the availability of the first varies, the others' being 1.3 and 0.8. Kernel machines"
        " follow the vote of the cues with their squared availabilities as weights, whatever the"
        " kernel [derived]; networks of one hidden layer trained by Adam (coloured) need not, and"
        " are beside it for comparison."
    ),
}
