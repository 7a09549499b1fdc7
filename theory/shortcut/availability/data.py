"""Samples of two latent features, their embedding, quadrature, and LDA of a sample.

The setting is that of :mod:`twolayer.theory.shortcut.availability.shortcut_bias`.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float, Key
from scipy import special

from twolayer.theory import precision, validation
from twolayer.theory.shortcut.availability import shortcut_bias
from twolayer.theory.shortcut.availability.shortcut_bias import Pair

# How far the columns of an embedding may be from length 1.
_UNIT_TOLERANCE = 1e-6
# Quadrature nodes of less weight are left out.
_LEAST_WEIGHT = 1e-14


def sample_latents(
    key: Key[Array, ""], n: int, rho: Pair, sigma: ArrayLike
) -> tuple[Float[Array, "n 2"], Float[Array, " n"]]:
    """Balanced labels and their latents.

    Args:
      key: random key.
      n: number of items, even; labels alternate, so that every even number of the first items is
        balanced too.
      rho: predictivities, shape ``(2,)``, in (1/2, 1).
      sigma: covariance of the two latents within a class, in (-1, 1).

    Returns:
      z, shape ``(n, 2)``, and y, shape ``(n,)``.

    Raises:
      ValueError: for an odd n, or numbers out of range.

    Source: [paper].
    """
    if validation.integer("n", n, low=2) % 2:
        raise ValueError(f"n must be even, half of each label; got {n}.")
    mu, sigma = (
        shortcut_bias.mu_from_rho(validation.vector("rho", rho, length=2)),
        shortcut_bias.covariance(sigma),
    )
    y = jnp.where(jnp.arange(n) % 2 == 0, 1.0, -1.0).astype(mu.dtype)
    first, second = jax.random.normal(validation.key("key", key), (2, n), mu.dtype)
    noise = jnp.stack([first, sigma * first + jnp.sqrt(1 - sigma**2) * second], axis=1)
    return y[:, None] * mu[None, :] + noise, y


def unit_embedding(key: Key[Array, ""], dim: int) -> Float[Array, "d 2"]:
    """Two random directions, normal vectors divided by their length.

    Args:
      key: random key.
      dim: d, at least 2.

    Returns:
      The directions as columns, shape ``(d, 2)``; they are not orthogonal.

    Source: [paper].
    """
    w = jax.random.normal(validation.key("key", key), (validation.integer("dim", dim, low=2), 2))
    return w / jnp.linalg.norm(w, axis=0, keepdims=True)


def embed(
    z: Float[Array, "n 2"],
    alpha: Pair,
    w: Float[Array, "d 2"],
    nesting: tuple[int, int] = (0, 0),
    key: Key[Array, ""] | None = None,
    gain: ArrayLike = 1.0,
) -> Float[Array, "n d"]:
    r"""Inputs :math:`x = e'_s + e'_c`, :math:`e_i = \alpha_i w_i z_i`.

    :math:`e'_i` is :math:`e_i` after :math:`\eta_i` frozen layers
    :math:`h \mapsto \tanh(G h)`, G of shape (d, d) with entries :math:`N(0, g^2/d)`, no bias.

    Args:
      z: latents, shape ``(n, 2)``.
      alpha: amplifications, shape ``(2,)``, positive.
      w: directions of length 1 as columns, shape ``(d, 2)``.
      nesting: the numbers of layers, static.
      key: draws the layers; needed if there are any.
      gain: g > 0. Width and scale of the layers are [not recovered].

    Returns:
      Inputs, shape ``(n, d)``.

    Raises:
      ValueError: for shapes that do not fit, columns that are not of length 1, an amplification
        not positive, a negative number of layers, or layers without a key.

    Source: [paper].
    """
    room = max(_UNIT_TOLERANCE, 8 * precision.rounding(w))
    z, w = validation.matrix("z", z, columns=2), validation.matrix("w", w, columns=2)
    alpha = shortcut_bias.amplification(alpha)
    lengths = jnp.linalg.norm(w, axis=0)
    if not validation.holds(lambda length: jnp.abs(length - 1) <= room, lengths):
        raise ValueError(f"w must have columns of length 1; got lengths {lengths.tolist()}.")
    if np.shape(nesting) != (2,):
        raise ValueError(f"nesting must hold two numbers of layers; got {nesting!r}.")
    layers = [validation.integer("nesting", number, low=0) for number in nesting]
    gain = validation.scalar("gain", gain, low=0.0, open_low=True)
    if key is not None:
        key = validation.key("key", key)
    elif any(layers):
        raise ValueError(f"key must be given to draw the layers of nesting {nesting!r}.")
    total = jnp.zeros((z.shape[0], w.shape[0]), z.dtype)
    for i in range(2):
        e = alpha[i].astype(z.dtype) * z[:, i, None] * w[None, :, i]
        for layer in range(layers[i]):
            assert key is not None
            drawn = jax.random.fold_in(jax.random.fold_in(key, i), layer)
            g = jax.random.normal(drawn, (w.shape[0], w.shape[0]), z.dtype)
            e = jnp.tanh(e @ (gain * g.T / w.shape[0] ** 0.5).astype(z.dtype))
        total = total + e
    return total


def quadrature(
    mu: Pair, sigma: ArrayLike, n_quad: int
) -> tuple[Float[Array, "k 2"], Float[Array, " k"]]:
    r"""Tensor Gauss-Hermite rule for :math:`N(\mu, \Sigma)`.

    Args:
      mu: class means, shape ``(2,)``, positive.
      sigma: covariance in (-1, 1).
      n_quad: nodes an axis, at least 1.

    Returns:
      Nodes, shape ``(k, 2)``, and weights, shape ``(k,)``, of sum 1; k is at most ``n_quad**2``, as
      nodes of weight below 1e-14 are left out.
    """
    mu = shortcut_bias.means(mu)
    sigma = jnp.asarray(shortcut_bias.covariance(sigma), mu.dtype)
    # numpy's rule has weights that are not finite from 372 nodes on.
    line, share = special.roots_hermitenorm(validation.integer("n_quad", n_quad))
    share = share / math.sqrt(2 * math.pi)
    weight = np.outer(share, share).ravel()
    kept = weight >= _LEAST_WEIGHT
    first, second = (
        jnp.asarray(axis.ravel()[kept], mu.dtype) for axis in np.meshgrid(line, line, indexing="ij")
    )
    noise = jnp.stack([first, sigma * first + jnp.sqrt(1 - sigma**2) * second], axis=1)
    return mu[None, :] + noise, jnp.asarray(weight[kept] / weight[kept].sum(), mu.dtype)


def lda_fit(
    x: Float[Array, "n d"], y: Float[Array, " n"], allow_singular: bool = False
) -> tuple[Float[Array, " d"], Float[Array, ""]]:
    r"""Linear discriminant analysis of a sample, scaled so that it estimates the log odds.

    .. math:: w = S^+ (m_+ - m_-)/2, \qquad
              b = -w \cdot (m_+ + m_-)/2 + \tfrac12 \log(n_+/n_-),

    with class means m, sizes n, and the pooled covariance S; :math:`\tanh(w \cdot x + b)` is then
    the mean label were the classes normal.

    Args:
      x: inputs, shape ``(n, d)``.
      y: labels -1 and +1, both of them, shape ``(n,)``.
      allow_singular: whether S may be singular, as it is for latents embedded in many dimensions;
        the pseudo-inverse then gives what least squares of least norm gives.

    Returns:
      w, shape ``(d,)``, and b, shape ``()``: the decision is the sign of ``x @ w + b``. Under
      ``jit`` the pseudo-inverse is used without a word.

    Raises:
      ValueError: for a singular S, with its rank, unless allowed; or one class alone.

    Source: [paper], reference classifier.
    """
    x = validation.matrix("x", x)
    y = validation.labels("y", y, length=x.shape[0]).astype(x.dtype)
    of_class = jnp.stack([y > 0, y < 0]).astype(x.dtype)
    sizes = jnp.sum(of_class, axis=1)
    if not validation.holds(lambda sizes: sizes > 0, sizes):
        raise ValueError("y must hold both classes.")
    means = of_class @ x / sizes[:, None]
    # Of the centred sample rather than of its covariance: no digits are squared away.
    _, singular, directions = jnp.linalg.svd(x - of_class.T @ means, full_matrices=False)
    kept = singular > max(x.shape) * jnp.finfo(x.dtype).eps * jnp.max(singular)
    rank = jnp.sum(kept)
    dim = x.shape[1]
    if not allow_singular and not validation.holds(lambda rank: rank == dim, rank):
        raise ValueError(
            f"x must have a pooled covariance of rank {dim}; got rank {int(rank)} "
            "(allow_singular=True takes the pseudo-inverse)."
        )
    # Twice, as squares of large or small inputs leave the dtype's range.
    inverse = jnp.where(kept, 1 / jnp.where(kept, singular, 1), 0)
    w = directions.T @ (inverse * (inverse * (directions @ (means[0] - means[1]))))
    w = w * (x.shape[0] / 2)
    return w, jnp.log(sizes[0] / sizes[1]) / 2 - w @ (means[0] + means[1]) / 2
