"""What every parameter of a public function takes, by its name, and which functions are left out.

An entry of ``TABLE`` under ``module.function:name`` comes before ``module:name``, and that before
the name alone; a parameter without an entry is what its annotation says.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from theory import deep_kernels, dynamics, heavy_ball, networks
from theory.mixup import features, features_data

# Sizes by their names in annotations, in two sets only, as every shape is compiled: a plain one,
# and one where everything is as small as can be.
PLAIN = dict(n=4, d=6, m=4, k=2, t=3, s=3, q=5, v=2, g=2, e=7, P=3, b=1, R=2, p=8, c=3, width=4)
PLAIN |= dict(r=2, n_adv=2, ks=2)
SIZES = {"plain": PLAIN, "ones": dict.fromkeys(PLAIN, 1) | dict(width=2)}
ANY_SHAPE = {"plain": (2, 3), "ones": ()}

Maker = Callable[[np.random.Generator, tuple[int, ...], dict[str, int]], Any]


@dataclasses.dataclass(frozen=True)
class Kind:
    """What a parameter takes.

    Attributes:
      make: an example from a generator, a shape and the sizes.
      sort: "array" (of the annotated shape), "number", "integer", "word", "key", "record" (of
        arrays), or "other", which is not spoilt.
      free: whether any finite entries are valid, so that extreme ones may be put in.
      many: whether a number may also be an array of any shape.
      wrong: values that must be refused, besides what is wrong for every parameter of the sort.
      dims: the shape, where the annotation does not say it.
    """

    make: Maker
    sort: str = "other"
    free: bool = False
    many: bool = False
    dims: str = ""
    wrong: tuple[Any, ...] = ()


def numbers(low: float, high: float, *, many: bool = False) -> Kind:
    """One number between two; with ``many``, where arrays of them are taken too."""
    return Kind(lambda rng, shape, sizes: float(rng.uniform(low, high)), "number", many=many)


def integers(low: int, high: int) -> Kind:
    return Kind(lambda rng, shape, sizes: int(rng.integers(low, high + 1)), "integer")


def words(*allowed: Any) -> Kind:
    return Kind(lambda rng, shape, sizes: allowed[rng.integers(len(allowed))], "word")


def one_of(*values: Any, wrong: tuple[Any, ...] = ()) -> Kind:
    return Kind(lambda rng, shape, sizes: values[rng.integers(len(values))], wrong=wrong)


def arrays(make: Maker, dims: str = "") -> Kind:
    return Kind(make, "array", dims=dims)


def between(low: float, high: float, dims: str = "") -> Kind:
    return arrays(lambda rng, shape, sizes: rng.uniform(low, high, shape), dims)


def free(dims: str) -> Kind:
    return dataclasses.replace(FREE, dims=dims)


def other(make: Maker) -> Kind:
    return Kind(make)


def record(make: Maker) -> Kind:
    return Kind(make, "record")


FREE = Kind(lambda rng, shape, sizes: rng.normal(size=shape), "array", free=True)
POSITIVE, SHARES = between(0.2, 2.0), between(0.05, 0.95)
ASCENDING = arrays(lambda rng, shape, sizes: np.sort(rng.uniform(0.1, 3.0, shape)))
BITS = arrays(lambda rng, shape, sizes: rng.integers(0, 2, shape))
# Of sums that are exactly 1 in every dtype.
SIMPLEX = arrays(
    lambda rng, shape, sizes: (
        (1 + rng.multinomial(64 - shape[-1], np.full(shape[-1], 1 / shape[-1]), shape[:-1])) / 64
    )
)


def _labels(rng: np.random.Generator, shape: tuple[int, ...], sizes: dict[str, int]) -> np.ndarray:
    """Labels -1 and +1 in turn, so that there are both wherever there are two."""
    return rng.permutation(np.where(np.arange(np.prod(shape)) % 2, -1.0, 1.0)).reshape(shape)


def _gram(rng: np.random.Generator, shape: tuple[int, ...], sizes: dict[str, int]) -> np.ndarray:
    """Inner products of nearly orthogonal samples."""
    x = np.eye(shape[0], 3 * shape[0]) + 0.01 * rng.normal(size=(shape[0], 3 * shape[0]))
    return x @ x.T


def _classes(rng: np.random.Generator, shape: tuple[int, ...], sizes: dict[str, int]) -> Any:
    return np.arange(np.prod(shape)).reshape(shape) % sizes["k"]


def _network(rng: np.random.Generator, shape: tuple[int, ...], sizes: dict[str, int]) -> Any:
    return networks.init_two_layer(_key(rng, shape, sizes), sizes["d"], sizes["m"])


def _key(rng: np.random.Generator, shape: tuple[int, ...], sizes: dict[str, int]) -> jax.Array:
    return jax.random.key(int(rng.integers(2**31)))


def draw_patches(rng: np.random.Generator, shape: tuple[int, ...], sizes: dict[str, int]) -> Any:
    return features_data.make_patch_data(_key(rng, shape, sizes), 4, 3, 0.5, 0.5)


def draw_state(rng: np.random.Generator, shape: tuple[int, ...], sizes: dict[str, int]) -> Any:
    data = draw_patches(rng, shape, sizes)
    return features.init_state(_key(rng, shape, sizes), data, sizes["m"], 0.3, 1.0)


def _spectrum(rng: np.random.Generator, shape: tuple[int, ...], sizes: dict[str, int]) -> Any:
    return dynamics.decompose(jnp.asarray(_gram(rng, (sizes["n"],) * 2, sizes)))


def _frame(rng: np.random.Generator, shape: tuple[int, ...], sizes: dict[str, int]) -> np.ndarray:
    """Rows of a simplex frame."""
    k, d = shape
    frame = np.eye(k) - 1 / k
    return np.pad(frame, ((0, 0), (0, max(d - k, 0))))[:, :d]


def _patches(rng: np.random.Generator, shape: tuple[int, ...], sizes: dict[str, int]) -> np.ndarray:
    """One patch of noise a sample: as many are linearly independent."""
    return rng.normal(size=shape) * (np.arange(shape[1]) == 0)[None, :, None]


def _trace(rng: np.random.Generator, shape: tuple[int, ...], sizes: dict[str, int]) -> Any:
    n, width = sizes["n"], sizes["m"]
    rates, factors = jnp.full(3, 0.1), jnp.asarray(rng.uniform(0.1, 1.0, n))
    gates = jnp.asarray(rng.uniform(0.1, 1.0, (width, n)))
    return heavy_ball.TrainTrace(rates, -rates, rates, factors, gates)


LABELS, GRAM = arrays(_labels), arrays(_gram)

TABLE: dict[str, Kind] = {
    "key": Kind(_key, "key"),
    "p": record(_network),
    "p0": record(_network),
    "p_f": record(_network),
    "p_g": record(_network),
    "data": record(draw_patches),
    "state": record(draw_state),
    "spectrum": record(_spectrum),
    "y": LABELS,
    "targets": LABELS,
    "gram": GRAM,
    "kernel": GRAM,
    "kernel_train": GRAM,
    "times": ASCENDING,
    "taus": ASCENDING,
    "gamma": numbers(0.1, 0.9),
    "activation": numbers(0.1, 0.9),
    "init_bias": numbers(0.0, 2.0),
    "beta": numbers(0.0, 0.9),
    "lr": numbers(0.01, 0.5),
    "rate": numbers(0.01, 0.5),
    "steps": integers(0, 3),
    "max_steps": integers(64, 64),
    "rtol": numbers(1e-3, 1e-2),
    "atol": numbers(1e-3, 1e-2),
    "eps": numbers(0.05, 0.5),
    "form": words("gram", "pairwise"),
    "block": integers(1, 3),
    "loss": words("identity", "logistic"),
    "scheduler": words(None, "plateau"),
    "coordinates": words("auto", "weights", "gram"),
    "torch_plateau": one_of(True, False),
    "dtype": one_of(None, jnp.float32),
    "products": one_of(None, jnp.bfloat16),
    "depth": integers(1, 3),
    "bias": numbers(0.0, 2.0),
    "kind": words("gate", "nngp", "lazy"),
    "zero": words("error", "keep"),
    "limits": one_of(
        (-1.0, 1.0), (0, 2), wrong=((1.0, -1.0), (0.0, np.nan), (0.0,), None, 3, "ab", ("a", "b"))
    ),
    "lam": POSITIVE,
    "eta": numbers(0.01, 0.5),
    "noise": numbers(0.5, 2.0),
    "radii": numbers(0.5, 2.0, many=True),
    "noise_radii": numbers(0.5, 2.0, many=True),
    "start": record(draw_state),
    "end": record(draw_state),
    "labels": arrays(_classes),
    "probs": SIMPLEX,
    "lams": SHARES,
    "convention": words("signed", "absolute"),
    "mu": between(0.5, 2.0, "2"),
    "rho": between(0.6, 0.95, "2"),
    "theory.shortcut.availability.mu_from_rho:rho": between(0.6, 0.95, "..."),
    "theory.shortcut.availability_flows.linear_flow:ridge": one_of(0.0),
    "theory.shortcut.availability_flows.linear_flow:t": numbers(0.0, 2.0),
    "sigma": numbers(-0.5, 0.5),
    "kappa": numbers(0.5, 5.0, many=True),
    "trace": record(_trace),
    "yhat": LABELS,
    "yhat_opt": LABELS,
    "theory.activations.resolve:name": one_of("gamma"),
    "theory.descent.snapshots:at": arrays(
        lambda rng, shape, sizes: np.cumsum(rng.integers(0, 3, shape)), "t"
    ),
    # A number, or one for each step.
    "theory.dynamics:lr": numbers(0.01, 0.5, many=True),
    "theory.dynamics.squared_flow:y": FREE,
    "theory.dynamics.margin_flow:loss": words("logistic", "exponential"),
    "theory.geometry.direction:norm": words("l2", "linf", "l0"),
    "theory.geometry.direction:k": one_of(None, 1, wrong=(0, 7, 1.5, "1")),
    "theory.geometry.norms:axis": one_of(-1, wrong=(7, "words")),
    "theory.kernels.cosine_from_products:products": FREE,
    "theory.kernels.cosine_from_products:aug_norm_x": POSITIVE,
    "theory.kernels.cosine_from_products:aug_norm_z": POSITIVE,
    "theory.mixup.calibration:target": arrays(_classes, "n"),
    "theory.mixup.calibration.ts_weak:steps": integers(1, 3),
    "theory.mixup.calibration_mixing:lam": SHARES,
    "theory.mixup.calibration_mixing:weights": POSITIVE,
    "theory.mixup.calibration_mixing:z": SHARES,
    "theory.mixup.calibration_mixing:y": arrays(_classes),
    "theory.mixup.calibration_mixing:x": SHARES,
    "theory.mixup.calibration_pairs:y": arrays(_classes),
    "theory.mixup.calibration_pairs.paired_posterior:x": SHARES,
    "theory.mixup.calibration_pairs.gaussian_posterior:mu": numbers(0.2, 2.0),
    "theory.mixup.calibration_pairs:overlap": numbers(0.1, 0.9, many=True),
    "theory.mixup.calibration_pairs.oracle_ts_optimum:k": numbers(2.0, 5.0, many=True),
    "theory.mixup.calibration_pairs.ts_lower_bound:k": numbers(2.0, 5.0, many=True),
    "theory.mixup.calibration_pairs:spread": numbers(0.0, 2.0, many=True),
    "theory.mixup.calibration_pairs:fraction": numbers(0.1, 0.9, many=True),
    "theory.mixup.collapse:w": arrays(_frame),
    "theory.mixup.collapse.ufm_objective:w": FREE,
    "theory.mixup.collapse:target": SIMPLEX,
    "theory.mixup.collapse:lam": numbers(0.1, 0.9, many=True),
    "theory.mixup.collapse:scale": numbers(0.1, 0.9, many=True),
    "theory.mixup.collapse:feature_decay": numbers(0.1, 0.9, many=True),
    "theory.mixup.collapse_dual:target": SIMPLEX,
    "theory.mixup.collapse_free.ufm_free_loss:w": arrays(_frame),
    "theory.mixup.collapse_free:targets": SIMPLEX,
    "theory.mixup.collapse_free:num_classes": integers(2, 3),
    "theory.mixup.features:target": BITS,
    "theory.mixup.features_data:y": BITS,
    "theory.mixup.features_data:rho": numbers(0.4, 0.6),
    "theory.mixup.features_data:num_patches": integers(3, 4),
    "theory.mixup.features_data:num_feature_noise": integers(0, 2),
    "theory.mixup.features_data:layout": words("fixed", "random"),
    "theory.mixup.features_data:order": arrays(
        lambda rng, shape, sizes: rng.permuted(np.tile(np.arange(shape[1]), (shape[0], 1)), axis=1)
    ),
    "theory.mixup.features_laws:target": BITS,
    "theory.mixup.features_laws:n": numbers(2.0, 9.0, many=True),
    "theory.mixup.features_laws:count": numbers(1.0, 2.0, many=True),
    "theory.mixup.features_laws:lam_x": numbers(0.1, 0.9, many=True),
    "theory.mixup.features_laws.rare_ratio:gap": arrays(
        lambda rng, shape, sizes: rng.uniform(0.1, 1.0, shape) * [1.0, -1.0, 1.0, -1.0]
    ),
    "theory.mixup.features_laws:lam_y": numbers(0.1, 0.9, many=True),
    "theory.mixup.features_laws:noise_energy": numbers(0.1, 0.9, many=True),
    "theory.mixup.features_noise.lift:vectors": arrays(_patches),
    "theory.mixup.features_noise:dim": integers(5, 9),
    "theory.mixup.features_runs:schedule": one_of(
        (("standard", 2), ("mixup", 2)), wrong=((("mixup", 1.5),), (("words", 1),), None, 3, "ab")
    ),
    "theory.mixup.features_runs:record_every": integers(1, 2),
    "theory.perturbation.orthogonal_flow:loss": words("exponential", "logistic"),
    "theory.perturbation.orthogonal_data:gram": GRAM,
    "theory.perturbation.orthogonal_data:rho": numbers(0.0, 0.1),
    "theory.perturbation.orthogonal_data:signs": arrays(lambda rng, shape, sizes: np.ones(shape)),
    "theory.perturbation.orthogonal_data.orthogonal_noise:d": integers(6, 6),
    "theory.perturbation.orthogonal_perturbed:gram_base": GRAM,
    # Together with the Gram matrix it must be one of real vectors.
    "theory.perturbation.orthogonal_perturbed:base_dot_dir": between(-0.3, 0.3),
    "theory.perturbation.orthogonal_perturbed.perturbed_multipliers:eps": between(0.05, 0.1),
    "theory.perturbation.orthogonal_agreement:absolute": POSITIVE,
    "theory.perturbation.orthogonal_agreement:unit_normal": arrays(
        lambda rng, shape, sizes: np.eye(1, shape[0])[0]
    ),
    "theory.perturbation.orthogonal_agreement:lo": numbers(0.1, 0.5),
    "theory.perturbation.orthogonal_agreement:hi": numbers(0.5, 0.9),
    "theory.perturbation.orthogonal_agreement:lam_adv": POSITIVE,
    "theory.perturbation.orthogonal_agreement:d": numbers(2.0, 9.0),
    "theory.perturbation.orthogonal_agreement:n": numbers(2.0, 9.0),
    "theory.perturbation.orthogonal_agreement.predicted_accuracy:n_adv": numbers(2.0, 9.0),
    "theory.perturbation.wide_bounds:extra_f": numbers(0.0, 0.5, many=True),
    "theory.perturbation.wide_bounds:extra_g": numbers(0.0, 0.5, many=True),
    "theory.perturbation.wide_bounds:f0": FREE,
    "theory.perturbation.wide_bounds:radius": POSITIVE,
    "theory.perturbation.maps:resolution": integers(2, 3),
    "theory.shortcut.availability.means:mu": between(0.5, 2.0, "2"),
    "theory.shortcut.availability:v": free("2"),
    "theory.shortcut.availability.probe_grid:n": integers(2, 4),
    "theory.shortcut.availability:alpha": between(0.5, 2.0, "2"),
    "theory.shortcut.availability_data:alpha": between(0.5, 2.0, "2"),
    "theory.shortcut.availability_flows:alpha": between(0.5, 2.0, "2"),
    "theory.shortcut.availability_points:alpha": between(0.5, 2.0, "2"),
    "theory.shortcut.availability_data:dim": integers(2, 4),
    "theory.shortcut.availability_data:n_quad": integers(1, 4),
    "theory.shortcut.availability_data:nesting": one_of(
        (0, 0), (1, 0), wrong=((0, -1), (0,), (0, 0, 0), 3, "ab", None)
    ),
    "theory.shortcut.availability_data.embed:w": arrays(
        lambda rng, shape, sizes: np.ones(shape) / shape[0] ** 0.5
    ),
    # More samples than dimensions: else the covariance is singular.
    "theory.shortcut.availability_data.lda_fit:x": free("p c"),
    "theory.shortcut.availability_data.lda_fit:y": arrays(_labels, "p"),
    "theory.shortcut.availability_flows:kernel": one_of(deep_kernels.linear_kernel),
    "theory.shortcut.availability_flows.ntk:kind": words("linear", "relu", "tanh"),
    "theory.shortcut.availability_flows:k": GRAM,
    "theory.shortcut.availability_flows:n_quad": integers(2, 4),
    "theory.shortcut.availability_flows:n_probe": integers(2, 4),
    "theory.shortcut.availability_flows:rcond": numbers(1e-12, 1e-8),
    "theory.shortcut.availability_points:kernel": one_of(deep_kernels.linear_kernel),
    "theory.shortcut.availability_points:rho_s": numbers(0.6, 0.7),
    "theory.shortcut.availability_points:rho_c": numbers(0.8, 0.9),
    "theory.shortcut.availability_spectra:kernel": one_of(deep_kernels.linear_kernel),
    "theory.shortcut.availability_spectra:pi": SIMPLEX,
    "theory.shortcut.availability_spectra:n": integers(64, 64),
    "theory.shortcut.availability_spectra:k_max": integers(1, 4),
    "theory.deep_kernels:kernel": one_of(deep_kernels.linear_kernel),
    "theory.shortcut.cues:num_levels": integers(2, 3),
    "theory.shortcut.cues:num_cues": integers(2, 3),
    "theory.shortcut.cues:successes": numbers(0.0, 2.0, many=True),
    "theory.shortcut.cues:trials": numbers(2.0, 9.0, many=True),
    "theory.shortcut.cues:alpha": POSITIVE,
    "theory.shortcut.cues:pred": BITS,
    "theory.shortcut.cues_landscape:loss": one_of(lambda params: jnp.sum(params**2)),
    "theory.shortcut.cues_landscape.bezier:start": free("p"),
    "theory.shortcut.cues_landscape.bezier:bend": free("p"),
    "theory.shortcut.cues_landscape.bezier:end": free("p"),
    "theory.shortcut.cues_landscape.bezier:t": numbers(0.0, 1.0),
    "theory.shortcut.gradients:f": one_of(lambda x: jnp.sum(x**2, axis=-1)),
    "theory.shortcut.gradients:m": integers(3, 3),
    "theory.shortcut.gradients:train_eval": one_of(lambda x, y, key: jnp.mean(x)),
    "theory.shortcut.gradients:ks": between(0.1, 0.9, "ks"),
    "theory.shortcut.gradients.diffroar:y": other(_labels),
    "theory.shortcut.gradients.block_leakage:signal": arrays(
        lambda rng, shape, sizes: np.arange(np.prod(shape)).reshape(shape) % 2
    ),
    "theory.shortcut.gradients_margin:noise": numbers(0.1, 0.9),
    "theory.shortcut.cues_landscape:radii": POSITIVE,
    "theory.perturbation.wide.threshold_agreement:mu": numbers(0.1, 0.9),
    "theory.shortcut.gradients_margin.affine_robust_margin:v": FREE,
    "sims.attacks:x": between(0.1, 0.9, "n ..."),
    "sims.attacks.pgd:norm": one_of("l2", "linf", wrong=("nonsense", None, ["l2"], 1.5)),
    "sims.attacks.pgd:eps": numbers(0.05, 0.5),
    "sims.attacks.pgd:objective": one_of(lambda x: jnp.sum(x.reshape(x.shape[0], -1) ** 2, axis=1)),
    "sims.attacks.pgd:low": one_of(-jnp.inf, 0.0),
    "sims.attacks.pgd:high": one_of(jnp.inf, 1.0),
    "sims.attacks.pgd:linf_style": words("rescale", "sign"),
    "sims.attacks.pgd:restarts": integers(1, 1),
    "sims.attacks.logit_gap:logits": free("n k"),
    "sims.attacks.logit_gap:targets": arrays(_classes, "n"),
    "sims.data.shifted_gauss:mu": numbers(0.1, 0.9),
    "sims.data:dtype": one_of(jnp.float32, jnp.float64),
    "sims.data.train_test:x": free("n d"),
    "sims.data.train_test:y": arrays(_labels, "n"),
    "sims.data.train_test:n": integers(2, 2),
    "sims.mixing:x": free("n ..."),
    "sims.mixing.mix:targets": free("n ..."),
    "sims.mixing:concentration": numbers(0.5, 2.0),
    "sims.mixing:points": integers(1, 3),
    "sims.mixing:dtype": one_of(jnp.float32, jnp.float64),
    "sims.mixing.shares:shape": one_of((3, 2)),
    "sims.mixing.combine:values": free("n ..."),
    "sims.mixing.combine:rows": arrays(
        lambda rng, shape, sizes: rng.integers(0, sizes["n"], shape), "2 t"
    ),
    "sims.mixing.combine:weights": between(0.1, 0.9, "2 1"),
}

# Parameters that may be left out and are given here.
OPTIONAL = ("key", "scheduler", "products", "dtype")

# Modules and functions that are not called here (patterns of names), each with its reason.
EXCLUDED: dict[str, str] = {
    "theory.*_theorems.*": "parts of theorems, which the catalogue's property tests call",
    "theory.perturbation.orthogonal_samples.*": "parts of theorems, as above",
    "theory.perturbation.wide_agreement.*": "parts of theorems, as above",
    "theory.bounds.*": "parts of theorems, as above",
    "theory.draws.*": "parts of theorems, as above",
    "theory.*balls.*": "ball arithmetic of theorems' instances, which samplers make",
    "theory.catalogue.*": "looks theorems up by name",
    "theory.certified.*": "runs theorems",
    "theory.climbs.*": "runs theorems",
    "theory.counterexamples.*": "runs theorems",
    "theory.falsify.*": "runs theorems",
    "theory.jobs.*": "runs theorems",
    "theory.theorem.*": "runs theorems",
    "theory.runtime.*": "settings and processes, no arrays",
    "theory.files.*": "as above",
    "theory.stopping.*": "as above",
    "theory.memory.*": "as above",
    "theory.console.*": "as above",
    "theory.roots.*": "the derivatives of roots inside of other functions",
    "theory.heavy_ball.*": "the loop inside of descent, which checks what goes in",
    "theory.mixup.collapse_dual.solve": "the root inside of ufm_probs, which checks what goes in",
    "theory.mixup.calibration.class_labels": "a check, as those in arguments",
    "theory.mixup.calibration_pairs.even_classes": "as above",
    "theory.mixup.collapse_dual.distribution": "as above",
    "theory.perturbation.orthogonal.even_width": "as above",
    "theory.perturbation.orthogonal.slope": "as above",
    "theory.networks.checked": "a check, as those in arguments",
    "theory.mixup.features.checked": "as above",
    "theory.mixup.features_data.checked": "as above",
    "theory.activations.relu": "takes nothing",
    "theory.activations.erf": "takes nothing",
    "theory.activations.tanh": "takes nothing",
    "theory.gains.*": "inner parts of flows, which check what goes in",
    "theory.pairs.*": "inner parts of kernels, on rows that the kernel has read",
    "theory.arguments.*": "the checks themselves, with a table of their own in test_arguments",
    "sims.*.coords": "takes a config, which checks itself when it is made",
    "sims.*_coords": "as above",
    "sims.*.simulate": "as above",
    "sims.*.simulate_*": "as above",
    "sims.*.images": "as above",
    "sims.*_claims.*": "reads stored results, which the runner wrote",
    "sims.catalogue.*": "files, processes and devices, no arrays",
    "sims.compute.*": "as above",
    "sims.devices.*": "as above",
    "sims.experiment.*": "as above",
    "sims.processes.*": "as above",
    "sims.runner.*": "as above",
    "sims.code_digest.*": "takes a program's own functions and settings, not arrays",
    "sims.commands.*": "as above",
    "sims.image_sets.*": "as above",
    "sims.labels.*": "as above",
    "sims.loading.*": "as above",
    "sims.machine.*": "as above",
    "sims.provenance.*": "as above",
    "sims.running.*": "as above",
    "sims.selection.*": "as above",
    "sims.sources.*": "as above",
    "sims.status.*": "as above",
    "sims.sweep.*": "as above",
    "sims.balance.*": "takes traced programs or plans, not arrays",
    "sims.costs.*": "takes traced programs or plans, not arrays",
    "sims.memory.*": "takes traced programs or plans, not arrays",
    "sims.planning.*": "takes traced programs or plans, not arrays",
    "sims.programs.*": "takes traced programs or plans, not arrays",
    "sims.options.*": "takes the words of a command",
    "sims.storage.*": "as above",
    "sims.submit.*": "as above",
    "sims.models.*": "as above",
    "sims.sharded.*": "puts functions of theory on a mesh, whose checks answer",
    "sims.attack_*": "parts of sims.attacks.pgd, which checks what goes in",
    "sims.image_files.*": "files, no arrays",
    "sims.training.in_batches": "takes a function and any arrays",
    "sims.data.load_*": "as above",
    "sims.data.binary_task": "takes images, which a loader made",
    "sims.training.train": "takes functions and a network, which a study made",
    "sims.training.momentum": "as above",
    "sims.mixup.*": "parts of a study, called with what its config made",
    "sims.perturbation.*": "as above",
    "sims.shortcut.*": "as above",
}

# Functions whose loops take longer to compile than their few steps [measured: 7 s against 1 s].
EAGER = ("theory.dynamics.margin_flow", "theory.mixup.features_runs.run")

# Functions that are handed arrays of numbers only: inner parts of kernels, on values that the
# kernel has checked, where a second look at every entry would cost more than the function itself.
INNER = ("theory.angles.*",)

# Functions that may hand on short floats in the dtype in which they came.
MODELS = (
    "theory.descent.train",
    "theory.networks.forward",
    "theory.networks.gates",
    "theory.networks.input_gradient",
    "theory.networks.preactivations",
    "theory.descent.snapshots",
    "sims.attacks.pgd",
    "sims.data.train_test",
    "sims.mixing.*",
)

# Functions that take arrays of jax or numpy, as their annotations say, and nothing in their place.
ARRAYS_ONLY = ("sims.*",)

# Exceptions besides ValueError, with the words of the docstring.
RAISES: dict[str, tuple[type[Exception], str]] = {
    "theory.dynamics.margin_flow": (
        RuntimeError,
        "max_steps: of the integrator; exceeding it is an error of the solver",
    ),
}

# Functions whose valid input may give NaN or infinity, with the words of the docstring.
LIMITS: dict[str, str] = {
    "theory.mixup.calibration_mixing.mixed_posterior": "NaN where no mixed point falls",
    "theory.mixup.calibration_mixing.mixup_posterior_pair": "where no mixed point falls",
    "theory.perturbation.orthogonal_flow.gram_angle": "norm zero gives NaN",
    "theory.perturbation.wide_bounds.direction_certificate": "infinite where P_q is 0",
    "theory.shortcut.availability_points.four_point": "NaN where it is never negative",
    "theory.shortcut.gradients.leakage_stats": "NaN for 0 over 0",
    "theory.shortcut.gradients.block_leakage": "NaN for 0 over 0",
    "sims.attacks.logit_gap": "-inf where it is the only class",
    "theory.mixup.features_laws.conservation_residual": "a zero entry gives inf or NaN",
    "theory.mixup.features_laws.noise_growth": "A zero entry at a noise patch gives inf or NaN",
    "theory.mixup.features_laws.rare_ratio": "NaN at alpha = 0",
    "theory.mixup.features_noise.lift": "NaN for patches that are linearly dependent",
}
