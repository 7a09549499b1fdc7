"""Unconstrained features with a free classifier: balance, and the ray of the simplex frame.

Both [derived], Proposition B2. That training ends at a frame is measured, not proved.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from flax import struct
from jax import Array

from twolayer.theory.mixup.collapse import free_classifier, optimal_features
from twolayer.theory.verification.inequality import Bounds, equal
from twolayer.theory.verification.sampling import normals, uniform
from twolayer.theory.verification.theorem import Control, Parameters, Size, Theorem

SIZES = ({"k": 2, "d": 2, "weights": 1}, {"k": 3, "d": 4, "weights": 3})
KNOBS = {"log_scale": (-0.5, 0.7), "log_decay": (-3.0, 0.0), "log_weight_decay": (-3.0, 0.0)}


@struct.dataclass
class Free:
    """Any classifier and features, and a frame; weights of the mix and decays."""

    raw: Array  # (d, k - 1), of what turns the frame
    any_w: Array  # (k, d)
    any_h: Array  # (k k g, d)
    lams: Array  # (g,)
    scale: Array
    decay: Array
    weight_decay: Array

    @property
    def frame(self) -> Array:
        """The simplex frame."""
        k = self.any_w.shape[0]
        turned, _ = jnp.linalg.qr(self.raw)
        return optimal_features.simplex_etf(None, k, k - 1, self.scale) @ turned.T


def sample(key: Array, size: Size, parameters: Parameters) -> Free:
    """Normal classifiers and features, frames turned at random."""
    k, d, g = size["k"], size["d"], size["weights"]
    raw, any_w, any_h, lams = normals(key, (d, k - 1), (k, d), (k * k * g, d), (g,))
    return Free(
        raw=raw,
        any_w=any_w,
        any_h=any_h,
        lams=uniform(lams),
        scale=10.0 ** parameters["log_scale"],
        decay=10.0 ** parameters["log_decay"],
        weight_decay=10.0 ** parameters["log_weight_decay"],
    )


def _balance(at: Free, *, weight: float = 1.0) -> Bounds:
    targets = free_classifier.pair_targets(at.any_w.shape[0], at.lams)
    by_w, by_h = jax.grad(free_classifier.free_loss, argnums=(0, 1))(
        at.any_w, at.any_h, targets, at.decay, at.weight_decay
    )
    through_w, through_h = jnp.sum(by_w * at.any_w), jnp.sum(by_h * at.any_h)
    squares = weight * at.weight_decay * jnp.sum(at.any_w**2)
    mean = at.decay * jnp.mean(jnp.sum(at.any_h**2, axis=1))
    scale = 1 + squares + mean
    return {"balance": equal(through_w - through_h, squares - mean, 1e-12 * scale)}


BALANCE = Theorem(
    name="collapse.balance",
    statement="For any classifier and features <dL/dW, W> - <dL/dh, h> = omega |W|^2 - mu mean "
    "|h|^2, the loss being over all pairs with decays omega and mu; so every stationary point has "
    "omega |W|^2 = mu mean |h|^2.",
    source="[derived] Proposition B2",
    sizes=SIZES,
    parameters=KNOBS,
    sample=sample,
    conclusions=_balance,
    searchable=("any_w", "any_h", "lams"),
    controls={"weight decay doubled": Control(conclusions=functools.partial(_balance, weight=2.0))},
)


def _ray(at: Free, *, uneven: bool = False) -> Bounds:
    w, k = at.frame, at.any_w.shape[0]
    targets = free_classifier.pair_targets(k, at.lams)
    if uneven:
        targets = targets[: targets.shape[0] // k]
    features = optimal_features.ufm_features(w, targets, at.decay)
    value, (by_w, by_h) = jax.value_and_grad(free_classifier.free_loss, argnums=(0, 1))(
        w, features, targets, at.decay, at.weight_decay
    )
    unit = w / jnp.linalg.norm(w)
    along = jnp.sum(by_w * unit)

    def on_the_ray(length: Array) -> tuple[Array, Array]:
        return free_classifier.ufm_free_loss(length * unit, at.lams, at.decay, at.weight_decay)

    length = jnp.linalg.norm(w)
    (loss, square), (slope, _) = jax.jvp(on_the_ray, (length,), (jnp.ones_like(length),))
    norms = jnp.linalg.norm(features, axis=1)
    scale = 1e-12 * (1 + jnp.max(norms) + at.weight_decay * length)
    rest = by_w - along * unit
    # Each feature's own loss has slope 0 up to rounding of the size of the classifier.
    bounds = {
        "features": equal(by_h, jnp.zeros_like(by_h), 1e-13 * (1 + at.scale)),
        "stays on the ray": equal(rest, jnp.zeros_like(rest), scale),
    }
    if not uneven:
        bounds |= {
            "loss": equal(value, loss, 1e-12 * (1 + loss)),
            "slope": equal(along, slope, scale),
            "squared norm": equal(jnp.mean(norms**2), square, 1e-11 * (1e-3 + square)),
        }
    return bounds


RAY = Theorem(
    name="collapse.free_classifier",
    statement="For the set of all ordered pairs of classes, features minimised out, the gradient "
    "in W at a simplex frame is along W: gradient flow stays on the frame's ray, on which loss and "
    "mean |h|^2 need two values of the dual alone.",
    source="[derived] Proposition B2",
    sizes=SIZES,
    parameters=KNOBS,
    sample=sample,
    conclusions=_ray,
    searchable=("raw", "lams"),
    controls={"one class's pairs alone": Control(conclusions=functools.partial(_ray, uneven=True))},
)

THEOREMS = (BALANCE, RAY)
