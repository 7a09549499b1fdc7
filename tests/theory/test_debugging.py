"""Whoever looks for infinities and NaN by JAX's own checks finds none on the way to a number."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from twolayer.sims.components.attacks import pgd
from twolayer.theory.kernels import deep
from twolayer.theory.mixup.calibration import mixup_posterior, overlapping_pairs
from twolayer.theory.shortcut.availability import four_points
from twolayer.theory.shortcut.gradients import attribution

LOGITS = jnp.array([[1.0, 2.0, 0.5], [0.3, -1.0, 4.0]])
CASES = {
    "logit_gap": lambda: pgd.logit_gap(LOGITS, jnp.array([1, 0])),
    "mixup_expected_kl": lambda: mixup_posterior.mixup_expected_kl(0.0),
    "mixup_predict_1d": lambda: mixup_posterior.mixup_predict_1d(
        jnp.array([0.2, 6.5]), jnp.array([0.0, 0.5, 6.2]), jnp.array([0, 1, 2]), 4
    ),
    "four_point": lambda: (
        four_points.four_point(deep.linear_kernel, jnp.array([3.0, 1.0]), 0.7, 0.9).t_switch
    ),
    "oracle_ts_optimum": lambda: overlapping_pairs.oracle_ts_optimum(0.3, 3.0)[0],
    "leakage_stats": lambda: attribution.leakage_stats(LOGITS, LOGITS, jnp.array([0, 1]), 2)["cos"],
}


@pytest.mark.parametrize("name", CASES)
def test_nothing_is_infinite_on_the_way(name):
    with jax.debug_nans(True), jax.debug_infs(True):
        result = CASES[name]()
    np.testing.assert_array_equal(result, CASES[name]())
