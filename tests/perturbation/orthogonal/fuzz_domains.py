"""What parameters of this study's functions take, beyond what their names say."""

from __future__ import annotations

import numpy as np

from tests.robustness.fuzz.domains import GRAM, POSITIVE, arrays, between, integers, numbers, words

DOMAINS = {
    "theory.perturbation.orthogonal.flow:loss": words("exponential", "logistic"),
    "theory.perturbation.orthogonal.data:gram": GRAM,
    "theory.perturbation.orthogonal.flow.locked_flow:matrix": GRAM,
    "theory.perturbation.orthogonal.data:rho": numbers(0.0, 0.1),
    "theory.perturbation.orthogonal.data:signs": arrays(lambda rng, shape, sizes: np.ones(shape)),
    "theory.perturbation.orthogonal.data.orthogonal_noise:d": integers(6, 6),
    "theory.perturbation.orthogonal.perturbed:gram_base": GRAM,
    # Together with the Gram matrix it must be one of real vectors.
    "theory.perturbation.orthogonal.perturbed:base_dot_dir": between(-0.3, 0.3),
    "theory.perturbation.orthogonal.perturbed.perturbed_multipliers:eps": between(0.05, 0.1),
    "theory.perturbation.orthogonal.agreement:absolute": POSITIVE,
    "theory.perturbation.orthogonal.agreement:unit_normal": arrays(
        lambda rng, shape, sizes: np.eye(1, shape[0])[0]
    ),
    "theory.perturbation.orthogonal.agreement:lo": numbers(0.1, 0.5),
    "theory.perturbation.orthogonal.agreement:hi": numbers(0.5, 0.9),
    "theory.perturbation.orthogonal.agreement:lam_adv": POSITIVE,
    "theory.perturbation.orthogonal.agreement:d": numbers(2.0, 9.0),
    "theory.perturbation.orthogonal.agreement:n": numbers(2.0, 9.0),
    "theory.perturbation.orthogonal.agreement.predicted_accuracy:n_adv": numbers(2.0, 9.0),
}
