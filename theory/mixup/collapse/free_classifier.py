r"""Unconstrained features with a free classifier: the loss over classifier and features together.

All :math:`K^2` ordered pairs of classes, a class with itself included, times a grid of weights
lambda get a free feature each. The loss is

.. math:: L(W, h) = \mathrm{mean}\, J(h_{ij\lambda}; W) + \tfrac{\omega}{2} |W|_F^2 .

Whether a simplex frame is its global minimiser is not proved here. What is: the frame's ray is
invariant under gradient flow of W with h minimised out, and every stationary point balances
:math:`\omega |W|_F^2 = \mu\, \mathrm{mean} |h|^2`.

Source: [derived] Proposition B2; that training finds the frame is [measured].
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from twolayer.theory import validation
from twolayer.theory.mixup.collapse import dual, optimal_features


def pair_targets(num_classes: int, lams: Float[Array, "g"]) -> Float[Array, "t k"]:
    r"""Targets :math:`\lambda e_i + (1 - \lambda) e_j` of all ordered pairs and weights.

    Args:
      num_classes: K >= 2.
      lams: weights in [0, 1], shape ``(g,)``.

    Returns:
      Shape ``(K^2 g, K)``, by i, then j, then lambda.
    """
    k = validation.integer("num_classes", num_classes, low=2)
    lams = _weights(lams)
    rows = jnp.eye(k, dtype=lams.dtype)
    first, second, share = rows[:, None, None, :], rows[None, :, None, :], lams[None, None, :, None]
    targets = jnp.broadcast_to(share, (k, k, lams.shape[0], 1)) * first + (1 - share) * second
    return targets.reshape(-1, k)


def free_loss(
    w: Float[Array, "k d"],
    features: Float[Array, "t d"],
    targets: Float[Array, "t k"],
    feature_decay: float | Float[Array, ""],
    weight_decay: float | Float[Array, ""],
) -> Float[Array, ""]:
    r"""The loss L(W, h) of any classifier, features and targets, :math:`\omega` the weight decay.

    Raises:
      ValueError: for shapes that do not fit, targets that are no distributions, or decays that are
        not positive.
    """
    weight_decay = validation.scalar("weight_decay", weight_decay, low=0.0, open_low=True)
    w = validation.matrix("w", w)
    features = validation.matrix("features", features, columns=w.shape[1])
    targets = validation.matrix("targets", targets, rows=features.shape[0], columns=w.shape[0])
    losses = jax.vmap(optimal_features.ufm_objective, in_axes=(0, None, 0, None))(
        features, w, targets, feature_decay
    )
    return jnp.mean(losses) + weight_decay / 2 * jnp.sum(w**2)


def ufm_free_loss(
    w: Float[Array, "k d"],
    lams: Float[Array, "g"],
    feature_decay: float | Float[Array, ""],
    weight_decay: float | Float[Array, ""],
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    r"""Loss of a simplex frame with the features minimised out, at a cost free of K.

    Args:
      w: simplex frame, shape ``(k, d)``.
      lams: weights in [0, 1], shape ``(g,)``.
      feature_decay: :math:`\mu > 0`.
      weight_decay: :math:`\omega > 0`.

    Returns:
      The loss :math:`\min_h L(W, h)` and the mean of :math:`|h^*|^2`. On the ray of the frame the
      loss is stationary where the latter is :math:`\omega |W|_F^2 / \mu`.

    Raises:
      ValueError: for a W that is no simplex frame, or arguments outside their ranges.
    """
    strength = optimal_features.etf_strength(w)
    w = validation.matrix("w", w)
    feature_decay = validation.scalar("feature_decay", feature_decay, low=0.0, open_low=True)
    weight_decay = validation.scalar("weight_decay", weight_decay, low=0.0, open_low=True)
    lams = _weights(lams)
    k = w.shape[0]
    # A class with itself is the pair of classes at lambda = 1.
    ends = jnp.concatenate([lams, jnp.ones(1, lams.dtype)])
    others = [jnp.zeros_like(ends)] if k > 2 else []
    values = jnp.stack([ends, 1 - ends, *others], axis=-1)
    counts = jnp.asarray([1, 1, k - 2][: values.shape[-1]], lams.dtype)
    logits, _ = dual.solve(values, strength / feature_decay, counts)
    squares = logits**2 @ counts / strength
    fit = jax.nn.logsumexp(logits, b=counts[None, :], axis=-1) - jnp.sum(values * logits, axis=-1)
    parts = jnp.stack([fit + feature_decay / 2 * squares, squares])
    loss, square = (k - 1) / k * jnp.mean(parts[:, :-1], axis=1) + parts[:, -1] / k
    return loss + weight_decay / 2 * jnp.sum(w**2), square


def _weights(lams: Array) -> Array:
    return validation.number("lams", validation.vector("lams", lams), low=0.0, high=1.0)
