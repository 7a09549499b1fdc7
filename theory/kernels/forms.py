"""The two forms of a kernel of a two-layer network: by one matrix product, and pair by pair.

Arguments, accuracy and range are those of :mod:`twolayer.theory.kernels.shallow`.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array

from twolayer.theory import validation
from twolayer.theory.kernels import activations, angles
from twolayer.theory.kernels.activations import Activation, ActivationLike, Scalar
from twolayer.theory.kernels.gaussian_pairs import Rows, augmented, inner, moment
from twolayer.theory.kernels.preactivations import checked_bias

FORMS = ("gram", "pairwise")


def of_kind(
    kind: str,
    x: Array,
    z: Array,
    gamma: ActivationLike,
    *,
    bias: bool = True,
    init_bias: Scalar = 1.0,
    form: str = "gram",
    block: int = 16,
) -> Array:
    """The "gate", "nngp" or "lazy" kernel; ``bias`` is for the lazy one alone."""
    x, z = validation.pair(x, z)
    activation = activations.resolve(gamma)
    validation.choice("form", form, FORMS)
    block = validation.integer("block", block)
    if form == "pairwise":
        return _pairwise(kind, x, z, activation, bias=bias, init_bias=init_bias, block=block)
    beta = checked_bias(init_bias, x.dtype)
    first, second = (augmented(points, beta) for points in (x, z))
    products = inner(first, second)
    covariance = products / x.shape[1] + first.bias[:, None] * second.bias[None, :]
    return _scaled(
        kind, activation, first.column(), second.row(), covariance, products=products, bias=bias
    )


def _pairwise(
    kind: str,
    x: Array,
    z: Array,
    activation: Activation,
    *,
    bias: bool,
    init_bias: Scalar,
    block: int,
) -> Array:
    """The kernel pair by pair, from half angles instead of cosines."""
    beta = checked_bias(init_bias, x.dtype)
    root = float(x.shape[1]) ** 0.5

    def vector(row: Rows) -> Array:
        return jnp.concatenate([row.points / root, row.bias[None]])

    def one_pair(first: Rows, second: Rows) -> Array:
        a, b = vector(first), vector(second)
        first, second = (
            row._replace(variance=jnp.sum(v * v), norm=angles.safe_sqrt(jnp.sum(v * v)))
            for row, v in ((first, a), (second, b))
        )
        at = first, second, jnp.sum(a * b), angles.angle(a, b)
        products = jnp.matmul(first.points, second.points, precision="highest")
        return _scaled(kind, activation, *at, products=products, bias=bias)

    points_x, points_z = (augmented(points, beta) for points in (x, z))

    def row(point: Rows) -> Array:
        return jax.vmap(one_pair, in_axes=(None, 0))(point, points_z)

    return jax.lax.map(jax.checkpoint(row), points_x, batch_size=min(block, x.shape[0]))


def _scaled(
    kind: str,
    activation: Activation,
    first: Rows,
    second: Rows,
    covariance: Array,
    angle: Array | None = None,
    *,
    products: Array,
    bias: bool,
) -> Array:
    """The kernel of a kind without units, from what is in those of the rows."""
    name = "value" if kind == "nngp" else "derivative"
    kernel = moment(name, activation, first, second, covariance, angle)
    if kind == "nngp" and activation.degree == 1:
        return kernel * first.unit * second.unit
    if kind == "lazy":
        return kernel * (products * first.unit * second.unit + (1 if bias else 0))
    return kernel
