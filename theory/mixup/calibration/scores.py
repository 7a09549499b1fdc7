r"""Calibration of logits: scores, and the temperature that a convex fit chooses.

Logits g are turned into probabilities :math:`\mathrm{softmax}(\beta g)` with the inverse
temperature :math:`\beta = 1/T \ge 0`. The negative log-likelihood is convex in :math:`\beta`, so an
exact fit exists, be it to labels or to known probabilities (the oracle's fit). All logarithms are
natural.

Source: standard definitions; the exact fit's edges [derived].
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Int

from twolayer.theory import precision, roots, validation

Target = Int[Array, "n"] | Float[Array, "n k"]

# Largest inverse temperature, in units of 1 / the largest spread of a row of logits.
CAP = 1e6
_MAX_STEPS = 200
# Steps taken, the point, both ends of its bracket, and the last step.
_Search = tuple[Array, Array, Array, Array, Array]


def nll(logits: Float[Array, "n k"], target: Target) -> Float[Array, ""]:
    r"""Mean cross-entropy :math:`-\sum_c t_c \log \mathrm{softmax}(g)_c`.

    Args:
      logits: g, shape ``(n, k)``, k >= 2.
      target: integer labels in 0 .. k-1, shape ``(n,)``, or probabilities, shape ``(n, k)``.

    Raises:
      ValueError: for shapes that do not fit, labels out of range, or rows that are no
        distributions.
    """
    logits, probs = _logits_and_target(logits, target)
    return -jnp.mean(jnp.sum(probs * jax.nn.log_softmax(logits), axis=1))


def expected_kl(probs: Float[Array, "n k"], logits: Float[Array, "n k"]) -> Float[Array, ""]:
    r"""Mean of :math:`\mathrm{KL}(p \,\|\, \mathrm{softmax}(g))` over rows, with 0 log 0 = 0.

    Args:
      probs: true probabilities p, shape ``(n, k)``.
      logits: g, of the same shape.

    Raises:
      ValueError: as for :func:`nll`.
    """
    logits, probs = _logits_and_target(logits, probs, "probs")
    # jax.scipy.special.xlogy has 0 at 0, and no NaN in its derivative there.
    entropies = jnp.sum(jax.scipy.special.xlogy(probs, probs), axis=1)
    return jnp.mean(entropies - jnp.sum(probs * jax.nn.log_softmax(logits), axis=1))


def ece(
    logits: Float[Array, "n k"], labels: Int[Array, "n"], *, bins: int = 15
) -> Float[Array, ""]:
    r"""Expected calibration error: mean distance of confidence and accuracy over bins.

    Confidence is the largest probability; bins are :math:`(j/B, (j+1)/B]`, weighed by their share
    of the rows. Empty bins do not count.

    Args:
      logits: shape ``(n, k)``.
      labels: integers in 0 .. k-1, shape ``(n,)``.
      bins: B >= 1.

    Raises:
      ValueError: as for :func:`nll`, or for fewer than one bin.
    """
    number = validation.integer("bins", bins)
    logits = _logits(logits)
    labels = class_labels("labels", labels, number=logits.shape[1], length=logits.shape[0])
    probs = jax.nn.softmax(logits)
    confidence = jnp.max(probs, axis=1)
    correct = (jnp.argmax(logits, axis=1) == labels).astype(probs.dtype)
    edges = jnp.linspace(0, 1, number + 1, dtype=probs.dtype)[1:-1]
    where = jnp.searchsorted(edges, confidence, side="left")
    gaps = jax.ops.segment_sum(correct - confidence, where, num_segments=number)
    return jnp.sum(jnp.abs(gaps)) / logits.shape[0]


def fit_temperature(logits: Float[Array, "n k"], target: Target) -> Float[Array, ""]:
    r"""Inverse temperature :math:`\beta \ge 0` that minimises the mean cross-entropy exactly.

    Newton's method in a bracket. Logits are divided by their largest spread first, so that
    logits scaled by c give beta scaled by 1/c.

    Args:
      logits: g, shape ``(n, k)``.
      target: labels, shape ``(n,)``, or probabilities, shape ``(n, k)``, as for :func:`nll`.

    Returns:
      beta = 1/T. It is 0 (T infinite) where the derivative at 0 is not negative, constant logits
      included. It is the cap of 1e6 over the largest spread where there is no finite minimiser, as
      every row's target lies on its largest logits, or where the minimiser is beyond. Derivatives
      are those of the minimiser.

    Raises:
      ValueError: as for :func:`nll`.
    """
    logits, probs = _logits_and_target(logits, target)
    spread = jnp.max(jnp.max(logits, axis=1) - jnp.min(logits, axis=1))
    scale = jnp.where(spread > 0, spread, 1)
    scaled = (logits - jnp.max(logits, axis=1, keepdims=True)) / scale
    fixed = jax.lax.stop_gradient(scaled), jax.lax.stop_gradient(probs)
    beta = _minimiser(*fixed)
    slope, curvature = _derivatives(beta, *fixed)
    inside = (beta > 0) & (beta < CAP) & (curvature > 0)
    # One more step is rounding to the value.
    step = jnp.where(inside, slope / jnp.where(inside, curvature, 1), 0)
    found = jnp.clip(beta - step, 0, CAP)

    def residual(beta: Array) -> Array:
        return jnp.where(inside, _derivatives(beta, scaled, probs)[0], beta - found)

    return roots.implicit(residual, found) / scale


def ts_weak(
    logits: Float[Array, "n k"],
    labels: Int[Array, "n"],
    *,
    steps: int,
    rate: float | Float[Array, ""],
) -> Float[Array, ""]:
    r"""A temperature fit that stops early, for comparison: not the minimiser.

    From T = 1, quasi-Newton steps in T with the secant's curvature, each multiplied by ``rate``;
    the first is a gradient step of length at most ``rate``.

    Args:
      logits: shape ``(n, k)``.
      labels: integers in 0 .. k-1, shape ``(n,)``.
      steps: number of steps, at least 1.
      rate: in (0, 1].

    Returns:
      beta = 1/T after the last step.

    Raises:
      ValueError: as for :func:`nll`, or for steps or a rate out of range.

    Source: emulates one call of a quasi-Newton optimiser with a small step [derived]; the published
    optimiser's own iterates are [not recovered].
    """
    steps = validation.integer("steps", steps)
    rate = validation.scalar("rate", rate, low=0.0, high=1.0, open_low=True)
    logits = _logits(logits)
    labels = class_labels("labels", labels, number=logits.shape[1], length=logits.shape[0])
    part = jnp.asarray(rate).astype(logits.dtype)
    gradient = jax.grad(lambda temperature: nll(logits / temperature, labels))
    start = jnp.ones((), logits.dtype)
    first = gradient(start)
    temperature = start - part * first / jnp.maximum(1, jnp.abs(first))

    def step(state: tuple[Array, Array, Array, Array], _: None) -> tuple[Any, None]:
        before, slope_before, now, inverse = state
        slope = gradient(now)
        turn = (slope - slope_before) * (now - before)
        # A secant that bends down, or nothing left to do: the last curvature stays.
        usable = turn > 0
        secant = (now - before) ** 2 / jnp.where(usable, turn, 1)
        inverse = jnp.where(usable, secant, inverse)
        return (now, slope, now - part * inverse * slope, inverse), None

    state = (start, first, temperature, jnp.ones_like(start))
    (_, _, temperature, _), _ = jax.lax.scan(step, state, length=steps - 1)
    return 1 / temperature


def class_labels(name: str, value: Any, *, number: int, length: int) -> Array:
    """Integer labels in 0 .. number - 1, shape ``(length,)``."""
    result = validation.integers(name, value, shape=(length,))
    if not validation.holds(lambda known: (known >= 0) & (known < number), result):
        low, high = int(jnp.min(result)), int(jnp.max(result))
        raise ValueError(f"{name} must be in 0 .. {number - 1}; got {low} .. {high}.")
    return result


def _minimiser(scaled: Array, probs: Array) -> Array:
    """Minimiser in [0, CAP] for logits with largest spread 1."""

    def slope_at(beta: Array) -> Array:
        return _derivatives(beta, scaled, probs)[0]

    def below(state: tuple[Array, Array]) -> Array:
        _, high = state
        return (high < CAP) & (slope_at(high) < 0)

    one = jnp.ones((), scaled.dtype)
    low, high = jax.lax.while_loop(
        below, lambda state: (state[1], jnp.minimum(2 * state[1], CAP)), (0 * one, one)
    )

    def unfinished(state: _Search) -> Array:
        index, beta, _, _, step = state
        return (index < _MAX_STEPS) & (jnp.abs(step) > 1e-12 * jnp.maximum(1, beta))

    def improve(state: _Search) -> _Search:
        index, beta, low, high, _ = state
        slope, curvature = _derivatives(beta, scaled, probs)
        low = jnp.where(slope < 0, beta, low)
        high = jnp.where(slope > 0, beta, high)
        new = beta - slope / curvature
        new = jnp.where((new >= low) & (new <= high), new, (low + high) / 2)
        return index + 1, new, low, high, new - beta

    state = (jnp.asarray(0), (low + high) / 2, low, high, one)
    beta = jax.lax.while_loop(unfinished, improve, state)[1]
    # Rows were shifted so that the largest logit is 0.
    no_minimiser = jnp.all((scaled == 0) | (probs == 0))
    beta = jnp.where(no_minimiser | (slope_at(CAP * one) < 0), CAP, beta)
    return jnp.where(slope_at(0 * one) >= 0, 0, beta)


def _derivatives(beta: Array, logits: Array, probs: Array) -> tuple[Array, Array]:
    """First and second derivative of the mean cross-entropy in beta."""
    phi = jax.nn.softmax(beta * logits)
    mean = jnp.sum(phi * logits, axis=1)
    variance = jnp.sum(phi * (logits - mean[:, None]) ** 2, axis=1)
    return jnp.mean(mean - jnp.sum(probs * logits, axis=1)), jnp.mean(variance)


def _logits(value: Any) -> Array:
    result = validation.matrix("logits", value)
    if result.shape[1] < 2:
        raise ValueError(f"logits must have at least 2 columns; got shape {result.shape}.")
    return result


def _logits_and_target(logits: Any, target: Any, name: str = "target") -> tuple[Array, Array]:
    """Logits, and the target as probabilities."""
    logits = _logits(logits)
    n, k = logits.shape
    if validation.real(name, target).ndim == 1:
        target = class_labels(name, target, number=k, length=n)
        return logits, jax.nn.one_hot(target, k, dtype=logits.dtype)
    probs = validation.matrix(name, target, rows=n, columns=k)
    # A sum is as good as the shortest dtype, that in which the target came included.
    room = max(1e-10, 8 * precision.rounding(target, probs, logits))
    if not validation.holds(
        lambda known: (known >= 0) & (jnp.abs(jnp.sum(known, axis=1, keepdims=True) - 1) <= room),
        probs,
    ):
        raise ValueError(f"{name} must have rows that are not negative and sum to 1.")
    if precision.rounding(target) > jnp.finfo(probs.dtype).eps:
        probs = probs / jnp.sum(probs, axis=1, keepdims=True)
    return logits, probs.astype(logits.dtype)
