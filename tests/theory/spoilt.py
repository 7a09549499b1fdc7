"""For every theorem, a change of a function's result that its verification must notice.

``SPOILT[theorem] = (what is wrong, module, function, change of its result)``. Functions are found
through their modules when a check is traced, so that all uses are spoilt.
"""

import dataclasses

import jax
import jax.numpy as jnp

from twolayer.theory import geometry
from twolayer.theory.mixup.calibration import midpoint, mixup_posterior, overlapping_pairs
from twolayer.theory.mixup.collapse import dual, free_classifier, optimal_features
from twolayer.theory.mixup.features import dynamics as features
from twolayer.theory.mixup.features import laws
from twolayer.theory.perturbation.orthogonal import agreement, data, exact, flow, limit, perturbed
from twolayer.theory.perturbation.wide import bounds, surrogate
from twolayer.theory.shortcut.availability import data as availability_data
from twolayer.theory.shortcut.availability import flows, four_points, shortcut_bias, spectra
from twolayer.theory.shortcut.cues import accuracy
from twolayer.theory.shortcut.gradients import max_margin
from twolayer.theory.training import function_space, momentum


def scaled(factor):
    return lambda value: jax.tree.map(lambda leaf: factor * leaf, value)


def shifted(by):
    return lambda value: value + by


def part(index, factor):
    """One entry of a tuple times a factor."""
    return lambda parts: tuple(
        factor * each if i == index else each for i, each in enumerate(parts)
    )


def field(name, change):
    """One field of a record changed."""
    return lambda record: dataclasses.replace(record, **{name: change(getattr(record, name))})


def tilted(matrix):
    """Entries off by some per cent, by other ones in every row and column."""
    rows, columns = (jnp.arange(size) for size in matrix.shape)
    return matrix * (1 + 1e-2 * rows[:, None] * columns[None, :])


SLIGHTLY = scaled(1 + 1e-6)

WIDE = {
    "effective_time": ("a per cent longer", function_space, "effective_time", scaled(1.01)),
    "width": ("radius with 0.045 for 4.5", bounds, "width_radius", scaled(0.1)),
    "lazy_training": ("bound a thousandth", bounds, "lazy_bound", scaled(1e-3)),
    "lazy_sign": ("drift reversed", bounds, "lazy_drift", scaled(-1.0)),
    "flip_mass": ("3.9 for 4", bounds, "expected_flip_mass", scaled(0.975)),
    "input_gradient": ("no initial part", surrogate, "initial_direction", scaled(0.0)),
    "direction": ("off by a millionth", surrogate, "representer_coefficients", SLIGHTLY),
    "coefficients": ("forgotten momentum", momentum, "effective_weights", scaled(0.5)),
    "infinite_gradient": ("doubled", surrogate, "gate_kernel_gradient", scaled(2.0)),
    "decomposition": ("odd part halved", surrogate, "even_odd_split", part(1, 0.5)),
    "signal_sign": (
        "even and odd exchanged",
        surrogate,
        "even_odd_split",
        lambda parts: parts[::-1],
    ),
    "label_noise": ("a quarter", bounds, "label_noise_radius", scaled(0.25)),
    "balanced_noise": ("all labels alike", surrogate, "random_targets", jnp.ones_like),
    "agreement_a": ("odd part reversed", surrogate, "even_odd_split", part(1, -1.0)),
    "agreement_b": ("odd part reversed", surrogate, "even_odd_split", part(1, -1.0)),
    "initial_output": ("a third", bounds, "initial_output_radius", scaled(1 / 3)),
    "threshold_surrogate": ("a fifth", bounds, "threshold_surrogate_bound", scaled(0.2)),
    "threshold_law": ("above by a tenth", surrogate, "threshold_agreement", shifted(0.1)),
}

ORTHOGONAL = {
    "boundary": ("without signs", limit, "boundary_normal", jnp.abs),
    "margins": ("off by a millionth", limit, "solve_multipliers", SLIGHTLY),
    "kkt": ("v off by a millionth", limit, "limit_rows", part(0, 1 + 1e-6)),
    "norm": ("v off by a millionth", limit, "limit_rows", part(0, 1 + 1e-6)),
    "rank": ("tilted", flow, "descent_coefficients", tilted),
    "limit": ("tilted", flow, "descent_coefficients", tilted),
    "paper_multipliers": ("a tenth", limit, "solve_multipliers", scaled(0.1)),
    "sharp_multipliers": ("a fifth larger", limit, "solve_multipliers", scaled(1.2)),
    "paper_tier": ("lo reversed", limit, "orthogonality", field("lam_lo", scaled(-1.0))),
    "sharp_tier": ("least halved", limit, "certificate", field("min_lam", scaled(0.5))),
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

FEATURES = {
    "gram_step": ("off by a millionth", features, "mixup_step", SLIGHTLY),
    "block_structure": ("a per cent larger", laws, "signal_matrix", scaled(1.01)),
    "initial_rates": ("a thousandth larger", laws, "feature_rate", scaled(1.001)),
    "equivalent_weights": ("a thousandth larger", features, "mixup_weights", scaled(1.001)),
    "conservation": ("not zero", laws, "conservation_residual", shifted(1e-2)),
    "multiplicative_law": ("a per cent larger", features, "output_gaps", scaled(1.01)),
    "memorization_bound": ("halved", laws, "memorization_factor", scaled(0.5)),
    "rare_frozen": ("halved", laws, "memorization_factor", scaled(0.5)),
    "never_unlearns": ("shrunk", features, "standard_step", scaled(0.9)),
    "test_error": ("0.01 too much", laws, "rare_error", shifted(0.01)),
    "rare_ratio": ("a thousand times", laws, "rare_ratio", scaled(1e3)),
    "half_error": (
        "rare gaps a third",
        features,
        "signal_gap",
        lambda gap: gap * jnp.array([1.0, 1.0, 0.3, 0.3]),
    ),
}

COLLAPSE = {
    "optimum": ("off by a millionth", dual, "ufm_logits", SLIGHTLY),
    "dual": ("off by a millionth", dual, "ufm_probs", SLIGHTLY),
    "same_class": ("off by a millionth", optimal_features, "ufm_features", SLIGHTLY),
    "channels": ("a tenth larger", optimal_features, "ufm_coefficients", scaled(1.1)),
    "boundary": ("half as large again", dual, "ufm_logits", scaled(1.5)),
    "squared_loss": ("off by a millionth", optimal_features, "ufm_mse_features", SLIGHTLY),
    "balance": ("a per cent larger", free_classifier, "free_loss", scaled(1.01)),
    "free_classifier": ("0.1 too much", free_classifier, "ufm_free_loss", scaled(1.1)),
}

CALIBRATION = {
    "lower_bound": ("three times", overlapping_pairs, "ts_lower_bound", scaled(3.0)),
    "optimum": ("a thousandth larger", overlapping_pairs, "oracle_ts_optimum", part(0, 1.001)),
    "prediction": (
        "classes exchanged",
        mixup_posterior,
        "mixup_predict_1d",
        lambda probs: probs[..., ::-1],
    ),
    "posterior": ("0.01 too much", mixup_posterior, "mixed_posterior", shifted(0.01)),
    "uniform_weights": (
        "mirrored",
        mixup_posterior,
        "mixup_posterior_pair",
        lambda share: 1 - share,
    ),
    "midpoint_floor": ("halved", midpoint, "midpoint_losses", part(0, 0.5)),
    "midpoint_limit": ("half again", midpoint, "midpoint_losses", part(0, 1.5)),
}

GRADIENTS = {
    "max_margin": ("off by a millionth", max_margin, "max_margin_value", SLIGHTLY),
    "bias_free": ("off by a millionth", max_margin, "max_margin_value", SLIGHTLY),
    "unique": ("off by a millionth", max_margin, "max_margin_value", SLIGHTLY),
    "near_margin": ("halved", max_margin, "max_margin_value", scaled(0.5)),
    "leakage": ("outputs reversed", max_margin, "max_margin_atoms", part(0, -1.0)),
    "robust_affine": ("0.01 too much", max_margin, "affine_robust_margin", shifted(0.01)),
    "robust_specific": (
        "thresholds off by a millionth",
        max_margin,
        "robust_network",
        field("b", SLIGHTLY),
    ),
}


def entry(name, change):
    """One entry of a dictionary changed."""
    return lambda found: found | {name: change(found[name])}


def kernel(change):
    """The values of a kernel changed."""
    return lambda function: lambda x, z: change(function(x, z))


AVAILABILITY = {
    "box_reliance": ("a fifth too much", shortcut_bias, "box_reliance", shifted(0.2)),
    "linear_limit": ("off by a millionth", flows, "linear_flow", SLIGHTLY),
    "linear_early": ("a per cent faster", flows, "linear_flow", scaled(1.01)),
    "least_squares": ("b off by a millionth", availability_data, "lda_fit", part(1, 1 + 1e-6)),
    "odd_reduction": (
        "off by a millionth",
        flows,
        "odd_kernel",
        kernel(SLIGHTLY),
    ),
    "relu_linear": ("off by a millionth", flows, "odd_kernel", kernel(SLIGHTLY)),
    "population_limit": (
        "error a per cent smaller",
        flows,
        "population_flow",
        entry("mse", scaled(0.99)),
    ),
    "four_points": (
        "rates off by a millionth",
        four_points,
        "four_point",
        field("lam", SLIGHTLY),
    ),
    "shorter_phase": (
        "a tenth larger",
        four_points,
        "four_point",
        field("kappa", scaled(1.1)),
    ),
    "circle": ("off by a millionth", spectra, "angular_coefficients", SLIGHTLY),
    "clusters": (
        "off by a millionth",
        spectra,
        "mixture_linear_spectrum",
        part(0, 1 + 1e-6),
    ),
    "narrow_clusters": ("a per cent larger", spectra, "centre_spectrum", scaled(1.01)),
}

CUES = {
    "single_cue": ("a thousandth larger", accuracy, "cue_baseline", scaled(1.001)),
    "majority": ("a thousandth smaller", accuracy, "majority_baseline", scaled(0.999)),
    "kernel_vote": ("always the first level", accuracy, "cue_vote", jnp.zeros_like),
}

SPOILT = {
    f"{stem}.{name}": change
    for stem, table in (
        ("wide", WIDE),
        ("orthogonal", ORTHOGONAL),
        ("features", FEATURES),
        ("collapse", COLLAPSE),
        ("calibration", CALIBRATION),
        ("availability", AVAILABILITY),
        ("cues", CUES),
        ("gradients", GRADIENTS),
    )
    for name, change in table.items()
}
# What is left of these when the code is wrong: their hypotheses hold nowhere.
VACUOUS = ("wide.agreement_a", "wide.agreement_b")
# Cheap to compile, and of every stem; all others are marked slow.
QUICK = (
    "wide.width",
    "wide.flip_mass",
    "wide.threshold_law",
    "orthogonal.boundary",
    "orthogonal.norm",
    "orthogonal.decomposition",
    "orthogonal.noise_bounds",
    "features.half_error",
    "collapse.balance",
    "calibration.uniform_weights",
    "availability.box_reliance",
    "gradients.robust_affine",
)
