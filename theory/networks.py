r"""The two-layer network as a pytree: initialise, evaluate, differentiate, empirical kernels.

.. math:: f(x) = \sum_{i \le m} a_i\, \phi(w_i^T x + b_i)

w and b are trained, a is frozen. Wherever a slope ``gamma`` of the leaky ReLU is asked for, an
:class:`twolayer.theory.kernels.activations.Activation` may be given instead.

A network in short floats (float16, bfloat16) is computed in float32. What it hands on (outputs,
gradients, pre-activations) is rounded to its dtype at the end if the inputs came in it too; the
empirical kernels stay in float32.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import struct
from jax import Array
from jaxtyping import Float, Key

from twolayer.theory import precision, validation
from twolayer.theory.kernels import activations
from twolayer.theory.kernels.activations import ActivationLike


@struct.dataclass
class TwoLayer:
    """Weights w (m, d), biases b (m,), output weights a (m,)."""

    w: Array
    b: Array
    a: Array


def init_two_layer(
    key: Key[Array, ""], d: int, m: int, dtype: jnp.dtype | type | None = None
) -> TwoLayer:
    r"""Random network: every entry an independent centred normal.

    The variances are 1/d for w, 1 for b and 1/m for a.

    Args:
      key: random key, used once.
      d: input dimension, at least 1.
      m: width, at least 1.
      dtype: floating dtype; the default float type when None. Short floats are drawn in float32
        and rounded: a number drawn in bfloat16 itself has seven random bits.

    Raises:
      ValueError: for sizes below 1, or a key that is none.

    Source: [code] of "Wide Two-Layer Networks can Learn from Adversarial Perturbations".
    """
    key = validation.key("key", key)
    d, m = validation.integer("d", d), validation.integer("m", m)
    dtype = jnp.dtype(jnp.result_type(float) if dtype is None else dtype)
    normal = jax.random.normal(key, (m, d + 2), precision.long(jnp.zeros((), dtype)).dtype)
    p = TwoLayer(w=normal[:, :d] * d**-0.5, b=normal[:, d], a=normal[:, d + 1] * m**-0.5)
    return jax.tree.map(lambda leaf: leaf.astype(dtype), p)


def checked(name: str, p: TwoLayer, *, m: int | None = None, d: int | None = None) -> TwoLayer:
    """The network, of width m and input dimension d if they are given.

    Raises:
      ValueError: for what is no network, or has weights of other shapes.
    """
    width, dim = m or "m", d or "d"
    return validation.record(name, p, TwoLayer, w=f"{width} {dim}", b=f"{width}", a=f"{width}")


def preactivations(p: TwoLayer, x: Float[Array, "n d"]) -> Float[Array, "m n"]:
    """``w_i . x_n + b_i``, neurons first: later products then need no transpose."""
    return precision.rounded(_read(p, x)[1], p, x)


def gates(p: TwoLayer, x: Float[Array, "n d"], gamma: ActivationLike) -> Float[Array, "m n"]:
    r"""Derivatives :math:`\phi'(w_i^T x_n + b_i)` of every unit at every input."""
    return precision.rounded(activations.resolve(gamma).derivative(_read(p, x)[1]), p, x)


def forward(p: TwoLayer, x: Float[Array, "n d"], gamma: ActivationLike) -> Float[Array, " n"]:
    """Outputs f(x_n), shape ``(n,)``."""
    long, pre = _read(p, x)
    return precision.rounded(long.a @ activations.resolve(gamma).value(pre), p, x)


def input_gradient(
    p: TwoLayer, x: Float[Array, "n d"], gamma: ActivationLike
) -> Float[Array, "n d"]:
    r"""Gradients :math:`\nabla f(x_n) = \sum_i a_i \phi'(w_i^T x_n + b_i) w_i`, one a row."""
    long, pre = _read(p, x)
    gate = activations.resolve(gamma).derivative(pre)
    return precision.rounded((long.a[:, None] * gate).T @ long.w, p, x)


def empirical_gate_kernel(
    p: TwoLayer, x: Float[Array, "n d"], z: Float[Array, "k d"], gamma: ActivationLike
) -> Float[Array, "n k"]:
    r"""Finite-width gate kernel :math:`\Phi_m(x, z) = \sum_i a_i^2 \phi'(p_i(x)) \phi'(p_i(z))`.

    Its mean over initialisations is :func:`twolayer.theory.kernels.shallow.gate_kernel`; one pair
    deviates by the radius of Theorem W. Shape ``(n, k)``; memory ``m (n + k)``.
    """
    p = checked("p", p)
    x, z = validation.pair(x, z)
    return (p.a[:, None] ** 2 * gates(p, x, gamma)).T @ gates(p, z, gamma)


def empirical_lazy_kernel(
    p: TwoLayer,
    x: Float[Array, "n d"],
    z: Float[Array, "k d"],
    gamma: ActivationLike,
    bias: bool = True,
) -> Float[Array, "n k"]:
    r"""Tangent kernel of the trained layer, :math:`K_m = \Phi_m(x, z)\,(x^T z + 1)`.

    The ``+1`` is the trained bias; ``bias=False`` leaves it out.
    """
    x, z = validation.pair(x, z)
    return empirical_gate_kernel(p, x, z, gamma) * (x @ z.T + float(bias))


def _read(p: TwoLayer, x: Array) -> tuple[TwoLayer, Array]:
    """The network and its pre-activations, in float32 at least."""
    p = checked("p", p)
    x = validation.matrix("x", x, columns=p.w.shape[1])
    return p, p.w @ x.T + p.b[:, None]
