r"""Study ``gaussian``: both trainings on noise that overlaps, judged on fresh samples.

Noise patches have the law :math:`N(0, (s^2/d) I)`; errors are counted on fresh rare samples with
fresh noise, which the closed forms neglect.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
from jax import Array

from twolayer.sims.engine.experiment import traced
from twolayer.sims.mixup.features import patches
from twolayer.sims.mixup.features.patches import FEATURES, KINDS, PatchConfig
from twolayer.theory import validation
from twolayer.theory.mixup.features import data as features_data
from twolayer.theory.mixup.features import dynamics, noise, training
from twolayer.theory.mixup.features.filters import State


@dataclasses.dataclass(frozen=True, kw_only=True)
class GaussianConfig(PatchConfig):
    """Gaussian noise in ``dim`` dimensions, ``num_test`` fresh rare samples."""

    dim: int = 2000
    lam_x: float = traced(0.7)
    lam_y: float = traced(0.7)
    steps: int = 1500
    num_test: int = 2000

    def __post_init__(self) -> None:
        super().__post_init__()
        patches.weights(self.lam_x, self.lam_y)
        validation.integer("steps", self.steps)
        if validation.integer("num_test", self.num_test, low=2) % 2:
            raise ValueError(f"num_test must be even, as many of each class; got {self.num_test}.")
        # Else noise patches are linearly dependent, and filters cannot be recovered from them.
        noise_patches = self.n * (self.num_patches - 1 - self.num_feature_noise)
        validation.integer("dim", self.dim, low=4 + noise_patches)


DIMS = {
    "signal_gap": ("kind", "feature"),
    "rare_error": ("kind",),
    "common_error": ("kind",),
    "ratio": ("kind",),
    "train_error": ("kind",),
    "fresh_error": ("kind",),
    "fresh_std": ("kind",),
}


def coords(config: GaussianConfig) -> dict[str, list]:
    """Values along each axis of the results."""
    return {"kind": list(KINDS), "feature": list(FEATURES)}


def simulate(key: Array, config: GaussianConfig, inputs: dict[str, Array]) -> dict[str, Array]:
    """Both trainings on overlapping noise, and errors on fresh samples, in float64.

    - ``signal_gap``, ``rare_error``, ``common_error``, ``ratio``: at the end, by the closed forms;
    - ``train_error``: share of training samples on the wrong side;
    - ``fresh_error``: share of fresh rare samples, with their noise, on the wrong side;
    - ``fresh_std``: standard deviation of what their noise adds to the difference of the logits.

    Fresh noise is drawn by the exact joint law of its inner products with the filters.
    """
    key_data, key_noise, key_filters, key_fresh = jax.random.split(key, 4)
    data = patches.draw_data(key_data, config)
    vectors = noise.gaussian_noise(key_noise, data, config.dim, config.noise_energy)
    gram = noise.noise_gram(vectors, vectors)
    filters = config.init_scale * jax.random.normal(key_filters, (2, config.width, config.dim))
    off = filters[..., 4:]
    at = State(a=filters[..., :4], q=noise.inner_products(off, vectors))

    def judge(state: State) -> dict[str, Array]:
        gap = dynamics.signal_gap(state.a)
        fresh = fresh_gaps(key_fresh, state.a, noise.lift(off, state.q, vectors), config)
        return {
            "signal_gap": gap,
            **patches.errors(gap, config),
            "train_error": patches.train_error(state, data),
            **fresh,
        }

    found = [
        judge(
            training.run(
                at,
                data,
                ((kind, config.steps),),
                config.lr,
                gram,
                config.lam_x,
                config.lam_y,
                config.steps,
            )[0]
        )
        for kind in KINDS
    ]
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *found)


def fresh_gaps(key: Array, a: Array, filters: Array, config: GaussianConfig) -> dict[str, Array]:
    """Errors on fresh rare samples of filters known off the features too, shape (2, m, e)."""
    key_coins, key_noise = jax.random.split(key)
    n, b = config.num_test, config.num_feature_noise
    fresh = features_data.assemble(
        y=(jnp.arange(n) >= n // 2).astype(jnp.int32),
        rare=jnp.ones(n, bool),
        coins=jax.random.bernoulli(key_coins, 0.5, (n, b)).astype(jnp.int32),
        order=jnp.broadcast_to(jnp.arange(config.num_patches), (n, config.num_patches)),
        alpha=config.alpha,
    )
    flat = filters.reshape(-1, filters.shape[2])
    factor = noise.gram_root(flat @ flat.T * (config.noise_energy / config.dim))
    normal = jax.random.normal(key_noise, (factor.shape[0], n * config.num_patches))
    q = (factor @ normal).reshape(*filters.shape[:2], n, config.num_patches)
    state = State(a=a, q=q * fresh.noise_mask[None, None])
    gaps = dynamics.output_gaps(state, fresh)
    added = jnp.sum(state.q**2, axis=(1, 3))
    return {
        "fresh_error": jnp.mean(jnp.where(fresh.y == 0, gaps < 0, gaps > 0), dtype=gaps.dtype),
        "fresh_std": jnp.std(added[0] - added[1]),
    }
