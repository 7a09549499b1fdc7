"""Figures of the stem ``shortcut.availability``."""

from __future__ import annotations

from collections.abc import Callable

from matplotlib.figure import Figure

from twolayer.figures.shortcut.availability import curves, maps, networks
from twolayer.sims.engine.results import StemResults

FIGURES: dict[str, Callable[[StemResults], Figure]] = {
    "network-map": maps.networks,
    "network-map-others": maps.other_networks,
    "population-map": maps.population,
    "sample-map": maps.samples,
    "time": curves.time,
    "phase": curves.phase,
    "architecture": networks.bars,
    "training": networks.training,
    "decision": maps.decisions,
    "nesting": networks.nesting,
    "spectrum": curves.spectra,
    "cluster": curves.clusters,
}

CAPTIONS = {
    "network-map": (
        "Signed shortcut bias of finite networks against LDA of the same sample, mean over seeds;"
        " ρ_c = 0.9, σ = 0.6, d = 100, width 64, n = 1600, full-batch Adam at 3·10⁻³. Top: after"
        " 50 steps, where availability decides. Bottom: after 400 steps, on a finer scale, where"
        " the linear model still has not converged at large ratios; after 3000 steps it is"
        " unbiased. Small: standard errors. Sample noise, embedding and initial weights of a seed"
        " are the same over a map. The grid is ours [paper: not recovered]; grey: not trained at"
        " this scale. The signed form of the bias is one of two on record (open)."
    ),
    "network-map-others": (
        "The same for a linear network with a hidden layer and for deeper networks with ReLU and"
        " tanh. Near convergence the bias of these hardly varies with the ratio: it is of the"
        " sample and the start, not of availability."
    ),
    "population-map": (
        "Shortcut bias of infinitely wide networks on the whole mixture, exact in time by"
        " quadrature [derived], at multiples of the fastest mode's time. Every one of these"
        " kernels ends unbiased; availability acts by finite time. ReLU of one hidden layer"
        " without bias is not shown, as its odd part, and so its path, is the linear kernel's"
        " (Theorem A2) — in open conflict with the paper's theorem on that kernel, whose exact"
        " statement is [not recovered]."
    ),
    "sample-map": (
        "Shortcut bias of kernel regression on samples of 600 against LDA of the sample, mean over"
        " seeds. The linear kernel ends unbiased up to its missing intercept. The ReLU kernel with"
        " biases fits label noise in the end; what bias comes of that is small here, differs"
        " widely between seeds, and is much the same at every ratio: no effect of availability."
        " Values at infinite time are ill-conditioned (modes below 10⁻¹¹ left out). Grey: not"
        " computed at this scale."
    ),
    "time": (
        "Shortcut bias in time at ρ_s = 0.85, ratio 4. Left: whole mixture [derived]; all kernels"
        " fall to 0, those of ReLU with the linear one, erf's sooner. Right: samples of 600 (mean"
        " and range over seeds): universal kernels rise again by fitting label noise, not by"
        " availability, and seeds differ widely. Dots: infinite time. Biases move in steps of"
        " 4/450, one probe."
    ),
    "phase": (
        "Four points, ρ = (0.7, 0.9) [derived, Theorem A4]. Left: κ against the threshold g above"
        " which the shortcut is followed first (dots; √2 for the linear kernel). Right: when the"
        " conflict points change to the core. Every nonlinear kernel is below the linear one: in"
        " the tangent-kernel regime nonlinearity shrinks the shortcut phase, opposite in sign to"
        " the paper's headline on finite trained networks. This conflict is open."
    ),
    "architecture": (
        "Shortcut bias by architecture at ρ_s = 0.85 with its training loss. Left: ratio 4 as α ="
        " (4, 1), 400 steps at 3·10⁻³, n = 1600 (800 for ReLU of two hidden layers and"
        " tanh of three; 3000 steps where it says so). Right: under-trained, ratio 8 as α = (1,"
        " 1/8), 400 steps at 10⁻³, n = 800: here the linear model is the most biased. Bars: mean"
        " and standard error over seeds; triangles: an earlier experiment with 3 seeds. That deep"
        " or tanh networks exceed linear ones near convergence is suggested, not established:"
        " single seeds scatter more than the means differ."
    ),
    "training": (
        "Shortcut bias (top) and training loss (bottom) over steps of Adam at ρ_s = 0.85, mean"
        " and range over seeds. Left: the shortcut amplified; right: the core attenuated, with a"
        " lower rate and half of the sample. A bias means nothing without its training time."
    ),
    "decision": (
        "Networks at the probes, ρ_s = 0.85, ratio 16, after 400 steps, for the seed at which"
        " ReLU with 3 hidden layers is the most biased: probability of y = 1 (colour), the"
        " network's decision line and that of LDA, some of the sample. Over-reliance on the"
        " shortcut is a line too steep, or bent away where data are few."
    ),
    "nesting": (
        "The core behind 0 to 3 frozen tanh layers (ρ_s = 0.85, both amplifications 1; width d"
        " and gain g of the layers are [not recovered]). Top: bias after 400 steps, mean and"
        " range over seeds. Against LDA of the embedded sample, as in the paper, it jumps with the"
        " first layer; against LDA of the latents it does not move: what changes is the reference,"
        " which picks up the tiny curvature of the embedded core. Bottom: training losses; that"
        " reference fits worse than the networks do."
    ),
    "spectrum": (
        "Cosine coefficients of ReLU kernels without bias on the circle, by depth [derived,"
        " Theorem A3]. One hidden layer has no odd frequency but 1: its odd part is linear. Depth"
        " puts weight on the odd frequencies beyond, which is how it makes odd parts nonlinear."
    ),
    "cluster": (
        "Eigenvalues of kernels on clusters at the corners of a square over the share of items"
        " whose two features agree (mean and range over seeds, spread 0.1). Left: the linear"
        " kernel against its closed form [derived, D1]: the direction that both features share"
        " gains with imbalance. Right: the ReLU kernel with biases against its centres alone"
        " [derived, D2]."
    ),
}
