r"""Cues that are equally valid: which combinations there are, and which cue a classifier uses.

An item has K cues, each at one of L levels, :math:`(l_1, \dots, l_K)`. On the *diagonal* all levels
are equal and are the label, so that every cue alone predicts it; on the other cells the cues
disagree, and the share of predictions that equal :math:`l_k` says how far cue k is used.

A kernel machine sees :math:`x = (\alpha_k e_{l_k})_k` and a kernel :math:`\kappa(x \cdot x')` that
grows. Trained on the diagonal it predicts, at every time and every ridge, the level l of the
largest :math:`u_l = \sum_k \alpha_k^2 1[l_k = l]`: a vote in which availability is weight.

Source: cells and accuracies [paper] of Scimeca et al., ICLR 2022 (arXiv 2110.03095); baselines and
the vote [derived].
"""

from __future__ import annotations

import math

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float, Int, Num
from scipy import stats

from twolayer.theory import validation


def wcst_cells(num_cues: int, num_levels: int) -> tuple[np.ndarray, np.ndarray]:
    """All combinations of levels: those on the diagonal, and the others in order.

    Args:
      num_cues: K >= 2.
      num_levels: L >= 2.

    Returns:
      Integers, shapes ``(L, K)`` and ``(L**K - L, K)``.

    Raises:
      ValueError: for fewer than two cues or levels.

    Source: [paper], named after the Wisconsin card sorting test.
    """
    cues, size = _sizes(num_cues, num_levels)
    cells = np.indices((size,) * cues).reshape(cues, -1).T
    diagonal = np.all(cells == cells[:, :1], axis=1)
    return cells[diagonal], cells[~diagonal]


def cue_accuracy(pred: Num[Array, "n"], levels: Int[Array, "n k"]) -> Float[Array, "k"]:
    """Share of predictions that equal the level of each cue.

    Args:
      pred: predicted levels, shape ``(n,)``; -1 for none.
      levels: levels of the items, integers of shape ``(n, k)``.

    Returns:
      Shape ``(k,)``, in the default floating dtype.

    Raises:
      ValueError: on shapes that do not match, or levels that are no integers of at least 0.

    Source: [paper]; on the cells off the diagonal this is the cue preference.
    """
    levels = _levels(levels)
    pred = validation.vector("pred", pred, length=levels.shape[0])
    return jnp.mean((pred[:, None] == levels.astype(pred.dtype)).astype(float), axis=0)


def cue_baseline(num_cues: int, num_levels: int) -> float:
    r"""Accuracy for one cue of a model that uses another alone, on uniform off-diagonal cells.

    .. math:: \frac{L^{K-2} - 1}{L^{K-1} - 1}

    It is less than chance, 1/L, as equal levels everywhere are left out; 0 for two cues.

    Args:
      num_cues: K >= 2.
      num_levels: L >= 2.

    Raises:
      ValueError: for fewer than two cues or levels.

    Source: [derived].
    """
    cues, size = _sizes(num_cues, num_levels)
    return (size ** (cues - 2) - 1) / (size ** (cues - 1) - 1)


def majority_baseline(num_cues: int, num_levels: int) -> float:
    r"""Largest sum over cues of the accuracies that any model has, on uniform off-diagonal cells.

    It is the mean of the number of cues that agree with the most common level,
    :math:`E[\max_l \#\{k : l_k = l\}]`, and the majority vote of the cues has it. A model that uses
    one cue alone has 1 + (K - 1) :func:`cue_baseline`, which is less for K >= 3.

    Args:
      num_cues: K >= 2.
      num_levels: L >= 2.

    Raises:
      ValueError: for fewer than two cues or levels.

    Source: [derived], from :math:`E[\max] = \sum_m P(\max \ge m)` over all cells but the L on
      the diagonal.
    """
    cues, size = _sizes(num_cues, num_levels)
    cells = size**cues
    reached = sum(cells - _cells_below(cues, size, most) for most in range(1, cues + 1))
    return (reached - cues * size) / (cells - size)


def cue_vote(alpha: Float[Array, "k"], levels: Int[Array, "n k"]) -> Int[Array, "n"]:
    r"""Level with most votes, :math:`\arg\max_l \sum_k \alpha_k^2 1[l_k = l]`.

    Args:
      alpha: availabilities of the cues, shape ``(k,)``, positive.
      levels: levels of the items, integers of shape ``(n, k)``.

    Returns:
      Shape ``(n,)``; -1 where two levels have equally many, up to rounding.

    Raises:
      ValueError: on shapes that do not match, an availability not positive, or levels that are no
        integers of at least 0.

    Source: [derived] Theorem B1.
    """
    levels = _levels(levels)
    alpha = validation.vector("alpha", alpha, length=levels.shape[1])
    validation.number("alpha", alpha, low=0.0, open_low=True)
    weight = alpha**2
    agree = levels[:, :, None] == levels[:, None, :]
    votes = jnp.sum(jnp.where(agree, weight[None, None, :], 0), axis=2)
    best = jnp.argmax(votes, axis=1)
    most = jnp.max(votes, axis=1, keepdims=True)
    winner = jnp.take_along_axis(levels, best[:, None], axis=1)
    room = 8 * jnp.finfo(weight.dtype).eps * jnp.sum(weight)
    tied = jnp.any((votes >= most - room) & (levels != winner), axis=1)
    return jnp.where(tied, -1, winner[:, 0])


def wilson_interval(
    successes: ArrayLike, trials: ArrayLike, *, level: float = 0.95
) -> tuple[np.ndarray, np.ndarray]:
    r"""Wilson's score interval of a probability, from a number of successes.

    .. math:: \frac{\hat p + z^2/2n \pm z\sqrt{\hat p (1 - \hat p)/n + z^2/4n^2}}{1 + z^2/n}

    with z the normal quantile of ``(1 + level)/2``. Unlike a normal interval it has a width where
    all trials or none succeed.

    Args:
      successes: numbers between 0 and ``trials``, each with its own.
      trials: n >= 1, of a shape that broadcasts with that of ``successes``.
      level: of confidence, in (0, 1).

    Returns:
      Its lower and upper end.

    Raises:
      ValueError: for numbers outside of their ranges.

    Source: Wilson (1927).
    """
    level = validation.scalar("level", level, low=0.0, high=1.0, open_low=True, open_high=True)
    n = np.asarray(validation.number("trials", trials, low=1.0), float)
    count = np.asarray(validation.number("successes", successes, low=0.0), float)
    try:
        count, n = np.broadcast_arrays(count, n)
    except ValueError as error:
        raise ValueError(
            f"successes must broadcast with trials; got shapes {count.shape} and {n.shape}."
        ) from error
    if np.any(count > n):
        raise ValueError(
            f"successes must be at most trials; got {count[count > n][0]:g} of {n[count > n][0]:g}."
        )
    share = count / n
    z = stats.norm.ppf((1 + level) / 2)
    middle = share + z**2 / (2 * n)
    reach = z * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    low, high = ((middle + sign * reach) / (1 + z**2 / n) for sign in (-1, 1))
    return np.asarray(np.clip(low, 0, share)), np.asarray(np.clip(high, share, 1))


def _cells_below(cues: int, size: int, limit: int) -> int:
    r"""Number of cells in which every level has fewer than ``limit`` cues.

    It is :math:`K!\,[t^K]\, g^L` with :math:`g = \sum_{j < \text{limit}} t^j / j!`, and
    :math:`h = g^L` obeys :math:`g h' = L g' h`, from which its coefficients follow one by one.
    """
    found = [1]  # k! times the coefficient of t^k
    for k in range(1, cues + 1):
        terms = range(1, min(limit - 1, k) + 1)
        total = sum(math.comb(k, j) * (j * (size + 1) - k) * found[k - j] for j in terms)
        found.append(total // k)
    return found[cues]


def _sizes(num_cues: int, num_levels: int) -> tuple[int, int]:
    return (
        validation.integer("num_cues", num_cues, low=2),
        validation.integer("num_levels", num_levels, low=2),
    )


def _levels(levels: Array) -> Array:
    result = validation.integers("levels", levels, shape=(None, None))
    if 0 in result.shape:
        raise ValueError(f"levels must be a non-empty matrix (n, k); got shape {result.shape}.")
    if not validation.holds(lambda known: known >= 0, result):
        raise ValueError(f"levels must be integers of at least 0; got {levels!r:.80}.")
    return result
