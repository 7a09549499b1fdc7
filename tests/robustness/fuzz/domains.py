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

from twolayer.theory import networks
from twolayer.theory.kernels import deep
from twolayer.theory.mixup.features import data as features_data
from twolayer.theory.mixup.features import filters
from twolayer.theory.training import function_space, momentum

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
    return filters.init_state(_key(rng, shape, sizes), data, sizes["m"], 0.3, 1.0)


def _spectrum(rng: np.random.Generator, shape: tuple[int, ...], sizes: dict[str, int]) -> Any:
    return function_space.decompose(jnp.asarray(_gram(rng, (sizes["n"],) * 2, sizes)))


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
    return momentum.TrainTrace(rates, -rates, rates, factors, gates)


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
    "sigma": numbers(-0.5, 0.5),
    "kappa": numbers(0.5, 5.0, many=True),
    "trace": record(_trace),
    "yhat": LABELS,
    "yhat_opt": LABELS,
    "theory.kernels.activations.resolve:name": one_of("gamma"),
    "theory.training.gradient_descent.snapshots:at": arrays(
        lambda rng, shape, sizes: np.cumsum(rng.integers(0, 3, shape)), "t"
    ),
    # A number, or one for each step.
    "theory.training.kernel_flow:k": GRAM,
    "theory.training.kernel_flow:rcond": numbers(1e-12, 1e-8),
    "theory.training.function_space:lr": numbers(0.01, 0.5, many=True),
    "theory.training.function_space.squared_flow:y": FREE,
    "theory.training.function_space.margin_flow:loss": words("logistic", "exponential"),
    "theory.geometry.direction:norm": words("l2", "linf", "l0"),
    "theory.geometry.direction:k": one_of(None, 1, wrong=(0, 7, 1.5, "1")),
    "theory.geometry.norms:axis": one_of(-1, wrong=(7, "words")),
    "theory.kernels.preactivations.cosine_from_products:products": FREE,
    "theory.kernels.preactivations.cosine_from_products:aug_norm_x": POSITIVE,
    "theory.kernels.preactivations.cosine_from_products:aug_norm_z": POSITIVE,
    "theory.kernels.deep:kernel": one_of(deep.linear_kernel),
    "sims.components.attacks.pgd:x": between(0.1, 0.9, "n ..."),
    "sims.components.attacks.pgd.pgd:norm": one_of(
        "l2", "linf", wrong=("nonsense", None, ["l2"], 1.5)
    ),
    "sims.components.attacks.pgd.pgd:eps": numbers(0.05, 0.5),
    "sims.components.attacks.pgd.pgd:objective": one_of(
        lambda x: jnp.sum(x.reshape(x.shape[0], -1) ** 2, axis=1)
    ),
    "sims.components.attacks.pgd.pgd:low": one_of(-jnp.inf, 0.0),
    "sims.components.attacks.pgd.pgd:high": one_of(jnp.inf, 1.0),
    "sims.components.attacks.pgd.pgd:linf_style": words("rescale", "sign"),
    "sims.components.attacks.pgd.pgd:restarts": integers(1, 1),
    "sims.components.attacks.pgd.logit_gap:logits": free("n k"),
    "sims.components.attacks.pgd.logit_gap:targets": arrays(_classes, "n"),
    "sims.components.data.shifted_gauss:mu": numbers(0.1, 0.9),
    "sims.components.data:dtype": one_of(jnp.float32, jnp.float64),
    "sims.components.data.train_test:x": free("n d"),
    "sims.components.data.train_test:y": arrays(_labels, "n"),
    "sims.components.data.train_test:n": integers(2, 2),
    "sims.components.mixing:x": free("n ..."),
    "sims.components.mixing.mix:targets": free("n ..."),
    "sims.components.mixing:concentration": numbers(0.5, 2.0),
    "sims.components.mixing:points": integers(1, 3),
    "sims.components.mixing:dtype": one_of(jnp.float32, jnp.float64),
    "sims.components.mixing.shares:shape": one_of((3, 2)),
    "sims.components.mixing.combine:values": free("n ..."),
    "sims.components.mixing.combine:rows": arrays(
        lambda rng, shape, sizes: rng.integers(0, sizes["n"], shape), "2 t"
    ),
    "sims.components.mixing.combine:weights": between(0.1, 0.9, "2 1"),
}

# Parameters that may be left out and are given here.
OPTIONAL = ("key", "scheduler", "products", "dtype")

# Modules and functions that are not called here (patterns of names), each with its reason.
EXCLUDED: dict[str, str] = {
    "theory.*.theorems.*": "parts of theorems, which the catalogue's property tests call",
    "theory.verification.inequality.*": "parts of theorems, as above",
    "theory.verification.sampling.*": "parts of theorems, as above",
    "theory.verification.intervals.*": "interval arithmetic of instances that samplers make",
    "theory.verification.registry.*": "looks theorems up by name",
    "theory.verification.certify.*": "runs theorems",
    "theory.verification.search.*": "runs theorems",
    "theory.verification.counterexamples.*": "runs theorems",
    "theory.verification.falsify.*": "runs theorems",
    "theory.verification.worker.*": "runs theorems",
    "theory.verification.theorem.*": "a record",
    "theory.verification.evaluation.*": "runs theorems",
    "theory.verification.verify.*": "runs theorems",
    "theory.roots.*": "the derivatives of roots inside of other functions",
    "theory.training.momentum.*": "the loop inside of descent, which checks what goes in",
    "theory.mixup.collapse.dual.solve": "the root inside of ufm_probs, which checks what goes in",
    "theory.mixup.calibration.scores.class_labels": "a check, as those in arguments",
    "theory.mixup.calibration.overlapping_pairs.even_classes": "as above",
    "theory.mixup.collapse.dual.distribution": "as above",
    "theory.perturbation.orthogonal.limit.even_width": "as above",
    "theory.perturbation.orthogonal.multipliers.slope": "as above",
    "theory.perturbation.orthogonal.multipliers.checked_*": "as above",
    "theory.networks.checked": "a check, as those in arguments",
    "theory.mixup.features.filters.checked*": "as above",
    "theory.mixup.features.data.checked": "as above",
    "theory.kernels.activations.relu": "takes nothing",
    "theory.kernels.activations.erf": "takes nothing",
    "theory.kernels.activations.tanh": "takes nothing",
    "theory.training.dual.gram_coordinates": "parts of descent, which checks what goes in",
    "theory.training.dual.moved_network": "as above",
    "theory.training.dual.shortened": "as above",
    "theory.training.losses.*": "inner parts of training, which checks what goes in",
    "theory.training.gains.*": "inner parts of flows, which check what goes in",
    "theory.kernels.gaussian_pairs.*": "inner parts of kernels, on rows that the kernel has read",
    "theory.kernels.preactivations.checked_bias": "a check, as those in arguments",
    "theory.kernels.forms.*": "the kernels of the module shallow, which are called there",
    "theory.kernels.erf_mixtures.*": "moments of activations, in numbers and not arrays",
    "theory.validation.*": "the checks themselves, with a table of their own in test_validation",
    "theory.semidefinite.*": "as above",
    "theory.precision.*": "dtypes, which the checks and models know",
    "sims.*.coords": "takes a config, which checks itself when it is made",
    "sims.*_coords": "as above",
    "sims.*.simulate": "as above",
    "sims.*.simulate_*": "as above",
    "sims.*.images": "as above",
    "sims.engine.registry.*": "files, processes and devices, no arrays",
    "sims.engine.execution.*": "as above",
    "sims.components.devices.*": "as above",
    "sims.engine.experiment.*": "as above",
    "sims.engine.plan.*": "as above",
    "sims.code.digest.*": "takes a program's own functions and settings, not arrays",
    "sims.engine.commands.*": "as above",
    "sims.components.image_sets.*": "as above",
    "sims.engine.labels.*": "as above",
    "sims.engine.loading.*": "as above",
    "sims.forecast.memory_check.*": "as above",
    "sims.engine.provenance.*": "as above",
    "sims.engine.selection.*": "as above",
    "sims.code.trees.*": "as above",
    "sims.engine.status.*": "as above",
    "sims.engine.sweep.*": "as above",
    "sims.forecast.machine.*": "takes traced programs or plans, not arrays",
    "sims.forecast.op_counts.*": "takes traced programs or plans, not arrays",
    "sims.forecast.peak_memory.*": "takes traced programs or plans, not arrays",
    "sims.forecast.requirements.*": "takes traced programs or plans, not arrays",
    "sims.forecast.jaxpr.*": "takes traced programs or plans, not arrays",
    "sims.engine.storage.*": "files, no arrays",
    "sims.engine.submit.*": "as above",
    "sims.components.models.*": "as above",
    "sims.components.sharded.*": "puts functions of theory on a mesh, whose checks answer",
    "sims.components.attacks.steps.*": "parts of pgd, which checks what goes in",
    "sims.components.attacks.checks.*": "as above",
    "sims.components.image_files.*": "files, no arrays",
    "sims.components.training.in_batches": "takes a function and any arrays",
    "sims.components.data.load_*": "as above",
    "sims.components.data.binary_task": "takes images, which a loader made",
    "sims.components.training.train": "takes functions and a network, which a study made",
    "sims.components.training.momentum": "as above",
    "sims.mixup.*": "parts of a study, called with what its config or its stored results made",
    "sims.perturbation.*": "as above",
    "sims.shortcut.*": "as above",
}

# Functions whose loops take longer to compile than their few steps [measured: 7 s against 1 s].
EAGER = (
    "theory.training.function_space.margin_flow",
    "theory.mixup.features.training.run",
)

# Functions that are handed arrays of numbers only: inner parts of kernels, on values that the
# kernel has checked, where a second look at every entry would cost more than the function itself.
INNER = ("theory.kernels.angles.*",)

# Functions that may hand on short floats in the dtype in which they came.
MODELS = (
    "theory.training.gradient_descent.train",
    "theory.networks.forward",
    "theory.networks.gates",
    "theory.networks.input_gradient",
    "theory.networks.preactivations",
    "theory.training.gradient_descent.snapshots",
    "sims.components.attacks.pgd.pgd",
    "sims.components.data.train_test",
    "sims.components.mixing.*",
)

# Functions that take arrays of jax or numpy, as their annotations say, and nothing in their place.
ARRAYS_ONLY = ("sims.*",)

# Exceptions besides ValueError, with the words of the docstring.
RAISES: dict[str, tuple[type[Exception], str]] = {
    "theory.training.function_space.margin_flow": (
        RuntimeError,
        "max_steps: of the integrator; exceeding it is an error of the solver",
    ),
}

# Functions whose valid input may give NaN or infinity, with the words of the docstring.
LIMITS: dict[str, str] = {
    "theory.mixup.calibration.mixup_posterior.mixed_posterior": "NaN where no mixed point falls",
    "theory.mixup.calibration.mixup_posterior.mixup_posterior_pair": "where no mixed point falls",
    "theory.perturbation.orthogonal.flow.gram_angle": "norm zero gives NaN",
    "theory.perturbation.wide.bounds.direction_certificate": "infinite where P_q is 0",
    "theory.shortcut.availability.four_points.four_point": "NaN where it is never negative",
    "theory.shortcut.gradients.attribution.leakage_stats": "NaN for 0 over 0",
    "theory.shortcut.gradients.attribution.block_leakage": "NaN for 0 over 0",
    "sims.components.attacks.pgd.logit_gap": "-inf where it is the only class",
    "theory.mixup.features.laws.conservation_residual": "a zero entry gives inf or NaN",
    "theory.mixup.features.laws.noise_growth": "A zero entry at a noise patch gives inf or NaN",
    "theory.mixup.features.laws.rare_ratio": "NaN at alpha = 0",
    "theory.mixup.features.noise.lift": "NaN for patches that are linearly dependent",
}
