"""Closed-form kernels of wide two-layer networks: gate, NNGP and lazy (tangent) kernel.

Setting: hidden units w.x + b with w ~ N(0, I/d) and b ~ N(0, init_bias**2), so that two inputs
have pre-activations with the standard deviations and the correlation of
:mod:`twolayer.theory.kernels.preactivations`. All kernels are Gaussian moments of the activation at
these (see ``twolayer.theory.kernels.activations``). Wherever a slope ``gamma`` is asked for, an
``Activation`` may be given.

Accuracy of the Gram form [measured]: float64 1e-12 where the cosine is at least 1e-6 away from
+-1 and 3e-8 beyond, exact on equal rows; float32 1e-6, or 1e-3 within 1e-5 of +-1. The pairwise
form is exact to rounding everywhere, and slower by the factor of a matrix product.

Range: inputs are divided by a power of two, row by row, before their squares are taken, so that
rows of any size that the dtype has (1e-30 to 1e30 in float32) give kernels as exact as those of
ordinary rows; a kernel overflows where its own value does.

Derivatives are the kernels' own, of every order that exists, at equal, opposite and zero rows too:
for a smooth activation all of them; for a leaky ReLU those of the NNGP kernel up to the second
order, but not at zero rows without bias. The gate of a leaky ReLU has a cone where two rows are
parallel, and its NNGP and tangent kernels have one at zero rows without bias: a first derivative is
there the symmetric one, and in higher ones the infinite terms are left out.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from twolayer.theory import validation
from twolayer.theory.kernels import activations
from twolayer.theory.kernels.activations import ActivationLike, Scalar
from twolayer.theory.kernels.forms import of_kind
from twolayer.theory.kernels.preactivations import checked_bias

_KINDS = ("gate", "nngp", "lazy")


def gate_profile(cosine: Float[Array, "..."], gamma: ActivationLike) -> Float[Array, "..."]:
    r"""The gate kernel as a function of the correlation alone.

    .. math:: \Phi = \frac{(1+\gamma)^2}{4} + \frac{(1-\gamma)^2}{2\pi} \arcsin\rho

    Elementwise; the lazy kernel is this times (x.z + 1).

    Args:
      cosine: any shape, from ``aug_cosine`` or ``cosine_from_products``.
      gamma: slope, or an activation of degree one.

    Raises:
      ValueError: if gamma is an activation whose moments depend on the norms as well; use its
        ``derivative_moment``.
    """
    activation = activations.resolve(gamma)
    if activation.degree != 1:
        raise ValueError(
            f"gamma must be a slope or an activation of degree 1; got {activation.name}."
        )
    cosine = validation.real("cosine", cosine)
    one = jnp.ones((), cosine.dtype)
    return activation.derivative_moment(one, one, cosine)


def gate_kernel(
    x: Float[Array, "n d"],
    z: Float[Array, "m d"],
    gamma: ActivationLike,
    *,
    init_bias: Scalar = 1.0,
    form: str = "gram",
    block: int = 16,
) -> Float[Array, "n m"]:
    r"""Gate kernel, the arc-cosine kernel of order zero for a leaky ReLU.

    .. math:: \Phi(x, z) = E_{w, b}[\varphi'(w \cdot x + b)\, \varphi'(w \cdot z + b)]
              = \frac{(1+\gamma)^2}{4} + \frac{(1-\gamma)^2}{2\pi} \arcsin\rho(x, z)

    (second form for the leaky ReLU of slope gamma), in
    :math:`[\gamma, (1+\gamma^2)/2]`, the upper end at x = z.

    Args:
      x: inputs as rows, shape ``(N, d)``.
      z: inputs as rows, shape ``(M, d)``.
      gamma: slope, any number, possibly traced; or an ``Activation``.
      init_bias: standard deviation of the initial bias; 0 for no bias, when zero rows have
        :math:`\rho = 0`.
      form: ``"gram"`` (one matrix product) or ``"pairwise"`` (from each pair's angle; slow, for
        verification, and for nearly parallel rows).
      block: rows of x at a time in the pairwise form; memory is ``block * M * d``.

    Returns:
      The kernel, shape ``(N, M)``. Gradients are finite everywhere; at equal rows, where the
      kernel of a leaky ReLU has a symmetric cone, they are the symmetric gradient. Second
      derivatives do not exist there; what is returned leaves the infinite terms out, and is 0.

    Raises:
      ValueError: on shapes that do not match, a slope that is not finite, an unknown form,
        ``block < 1``.

    Source: [code] setting; closed form [derived] from the orthant probability.
    """
    return of_kind("gate", x, z, gamma, init_bias=init_bias, form=form, block=block)


def nngp_kernel(
    x: Float[Array, "n d"],
    z: Float[Array, "m d"],
    gamma: ActivationLike,
    *,
    init_bias: Scalar = 1.0,
    form: str = "gram",
    block: int = 16,
) -> Float[Array, "n m"]:
    r"""Covariance of the network's output at initialisation.

    .. math:: Q(x, z) = E_{w, b}[\varphi(w \cdot x + b)\, \varphi(w \cdot z + b)]
              = \sigma_x \sigma_z \Big[ \gamma\rho + \frac{(1-\gamma)^2}{2\pi}
                \big(\sqrt{1-\rho^2} + (\pi - \arccos\rho)\,\rho\big) \Big]

    for output weights of variance 1/m, at any width m; :math:`Q(x,x) = \sigma_x^2(1+\gamma^2)/2`.
    Arguments, result and errors as in ``gate_kernel``. Second derivatives exist at parallel rows
    too: the mixed one at z = x is :math:`E[\varphi'(u)^2 w w^T]`, for ReLU I / 2d, and that in x
    alone is 0.

    Source: Cho and Saul (2009), order one; [derived] for the leaky slope.
    """
    return of_kind("nngp", x, z, gamma, init_bias=init_bias, form=form, block=block)


def lazy_kernel(
    x: Float[Array, "n d"],
    z: Float[Array, "m d"],
    gamma: ActivationLike,
    bias: bool = True,
    *,
    init_bias: Scalar = 1.0,
    form: str = "gram",
    block: int = 16,
) -> Float[Array, "n m"]:
    r"""Tangent kernel of the trained first layer, :math:`K = \Phi(x, z)\,(x \cdot z + 1)`.

    The inner product is not divided by d. Result and errors as in ``gate_kernel``; as there, second
    derivatives of a leaky ReLU's kernel at parallel rows leave those of the gate out, which are
    infinite, so that the mixed one is :math:`\Phi(x, x)\, I`.

    Args:
      x: inputs as rows, shape ``(N, d)``.
      z: inputs as rows, shape ``(M, d)``.
      gamma: slope or ``Activation``.
      bias: whether the hidden biases are trained, which is the "+1"; ``False`` is the surrogate
        of the reference code [code].
      init_bias: standard deviation of the initial bias; independent of ``bias``.
      form: ``"gram"`` or ``"pairwise"``.
      block: rows of x at a time in the pairwise form.
    """
    return of_kind("lazy", x, z, gamma, bias=bias, init_bias=init_bias, form=form, block=block)


def kernel_matvec(
    x: Float[Array, "n d"],
    z: Float[Array, "m d"],
    weights: Float[Array, "n"],
    gamma: ActivationLike,
    kind: str = "gate",
    block: int = 1024,
    *,
    bias: bool = True,
    init_bias: Scalar = 1.0,
) -> Float[Array, "m"]:
    r"""Kernel expansion :math:`\sum_n w_n K(x_n, z_m)` without the kernel matrix.

    Args:
      x: centres as rows, shape ``(N, d)``.
      z: points as rows, shape ``(M, d)``.
      weights: w, shape ``(N,)``.
      gamma: slope or ``Activation``.
      kind: ``"gate"``, ``"nngp"`` or ``"lazy"``.
      block: points at a time; memory is a few times ``N * block``, backwards included.
      bias: as in ``lazy_kernel``; used by that kind only.
      init_bias: standard deviation of the initial bias.

    Returns:
      Shape ``(M,)``.

    Raises:
      ValueError: on shapes that do not match, an unknown kind, ``block < 1``.
    """
    x, z = validation.pair(x, z)
    weights = validation.vector("weights", weights, length=x.shape[0])
    validation.choice("kind", kind, _KINDS)
    num_points, dim = z.shape
    block = min(validation.integer("block", block), num_points)
    num_blocks = -(-num_points // block)
    padded = jnp.pad(z, ((0, num_blocks * block - num_points), (0, 0)))

    @jax.checkpoint
    def expand(points: Array) -> Array:
        kernel = of_kind(kind, points, x, gamma, bias=bias, init_bias=init_bias)
        return jnp.matmul(kernel, weights, precision="highest")

    values = jax.lax.map(expand, padded.reshape(num_blocks, block, dim))
    return values.reshape(-1)[:num_points]


def gate_kernel_mc(
    key: Array,
    x: Float[Array, "n d"],
    z: Float[Array, "m d"],
    gamma: ActivationLike,
    n_samples: int,
    *,
    init_bias: Scalar = 1.0,
) -> Float[Array, "n m"]:
    """Monte Carlo estimate of ``gate_kernel`` from its definition.

    The standard error is at most ``0.5 / sqrt(n_samples)`` for a leaky ReLU.

    Args:
      key: random key.
      x: inputs as rows, shape ``(N, d)``.
      z: inputs as rows, shape ``(M, d)``.
      gamma: slope or ``Activation``.
      n_samples: number of hidden units drawn; memory grows with ``n_samples * (N + M + d)``.
      init_bias: standard deviation of the initial bias.

    Returns:
      Shape ``(N, M)``.

    Raises:
      ValueError: on shapes that do not match, or ``n_samples < 1``.
    """
    x, z = validation.pair(x, z)
    n_samples = validation.integer("n_samples", n_samples)
    derivative = activations.resolve(gamma).derivative
    key_weight, key_bias = jax.random.split(validation.key("key", key))
    weight = jax.random.normal(key_weight, (x.shape[1], n_samples), x.dtype)
    weight = weight / float(x.shape[1]) ** 0.5
    offset = checked_bias(init_bias, x.dtype) * jax.random.normal(key_bias, (1, n_samples), x.dtype)
    gates_x = derivative(jnp.matmul(x, weight, precision="highest") + offset)
    gates_z = derivative(jnp.matmul(z, weight, precision="highest") + offset)
    return jnp.matmul(gates_x, gates_z.T, precision="highest") / n_samples
