r"""Predictivity against availability: two latent features, their embedding, and shortcut bias.

A balanced label :math:`y = \pm 1` comes with latents :math:`z = (z_s, z_c)`, the shortcut first and
the core second, :math:`z \mid y \sim N(y \mu, \Sigma)` with unit variances and covariance
:math:`\sigma`. The predictivity :math:`\rho_i = \Pr(\mathrm{sign}\, z_i = y)` says how well feature
i tells the label, :math:`\mu_i = \Phi^{-1}(\rho_i)`; its availability says how loud it is in the
input :math:`x = \sum_i e_i`, :math:`e_i = \alpha_i w_i z_i`: the amplification :math:`\alpha_i`,
and how many frozen random tanh layers it is nested in.

The best classifier, linear discriminant analysis (LDA), knows no availability:
:math:`\mathrm{sign}(z \cdot v^*)`, :math:`v^* = \Sigma^{-1} \mu`. What a classifier relies on more
than that is its shortcut bias. Samples, embeddings and LDA of a sample are in
:mod:`twolayer.theory.shortcut.availability.data`.

Source: Hermann, Mobahi, Fel, Mozer, ICLR 2024 (arXiv 2310.16228): generation, reference, reliance
and bias [paper]; closed forms [derived].
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float

from twolayer.theory import validation

# Two numbers, of the shortcut and of the core: an array of length 2, a tuple or a list.
Pair: TypeAlias = ArrayLike | Sequence[Any]

CONVENTIONS = ("signed", "absolute")


def mu_from_rho(rho: Pair) -> Float[Array, "..."]:
    r"""Class means :math:`\mu = \sqrt 2\, \mathrm{erfinv}(2\rho - 1) = \Phi^{-1}(\rho)`.

    Args:
      rho: predictivities in (1/2, 1), any shape.

    Raises:
      ValueError: for a predictivity outside (1/2, 1).

    Source: [paper].
    """
    rho = validation.array("rho", rho)
    validation.number("rho", rho, low=0.5, high=1.0, open_low=True, open_high=True)
    return jnp.sqrt(2.0).astype(rho.dtype) * jax.scipy.special.erfinv(2 * rho - 1)


def lda_population(mu: Pair, sigma: ArrayLike) -> Float[Array, "2"]:
    r"""Normal of the best classifier, :math:`v^* = \Sigma^{-1} \mu`.

    .. math:: v^* = (\mu_s - \sigma\mu_c,\ \mu_c - \sigma\mu_s) / (1 - \sigma^2)

    :math:`v^*_s < 0` where :math:`\mu_s < \sigma\mu_c`: the shortcut is then best used against its
    correlation with the label (the suppressor regime). The accuracy is
    :math:`\Phi(\sqrt{\mu \cdot v^*})`.

    Args:
      mu: class means, shape ``(2,)``, positive.
      sigma: covariance in (-1, 1).

    Source: [derived].
    """
    mu, sigma = means(mu), covariance(sigma)
    return (mu - sigma * mu[::-1]) / (1 - sigma**2)


def posterior_mean(z: Float[Array, "n 2"], mu: Pair, sigma: ArrayLike) -> Float[Array, " n"]:
    r"""Mean label of an item, :math:`E[y \mid z] = \tanh(z \cdot v^*)`.

    Args:
      z: latents, shape ``(n, 2)``.
      mu: class means, shape ``(2,)``.
      sigma: covariance in (-1, 1).

    Source: [derived].
    """
    return jnp.tanh(validation.matrix("z", z, columns=2) @ lda_population(mu, sigma))


def probe_grid(mu: Pair, n: int = 30) -> Float[Array, "p 2"]:
    r"""Probes on the box :math:`[-3\mu_s, 3\mu_s] \times [-3\mu_c, 3\mu_c]`, ends included.

    Args:
      mu: class means, shape ``(2,)``, positive.
      n: probes a side; even, so that no coordinate is 0.

    Returns:
      Probes, shape ``(n * n, 2)``; z_c runs fastest.

    Raises:
      ValueError: for an odd n, or a mean not positive.

    Source: [paper], 30 x 30.
    """
    mu = means(mu)
    if validation.integer("n", n, low=2) % 2:
        raise ValueError(f"n must be even, so that no probe has a coordinate 0; got {n}.")
    # Symmetric to the last digit, so that the probes of one sign are as many as of the other.
    line = (2 * jnp.arange(n, dtype=mu.dtype) - (n - 1)) / (n - 1)
    first, second = jnp.meshgrid(3 * mu[0] * line, 3 * mu[1] * line, indexing="ij")
    return jnp.stack([first.reshape(-1), second.reshape(-1)], axis=1)


def decide(f: Float[Array, "..."]) -> Float[Array, "..."]:
    """Decisions -1 and +1 from outputs, +1 at 0; same shape. NaN decides nothing and stays."""
    f = validation.real("f", f)
    return jnp.where(jnp.isnan(f), f, jnp.where(f >= 0, 1.0, -1.0).astype(f.dtype))


def reliance(
    yhat: Float[Array, " p"], z: Float[Array, "p 2"], convention: str = "signed"
) -> Float[Array, ""]:
    r"""How much decisions follow the shortcut rather than the core.

    Signed: the mean over probes of :math:`\hat y\,(\mathrm{sign}\, z_s - \mathrm{sign}\, z_c)`.
    Only probes in conflict count; they are half of a grid, whose reliance is the mean of
    :math:`\hat y\, \mathrm{sign}\, z_s` over them: +1 for the shortcut alone, -1 for the core.
    Absolute: :math:`|E\,\hat y\, \mathrm{sign}\, z_s| - |E\,\hat y\, \mathrm{sign}\, z_c|`.

    On a grid with :math:`\rho_s = \rho_c` the line of LDA is the diagonal, and rounding decides its
    ties: prefer :func:`box_reliance` there.

    Args:
      yhat: decisions -1 and +1, shape ``(p,)``.
      z: probes, shape ``(p, 2)``.
      convention: "signed" [paper, as re-implemented] or "absolute" [not recovered: summaries
        disagree on which form the paper prints].

    Returns:
      The reliance, in [-1, 1] on a grid.

    Raises:
      ValueError: for decisions that are not -1 or +1, or an unknown convention.
    """
    z = validation.matrix("z", z, columns=2)
    yhat = validation.labels("yhat", yhat, length=z.shape[0])
    validation.choice("convention", convention, CONVENTIONS)
    shortcut, core = jnp.sign(z[:, 0]), jnp.sign(z[:, 1])
    if convention == "signed":
        return jnp.mean(yhat * (shortcut - core))
    return jnp.abs(jnp.mean(yhat * shortcut)) - jnp.abs(jnp.mean(yhat * core))


def box_reliance(v: Pair, mu: Pair) -> Float[Array, ""]:
    r"""Signed reliance of the rule :math:`\mathrm{sign}(v \cdot z)` on the whole box of probes.

    With :math:`s = v_s \mu_s` and :math:`c = v_c \mu_c`,

    .. math:: R = \mathrm{clip}\Big(\frac{s - c}{\max(|s|, |c|)},\, -1,\, 1\Big),

    which a grid of n probes a side meets within 2/n.

    Args:
      v: the rule's normal, shape ``(2,)``, not 0.
      mu: class means, shape ``(2,)``, positive.

    Returns:
      R, shape ``()``; NaN for v = 0 under ``jit``.

    Raises:
      ValueError: for v = 0, or a mean not positive.

    Source: [derived], spec A.2.
    """
    v = validation.vector("v", v, length=2)
    if not validation.holds(lambda v: jnp.any(v != 0), v):
        raise ValueError("v must not be 0: such a rule decides nothing.")
    shares = v * means(mu)
    return jnp.clip((shares[0] - shares[1]) / jnp.max(jnp.abs(shares)), -1, 1)


def shortcut_bias(
    yhat: Float[Array, " p"],
    yhat_opt: Float[Array, " p"],
    z: Float[Array, "p 2"],
    *,
    convention: str = "signed",
    halve: bool = False,
) -> Float[Array, ""]:
    """Reliance beyond that of the best classifier; positive: too much on the shortcut.

    Args:
      yhat: decisions -1 and +1 at the probes, shape ``(p,)``.
      yhat_opt: those of the best classifier, LDA.
      z: probes, shape ``(p, 2)``.
      convention: as in :func:`reliance`.
      halve: divide by 2, for a bias in [-1, 1], the range that the paper states.

    Returns:
      The bias, in [-2, 2] on a grid.

    Raises:
      ValueError: as :func:`reliance` does.

    Source: [paper].
    """
    validation.labels("yhat_opt", yhat_opt, length=validation.matrix("z", z, columns=2).shape[0])
    bias = reliance(yhat, z, convention) - reliance(yhat_opt, z, convention)
    return bias / 2 if halve else bias


# Arguments of the whole stem ---------------------------------------------------------------------


def means(mu: Pair) -> Array:
    """Class means, checked: two positive numbers."""
    mu = validation.vector("mu", mu, length=2)
    validation.number("mu", mu, low=0.0, open_low=True)
    return mu


def covariance(sigma: ArrayLike) -> ArrayLike:
    """The covariance of the latents within a class, checked: a number in (-1, 1)."""
    return validation.scalar("sigma", sigma, low=-1.0, high=1.0, open_low=True, open_high=True)


def amplification(alpha: Pair) -> Array:
    """Amplifications, checked: two positive numbers."""
    alpha = validation.vector("alpha", alpha, length=2)
    validation.number("alpha", alpha, low=0.0, open_low=True)
    return alpha
