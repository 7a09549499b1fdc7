"""Optimal unconstrained features under mixup: the statements about a given simplex frame.

All [derived], Theorem B1. Instances hold what turns the frame, targets before normalisation, two
classes and scales; frame, targets and features follow from them.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from flax import struct
from jax import Array

from twolayer.theory.mixup.collapse import dual, optimal_features
from twolayer.theory.verification.inequality import Bound, Bounds, equal, within_rounding
from twolayer.theory.verification.sampling import below, normals, uniform
from twolayer.theory.verification.theorem import Control, Parameters, Size, Theorem

SIZES = ({"k": 2, "d": 2}, {"k": 4, "d": 5})
KNOBS = {"log_scale": (-1.0, 1.0), "log_kappa": (-3.0, 5.0), "sharpness": (0.0, 4.0)}


@struct.dataclass
class Mixed:
    """A frame, a target of any kind, and a mix of two classes."""

    raw: Array  # (d, k - 1), of what turns the frame
    bend: Array  # (k, d), away from the frame, for controls
    target_raw: Array  # (k,), logarithms of the target up to a constant
    other_raw: Array  # (k,), of another distribution
    shift: Array  # (d,), away from the optimum
    lam: Array  # weight of the first class
    first: Array  # classes, integers
    second: Array  # different from the first
    scale: Array
    kappa: Array

    @property
    def num_classes(self) -> int:
        """K."""
        return self.target_raw.shape[0]

    @property
    def w(self) -> Array:
        """The simplex frame."""
        k = self.num_classes
        turned, _ = jnp.linalg.qr(self.raw)
        return optimal_features.simplex_etf(None, k, k - 1, self.scale) @ turned.T

    @property
    def strength(self) -> Array:
        """A, from the scale."""
        return self.scale**2 * self.num_classes / (self.num_classes - 1)

    @property
    def decay(self) -> Array:
        """Decay of the features, which gives kappa."""
        return self.strength / self.kappa

    def pair(self, lam: Array) -> Array:
        """Target of the two classes, the first one's weight lam; shape of lam and (k,)."""
        rows = jnp.eye(self.num_classes)
        lam = jnp.asarray(lam)[..., None]
        first, second = (
            jnp.broadcast_to(rows[at], (*lam.shape[:-1], self.num_classes))
            for at in (self.first, self.second)
        )
        return lam * first + (1 - lam) * second


def sample(key: Array, size: Size, parameters: Parameters) -> Mixed:
    """Frames turned at random, targets of any sharpness, two different classes."""
    k, d = size["k"], size["d"]
    raw, bend, target, other, shift, rest = normals(key, (d, k - 1), (k, d), (k,), (k,), (d,), (3,))
    first = below(k, rest[1])
    return Mixed(
        raw=raw,
        bend=bend,
        target_raw=parameters["sharpness"] * target,
        other_raw=other,
        shift=shift,
        lam=uniform(rest[0]),
        first=first,
        second=(first + 1 + below(k - 1, rest[2])) % k,
        scale=10.0 ** parameters["log_scale"],
        kappa=10.0 ** parameters["log_kappa"],
    )


# The optimum -------------------------------------------------------------------------------------


def _optimum(at: Mixed, *, solver: float = 1.0, bend: float = 0.0) -> Bounds:
    """``solver`` is a wrong factor of the decay that the solver sees; ``bend`` spoils the frame."""
    w = at.w + bend * at.scale * at.bend
    target = jax.nn.softmax(at.target_raw)
    h = optimal_features.ufm_features(w, target, solver * at.decay)
    gradient = jax.grad(optimal_features.ufm_objective)(h, w, target, at.decay)
    logits = w @ h
    probs = jax.nn.softmax(logits)
    away = h + at.shift / at.scale
    here, there = (
        optimal_features.ufm_objective(point, w, target, at.decay) for point in (h, away)
    )
    gain = at.decay / 2 * jnp.sum((away - h) ** 2)
    reach = 1 + jnp.max(jnp.abs(logits))
    return {
        "stationary": Bound(lhs=jnp.max(jnp.abs(gradient)) / at.scale, rhs=1e-13 * reach),
        "strongly convex": within_rounding(here + gain, there, jnp.abs(there) + gain + reach),
        "logits": equal(logits, at.kappa * (target - probs), 1e-13 * (reach + at.kappa)),
    }


OPTIMUM = Theorem(
    name="collapse.optimum",
    statement="For a simplex frame W and any target t the mixed cross-entropy with decay mu has "
    "the unique minimiser h* = W'(t - p)/mu, p = softmax(W h*), with logits kappa (t - p), and "
    "J(h) >= J(h*) + (mu/2)|h - h*|^2.",
    source="[derived] Theorem B1",
    sizes=SIZES,
    parameters=KNOBS,
    sample=sample,
    conclusions=_optimum,
    searchable=("raw", "target_raw", "shift"),
    controls={
        "decay half as large again": Control(conclusions=functools.partial(_optimum, solver=1.5)),
        "rows that are no frame": Control(conclusions=functools.partial(_optimum, bend=0.1)),
    },
)


def _dual(at: Mixed, *, factor: float = 1.0) -> Bounds:
    target, q = jax.nn.softmax(at.target_raw), jax.nn.softmax(at.other_raw)
    p = dual.ufm_probs(target, factor * at.kappa)

    def objective(probs: Array) -> Array:
        return jnp.sum(probs * jnp.log(probs)) + at.kappa / 2 * jnp.sum((probs - target) ** 2)

    gain = jnp.sum(q * jnp.log(q / p)) + at.kappa / 2 * jnp.sum((q - p) ** 2)
    constant = jnp.log(p) + at.kappa * (p - target)
    room = 1e-12 * (1 + at.kappa + jnp.max(-jnp.log(p)))
    return {
        "distribution": equal(jnp.sum(p), jnp.ones(()), 1e-12),
        "one constant": equal(jnp.max(constant), jnp.min(constant), room),
        "gain": equal(objective(q) - objective(p), gain, room),
    }


DUAL = Theorem(
    name="collapse.dual",
    statement="The probabilities p at the optimum solve log p_c + kappa (p_c - t_c) = nu; for "
    "every other distribution q the dual D(q) = sum q log q + (kappa/2)|q - t|^2 exceeds D(p) by "
    "KL(q||p) + (kappa/2)|q - p|^2.",
    source="[derived] Theorem B1",
    sizes=SIZES,
    parameters=KNOBS,
    sample=sample,
    conclusions=_dual,
    searchable=("target_raw", "other_raw"),
    controls={"kappa a tenth larger": Control(conclusions=functools.partial(_dual, factor=1.1))},
)


# Squared loss ------------------------------------------------------------------------------------


def _squared(at: Mixed, *, entropy: bool = False) -> Bounds:
    w = at.w
    lams = jnp.stack([at.lam, jnp.ones_like(at.lam), jnp.zeros_like(at.lam)])
    features = optimal_features.ufm_features if entropy else optimal_features.ufm_mse_features
    h = features(w, at.pair(lams), at.decay)
    normal = w.T @ w + at.decay * jnp.eye(w.shape[1])
    solved = jnp.linalg.solve(normal, (at.pair(lams) @ w).T).T
    condition = 1 + at.kappa
    size = 1e-14 * condition * at.scale / (at.strength + at.decay)
    between = at.lam * h[1] + (1 - at.lam) * h[2]
    linear = {"linear": equal(h[0], between, size)}
    return linear if entropy else linear | {"optimum": equal(h, solved, 10 * size)}


SQUARED_LOSS = Theorem(
    name="collapse.squared_loss",
    statement="With squared loss the optimal feature is W't/(A + mu), linear in lambda.",
    source="[derived] Theorem B1 (iv)",
    sizes=SIZES,
    parameters=KNOBS | {"log_kappa": (-1.0, 4.0)},
    sample=sample,
    conclusions=_squared,
    searchable=("raw", "lam"),
    controls={"cross-entropy": Control(conclusions=functools.partial(_squared, entropy=True))},
)

THEOREMS = (OPTIMUM, DUAL, SQUARED_LOSS)
