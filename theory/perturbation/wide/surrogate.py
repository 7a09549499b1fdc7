r"""Learning from adversarial perturbations with a wide two-layer network: the objects.

A network f is trained on :math:`(x_n, y_n)`. Each sample is perturbed by
:math:`r_n = \varepsilon\, y'_n u_n` with :math:`u_n = \nabla f(x_n) / |\nabla f(x_n)|` and target
labels :math:`y'_n` that are drawn independently of everything. A second network g is trained on
:math:`(r_n, y'_n)` (scenario a) or :math:`(x_n + r_n, y'_n)` (scenario b), and agrees with f on
natural data although it has never seen a correctly labelled sample.

At infinite width and under the identity loss both are kernel sums: f is :func:`lazy_predictor`,
its input gradient is in :mod:`twolayer.theory.perturbation.wide.directions`, and g is the
:func:`signal` plus a noise of the drawn labels (:func:`even_odd_split`). What a finite network adds
is bounded in :mod:`twolayer.theory.perturbation.wide.lazy_training` and
:mod:`twolayer.theory.perturbation.wide.bounds`, the statements are in
:mod:`twolayer.theory.perturbation.wide.theorems.training`.

Source: setting [code] of Kumano, Kera, Yamasaki, NeurIPS 2024 (arXiv 2410.23677); every formula
[derived]: the paper's own theorem texts are [not recovered].
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Key

from twolayer.theory import geometry, networks, validation
from twolayer.theory.kernels import shallow
from twolayer.theory.kernels.activations import ActivationLike
from twolayer.theory.networks import TwoLayer
from twolayer.theory.perturbation.wide.directions import representer_direction


def random_targets(key: Key[Array, ""], n: int, *, balanced: bool = False) -> Float[Array, "n"]:
    """Target labels, independent of everything.

    Args:
      key: random key.
      n: number of labels, at least 1.
      balanced: exactly n/2 of each sign in uniformly random order, instead of independent signs.

    Raises:
      ValueError: for odd n with ``balanced``.
    """
    key = validation.key("key", key)
    n = validation.integer("n", n)
    if not balanced:
        return jax.random.rademacher(key, (n,), jnp.result_type(float))
    if n % 2:
        raise ValueError(f"n must be even for balanced labels; got {n}.")
    return jax.random.permutation(key, jnp.where(jnp.arange(n) < n // 2, 1.0, -1.0))


def perturbations(
    p: TwoLayer,
    x: Float[Array, "n d"],
    targets: Float[Array, "n"],
    eps: float | Float[Array, ""],
    gamma: ActivationLike,
    *,
    zero: str = "error",
) -> Float[Array, "n d"]:
    r"""Unit input-gradient steps towards the targets, :math:`r_n = \varepsilon\, y'_n u_n`.

    This is the normalised loss gradient of identity and logistic loss alike, without the factor
    :math:`\sigma(-y' f)` that underflows for confident networks.

    Args:
      p: the network f.
      x: samples, shape ``(n, d)``.
      targets: labels y', shape ``(n,)``.
      eps: length of every perturbation, non-negative.
      gamma: slope or activation.
      zero: a sample with zero gradient (no open unit, possible for slope 0) is an ``"error"``, or
        ``"keep"``s a zero perturbation.

    Raises:
      ValueError: for eps < 0, labels other than -1 and +1, or (outside ``jit``) a zero gradient.
    """
    eps = validation.scalar("eps", eps, low=0.0)
    x = validation.matrix("x", x)
    targets = validation.labels("targets", targets, length=x.shape[0]).astype(x.dtype)
    unit = geometry.unit_rows(networks.input_gradient(p, x, gamma), zero=zero)
    return jnp.asarray(eps, x.dtype) * targets[:, None] * unit


def perturbed_dataset(
    x: Float[Array, "n d"], pert: Float[Array, "n d"], *, on_original: bool
) -> Float[Array, "n d"]:
    """Inputs for g: perturbations alone (scenario a) or on the samples (scenario b)."""
    x = validation.matrix("x", x)
    pert = validation.matrix("pert", pert, rows=x.shape[0], columns=x.shape[1])
    return x + pert if on_original else pert


def lazy_predictor(
    x: Float[Array, "n d"],
    y: Float[Array, "n"],
    z: Float[Array, "k d"],
    gamma: ActivationLike,
    *,
    bias: bool = True,
) -> Float[Array, "k"]:
    r"""Drift of the infinitely wide network, :math:`F(z) = \frac1N \sum_k y_k K(x_k, z)`.

    Under the identity loss :math:`f_\tau = f_0 + \tau F`. With ``bias=False`` it is the reference's
    surrogate, which drops the "+1" of the trained bias [code].
    """
    x = validation.matrix("x", x)
    y = validation.labels("y", y, length=x.shape[0]).astype(x.dtype)
    return shallow.kernel_matvec(x, z, y / x.shape[0], gamma, "lazy", bias=bias)


def surrogate_f(
    x: Float[Array, "n d"], y: Float[Array, "n"], z: Float[Array, "k d"], gamma: ActivationLike
) -> Float[Array, "k"]:
    """The reference's bias-free stand-in for f, :func:`lazy_predictor` without the +1 [code]."""
    return lazy_predictor(x, y, z, gamma, bias=False)


def surrogate_g(
    x: Float[Array, "n d"],
    y: Float[Array, "n"],
    r: Float[Array, "n d"],
    z: Float[Array, "k d"],
    gamma: ActivationLike,
) -> Float[Array, "k"]:
    r"""The reference's bias-free stand-in for g [code].

    .. math:: \hat g(z) = \frac1N \sum_n \Phi(r_n, z)\, P(x_n) \cdot z

    It cannot show the offset of drawn label imbalance, which is of the size of what it keeps in
    scenario a at the published perturbation lengths [derived].

    Args:
      x: samples, shape ``(n, d)``.
      y: labels, shape ``(n,)``.
      r: inputs that g was trained on (perturbations, or samples plus perturbations), ``(n, d)``.
      z: points, shape ``(k, d)``.
      gamma: slope or activation.
    """
    r, z = validation.pair(r, z, ("r", "z"))
    x = validation.matrix("x", x, rows=r.shape[0], columns=r.shape[1])
    directions = representer_direction(x, y, x, gamma)
    return jnp.mean(shallow.gate_kernel(r, z, gamma) * (directions @ z.T), axis=0)


def even_odd_split(
    base: Float[Array, "n d"],
    u: Float[Array, "n d"],
    eps: float | Float[Array, ""],
    z: Float[Array, "k d"],
    gamma: ActivationLike,
) -> tuple[Float[Array, "n k"], Float[Array, "n k"]]:
    r"""Even and odd part of each summand of g in the sign of its target label.

    With :math:`\psi_n(s) = K(base_n + s\varepsilon u_n, z)` the parts are
    :math:`e_n = (\psi_n(1) + \psi_n(-1))/2` and :math:`o_n = (\psi_n(1) - \psi_n(-1))/2`. Since
    :math:`y'^2 = 1`,

    .. math:: \frac1N \sum_n y'_n K(base_n + \varepsilon y'_n u_n, z)
              = \underbrace{\frac1N \sum_n o_n(z)}_{signal}
              + \underbrace{\frac1N \sum_n y'_n e_n(z)}_{noise\ of\ labels}.

    Args:
      base: zeros (scenario a) or samples (scenario b), shape ``(n, d)``.
      u: unit directions, shape ``(n, d)``.
      eps: length of the perturbations, non-negative.
      z: points, shape ``(k, d)``.
      gamma: slope or activation.

    Returns:
      (e, o), each of shape ``(n, k)``.
    """
    eps = validation.scalar("eps", eps, low=0.0)
    base = validation.matrix("base", base)
    u = validation.matrix("u", u, rows=base.shape[0], columns=base.shape[1])
    step = jnp.asarray(eps, base.dtype) * u
    ahead = shallow.lazy_kernel(base + step, z, gamma)
    behind = shallow.lazy_kernel(base - step, z, gamma)
    return (ahead + behind) / 2, (ahead - behind) / 2


def signal(odd: Float[Array, "n k"]) -> Float[Array, "k"]:
    r"""What g learns: :math:`M(z) = \frac1N \sum_n o_n(z)`, free of the drawn labels."""
    return jnp.mean(validation.matrix("odd", odd), axis=0)


def label_imbalance(targets: Float[Array, "n"]) -> Float[Array, ""]:
    r"""Mean of the drawn target labels, :math:`\bar y = \frac1N \sum_n y'_n`."""
    return jnp.mean(validation.labels("targets", targets))


def threshold_agreement(
    mu: float | Float[Array, ""],
    d: int,
    eps: float | Float[Array, ""],
    ybar: float | Float[Array, ""],
) -> Float[Array, ""]:
    r"""Agreement of f and g in scenario a, given the drawn label imbalance (threshold law B4).

    .. math:: 1 - \tfrac12\left(\Phi_N(\kappa + h) - \Phi_N(\kappa - h)\right), \qquad
              \kappa = \mu\sqrt d,\ h = |\bar y| / \varepsilon

    for data :math:`N(\mu y \mathbf 1, I)` with equally likely classes, small perturbations, and g
    acting as the sign of :math:`\varepsilon\, \bar u \cdot z + \bar y` with
    :math:`\bar u = \mathbf 1/\sqrt d`; :math:`\Phi_N` is the normal distribution function.

    Args:
      mu: shift of each coordinate.
      d: dimension, at least 1.
      eps: perturbation length, non-negative; at 0 the law is 1/2.
      ybar: label imbalance; at ``eps = ybar = 0`` the law is undefined, NaN.

    Source: [derived], B4.
    """
    d = validation.integer("d", d)
    mu = validation.scalar("mu", mu)
    eps = validation.scalar("eps", eps, low=0.0)
    ybar = validation.scalar("ybar", ybar)
    kappa = jnp.asarray(mu) * d**0.5
    offset = jnp.abs(jnp.asarray(ybar)) / jnp.asarray(eps)
    cdf = jax.scipy.stats.norm.cdf
    return 1 - (cdf(kappa + offset) - cdf(kappa - offset)) / 2
