"""Whoever looks for infinities and NaN by JAX's own checks finds none on the way to a number."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sims import attacks
from theory import deep_kernels
from theory.mixup import calibration_mixing
from theory.shortcut import availability_points, gradients

LOGITS = jnp.array([[1.0, 2.0, 0.5], [0.3, -1.0, 4.0]])
CASES = {
    "logit_gap": lambda: attacks.logit_gap(LOGITS, jnp.array([1, 0])),
    "mixup_expected_kl": lambda: calibration_mixing.mixup_expected_kl(0.0),
    "mixup_predict_1d": lambda: calibration_mixing.mixup_predict_1d(
        jnp.array([0.2, 6.5]), jnp.array([0.0, 0.5, 6.2]), jnp.array([0, 1, 2]), 4
    ),
    "four_point": lambda: (
        availability_points.four_point(
            deep_kernels.linear_kernel, jnp.array([3.0, 1.0]), 0.7, 0.9
        ).t_switch
    ),
    "leakage_stats": lambda: gradients.leakage_stats(LOGITS, LOGITS, jnp.array([0, 1]), 2)["cos"],
}


@pytest.mark.parametrize("name", CASES)
def test_nothing_is_infinite_on_the_way(name):
    with jax.debug_nans(True), jax.debug_infs(True):
        result = CASES[name]()
    np.testing.assert_array_equal(result, CASES[name]())
