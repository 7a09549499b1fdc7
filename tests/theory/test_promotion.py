"""Results under strict promotion of dtypes, where JAX mixes none by itself, are those without."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from twolayer.theory.mixup.calibration import mixup_posterior, overlapping_pairs
from twolayer.theory.mixup.collapse import optimal_features
from twolayer.theory.mixup.features import data as features_data
from twolayer.theory.mixup.features import laws
from twolayer.theory.mixup.features import noise as features_noise
from twolayer.theory.shortcut.availability import flows, spectra
from twolayer.theory.shortcut.cues import accuracy
from twolayer.theory.shortcut.gradients import attribution
from twolayer.theory.training import function_space, kernel_flow

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
    spectrum = function_space.decompose(FRAME)
    return function_space.squared_flow(
        spectrum, FRAME, LABELS, NONE, NONE, jnp.array([1.0, jnp.inf])
    )


CALLS = {
    "posterior": lambda: mixup_posterior.mixup_posterior_pair(X, 0.5),
    "divergence": lambda: mixup_posterior.mixup_expected_kl(0.5, nodes=8),
    "predictions": lambda: mixup_posterior.mixup_predict_1d(X, X, Y, 4),
    "paired sample": lambda: overlapping_pairs.sample_paired(KEY, 6, 4, 0.5),
    "paired posterior": lambda: overlapping_pairs.paired_posterior(X, 4, 0.5),
    "frame": lambda: optimal_features.simplex_etf(None, 3, 4, 1.0),
    "patches": lambda: jax.tree.leaves(patches()),
    "noise": short_noise,
    "rare error": lambda: laws.rare_error(GAP, 0.5, 2),
    "common error": lambda: laws.common_error(GAP, 0.5, 2),
    "accuracy": lambda: accuracy.cue_accuracy(
        jnp.array([0, 1, 1]), jnp.array([[0, 1], [1, 1], [2, 0]])
    ),
    "leakage": lambda: attribution.block_leakage(FRAME, FRAME > 1),
    "coefficients": lambda: spectra.angular_coefficients(flows.ntk, 3, 16),
    "relu coefficients": lambda: spectra.relu_angular_coefficients(4),
    "flow": flow,
    "flow's derivative": lambda: jax.grad(
        lambda kernel: jnp.sum(kernel_flow.kernel_flow(kernel, kernel, LABELS, jnp.array([0.5])))
    )(FRAME),
    "linear flow": lambda: flows.linear_flow((2.0, 1.0), (0.8, 0.9), 0.2, 3.0),
    "population": lambda: flows.population_flow(
        flows.ntk, (2.0, 1.0), (0.8, 0.9), 0.2, jnp.array([3.0]), 4, 4
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
