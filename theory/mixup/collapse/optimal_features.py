r"""Geometry of the last layer under mixup: optimal unconstrained features for a simplex frame.

A linear classifier W of shape ``(K, d)`` without bias sees a free feature h for each mixed target
:math:`t = \lambda e_i + (1 - \lambda) e_j`. The rows of W are a simplex frame of norm m,

.. math:: W W^T = A\, (I - \mathbf 1 \mathbf 1^T / K), \qquad A = m^2 K / (K - 1),

and h minimises the mixed cross-entropy with weight decay :math:`\mu > 0`,

.. math:: J(h) = \log \sum_c e^{(W h)_c} - \langle t, W h\rangle + \tfrac{\mu}{2} |h|^2 .

J is strongly convex; its minimiser is :math:`h^* = W^T (t - p) / \mu`, with probabilities p of
:mod:`twolayer.theory.mixup.collapse.dual` at :math:`\kappa = A/\mu`. Features of one class lie on
the classifier's row and do not depend on :math:`\lambda`; those of two classes are combinations of
the two rows that depend on it, not linearly.

Source: setting and the shape of the features [paper] of Fisher, Meng, Papyan, ICLR 2024
(arXiv 2402.06171); every formula [derived]: the paper's own constants are [not recovered].
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float, Key

from twolayer.theory import precision, validation
from twolayer.theory.mixup.collapse import dual

# How far a classifier's Gram matrix may be from a simplex frame's, relative to its strength.
ETF_TOLERANCE = 1e-8


@struct.dataclass
class Coefficients:
    r"""The optimal feature :math:`h^* = a_i w_i + a_j w_j` of two classes mixed.

    All of the shape of lambda.

    Attributes:
      coef_i: :math:`a_i = (\lambda - p_i + p_o) / \mu`.
      coef_j: :math:`a_j = (1 - \lambda - p_j + p_o) / \mu`.
      p_i: probability of class i, whose weight in the target is lambda.
      p_j: probability of class j.
      p_o: probability of each other class; 0 for two classes, where there is none.
    """

    coef_i: Array
    coef_j: Array
    p_i: Array
    p_j: Array
    p_o: Array


def simplex_etf(
    key: Key[Array, ""] | None, num_classes: int, dim: int, scale: float | Float[Array, ""]
) -> Float[Array, "k d"]:
    """A simplex frame: rows of one norm, with equal inner products, that sum to 0.

    Args:
      key: for a frame turned at random; None for the one in the first K - 1 coordinates.
      num_classes: K >= 2.
      dim: d >= K - 1.
      scale: m > 0, the norm of each row.

    Returns:
      W, shape ``(k, d)``, float64 where that is on.

    Raises:
      ValueError: for fewer than two classes, too few dimensions, or a scale not positive.
    """
    k = validation.integer("num_classes", num_classes, low=2)
    if validation.integer("dim", dim) < k - 1:
        raise ValueError(f"dim must be at least num_classes - 1, {k - 1}; got {dim}.")
    scale = validation.scalar("scale", scale, low=0.0, open_low=True)
    # Helmert's basis of the vectors that sum to 0: column r weighs r + 1 entries against the next.
    row = jnp.arange(k, dtype=float)[:, None]
    column = jnp.arange(k - 1, dtype=float)[None, :]
    entries = jnp.where(row <= column, 1.0, jnp.where(row == column + 1, -1 - column, 0.0))
    basis = entries / jnp.sqrt((column + 1) * (column + 2))
    frame = scale * (k / (k - 1)) ** 0.5 * basis
    if key is None:
        return jnp.pad(frame, ((0, 0), (0, dim - k + 1)))
    turned, _ = jnp.linalg.qr(jax.random.normal(validation.key("key", key), (dim, k - 1)))
    return frame @ turned.T


def etf_strength(w: Float[Array, "k d"]) -> Float[Array, ""]:
    """Strength A of a simplex frame, :math:`W W^T = A (I - 11^T / K)`.

    Args:
      w: classifier, shape ``(k, d)``, k >= 2.

    Raises:
      ValueError: if the Gram matrix differs from a simplex frame's by more than 1e-8 of A. Under
        ``jit`` this is not checked.
    """
    given, w = w, _classifier(w)
    k = w.shape[0]
    gram = w @ w.T
    strength = jnp.trace(gram) / (k - 1)
    frame = strength * (jnp.eye(k, dtype=w.dtype) - 1 / k)
    room = max(ETF_TOLERANCE, 16 * precision.rounding(given, w))
    if not validation.holds(
        lambda gram, frame, size: (size > 0) & (jnp.abs(gram - frame) <= room * size),
        gram,
        frame,
        strength,
    ):
        raise ValueError(
            "w must be a simplex frame: rows of one norm, equal inner products, sum 0."
        )
    return strength


def ufm_features(
    w: Float[Array, "k d"], target: Float[Array, "*batch k"], feature_decay: ArrayLike
) -> Float[Array, "*batch d"]:
    r"""Optimal features :math:`h^* = W^T (t - p) / \mu` of cross-entropy.

    Args:
      w: simplex frame W, shape ``(k, d)``.
      target: mixed targets t, shape ``(..., k)``; any distributions.
      feature_decay: :math:`\mu > 0`.

    Returns:
      h*, shape ``(..., d)``, precise for any ratio of W to mu.

    Raises:
      ValueError: for a W that is no simplex frame, targets that are no distributions, or a decay
        not positive.

    Source: [derived] Theorem B1.
    """
    strength = etf_strength(w)
    w = _classifier(w)
    feature_decay = _decay("feature_decay", feature_decay)
    target = _targets(target, w)
    # (t - p) / mu = z / A, and z has all its digits where t - p has lost them.
    return dual.ufm_logits(target, strength / feature_decay) @ w / strength


def ufm_coefficients(
    lam: ArrayLike, num_classes: int, scale: ArrayLike, feature_decay: ArrayLike
) -> Coefficients:
    r"""What the optimal feature of two different classes is made of.

    The cost does not depend on K: three values solve for all classes.

    Args:
      lam: weight of class i in the target, in [0, 1]; a number or an array.
      num_classes: K >= 2.
      scale: m > 0, the norm of the classifier's rows.
      feature_decay: :math:`\mu > 0`.

    Returns:
      Coefficients of the two rows and probabilities. At lam = 1 the feature is that of class i
      alone, though a_j is not 0 for K = 2, where w_j = -w_i.

    Raises:
      ValueError: for arguments outside their ranges.

    Source: [derived] Theorem B1.
    """
    k = validation.integer("num_classes", num_classes, low=2)
    lam = validation.number("lam", lam, low=0.0, high=1.0)
    scale = validation.number("scale", scale, low=0.0, open_low=True)
    feature_decay = _decay("feature_decay", feature_decay)
    lam = validation.array("lam", lam)
    strength = jnp.asarray(scale) ** 2 * k / (k - 1)
    others = [jnp.zeros_like(lam)] if k > 2 else []
    values = jnp.stack([lam, 1 - lam, *others], axis=-1)
    counts = jnp.asarray([1, 1, k - 2][: values.shape[-1]], lam.dtype)
    logits, probs = dual.solve(values, strength / feature_decay, counts)
    if k == 2:
        logits, probs = (jnp.pad(part, [(0, 0)] * lam.ndim + [(0, 1)]) for part in (logits, probs))
    coefficients = (logits - logits[..., 2:]) / strength
    return Coefficients(
        coef_i=coefficients[..., 0],
        coef_j=coefficients[..., 1],
        p_i=probs[..., 0],
        p_j=probs[..., 1],
        p_o=probs[..., 2],
    )


def ufm_mse_features(
    w: Float[Array, "k d"], target: Float[Array, "*batch k"], feature_decay: ArrayLike
) -> Float[Array, "*batch d"]:
    r"""Optimal features of squared loss, :math:`W^T t / (A + \mu)`: linear in the target.

    They minimise :math:`\tfrac12 |W h - t|^2 + \tfrac{\mu}{2} |h|^2`. Arguments and errors as for
    :func:`ufm_features`.

    Source: [derived] Theorem B1 (iv), the control of the cross-entropy's bend.
    """
    strength = etf_strength(w)
    w = _classifier(w)
    feature_decay = _decay("feature_decay", feature_decay)
    return _targets(target, w) @ w / (strength + feature_decay)


def ufm_objective(
    h: Float[Array, "d"],
    w: Float[Array, "k d"],
    target: Float[Array, "k"],
    feature_decay: float | Float[Array, ""],
) -> Float[Array, ""]:
    r"""Mixed cross-entropy with weight decay, J(h), of one feature and any classifier W.

    Args:
      h: feature, shape ``(d,)``.
      w: classifier, shape ``(k, d)``; it need not be a simplex frame.
      target: distribution t, shape ``(k,)``.
      feature_decay: :math:`\mu > 0`.

    Raises:
      ValueError: for shapes that do not fit, or as for :func:`ufm_features`.
    """
    w = _classifier(w)
    h = validation.vector("h", h, length=w.shape[1])
    validation.vector("target", target)
    target = _targets(target, w)
    feature_decay = _decay("feature_decay", feature_decay)
    logits = w @ h
    loss = jax.nn.logsumexp(logits) - target @ logits
    return loss + feature_decay / 2 * jnp.sum(h**2)


def _classifier(w: Array) -> Array:
    w = validation.matrix("w", w)
    if w.shape[0] < 2:
        raise ValueError(f"w must have at least 2 rows, one a class; got shape {w.shape}.")
    return w


def _targets(target: Array, w: Array) -> Array:
    target = dual.distribution("target", target)
    if target.shape[-1] != w.shape[0]:
        raise ValueError(
            f"target must have {w.shape[0]} classes on its last axis; got shape {target.shape}."
        )
    return target.astype(w.dtype)


def _decay(name: str, value: ArrayLike) -> Any:
    return validation.scalar(name, value, low=0.0, open_low=True)
