"""Kernel matrices, regression and training with the rows of the samples spread over a mesh.

Arguments are arrays of the host or of one device. A kernel matrix stays spread, so that a device
holds its share of the rows only; vectors and factors come back whole on every device. The formulas
are those of ``theory``: a device evaluates them on its rows. Results are those of one device within
rounding.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from twolayer.sims.components.devices import ROWS, by_rows, everywhere, gathered, spread_rows
from twolayer.theory import validation
from twolayer.theory.kernels import shallow
from twolayer.theory.kernels.activations import Activation, ActivationLike
from twolayer.theory.training import dual, gradient_descent
from twolayer.theory.training.momentum import TrainTrace

KINDS: Mapping[str, Callable[..., Array]] = {
    "gate": shallow.gate_kernel,
    "nngp": shallow.nngp_kernel,
    "lazy": shallow.lazy_kernel,
}


def gram(
    mesh: Mesh,
    x: Any,
    z: Any,
    gamma: ActivationLike,
    *,
    kind: str = "gate",
    init_bias: float = 1.0,
) -> Array:
    """The kernel matrix K(x, z) with its rows spread over the mesh.

    Args:
      mesh: from :func:`mesh`.
      x: inputs as rows, shape ``(N, d)``.
      z: inputs as rows, shape ``(M, d)``.
      gamma: slope, a number, or an ``Activation``.
      kind: ``"gate"``, ``"nngp"`` or ``"lazy"``.
      init_bias: standard deviation of the initial bias.

    Returns:
      Shape ``(P, M)``, where P is N rounded up to a multiple of the number of devices; the rows
      from N on are zero, so that products from the left need no other care.

    Raises:
      ValueError: as the kernels of ``twolayer.theory.kernels.shallow``.
    """
    x, z = validation.pair(x, z)
    call = _call(kind, gamma, init_bias)
    return _gram(mesh, call, x.shape[0], spread_rows(mesh, x), everywhere(mesh, z))


def kernel_matvec(
    mesh: Mesh,
    x: Any,
    z: Any,
    weights: Any,
    gamma: ActivationLike,
    *,
    kind: str = "gate",
    block: int = 1024,
    init_bias: float = 1.0,
) -> Array:
    r"""Kernel expansion :math:`\sum_n w_n K(x_n, z_m)`; the points z are spread over the mesh.

    No kernel matrix is kept: each device goes through its points by blocks, as
    ``twolayer.theory.kernels.shallow.kernel_matvec`` does, whose arguments and errors these are.

    Returns:
      Shape ``(M,)``, on every device.
    """
    x, z = validation.pair(x, z)
    weights = validation.vector("weights", weights, length=x.shape[0])
    validation.integer("block", block)
    call = (*_call(kind, gamma, init_bias), block)
    arrays = everywhere(mesh, x), spread_rows(mesh, z), everywhere(mesh, weights)
    return _matvec(mesh, call, z.shape[0], *arrays)


def kernel_ridge(
    mesh: Mesh,
    x: Any,
    y: Any,
    gamma: ActivationLike,
    *,
    ridge: float,
    kind: str = "gate",
    init_bias: float = 1.0,
    max_steps: int = 10_000,
) -> Array:
    r"""Dual weights of kernel regression, :math:`(K(x, x) + \lambda I)^{-1} y`.

    By conjugate gradients: a step needs one product with K, in which every device multiplies the
    rows it holds, and hands on N numbers. A Cholesky factorisation by XLA would gather the whole
    matrix on every device. The number of steps grows with the square root of the condition, at most
    :math:`1 + \lambda_{\max}(K) / \lambda`. Predictions are :func:`kernel_matvec` of the weights.

    Args:
      mesh: from :func:`mesh`.
      x: inputs as rows, shape ``(N, d)``.
      y: targets, any real numbers, shape ``(N,)``.
      gamma: slope, a number, or an ``Activation``.
      ridge: :math:`\lambda > 0`, in units of the kernel.
      kind: as in :func:`gram`.
      init_bias: standard deviation of the initial bias.
      max_steps: of conjugate gradients.

    Returns:
      Shape ``(N,)``, on every device; with a residual r of at most 1000 rounding errors:
      :math:`|r| \le 1000\,\epsilon\,(|y| + |K|_F |w|)`.

    Raises:
      ValueError: for arguments outside what is said above, or if ``max_steps`` do not suffice.
    """
    x = validation.matrix("x", x)
    y = validation.vector("y", y, length=x.shape[0]).astype(x.dtype)
    validation.scalar("ridge", ridge, low=0.0, open_low=True)
    validation.integer("max_steps", max_steps)
    matrix = gram(mesh, x, x, gamma, kind=kind, init_bias=init_bias)
    weights, errors = _ridge(mesh, max_steps, matrix, everywhere(mesh, y), ridge)
    if not errors <= 1000:
        raise ValueError(
            f"max_steps={max_steps} of conjugate gradients must reach a residual of 1000 rounding "
            f"errors at ridge={ridge:g}; got {float(errors):.1e} of them: raise one or the other."
        )
    return weights


def train_dual(
    mesh: Mesh, pre: Any, x: Any, y: Any, a: Any, *, steps: int, **options: Any
) -> tuple[Array, TrainTrace]:
    """Training in Gram coordinates, the samples spread over the mesh.

    A device holds the Gram matrix's rows of its samples, and their pre-activations.

    Args:
      mesh: from :func:`mesh`.
      pre: initial pre-activations, shape ``(n, m)``.
      x: samples, shape ``(n, d)``.
      y: labels -1 and +1, shape ``(n,)``.
      a: output weights, shape ``(m,)``.
      steps: number of steps.
      options: the others of ``twolayer.theory.training.dual.train_dual``: numbers and
        words.

    Returns:
      Coefficients, shape ``(n, m)``, and the trace, as
      ``twolayer.theory.training.dual.train_dual`` gives them.

    Raises:
      ValueError: as ``twolayer.theory.training.dual.train_dual``.
    """
    x = validation.matrix("x", x)
    pre = validation.matrix("pre", pre, rows=x.shape[0])
    y = validation.labels("y", y, length=x.shape[0])
    steps = validation.integer("steps", steps, low=0)
    static = tuple((name, _hashable(name, value)) for name, value in sorted(options.items()))
    arrays = [everywhere(mesh, array) for array in (pre, x, y, a)]
    return _train_dual(mesh, steps, static, *arrays)


def _call(kind: str, gamma: ActivationLike, init_bias: float) -> tuple[str, Any, float]:
    """What a kernel is called with besides its inputs, hashable."""
    validation.choice("kind", kind, KINDS)
    if not isinstance(gamma, Activation):
        gamma = float(validation.slope(gamma))
    return kind, gamma, float(validation.scalar("init_bias", init_bias, low=0.0))


def _hashable(name: str, value: Any) -> Any:
    """What a program can be compiled for; an array of one number stands for the number."""
    value = value.item() if isinstance(value, np.ndarray | Array) and value.ndim == 0 else value
    try:
        hash(value)
    except TypeError as error:
        raise ValueError(f"{name} must be a number or a word; got {value!r:.80}.") from error
    return value


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _gram(mesh: Mesh, call: tuple, count: int, x: Array, z: Array) -> Array:
    kind, gamma, init_bias = call

    def rows(x: Array, z: Array) -> Array:
        kernel = KINDS[kind](x, z, gamma, init_bias=init_bias)
        index = jax.lax.axis_index(ROWS) * x.shape[0] + jnp.arange(x.shape[0])
        return jnp.where((index < count)[:, None], kernel, 0)

    return by_rows(rows, mesh, P(ROWS), P())(x, z)


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _matvec(mesh: Mesh, call: tuple, count: int, x: Array, z: Array, weights: Array) -> Array:
    kind, gamma, init_bias, block = call

    def rows(x: Array, z: Array, weights: Array) -> Array:
        return shallow.kernel_matvec(x, z, weights, gamma, kind, block, init_bias=init_bias)

    values = by_rows(rows, mesh, P(), P(ROWS), P())(x, z, weights)
    return gathered(mesh, values[:count])


@functools.partial(jax.jit, static_argnums=(0, 1))
def _ridge(mesh: Mesh, max_steps: int, matrix: Array, y: Array, ridge: Any) -> tuple[Array, Array]:
    """The weights, and their residual in rounding errors."""

    def rows(matrix: Array, vector: Array) -> Array:
        return jnp.matmul(matrix, vector, precision="highest")

    spread = by_rows(rows, mesh, P(ROWS), P())

    def product(vector: Array) -> Array:
        # Whole, so that every device does the same with it and all take the same steps.
        return gathered(mesh, spread(matrix, vector)[: y.shape[0]]) + ridge * vector

    eps, tiny = jnp.finfo(y.dtype).eps, jnp.finfo(y.dtype).tiny
    weights, _ = jax.scipy.sparse.linalg.cg(product, y, tol=10 * eps, maxiter=max_steps)
    scale = jnp.linalg.norm(y) + jnp.linalg.norm(matrix) * jnp.linalg.norm(weights)
    return weights, jnp.linalg.norm(product(weights) - y) / (eps * scale + tiny)


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _train_dual(
    mesh: Mesh, steps: int, options: tuple, pre: Array, x: Array, y: Array, a: Array
) -> tuple[Array, TrainTrace]:
    def rows(array: Array) -> Array:
        # Inside a program XLA itself fills up what is not a multiple of the number of devices.
        return jax.lax.with_sharding_constraint(array, NamedSharding(mesh, P(ROWS)))

    matrix = rows(gradient_descent.gram_matrix(x))
    trained = dual.train_dual(rows(pre), matrix, y, a, steps=steps, **dict(options))
    return gathered(mesh, trained)
