r"""Training in function space: a frozen kernel, exact in time.

With a frozen (lazy) kernel K, training moves the outputs f on the N training points and at any
other point z by

.. math:: \dot f(z) = -\frac1N \sum_k K(z, x_k)\, \ell'(f(x_k), y_k).

Identity loss :math:`-yf` needs one matrix-vector product (:func:`identity_flow`), squared loss
:math:`(f-y)^2/2` one eigendecomposition for all times (:func:`decompose`, :func:`squared_flow`),
logistic and exponential loss an ODE in N unknowns (:func:`margin_flow`). Discrete gradient descent
with momentum enters through its effective time.
"""

from __future__ import annotations

from typing import Any

import diffrax
import jax
import jax.numpy as jnp
from flax import struct
from jax import Array
from jaxtyping import Float

from twolayer.theory import semidefinite, validation
from twolayer.theory.training import gains


def effective_weights(
    lr: float | Float[Array, " s"] | Float[Array, ""], beta: float | Array, steps: int
) -> Float[Array, " s"]:
    r"""Weight with which the gradient of each step enters the final parameters.

    For heavy-ball descent :math:`v \leftarrow \beta v + g,\ \theta \leftarrow \theta - \eta v`
    from v = 0,

    .. math:: \omega_j = \sum_{l \ge j} \eta_l\, \beta^{l-j}, \qquad j = 0, \dots, S-1,

    which is :math:`\eta (1 - \beta^{S-j})/(1-\beta)` at a constant rate.

    Args:
      lr: learning rate, a number, or one for each step, shape ``(steps,)``; non-negative.
      beta: momentum in [0, 1).
      steps: number of steps S, at least 0.

    Returns:
      Weights, shape ``(steps,)``, in units of time.

    Source: [derived], spec section 1.
    """
    steps = validation.integer("steps", steps, low=0)
    beta = validation.scalar("beta", beta, low=0.0, high=1.0, open_high=True)
    lr = validation.number("lr", lr, low=0.0)
    rates = validation.array("lr", lr)
    if rates.ndim > 1 or (rates.ndim == 1 and rates.shape[0] != steps):
        raise ValueError(f"lr must be a number or have length steps={steps}; got {rates.shape}.")
    rates = jnp.broadcast_to(rates, (steps,))
    decay = jnp.asarray(beta, rates.dtype)

    def back(later: Array, rate: Array) -> tuple[Array, Array]:
        weight = rate + decay * later
        return weight, weight

    _, weights = jax.lax.scan(back, jnp.zeros((), rates.dtype), rates, reverse=True)
    return weights


def effective_time(
    lr: float | Float[Array, " s"] | Float[Array, ""], beta: float | Array, steps: int
) -> Float[Array, ""]:
    r"""Effective time :math:`\tau = \sum_j \omega_j` of momentum descent.

    At a constant rate :math:`\tau = \frac{\eta}{1-\beta}(S - \beta(1-\beta^S)/(1-\beta))`. Under
    the identity loss a frozen-kernel network after S steps equals the flow at time tau exactly.
    Arguments and errors as in :func:`effective_weights`.
    """
    return jnp.sum(effective_weights(lr, beta, steps))


def identity_flow(
    kernel_test: Float[Array, "k n"],
    y: Float[Array, " n"],
    f0_test: Float[Array, " k"],
    times: Float[Array, " t"],
) -> Float[Array, "t k"]:
    r"""Outputs under the identity loss: :math:`f_t(z) = f_0(z) + \frac tN \sum_k y_k K(z, x_k)`.

    Args:
      kernel_test: K(z, x_k), shape ``(k, n)``.
      y: labels -1 and +1, shape ``(n,)``.
      f0_test: initial outputs at z, shape ``(k,)``.
      times: times or effective times, shape ``(t,)``, non-negative and finite.

    Returns:
      Outputs, shape ``(t, k)``.
    """
    kernel_test = validation.matrix("kernel_test", kernel_test)
    y = validation.labels("y", y, length=kernel_test.shape[1])
    f0_test = validation.vector("f0_test", f0_test, length=kernel_test.shape[0])
    times = validation.vector("times", times)
    validation.number("times", times, low=0.0)
    drift = kernel_test @ y / y.shape[0]
    return f0_test[None, :] + times[:, None] * drift[None, :]


@struct.dataclass
class Spectrum:
    """Eigendecomposition of a training kernel: ``vectors @ diag(values) @ vectors.T``."""

    values: Array  # (n,), ascending; those at rounding level are exactly 0
    vectors: Array  # (n, n), in columns
    # (n, n), by which flows have derivatives where eigenvalues are equal; None: made of the others.
    kernel: Array | None = None


def decompose(kernel: Float[Array, "n n"]) -> Spectrum:
    """Eigendecomposition of a symmetric positive semi-definite kernel, to be kept for all times.

    Eigenvalues below ``n eps max`` are rounding and become 0: at late times their directions then
    stay where they were, which is the limit of an exact zero.

    Raises:
      ValueError: for a matrix that is not square, or outside ``jit`` not symmetric (to 1e-10 of its
        largest entry, or rounding) or with an eigenvalue far below 0.
    """
    kernel = semidefinite.kernel_matrix("kernel", kernel)
    values, vectors = gains.spectrum(kernel)
    return Spectrum(values=values, vectors=vectors, kernel=kernel)


def squared_flow(
    spectrum: Spectrum,
    kernel_test: Float[Array, "k n"],
    y: Float[Array, " n"],
    f0_train: Float[Array, " n"],
    f0_test: Float[Array, " k"],
    times: Float[Array, " t"],
) -> Float[Array, "t k"]:
    r"""Outputs under the squared loss :math:`\frac1{2N}\sum_k (f(x_k) - y_k)^2`, at any times.

    .. math:: f_t(z) = f_0(z) - K(z, X)\, K^{-1} (I - e^{-K t/N})\, (f_0(X) - y)

    with the function :math:`(1 - e^{-\lambda t/N})/\lambda` taken as its limit t/N at
    :math:`\lambda = 0`, and as 0 there for infinite t (minimum-norm limit). In that null space
    K(z, X) of a positive semi-definite kernel is 0 but for rounding, which stays as small at every
    time: see :mod:`twolayer.theory.training.gains`. Rows that no such kernel has together with K(X,
    X) are not meant: their part in the null space is left out once the other modes are learned.

    First derivatives by the kernel are right at equal eigenvalues too; second ones are NaN there.

    Args:
      spectrum: of the training kernel K(X, X), from :func:`decompose`.
      kernel_test: K(z, X) of the same kernel, shape ``(k, n)``; pass K(X, X) for the training
        outputs.
      y: targets (any real numbers), shape ``(n,)``.
      f0_train: initial outputs at X, shape ``(n,)``.
      f0_test: initial outputs at z, shape ``(k,)``.
      times: shape ``(t,)``, non-negative; 0 and infinity are allowed.

    Returns:
      Outputs at z, shape ``(t, k)``.
    """
    whole = {} if getattr(spectrum, "kernel", None) is None else {"kernel": "n n"}
    spectrum = validation.record("spectrum", spectrum, Spectrum, values="n", vectors="n n", **whole)
    n = spectrum.values.shape[0]
    kernel_test = validation.matrix("kernel_test", kernel_test, columns=n)
    y = validation.vector("y", y, length=n)
    f0_train = validation.vector("f0_train", f0_train, length=n)
    f0_test = validation.vector("f0_test", f0_test, length=kernel_test.shape[0])
    times = validation.times("times", times)
    values, vectors, kernel_test, y, f0_train, f0_test = validation.alike(
        spectrum.values, spectrum.vectors, kernel_test, y, f0_train, f0_test
    )
    kernel = spectrum.kernel
    if kernel is None:
        kernel = (vectors * values[None, :]) @ vectors.T
    kernel, times = kernel.astype(values.dtype), times.astype(values.dtype)
    learned = gains.response(kernel, values, vectors, kernel_test, y - f0_train, times / n)
    return f0_test[None, :] + learned


@struct.dataclass
class MarginFlow:
    """Solution of :func:`margin_flow` at the requested times."""

    train: Array  # (t, n) outputs at the training points
    test: Array  # (t, k) outputs at the test points
    factors: Array  # (t, n) accumulated loss factors c_k(t)


MARGIN_LOSSES = ("logistic", "exponential")


def margin_flow(
    kernel_train: Float[Array, "n n"],
    kernel_test: Float[Array, "k n"],
    y: Float[Array, " n"],
    f0_train: Float[Array, " n"],
    f0_test: Float[Array, " k"],
    times: Float[Array, " t"],
    *,
    loss: str = "logistic",
    rtol: float = 1e-8,
    atol: float = 1e-10,
    max_steps: int = 100_000,
) -> MarginFlow:
    r"""Outputs under logistic or exponential loss with a frozen kernel.

    .. math:: \dot c_k = -\ell'(y_k f(x_k)), \qquad
              f_t(z) = f_0(z) + \frac1N \sum_k y_k c_k(t) K(z, x_k)

    with :math:`-\ell'(s) = 1/(1+e^s)` (logistic) or :math:`e^{-s}` (exponential). The N accumulated
    factors c are integrated (Tsitouras 5(4), adaptive), the outputs read off them.

    Args:
      kernel_train: K(X, X), shape ``(n, n)``.
      kernel_test: K(z, X), shape ``(k, n)``.
      y: labels -1 and +1, shape ``(n,)``.
      f0_train: initial outputs at X.
      f0_test: initial outputs at z.
      times: ascending, non-negative and finite, shape ``(t,)``.
      loss: "logistic" or "exponential".
      rtol: relative tolerance of the integrator.
      atol: absolute tolerance of the integrator.
      max_steps: of the integrator; exceeding it is an error of the solver, never a wrong answer.

    Raises:
      ValueError: for shapes that differ, or numbers outside their ranges.
    """
    kernel_train = semidefinite.kernel_matrix("kernel_train", kernel_train)
    n = kernel_train.shape[0]
    kernel_test = validation.matrix("kernel_test", kernel_test, columns=n)
    y = validation.labels("y", y, length=n)
    f0_train = validation.vector("f0_train", f0_train, length=n)
    f0_test = validation.vector("f0_test", f0_test, length=kernel_test.shape[0])
    times = validation.vector("times", times)
    kernel_train, kernel_test, f0_train, f0_test = validation.alike(
        kernel_train, kernel_test, f0_train, f0_test
    )
    y, times = y.astype(f0_train.dtype), times.astype(f0_train.dtype)
    validation.number("times", times, low=0.0)
    if not validation.holds(lambda known: jnp.diff(known) >= 0, times):
        raise ValueError("times must be ascending.")
    validation.choice("loss", loss, MARGIN_LOSSES)
    rtol = validation.scalar("rtol", rtol, low=0.0)
    atol = validation.scalar("atol", atol, low=0.0)
    max_steps = validation.integer("max_steps", max_steps)

    def outputs(factors: Array) -> Array:
        return f0_train + kernel_train @ (y * factors) / n

    def slope(_: Any, factors: Array, __: None) -> Array:
        margin = y * outputs(factors)
        return jax.nn.sigmoid(-margin) if loss == "logistic" else jnp.exp(-margin)

    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(slope),
        diffrax.Tsit5(),
        t0=0.0,
        # Saving needs t1 > t0 even when only time 0 is asked for.
        t1=jnp.maximum(times[-1], jnp.finfo(times.dtype).tiny),
        dt0=None,
        y0=jnp.zeros_like(f0_train),
        saveat=diffrax.SaveAt(ts=times),
        stepsize_controller=diffrax.PIDController(rtol=rtol, atol=atol),
        max_steps=max_steps,
    )
    factors = solution.ys
    assert factors is not None
    signed = factors * y[None, :] / n
    return MarginFlow(
        train=f0_train[None, :] + signed @ kernel_train.T,
        test=f0_test[None, :] + signed @ kernel_test.T,
        factors=factors,
    )
