"""For every theorem, a change of a function's result that its verification must notice.

What is wrong, the module and the function, and the change. Functions are found through their
modules when a check is traced, so that all uses are changed.
"""

import jax.numpy as jnp

from tests.theory.changes import SLIGHTLY, field, part, scaled, tilted
from twolayer.theory import geometry
from twolayer.theory.perturbation.orthogonal import (
    agreement,
    conditions,
    data,
    exact,
    flow,
    limit,
    multipliers,
    perturbed,
)

FAULTS = {
    "boundary": ("without signs", limit, "boundary_normal", jnp.abs),
    "margins": ("off by a millionth", multipliers, "solve_multipliers", SLIGHTLY),
    "kkt": ("v off by a millionth", limit, "limit_rows", part(0, 1 + 1e-6)),
    "norm": ("v off by a millionth", limit, "limit_rows", part(0, 1 + 1e-6)),
    "rank": ("tilted", flow, "descent_coefficients", tilted),
    "limit": ("tilted", flow, "descent_coefficients", tilted),
    "paper_multipliers": ("a tenth", multipliers, "solve_multipliers", scaled(0.1)),
    "sharp_multipliers": ("a fifth larger", multipliers, "solve_multipliers", scaled(1.2)),
    "paper_tier": ("lo reversed", conditions, "orthogonality", field("lam_lo", scaled(-1.0))),
    "sharp_tier": ("least halved", conditions, "certificate", field("min_lam", scaled(0.5))),
    "attack": ("gain 0.9", geometry, "direction_gain", scaled(0.9)),
    "decomposition": ("noise doubled", agreement, "decompose", part(0, 2.0)),
    "perturbed_gram": ("off by a millionth", perturbed, "perturbed_gram", SLIGHTLY),
    "pointwise_agreement": ("noise a tenth", agreement, "decompose", part(0, 0.1)),
    "certified_agreement": ("reach 0.05", agreement, "noise_reach", scaled(0.05)),
    "certified_agreement_paper": ("reach .02", agreement, "noise_reach", scaled(0.02)),
    "orthogonal_noise": (
        "multiplier off by a millionth",
        exact,
        "orthogonal_noise_limit",
        field("lam_adv", SLIGHTLY),
    ),
    "targeted_gram": ("off by a millionth", exact, "targeted_gram", SLIGHTLY),
    "random_targets": ("a third", exact, "largest_random_tau", scaled(0.3)),
    "gradient": ("off by a millionth", exact, "gradient_cosine", scaled(1 - 1e-6)),
    "flipped_labels": (
        "multiplier off by a millionth",
        exact,
        "flipped_orthogonal",
        field("lam_adv", SLIGHTLY),
    ),
    "flipped_agreement": (
        "sign reversed",
        exact,
        "flipped_orthogonal",
        field("sign", scaled(-1.0)),
    ),
    "flipped_tiers": (
        "certificate denied",
        exact,
        "flipped_orthogonal",
        field("certificate", jnp.logical_not),
    ),
    "reflection": ("off by a millionth", data, "reflect", SLIGHTLY),
    "noise_bounds": ("a fifth", agreement, "noise_bounds", scaled(0.2)),
    "noise_agreement": ("samples reversed", perturbed, "perturb", scaled(-1.0)),
    "isotropic_agreement": (
        "disagreement",
        agreement,
        "isotropic_agreement",
        lambda share: 1 - share,
    ),
}
# Cheap to compile; all others are marked slow.
QUICK = ("boundary", "norm", "decomposition", "noise_bounds")
