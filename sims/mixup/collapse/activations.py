"""Last-layer activations of mixed images measured against the optimum of unconstrained features."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array

from twolayer.sims.mixup.collapse.free_classifier import frame_error
from twolayer.theory.mixup.collapse import dual, free_classifier, optimal_features


def measure(features: Array, w: Array, lams: Array, decay: Array | float) -> dict[str, Array]:
    """Measure the geometry of last-layer features, in float64.

    Args:
      features: of mixed images, shape ``(first, second, lam, pair, dim)``.
      w: classifier, shape ``(classes, dim)``.
      lams: weights of the first class, shape ``(lam,)``.
      decay: mu; 0 to fit kappa.
    """
    features, w, lams = (part.astype(jnp.float64) for part in (features, w, lams))
    k, classes = w.shape[0], jnp.arange(w.shape[0])
    z = features @ w.T
    z = z - jnp.mean(z, axis=-1, keepdims=True)
    single = features[classes, classes]
    own = z[classes, classes]  # (first, lam, pair, class)
    mine = own[classes, :, :, classes]
    same_gap = jnp.mean(mine) * k / (k - 1)
    lengths = jnp.linalg.norm(single, axis=-1) * jnp.linalg.norm(w, axis=1)[:, None, None]
    cosine = jnp.einsum("ilpd,id->ilp", single, w) / lengths
    difference = z[classes, :, :, :, classes] - jnp.moveaxis(z[:, classes, :, :, classes], 0, 1)

    centred = w - jnp.mean(w, axis=0, keepdims=True)
    strength = jnp.sum(centred**2) / (k - 1)
    # z_i - z_o = kappa K q and q (e^(z_i - z_o) + K - 1) = 1 for a single class.
    fitted = same_gap * (jnp.exp(same_gap) + k - 1) / k
    kappa = jnp.where(decay > 0, strength / jnp.where(decay > 0, decay, 1), fitted)
    targets = free_classifier.pair_targets(k, lams)
    exact = dual.ufm_logits(targets, kappa).reshape(k, k, -1, k)
    away = jnp.sum((z - exact[:, :, :, None]) ** 2, axis=-1)
    unit = jnp.sum(exact[0, 0, 0] ** 2)

    fixed = optimal_features.simplex_etf(None, k, k - 1, 1.0)
    u, _, vt = jnp.linalg.svd(fixed.T @ centred, full_matrices=False)
    isometry = u @ vt  # (k - 1, dim)
    inside = features @ isometry.T
    exact_differences = exact[classes, :, :, classes] - jnp.moveaxis(
        exact[:, classes, :, classes], 0, 1
    )
    return {
        "row": plane(centred @ isometry.T),
        "point": plane(inside),
        "optimum": plane(exact @ fixed * jnp.sqrt((k - 1) / k / strength)),
        "difference": jnp.mean(difference, axis=-1),
        "distance": jnp.mean(jnp.abs(difference), axis=-1),
        "optimal_difference": exact_differences,
        "cosine": jnp.mean(cosine, axis=(1, 2)),
        "same_gap": same_gap,
        "etf_error": frame_error(w),
        "outside": 1 - jnp.sum(inside**2) / jnp.sum(features**2),
        "kappa": kappa,
        "optimum_error": jnp.sqrt(jnp.mean(away) / unit),
    }


def plane(points: Array) -> Array:
    """Points of the plane of three classes; NaN where there are more dimensions."""
    return points if points.shape[-1] == 2 else jnp.full((*points.shape[:-1], 2), jnp.nan)
