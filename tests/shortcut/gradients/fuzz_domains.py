"""What parameters of this study's functions take, beyond what their names say."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from tests.robustness.fuzz.domains import (
    FREE,
    _labels,
    arrays,
    between,
    integers,
    numbers,
    one_of,
    other,
)

DOMAINS = {
    "theory.shortcut.gradients.attribution:f": one_of(lambda x: jnp.sum(x**2, axis=-1)),
    "theory.shortcut.gradients.attribution:m": integers(3, 3),
    "theory.shortcut.gradients.attribution:train_eval": one_of(lambda x, y, key: jnp.mean(x)),
    "theory.shortcut.gradients.attribution:ks": between(0.1, 0.9, "ks"),
    "theory.shortcut.gradients.attribution.diffroar:y": other(_labels),
    "theory.shortcut.gradients.attribution.block_leakage:signal": arrays(
        lambda rng, shape, sizes: np.arange(np.prod(shape)).reshape(shape) % 2
    ),
    "theory.shortcut.gradients.max_margin:noise": numbers(0.1, 0.9),
    "theory.shortcut.gradients.max_margin.affine_robust_margin:v": FREE,
}
