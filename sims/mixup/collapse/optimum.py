r"""The optimal features of a given simplex frame: every pair of classes over the weight lambda.

For each decay :math:`\mu` of the features, :math:`\kappa = A/\mu`, the minimiser of the mixed
cross-entropy is solved exactly
(:func:`twolayer.theory.mixup.collapse.optimal_features.ufm_features`) and measured against the line
between the features of either class alone, against squared loss, whose optimum is linear, and
against the statement of optimality itself.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
from jax import Array

from twolayer.sims.engine.experiment import traced
from twolayer.theory import validation
from twolayer.theory.mixup.collapse import dual, free_classifier, optimal_features

# The control: what the solver is told of the decay, times the true one.
WRONG = 1.5


@dataclasses.dataclass(frozen=True, kw_only=True)
class OptimumConfig:
    """A frame of ``num_classes`` rows of length ``norm`` in ``dim`` dimensions.

    The axes ``decays`` of the features and ``lams``, the weight of the first class, are inside.
    There are at least three classes: with two there is none beside the mixed ones, and the line
    between their features passes through 0.
    """

    num_classes: int = 3
    dim: int = 2
    norm: float = traced(1.0)
    decays: tuple[float, ...] = traced((1e-1, 1e-2, 1e-3))
    lams: tuple[float, ...] = traced(tuple(step / 40 for step in range(41)))

    def __post_init__(self) -> None:
        validation.integer("num_classes", self.num_classes, low=3)
        validation.integer("dim", self.dim, low=self.num_classes - 1)
        validation.number("norm", self.norm, low=0.0, open_low=True)
        for name in ("decays", "lams"):
            if not getattr(self, name):
                raise ValueError(f"{name} must hold at least one value.")
        for value in self.decays:
            validation.number("decays", value, low=0.0, open_low=True)
        for value in self.lams:
            validation.number("lams", value, low=0.0, high=1.0)


_PAIRS = ("decay", "first", "second", "lam")
DIMS = {
    "row": ("first", "axis"),
    "kappa": ("decay",),
    "feature": (*_PAIRS, "axis"),
    "deviation": _PAIRS,
    "squared_deviation": _PAIRS,
    "difference": _PAIRS,
    "lead": _PAIRS,
    "same_class": ("decay",),
    "off_row": ("decay",),
    "gradient": ("decay",),
    "wrong_gradient": ("decay",),
    "combination": ("decay",),
}


def coords(config: OptimumConfig) -> dict[str, list]:
    """Values along each axis of the results."""
    classes = list(range(config.num_classes))
    return {
        "decay": list(config.decays),
        "lam": list(config.lams),
        "first": classes,
        "second": classes,
        "axis": list(range(config.dim)),
    }


def simulate(key: Array, config: OptimumConfig, inputs: dict[str, Array]) -> dict[str, Array]:
    r"""Optimal features of all ordered pairs of classes, in float64, for a frame turned at random.

    - ``row``: the classifier;
    - ``feature``: :math:`h^*`;
    - ``deviation``: distance from the line between the features of both classes alone, relative to
      the point on it; of a class with itself, how much the feature depends on lambda;
    - ``squared_deviation``: the same of squared loss;
    - ``difference``, ``lead``: logits :math:`z_i - z_j`, and the smaller of the two classes' logits
      less the largest other one;
    - ``same_class``, ``off_row``: the features of single classes along their own rows, in units of
      these, and the largest relative distance from them;
    - ``gradient``: largest entry of the loss's gradient over all pairs and weights, in units of the
      rows' norm;
    - ``wrong_gradient``: control, smallest norm of that gradient in units of :math:`\mu |h|`, where
      the solver was told 1.5 times the decay;
    - ``combination``: largest distance from :math:`[(z_i - z_o) w_i + (z_j - z_o) w_j] / A`, which
      is all of the feature where the other classes are alike, in units of a single class's.
    """
    k, lams = config.num_classes, jnp.asarray(config.lams, jnp.float64)
    scale = jnp.asarray(config.norm, jnp.float64)
    # Turned by a reflection, as the decomposition of a random turn takes time to compile.
    normal = jax.random.normal(key, (config.dim, 1), jnp.float64)
    w = optimal_features.simplex_etf(None, k, config.dim, scale)
    w = w - 2 * (w @ normal) @ normal.T / jnp.sum(normal**2)
    targets = free_classifier.pair_targets(k, lams)
    pairs = (k, k, lams.shape[0])
    alone = targets.reshape(*pairs, k)
    same = jnp.eye(k, dtype=bool)
    mixed = ~(same[:, None, None, :] | same[None, :, None, :])
    strength = optimal_features.etf_strength(w)

    def solve(decay: Array) -> Array:
        return dual.ufm_logits(targets, strength / decay) @ w / strength

    def bend(h: Array) -> Array:
        """Relative distance of features from the line between those of single classes."""
        h = h.reshape(*pairs, -1)
        straight = alone @ h[jnp.arange(k), jnp.arange(k), 0]
        return _norm(h - straight) / _norm(straight)

    def at_decay(found: tuple[Array, Array, Array]) -> dict[str, Array]:
        decay, h, wrong = found
        gradient = jax.vmap(jax.grad(optimal_features.ufm_objective), in_axes=(0, None, 0, None))
        z = (h @ w.T).reshape(*pairs, k)
        features = h.reshape(*pairs, -1)
        single = features[jnp.arange(k), jnp.arange(k), 0]
        length = jnp.mean(jnp.sum(single * w, axis=1)) / scale**2
        first, second = jnp.diagonal(z, axis1=0, axis2=3), jnp.diagonal(z, axis1=1, axis2=3)
        first, second = jnp.moveaxis(first, -1, 0), jnp.moveaxis(second, -1, 1)
        others = jnp.max(jnp.where(mixed, z, -jnp.inf), axis=-1)
        rest = jnp.sum(jnp.where(mixed, z, 0), axis=-1) / (k - 2)
        combined = (first - rest)[..., None] * w[:, None, None, :]
        combined += (second - rest)[..., None] * w[None, :, None, :]
        apart = jnp.where(same[:, :, None], 0, _norm(features - combined / strength))
        missed = gradient(wrong, w, targets, decay)
        return {
            "kappa": strength / decay,
            "feature": features,
            "deviation": bend(h),
            "squared_deviation": bend(optimal_features.ufm_mse_features(w, targets, decay)),
            "difference": first - second,
            "lead": jnp.minimum(first, second) - others,
            "same_class": length,
            "off_row": jnp.max(_norm(single - length * w)) / (length * scale),
            "gradient": jnp.max(jnp.abs(gradient(h, w, targets, decay))) / scale,
            "wrong_gradient": jnp.min(_norm(missed) / (decay * _norm(wrong))),
            "combination": jnp.max(apart) / (length * scale),
        }

    decays = jnp.asarray(config.decays, jnp.float64)
    # All solutions in one loop, which is what takes time to compile.
    h, wrong = jnp.split(jax.lax.map(solve, jnp.concatenate([decays, WRONG * decays])), 2)
    return {"row": w, **jax.lax.map(at_decay, (decays, h, wrong))}


def _norm(vectors: Array) -> Array:
    return jnp.linalg.norm(vectors, axis=-1)
