r"""Noise of patch data as vectors: what is not ideal, and fresh samples.

Coordinates are those off the features, e of them. Filters enter training by their inner products
with the noise patches; :func:`lift` recovers them afterwards, since training moves them in the span
of the patches alone. With them the outputs at fresh noise are known.

Source: [derived].
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Key

from twolayer.theory import semidefinite, validation
from twolayer.theory.mixup.features import data as features_data
from twolayer.theory.mixup.features.data import PatchData, Scalar
from twolayer.theory.training import gains


def gaussian_noise(
    key: Key[Array, ""], data: PatchData, dim: int, noise_energy: Scalar
) -> Float[Array, "n P e"]:
    r"""Noise patches of law :math:`N(0, (s^2/d) I)` on the complement of the features.

    Args:
      key: random key.
      data: whose ``noise_mask`` says which patches are noise.
      dim: d, at least 5; the complement has ``dim - 4`` coordinates.
      noise_energy: s^2, positive.

    Returns:
      Shape ``(n, P, dim - 4)``, zero at patches that are not noise.

    Raises:
      ValueError: for numbers outside these ranges.
    """
    data = features_data.checked("data", data)
    dim = validation.integer("dim", dim, low=5)
    noise_energy = validation.scalar("noise_energy", noise_energy, low=0.0, open_low=True)
    mask = data.noise_mask
    normal = jax.random.normal(validation.key("key", key), (*mask.shape, dim - 4), mask.dtype)
    return jnp.sqrt(jnp.asarray(noise_energy, mask.dtype) / dim) * normal * mask[:, :, None]


def noise_gram(
    first: Float[Array, "n P e"], second: Float[Array, "k R e"]
) -> Float[Array, "n P k R"]:
    """Inner products of two sets of noise patches; of one set with itself its Gram tensor."""
    first = _patches("first", first)
    second = _patches("second", second, dim=first)
    return jnp.tensordot(first, second, axes=(2, 2))


def gram_root(gram: Float[Array, "n n"]) -> Float[Array, "n n"]:
    r"""A matrix L with :math:`L L^T = G`: normal vectors times it have the covariance G.

    The Cholesky factor where there is one, else by eigenvectors: G may be singular, as that of more
    patches than dimensions is.

    Args:
      gram: G, symmetric and positive semi-definite, shape ``(n, n)``.

    Raises:
      ValueError: for a matrix that is not such.
    """
    gram = semidefinite.kernel_matrix("gram", gram)
    factor = jnp.linalg.cholesky(gram)

    def by_eigenvectors(gram: Array) -> Array:
        values, vectors = gains.spectrum(gram)
        return vectors * jnp.sqrt(values)[None, :]

    regular = jnp.all(jnp.isfinite(factor))
    return jax.lax.cond(regular, lambda _: factor, by_eigenvectors, gram)


def inner_products(
    filters: Float[Array, "2 m e"], vectors: Float[Array, "n P e"]
) -> Float[Array, "2 m n P"]:
    """Inner products q of filters with noise patches."""
    filters = validation.shaped("filters", filters, (2, None, None))
    vectors = _patches("vectors", vectors, dim=filters)
    return jnp.einsum("kre,ipe->krip", filters, vectors)


def lift(
    filters: Float[Array, "2 m e"], q: Float[Array, "2 m n P"], vectors: Float[Array, "n P e"]
) -> Float[Array, "2 m e"]:
    r"""Filters after training, off the features.

    The only filters that have inner products q with the noise and differ from the initial ones by a
    combination of noise patches: :math:`w + (q - q(w))\, G^{-1} \Xi`.

    Args:
      filters: those that training started from.
      q: inner products with the noise patches after training.
      vectors: the noise patches, zero elsewhere; linearly independent otherwise.

    Returns:
      Shape ``(2, m, e)``; under ``jit``, NaN for patches that are linearly dependent.

    Raises:
      ValueError: for shapes that do not fit, and outside ``jit`` for patches that are linearly
        dependent, to rounding.
    """
    filters = validation.shaped("filters", filters, (2, None, None))
    vectors = _patches("vectors", vectors, dim=filters)
    q = validation.shaped("q", q, (*filters.shape[:2], *vectors.shape[:2]))
    flat = vectors.reshape(-1, vectors.shape[2])
    # A pivot of 1 where there is no noise: nothing is solved for there.
    gram = flat @ flat.T + jnp.diag(jnp.where(jnp.any(flat != 0, axis=1), 0.0, 1.0))
    moved = (q - inner_products(filters, vectors)).reshape(-1, flat.shape[0])
    factor, lower = jax.scipy.linalg.cho_factor(gram)
    floor = gram.shape[0] * jnp.finfo(gram.dtype).eps * jnp.diagonal(gram)
    # NaN pivots of a failed factorisation compare as not regular too.
    regular = jnp.all(jnp.diagonal(factor) ** 2 > floor)
    if not validation.holds(lambda regular: regular, regular):
        raise ValueError("vectors must be linearly independent where they are not 0; got others.")
    coefficients = jax.scipy.linalg.cho_solve((factor, lower), moved.T)
    coefficients = jnp.where(regular, coefficients, jnp.nan)
    return filters + (coefficients.T @ flat).reshape(filters.shape)


def _patches(name: str, value: Array, dim: Array | None = None) -> Array:
    """Patches (n, P, e), of the last length of another array."""
    return validation.shaped(name, value, (None, None, None if dim is None else dim.shape[-1]))
