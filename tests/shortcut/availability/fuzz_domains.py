"""What parameters of this study's functions take, beyond what their names say."""

from __future__ import annotations

import numpy as np

from tests.robustness.fuzz.domains import (
    SIMPLEX,
    _labels,
    arrays,
    between,
    free,
    integers,
    numbers,
    one_of,
    words,
)
from twolayer.theory.kernels import deep

DOMAINS = {
    "theory.shortcut.availability.shortcut_bias.mu_from_rho:rho": between(0.6, 0.95, "..."),
    "theory.shortcut.availability.flows.linear_flow:ridge": one_of(0.0),
    "theory.shortcut.availability.flows.linear_flow:t": numbers(0.0, 2.0),
    "theory.shortcut.availability.shortcut_bias.means:mu": between(0.5, 2.0, "2"),
    "theory.shortcut.availability.shortcut_bias:v": free("2"),
    "theory.shortcut.availability.shortcut_bias.probe_grid:n": one_of(2, 4),
    "theory.shortcut.availability.shortcut_bias:alpha": between(0.5, 2.0, "2"),
    "theory.shortcut.availability.data:alpha": between(0.5, 2.0, "2"),
    "theory.shortcut.availability.flows:alpha": between(0.5, 2.0, "2"),
    "theory.shortcut.availability.four_points:alpha": between(0.5, 2.0, "2"),
    "theory.shortcut.availability.data:dim": integers(2, 4),
    "theory.shortcut.availability.data:n_quad": integers(1, 4),
    "theory.shortcut.availability.data:nesting": one_of(
        (0, 0), (1, 0), wrong=((0, -1), (0,), (0, 0, 0), 3, "ab", None)
    ),
    "theory.shortcut.availability.data.embed:w": arrays(
        lambda rng, shape, sizes: np.ones(shape) / shape[0] ** 0.5
    ),
    # More samples than dimensions: else the covariance is singular.
    "theory.shortcut.availability.data.lda_fit:x": free("p c"),
    "theory.shortcut.availability.data.lda_fit:y": arrays(_labels, "p"),
    "theory.shortcut.availability.flows:kernel": one_of(deep.linear_kernel),
    "theory.shortcut.availability.flows.ntk:kind": words("linear", "relu", "tanh"),
    "theory.shortcut.availability.flows:n_quad": one_of(2, 4),
    "theory.shortcut.availability.flows:n_probe": integers(2, 4),
    "theory.shortcut.availability.four_points:kernel": one_of(deep.linear_kernel),
    "theory.shortcut.availability.four_points:rho_s": numbers(0.6, 0.7),
    "theory.shortcut.availability.four_points:rho_c": numbers(0.8, 0.9),
    "theory.shortcut.availability.spectra:kernel": one_of(deep.linear_kernel),
    "theory.shortcut.availability.spectra:pi": SIMPLEX,
    "theory.shortcut.availability.spectra:n": integers(64, 64),
    "theory.shortcut.availability.spectra:k_max": integers(1, 4),
}
