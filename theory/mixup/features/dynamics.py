r"""Gradient descent of a quadratic convolutional network on patch data, in inner products.

Filters :math:`w_{k,r}`, r = 1 ... m, of class k give the logit
:math:`F_k(x) = \sum_r \sum_p \langle w_{k,r}, x^{(p)}\rangle^2`, trained by full-batch descent on
the softmax cross-entropy of :math:`(F_0, F_1)`: of the samples (standard), or of all
:math:`n^2` ordered mixed pairs :math:`\lambda_x x_i + (1-\lambda_x) x_j` with the label
:math:`\lambda_y y_i + (1-\lambda_y) y_j` (Mixup). Filters enter by their inner products with
features and noise patches alone, and a mixed pair by those of its two samples: a step costs
:math:`8 n^2 m P` and is exact in any input dimension. Nothing mixed is ever formed:

.. math:: D = Z_0 Z_0^T - Z_1 Z_1^T, \qquad
          M_{ij} = \lambda_x^2 D_{ii} + (1-\lambda_x)^2 D_{jj} + 2\lambda_x(1-\lambda_x) D_{ij}

is :math:`F_0 - F_1` of the pair (i, j), with :math:`Z_k` of shape (n, mP) the pre-activations.

Steps are pure functions of traced rates and weights: scan them, and map them over seeds, rates or
mixing weights. A hand-over at a traced step is Mixup with both weights 1, which is standard
training, from then on.

Source: network and losses [paper] of Zou, Cao, Li, Gu, ICML 2023 (arXiv 2303.08433); reduction
[derived].
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from twolayer.theory import validation
from twolayer.theory.mixup.features.data import PatchData, Scalar
from twolayer.theory.mixup.features.filters import Noise, State, checked, checked_noise

# A mixing weight, or several.
Weight = Scalar | Float[Array, "k"]


def preactivations(state: State, data: PatchData) -> Float[Array, "2 m n P"]:
    r""":math:`Z_{k,r,i,p} = \langle w_{k,r}, x_i^{(p)}\rangle`, of every filter and patch."""
    state, data = checked("state", state, data)
    return jnp.einsum("krf,ipf->krip", state.a, data.coef) + state.q


def output_gaps(state: State, data: PatchData) -> Float[Array, "n"]:
    """:math:`F_0 - F_1` at the samples, shape ``(n,)``; class 0 is predicted where positive."""
    return _signed(jnp.sum(preactivations(state, data) ** 2, axis=(1, 3))).sum(axis=0)


def mixed_gaps(state: State, data: PatchData, lam_x: Scalar) -> Float[Array, "n n"]:
    """:math:`M_{ij} = F_0 - F_1` at every mixed pair, without mixing, shape ``(n, n)``."""
    lam_x = validation.scalar("lam_x", lam_x, low=0.0, high=1.0)
    return _pair_gaps(_rows(preactivations(state, data)), lam_x)


def mixup_weights(
    gap_matrix: Float[Array, "n n"], target: Float[Array, "n"], lam_x: Scalar, lam_y: Scalar
) -> Float[Array, "n n"]:
    r"""Weights S of the pre-activations in the gradient over all mixed pairs.

    .. math:: S = \mathrm{diag}(\lambda_x^2 L 1 + (1-\lambda_x)^2 L^T 1)
                  + \lambda_x (1-\lambda_x)(L + L^T), \qquad
              L_{ij} = \lambda_y t_i + (1-\lambda_y) t_j - \sigma(M_{ij})

    The negative gradient of the mean loss by :math:`Z_k` is :math:`\pm (2/n^2) S Z_k`, plus for
    class 0.

    Args:
      gap_matrix: M of :func:`mixed_gaps`, shape ``(n, n)``.
      target: t, probability of class 0 in each label, shape ``(n,)``.
      lam_x: weight of the first sample's input, in [0, 1].
      lam_y: weight of its label, in [0, 1].

    Returns:
      S, symmetric, shape ``(n, n)``; ``n * diag(t - sigma(gap))`` at weights 1.

    Raises:
      ValueError: for shapes that do not fit or weights outside [0, 1].

    Source: [derived].
    """
    target = validation.vector("target", target)
    n = target.shape[0]
    gap_matrix = validation.matrix("gap_matrix", gap_matrix, rows=n, columns=n)
    lam_x, lam_y = _weights(lam_x, lam_y)
    residual = _mixed_target(target, lam_y) - jax.nn.sigmoid(gap_matrix)
    own = lam_x**2 * jnp.sum(residual, axis=1) + (1 - lam_x) ** 2 * jnp.sum(residual, axis=0)
    return jnp.diag(own) + lam_x * (1 - lam_x) * (residual + residual.T)


def standard_step(
    state: State, data: PatchData, lr: Scalar, noise: Noise
) -> tuple[State, Float[Array, ""]]:
    r"""One step of full-batch descent on the samples.

    .. math:: a_f \mathrel{+}= \eta \sum_{i,p} C_{ipf}\, c_{ip}, \qquad
              q \mathrel{+}= \eta\, s^2\, c \text{ (ideal)}, \qquad
              c_{k,r,i,p} = \pm\tfrac 2n\, (t_i - \sigma(F_0 - F_1)_i)\, Z_{k,r,i,p}

    The flow's field is ``(step(state) - state) / lr``, whatever the rate.

    Args:
      state: where to step from.
      data: the training set.
      lr: step length eta, non-negative.
      noise: energy s^2 of ideal noise, or the Gram tensor ``(n, P, n, P)``: ``q += lr * c Gram``.

    Returns:
      The next state and the mean loss before the step.

    Raises:
      ValueError: for a negative rate, an energy that is not positive, or a tensor of another shape.

    Source: [derived].
    """
    state, data = checked("state", state, data)
    z = preactivations(state, data)
    gap = _signed(jnp.sum(z**2, axis=(1, 3))).sum(axis=0)
    target = data.target
    residual = target - jax.nn.sigmoid(gap)
    force = 2 / target.shape[0] * _signed(residual[None, None, :, None] * z)
    loss = jnp.mean(jax.nn.softplus(gap) - target * gap)
    return _move(state, data, force, lr, noise), loss


def mixup_step(
    state: State,
    data: PatchData,
    lr: Scalar,
    noise: Noise,
    lam_x: Weight,
    lam_y: Weight,
    shares: Float[Array, "k"] | None = None,
) -> tuple[State, Float[Array, ""]]:
    r"""One step of full-batch descent on all mixed pairs, :math:`c_k = \pm(2/n^2)\, S Z_k`.

    Random mixing weights enter by their law: S is its mean over k pairs of weights.

    Args:
      state: where to step from.
      data: the training set.
      lr: step length, non-negative.
      noise: as for :func:`standard_step`.
      lam_x: weight of the first sample's input, in [0, 1].
      lam_y: weight of its label, in [0, 1]; both weights 1 (or both 0) give the standard step.
      shares: probabilities of k pairs of weights, non-negative of sum 1, where ``lam_x`` and
        ``lam_y`` have the shape ``(k,)``; see
        :func:`twolayer.theory.mixup.features.training.beta_nodes`.

    Returns:
      The next state and the mean loss over the pairs before the step.

    Raises:
      ValueError: as :func:`standard_step`, and for weights outside [0, 1] or of another shape than
        their shares.

    Source: [derived].
    """
    state, data = checked("state", state, data)
    z = preactivations(state, data)
    rows = _rows(z)

    def pairs(lam_x: Scalar, lam_y: Scalar) -> tuple[Array, Array]:
        gaps = _pair_gaps(rows, lam_x)
        weights = mixup_weights(gaps, data.target, lam_x, lam_y)
        return weights, jnp.mean(jax.nn.softplus(gaps) - _mixed_target(data.target, lam_y) * gaps)

    if shares is None:
        weights, loss = pairs(*_weights(lam_x, lam_y))
    else:
        shares = validation.vector("shares", shares)
        nodes = (
            validation.vector(name, lam, length=shares.shape[0])
            for name, lam in (("lam_x", lam_x), ("lam_y", lam_y))
        )
        weights, loss = (jnp.tensordot(shares, each, axes=1) for each in jax.vmap(pairs)(*nodes))
    n, m, patches = data.y.shape[0], z.shape[1], z.shape[3]
    forces = 2 / n**2 * _signed(weights @ rows)
    force = forces.reshape(2, n, m, patches).swapaxes(1, 2)
    return _move(state, data, force, lr, noise), loss


def signal_gap(a: Float[Array, "2 m 4"]) -> Float[Array, "4"]:
    r"""Logit gap that a unit feature makes, :math:`D_f = \sum_r (a_{0,r,f}^2 - a_{1,r,f}^2)`."""
    a = validation.shaped("a", a, (2, None, 4))
    return jnp.sum(a[0] ** 2 - a[1] ** 2, axis=0)


def _signed(pair: Array) -> Array:
    """Minus sign for class 1, along the first axis."""
    return jnp.stack([pair[0], -pair[1]])


def _rows(z: Array) -> Array:
    """Pre-activations of each class as one row a sample, shape (2, n, mP)."""
    return z.swapaxes(1, 2).reshape(2, z.shape[2], -1)


def _pair_gaps(rows: Array, lam_x: Scalar) -> Array:
    grams = rows[0] @ rows[0].T - rows[1] @ rows[1].T
    gap = jnp.diagonal(grams)
    return (
        lam_x**2 * gap[:, None] + (1 - lam_x) ** 2 * gap[None, :] + 2 * lam_x * (1 - lam_x) * grams
    )


def _mixed_target(target: Array, lam_y: Scalar) -> Array:
    return lam_y * target[:, None] + (1 - lam_y) * target[None, :]


def _move(state: State, data: PatchData, force: Array, lr: Scalar, noise: Noise) -> State:
    # What is traced has a dtype, and may be longer than the state, which a loop carries.
    force = force.astype(state.a.dtype)
    lr = jnp.asarray(validation.scalar("lr", lr, low=0.0)).astype(state.a.dtype)
    noise = checked_noise(noise, data)
    if noise.ndim == 0:
        pull = noise * data.noise_mask[None, None] * force
    else:
        pull = jnp.tensordot(force, noise, axes=2)
    return State(
        a=state.a + lr * jnp.einsum("krip,ipf->krf", force, data.coef), q=state.q + lr * pull
    )


def _weights(lam_x: Scalar, lam_y: Scalar) -> tuple[Scalar, Scalar]:
    lam_x = validation.scalar("lam_x", lam_x, low=0.0, high=1.0)
    lam_y = validation.scalar("lam_y", lam_y, low=0.0, high=1.0)
    return lam_x, lam_y
