"""What parameters of this study's functions take, beyond what their names say."""

from __future__ import annotations

import numpy as np

from tests.robustness.fuzz.domains import BITS, _patches, arrays, integers, numbers, one_of, words

DOMAINS = {
    "theory.mixup.features.dynamics:target": BITS,
    "theory.mixup.features.data:y": BITS,
    "theory.mixup.features.data:rho": numbers(0.4, 0.6),
    "theory.mixup.features.data:num_patches": integers(4, 4),
    "theory.mixup.features.data:num_feature_noise": integers(0, 2),
    "theory.mixup.features.data:layout": words("fixed", "random"),
    "theory.mixup.features.data:order": arrays(
        lambda rng, shape, sizes: rng.permuted(np.tile(np.arange(shape[1]), (shape[0], 1)), axis=1)
    ),
    "theory.mixup.features.laws:target": BITS,
    "theory.mixup.features.laws:n": numbers(2.0, 9.0, many=True),
    "theory.mixup.features.laws:count": numbers(1.0, 2.0, many=True),
    "theory.mixup.features.laws:lam_x": numbers(0.1, 0.9, many=True),
    "theory.mixup.features.laws.rare_ratio:gap": arrays(
        lambda rng, shape, sizes: rng.uniform(0.1, 1.0, shape) * [1.0, -1.0, 1.0, -1.0]
    ),
    "theory.mixup.features.laws:lam_y": numbers(0.1, 0.9, many=True),
    "theory.mixup.features.laws:noise_energy": numbers(0.1, 0.9, many=True),
    "theory.mixup.features.noise.lift:vectors": arrays(_patches),
    "theory.mixup.features.noise:dim": integers(5, 9),
    "theory.mixup.features.training:schedule": one_of(
        (("standard", 2), ("mixup", 2)), wrong=((("mixup", 1.5),), (("words", 1),), None, 3, "ab")
    ),
    "theory.mixup.features.training:record_every": integers(1, 2),
}
