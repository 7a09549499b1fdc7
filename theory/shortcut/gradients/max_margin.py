r"""The max-margin network on block data, and one that is robust: closed forms.

A point of the data carries its label in one of m signal coordinates, :math:`x = y\,e_j`, and
nothing in the other coordinates but noise. Networks are measures :math:`\nu` on neurons,

.. math:: F(\nu, x) = \int w\,\mathrm{relu}(r^T x + b)\, d\nu, \quad w^2 + |r|^2 + b^2 = 1,

or finite ones, f(x) = sum_k a_k relu(w_k . x + b_k), which are such measures times the sum of
:math:`a_k^2 + |w_k|^2 + b_k^2`. The margin is the smallest y F(x) of the data. It is largest for a
single network, whose gradient is the same in all signal coordinates: it does not tell which of them
carries the label. Robustness excludes it, and a network whose gradients do tell is robust.

With blocks instead of coordinates :math:`e_j` is a unit vector u in block j.

Source: [derived] Theorems C1 and C2; that a max-margin network leaks over blocks [paper] in part,
its exact hypotheses [not recovered].
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Int, Key

from twolayer.theory import networks, validation
from twolayer.theory.networks import TwoLayer


def block_points(
    m: int, null: int, noise: float | Float[Array, ""] = 0.0, key: Key[Array, ""] | None = None
) -> tuple[Float[Array, "n d"], Float[Array, " n"], Int[Array, " n"]]:
    """One point for every signal coordinate and label: the signal, and noise of random signs.

    Args:
      m: number of signal coordinates.
      null: number of coordinates without signal, after them; may be 0.
      noise: size of every null coordinate, at least 0.
      key: random key, needed if there is noise.

    Returns:
      Points of shape ``(2 m, m + null)``; labels +1 and -1; the place of each signal. Labels +1
      come first. The dtype is the default float.

    Raises:
      ValueError: for numbers out of range, or noise without a key.

    Source: [derived], spec C.2.
    """
    m, null = validation.integer("m", m), validation.integer("null", null, low=0)
    noise = validation.scalar("noise", noise, low=0.0)
    j = jnp.tile(jnp.arange(m), 2)
    y = jnp.repeat(jnp.array([1.0, -1.0]), m)
    signal = y[:, None] * jnp.eye(m)[j]
    if key is not None:
        rest = noise * jax.random.rademacher(validation.key("key", key), (2 * m, null), y.dtype)
    elif validation.is_known(noise) and noise == 0:
        rest = jnp.zeros((2 * m, null))
    else:
        raise ValueError(f"key must be given where there is noise; got None with noise {noise}.")
    return jnp.concatenate([signal, rest], axis=1), y, j


def max_margin_value(m: int, bias: bool = True) -> Float[Array, ""]:
    r"""The largest margin of any network on the block data.

    .. math:: \gamma^* = \frac{1}{2\sqrt{m+1}}, \quad \frac{1}{4\sqrt{m}}\ \text{without biases.}

    Args:
      m: number of signal coordinates.
      bias: whether neurons have biases.

    Source: [derived] Theorem C1.
    """
    m = validation.integer("m", m)
    return 1 / (2 * jnp.sqrt(m + 1.0)) if bias else 1 / (4 * jnp.sqrt(1.0 * m))


def max_margin_atoms(
    m: int, null: int, bias: bool = True
) -> tuple[Float[Array, "2"], Float[Array, "2 d"], Float[Array, "2"]]:
    r"""The two neurons of the max-margin network, which has mass 1/2 on each.

    .. math:: (w, r, b) = \tfrac{1}{\sqrt 2}
              \bigl(\pm 1,\ \pm \tfrac{1_m}{\sqrt{m+1}},\ \tfrac{1}{\sqrt{m+1}}\bigr);

    without biases :math:`(\pm 1, \pm 1_m / \sqrt m, 0) / \sqrt 2`.

    Args:
      m: number of signal coordinates.
      null: number of coordinates without signal, where r is 0.
      bias: whether neurons have biases.

    Returns:
      Output weights w ``(2,)``, input weights r ``(2, m + null)`` and biases b ``(2,)``.

    Source: [derived] Theorem C1.
    """
    m, null = validation.integer("m", m), validation.integer("null", null, low=0)
    sign = jnp.array([1.0, -1.0])
    size = 1 / jnp.sqrt(2.0 * (m + 1 if bias else m))
    inside = jnp.concatenate([jnp.ones(m), jnp.zeros(null)])
    b = jnp.full(2, size) if bias else jnp.zeros(2)
    return sign / jnp.sqrt(2.0), size * sign[:, None] * inside[None, :], b


def max_margin_network(m: int, null: int, bias: bool = True) -> TwoLayer:
    """The max-margin measure as a network of two neurons, of squared parameters of sum 1."""
    w, r, b = max_margin_atoms(m, null, bias)
    return TwoLayer(w=r / jnp.sqrt(2.0), b=b / jnp.sqrt(2.0), a=w / jnp.sqrt(2.0))


def max_margin_output(x: Float[Array, " d"], m: int) -> Float[Array, ""]:
    r"""What the max-margin network with biases gives for one input.

    .. math:: F(x) = \frac{\psi(s)}{2\sqrt{m+1}}, \quad s = \sum_{j \le m} x_j, \quad
              \psi(s) = \tfrac12[\mathrm{relu}(1+s) - \mathrm{relu}(1-s)]

    :math:`\psi(s) = s` for :math:`|s| \le 1`, and has slope 1/2 beyond.

    Source: [derived] Theorem C1.
    """
    x = validation.vector("x", x)
    s = jnp.sum(x[: validation.integer("m", m)])
    return (jax.nn.relu(1 + s) - jax.nn.relu(1 - s)) / 2 * max_margin_value(m)


def normalised_margin(
    p: TwoLayer, x: Float[Array, "n d"], y: Float[Array, " n"]
) -> Float[Array, ""]:
    r"""Smallest :math:`y_i f(x_i)` over :math:`\sum_k a_k^2 + |w_k|^2 + b_k^2`.

    At most :func:`max_margin_value` on the block data, whatever the network.

    Args:
      p: two-layer ReLU network.
      x: points, shape ``(n, d)``.
      y: labels +1 and -1.
    """
    p = networks.checked("p", p)
    x = validation.matrix("x", x, columns=p.w.shape[1])
    y = validation.labels("y", y, length=x.shape[0])
    mass = jnp.sum(p.a**2) + jnp.sum(p.w**2) + jnp.sum(p.b**2)
    return jnp.min(y * networks.forward(p, x, 0.0)) / mass


def affine_robust_margin(
    v: Float[Array, " m"], c: float | Float[Array, ""], eps: float | Float[Array, ""]
) -> Float[Array, ""]:
    r"""Robust margin of v . x + c on the points :math:`y e_j` in an l_inf ball.

    .. math:: \min_{j, y} y (v^T x + c) - \varepsilon |v|_1 = \min_j v_j - |c| - \varepsilon |v|_1

    It is at most :math:`|v|_1 (1/m - \varepsilon)`: no affine function is robust for
    :math:`\varepsilon \ge 1/m`.

    Args:
      v: weights, shape ``(m,)``.
      c: constant.
      eps: radius, at least 0.

    Source: [derived] Theorem C2 (i).
    """
    v = validation.vector("v", v)
    c = validation.scalar("c", c)
    eps = validation.scalar("eps", eps, low=0.0)
    return jnp.min(v) - jnp.abs(c) - eps * jnp.sum(jnp.abs(v))


def robust_network(m: int, eps: float | Float[Array, ""]) -> TwoLayer:
    r"""A network that is robust on the points :math:`y e_j`, and whose gradients tell j.

    .. math:: G(x) = \sum_{j \le m} \mathrm{relu}(x_j - \varepsilon)
              - \mathrm{relu}(-x_j - \varepsilon)

    For 0 < eps < 1/2 its margin in an l_inf ball of radius eps is 1 - 2 eps, and its gradient there
    :math:`e_j` wherever the other coordinates move by less than eps. At eps = 0 it is the sum of
    all coordinates.

    Args:
      m: number of signal coordinates, all there are.
      eps: radius, at least 0.

    Source: [derived] Theorem C2 (ii).
    """
    m = validation.integer("m", m)
    eps = validation.scalar("eps", eps, low=0.0)
    sign = jnp.repeat(jnp.array([1.0, -1.0]), m)
    rows = jnp.concatenate([jnp.eye(m), -jnp.eye(m)])
    return TwoLayer(w=rows, b=jnp.full(2 * m, -1.0) * eps, a=sign)
