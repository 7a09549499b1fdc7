"""Results under strict promotion of dtypes, where JAX mixes none by itself, are those without."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from theory import dynamics
from theory.mixup import (
    calibration_mixing,
    calibration_pairs,
    collapse,
    features_data,
    features_laws,
    features_noise,
)
from theory.shortcut import availability_flows, availability_spectra, cues, gradients

KEY = jax.random.key(0)
X, Y = jnp.array([0.1, 0.4, 1.2, 0.7, 6.3]), jnp.array([0, 0, 1, 0, 2])
GAP = jnp.array([0.3, -0.2, 0.1, -0.05])
FRAME = jnp.array([[2.0, 1.0, 0.5], [1.0, 3.0, 1.0], [0.5, 1.0, 2.0]])
LABELS, NONE = jnp.array([1.0, -1.0, 1.0]), jnp.zeros(3)
patches = functools.partial(features_data.make_patch_data, KEY, 8, 4, 0.3, 0.5)


def short_noise():
    data = jax.tree.map(lambda leaf: leaf.astype(jnp.float32) if leaf.ndim > 1 else leaf, patches())
    noise = features_noise.gaussian_noise(KEY, data, 20, 1.0)
    assert noise.dtype == jnp.float32
    return noise


def flow():
    spectrum = dynamics.decompose(FRAME)
    return dynamics.squared_flow(spectrum, FRAME, LABELS, NONE, NONE, jnp.array([1.0, jnp.inf]))


CALLS = {
    "posterior": lambda: calibration_mixing.mixup_posterior_pair(X, 0.5),
    "divergence": lambda: calibration_mixing.mixup_expected_kl(0.5, nodes=8),
    "predictions": lambda: calibration_mixing.mixup_predict_1d(X, X, Y, 4),
    "paired sample": lambda: calibration_pairs.sample_paired(KEY, 6, 4, 0.5),
    "paired posterior": lambda: calibration_pairs.paired_posterior(X, 4, 0.5),
    "frame": lambda: collapse.simplex_etf(None, 3, 4, 1.0),
    "patches": lambda: jax.tree.leaves(patches()),
    "noise": short_noise,
    "rare error": lambda: features_laws.rare_error(GAP, 0.5, 2),
    "common error": lambda: features_laws.common_error(GAP, 0.5, 2),
    "accuracy": lambda: cues.cue_accuracy(
        jnp.array([0, 1, 1]), jnp.array([[0, 1], [1, 1], [2, 0]])
    ),
    "leakage": lambda: gradients.block_leakage(FRAME, FRAME > 1),
    "coefficients": lambda: availability_spectra.angular_coefficients(
        availability_flows.ntk, 3, 16
    ),
    "relu coefficients": lambda: availability_spectra.relu_angular_coefficients(4),
    "flow": flow,
    "flow's derivative": lambda: jax.grad(
        lambda kernel: jnp.sum(
            availability_flows.kernel_flow(kernel, kernel, LABELS, jnp.array([0.5]))
        )
    )(FRAME),
    "linear flow": lambda: availability_flows.linear_flow((2.0, 1.0), (0.8, 0.9), 0.2, 3.0),
    "population": lambda: availability_flows.population_flow(
        availability_flows.ntk, (2.0, 1.0), (0.8, 0.9), 0.2, jnp.array([3.0]), 4, 4
    ),
}


@pytest.mark.parametrize("name", CALLS)
def test_strict_promotion_changes_nothing(name, unannotated):
    ordinary = CALLS[name]()
    with jax.numpy_dtype_promotion("strict"):
        strict = CALLS[name]()
    for first, second in zip(jax.tree.leaves(ordinary), jax.tree.leaves(strict), strict=True):
        assert first.dtype == second.dtype
        np.testing.assert_array_equal(first, second)
