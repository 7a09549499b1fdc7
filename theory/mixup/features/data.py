r"""Two-class patch data with common and rare features.

A sample of class :math:`y \in \{0, 1\}` is P patches in :math:`R^d`. One patch is its feature, the
common :math:`v_y` of most samples or the rare :math:`u_y` of few; b patches are *feature noise*,
:math:`\alpha v_0` or :math:`\alpha v_1` by a fair coin that does not know y; the others are noise.
The features :math:`v_0, v_1, u_0, u_1` are orthonormal and orthogonal to the noise, so that a
sample is known by its coefficients of the features and a mask of its noise patches: nothing here
depends on d.

With quadratic units a label coded in a sign, :math:`y v`, would be invisible; hence features of
each class.

Source: kinds of patches [paper] of Zou, Cao, Li, Gu, ICML 2023 (arXiv 2303.08433); its asymptotic
orders of the parameters are [not recovered], this finite version is [derived].
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import struct
from jax import Array
from jaxtyping import Bool, Float, Int, Key

from twolayer.theory import validation

LAYOUTS = ("fixed", "random")
Scalar = int | float | Float[Array, ""]


@struct.dataclass
class PatchData:
    """A training set of n samples of P patches.

    Attributes:
      y: classes 0 and 1, integers, shape ``(n,)``.
      rare: whether a sample carries the rare feature of its class, bool, shape ``(n,)``.
      coef: coefficients of the features v0, v1, u0, u1 in each patch, shape ``(n, P, 4)``.
      noise_mask: 1 at noise patches, 0 at others, shape ``(n, P)``.
    """

    y: Array
    rare: Array
    coef: Array
    noise_mask: Array

    @property
    def target(self) -> Array:
        """Probability of class 0 in the labels, 1 or 0, shape ``(n,)``."""
        return (self.y == 0).astype(self.coef.dtype)

    @property
    def power(self) -> Array:
        r"""Power :math:`\nu_{if} = \sum_p C_{ipf}^2` of a feature in a sample, ``(n, 4)``."""
        return jnp.sum(self.coef**2, axis=1)


def checked(name: str, data: PatchData) -> PatchData:
    """The training set.

    Raises:
      ValueError: for what is none, or has arrays of other shapes or dtypes.
    """
    data = validation.record(name, data, PatchData, coef="n P 4", noise_mask="n P")
    validation.integers(f"{name}.y", data.y, shape=data.coef.shape[:1])
    validation.flags(f"{name}.rare", data.rare, data.coef.shape[:1])
    return data


def make_patch_data(
    key: Key[Array, ""],
    n: int,
    num_patches: int,
    rho: float,
    alpha: Scalar,
    num_feature_noise: int = 1,
    layout: str = "fixed",
) -> PatchData:
    """Draw a balanced training set; class 0 first, the rare samples first in each class.

    Args:
      key: random key.
      n: number of samples, even, at least 4.
      num_patches: P, at least ``2 + num_feature_noise``: one patch at least is noise.
      rho: share of rare samples; ``round(rho * n / 2)`` per class (half to even), at least 1 and
        less than n/2. Static.
      alpha: strength of feature noise, non-negative; traced.
      num_feature_noise: b, number of patches of feature noise, non-negative.
      layout: "fixed": patch 0 is the feature, patches 1 to b are feature noise, the rest is noise;
        "random": the same patches in an independent uniform order in each sample.

    Raises:
      ValueError: for numbers outside these ranges.
    """
    key = validation.key("key", key)
    n = _samples(n)
    num_feature_noise = validation.integer("num_feature_noise", num_feature_noise, low=0)
    num_patches = validation.integer("num_patches", num_patches)
    if num_patches < 2 + num_feature_noise:
        raise ValueError(
            f"num_patches must be at least 2 + num_feature_noise, {2 + num_feature_noise}; "
            f"got {num_patches}."
        )
    validation.choice("layout", layout, LAYOUTS)
    count = rare_count(n, rho)
    # One draw: the first columns decide the coins, the others the order.
    uniform = jax.random.uniform(key, (n, num_feature_noise + num_patches))
    order = jnp.argsort(uniform[:, num_feature_noise:], axis=1)
    if layout == "fixed":
        order = jnp.broadcast_to(jnp.arange(num_patches), order.shape)
    half = jnp.arange(n) % (n // 2)
    return assemble(
        y=(jnp.arange(n) >= n // 2).astype(jnp.int32),
        rare=half < count,
        coins=(uniform[:, :num_feature_noise] >= 0.5).astype(jnp.int32),
        order=order,
        alpha=alpha,
    )


def rare_count(n: int, rho: float) -> int:
    """Number of rare samples of each class, ``round(rho * n / 2)``, half to even.

    Raises:
      ValueError: for rho outside (0, 1), or if none or all of a class would be rare.
    """
    n = _samples(n)
    rho = validation.scalar("rho", rho, low=0.0, high=1.0, open_low=True, open_high=True)
    count = round(rho * n / 2)
    if not 1 <= count < n // 2:
        raise ValueError(
            f"rho must make at least 1 and fewer than n/2 = {n // 2} samples of a class rare; "
            f"got {rho}, which makes {count}."
        )
    return count


def assemble(
    y: Int[Array, "n"],
    rare: Bool[Array, "n"],
    coins: Int[Array, "n b"],
    order: Int[Array, "n P"],
    alpha: Scalar,
) -> PatchData:
    """Patch data from what was decided about each sample.

    Args:
      y: classes 0 and 1, shape ``(n,)``.
      rare: which samples are rare, shape ``(n,)``.
      coins: class whose common feature each patch of feature noise shows, shape ``(n, b)``.
      order: which patch of the fixed layout stands at each place, shape ``(n, P)``; every row is a
        permutation of 0 ... P-1.
      alpha: strength of feature noise, non-negative.

    Raises:
      ValueError: for a negative alpha, other dtypes, or shapes that do not fit.
    """
    alpha = validation.scalar("alpha", alpha, low=0.0)
    y = validation.integers("y", y, shape=(None,))
    rare = validation.flags("rare", rare, y.shape)
    coins = validation.integers("coins", coins, shape=(*y.shape, None))
    order = validation.integers("order", order, shape=(*y.shape, None))
    if order.shape[1] <= coins.shape[1]:
        raise ValueError(
            f"order must have more columns than coins, {coins.shape[1]}; got {order.shape[1]}."
        )
    own = jax.nn.one_hot(jnp.where(rare, y + 2, y), 4, dtype=float)
    noise_features = jnp.asarray(alpha, float) * jax.nn.one_hot(coins, 4, dtype=float)
    empty = jnp.zeros((*coins.shape[:1], order.shape[1] - 1 - coins.shape[1], 4))
    fixed = jnp.concatenate([own[:, None], noise_features, empty], axis=1)
    return PatchData(
        y=y,
        rare=rare,
        coef=jnp.take_along_axis(fixed, order[:, :, None], axis=1),
        noise_mask=(order > coins.shape[1]).astype(fixed.dtype),
    )


def _samples(n: int) -> int:
    n = validation.integer("n", n, low=4)
    if n % 2:
        raise ValueError(f"n must be even, for balanced classes; got {n}.")
    return n
