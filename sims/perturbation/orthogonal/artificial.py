r"""The published artificial experiment on learning from perturbations, in Gram coordinates.

Three networks without biases [code]: one learns random labels of random samples; one learns random
targets of fresh noise; one learns the same targets of the same noise, perturbed towards them by an
attack on the first network. What counts is how often the last two label the first one's *training
samples* as it was taught to: there is no test set.

The published slope is 0.01, with which no hypothesis of the theorems holds: these runs are not
instances of them, whatever they show. Each cell stores how far from it they are. The published
training, momentum descent for 1e5 epochs, is followed up to the same time of gradient flow
(``duration``), in a few dozen normalised steps
(:mod:`twolayer.theory.perturbation.orthogonal.flow`).

``start`` scales the published initialisation. From ``start = 0`` the rows of each half stay equal,
so that ``width = 2`` is exact there, at :math:`4 N^2` a step, and no more than a stand-in for the
published networks.
"""

from __future__ import annotations

import dataclasses
import functools

import jax
import jax.numpy as jnp
from jax import Array

from twolayer.sims.components.attacks import pgd
from twolayer.sims.engine.experiment import traced, word_index
from twolayer.sims.perturbation.orthogonal.artificial_training import (
    limit_accuracy,
    outputs,
    share_right,
    train,
)
from twolayer.theory import validation
from twolayer.theory.perturbation.orthogonal import conditions, limit
from twolayer.theory.perturbation.orthogonal import multipliers as limit_multipliers

LAWS = ("uniform", "gauss")
NOISE = "noise"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """One point of the published sweeps; the attacks' budgets are an axis inside.

    ``n`` clean samples, ``n_adv`` samples of noise, ``width`` rows of every network; ``l2`` and
    ``linf`` are radii, ``l0`` numbers of coordinates.
    """

    law: str = traced("uniform", words=LAWS)
    d: int = 10000
    n: int = 1000
    n_adv: int = 10000
    width: int = 1000
    gamma: float = traced(0.01)
    start: float = traced(1.0)
    l2: tuple[float, ...] = traced((0.78,))
    linf: tuple[float, ...] = traced((0.03,))
    l0: tuple[int, ...] = traced((500,))
    linf_style: str = "rescale"
    pgd_steps: int = traced(100)
    duration: float = traced(1e4)
    max_steps: int = traced(1000)

    def __post_init__(self) -> None:
        validation.choice("law", self.law, LAWS)
        validation.choice("linf_style", self.linf_style, pgd.LINF_STYLES)
        for name in ("d", "n", "n_adv", "max_steps"):
            validation.integer(name, getattr(self, name))
        validation.integer("pgd_steps", self.pgd_steps, low=0)
        limit.even_width(self.width)
        validation.number("gamma", self.gamma, low=0.0, high=1.0, open_low=True, open_high=True)
        validation.number("start", self.start, low=0.0)
        validation.number("duration", self.duration, low=0.0, open_low=True)
        for value in (*self.l2, *self.linf):
            validation.number("l2 and linf", value, low=0.0)
        for value in self.l0:
            if validation.integer("l0", value, low=0) > self.d:
                raise ValueError(f"l0 must be at most d, {self.d}; got {value}.")


def variants(config: Config) -> list[tuple[str, float]]:
    """Norm and budget of every training set of the second network; the noise comes first."""
    budgets = {"l2": config.l2, "linf": config.linf, "l0": config.l0}
    return [(NOISE, 0.0), *((norm, value) for norm in pgd.NORMS for value in budgets[norm])]


DIMS = {
    "acc": ("variant",),
    "acc_equal": ("variant",),
    "acc_limit": ("variant",),
    "success": ("variant",),
    "length": ("variant",),
    "spread": ("variant",),
    "gradient_cosine": ("variant",),
    "reached": ("variant",),
    "plane": ("variant", "row", "axis"),
    "clean_plane": ("row", "axis"),
    "clean_acc": (),
    "hypothesis_ratio": (),
    "pattern": (),
}


def coords(config: Config) -> dict[str, list]:
    """Values along each axis of the results."""
    return {
        "variant": [f"{norm} {budget:g}" for norm, budget in variants(config)],
        "row": list(range(config.width)),
        "axis": ["v", "u"],
    }


def simulate(key: Array, config: Config, inputs: dict[str, Array]) -> dict[str, Array]:
    r"""Train the networks and compare them on the clean samples.

    Results, along the axes of :data:`DIMS`, for each training set of :func:`variants`:

    - ``acc``: share of clean training samples with the label that they were taught with;
    - ``acc_equal``, ``acc_limit``: the same for the linear function :math:`\sum_n \lambda_n y^a_n
      \langle x^a_n, z\rangle` with equal multipliers, and with those of the closed-form limit (NaN
      where the margin matrix is singular);
    - ``success``: share of perturbed samples that the first network gives their target;
    - ``length``, ``spread``: mean Euclidean length of the perturbations, and that over
      :math:`\sqrt d` times their largest entry, which is 1 if all entries are as large;
    - ``gradient_cosine``: mean cosine between the perturbations and the descent direction at the
      unperturbed points (NaN for the noise);
    - ``reached``: :math:`\log_{10}` of the flow time at which training ended;
    - ``plane``, ``clean_plane``: products of all rows with the normalised mean rows v and u of the
      first network's halves: enough to draw any network on that plane;
    - ``clean_acc``: share of its samples that the first network has learnt;
    - ``hypothesis_ratio``: left over right side of the published orthogonality hypothesis on the
      clean samples, which holds from 1 on;
    - ``pattern``: share of clean samples at which the closed form has its sign pattern.
    """
    d, n, n_adv, width = config.d, config.n, config.n_adv, config.width
    uniform = jnp.asarray(word_index(config, "law") == 0)
    # The starts come last: networks of any width meet the same data.
    draws = jax.random.uniform(key, ((d + 1) * (n + n_adv) + 3 * width * d,), jnp.float32)
    samples, labels, starts = jnp.split(2 * draws - 1, [d * (n + n_adv), (d + 1) * (n + n_adv)])
    # Uniform draws lie in [-1, 1): the inverse of the error function is infinite at -1.
    normal = 2**0.5 * jax.scipy.special.erfinv(jnp.clip(samples, -1 + 1e-7, 1 - 1e-7))
    x, base = jnp.split(jnp.where(uniform, samples, normal).reshape(n + n_adv, d), [n])
    y, targets = jnp.split(jnp.where(labels < 0, -1.0, 1.0).astype(jnp.float32), [n])
    start = config.start * starts.reshape(3, width, d) / d**0.5
    bound = jnp.where(uniform, 1.0, jnp.inf)
    a = limit.output_weights(width, jnp.float32)
    gamma = jnp.asarray(config.gamma, jnp.float32)
    fit = functools.partial(
        train, a=a, gamma=gamma, duration=config.duration, max_steps=config.max_steps
    )

    gram = x @ x.T
    clean = start[0] + fit(start[0], x, gram, y)[0] @ x
    halves = jnp.mean(clean.reshape(2, width // 2, d), axis=1)
    axes = halves / jnp.linalg.norm(halves, axis=1, keepdims=True)
    right = functools.partial(share_right, y)

    def objective(points: Array) -> Array:
        return -targets * outputs(points, clean, a, gamma)

    descent = -jax.grad(lambda points: jnp.sum(objective(points)))(base)

    def second(variant: tuple[Array, Array, Array, Array]) -> dict[str, Array]:
        norm, steps, eps, network = variant
        points, values = pgd.pgd(
            objective,
            base,
            norm=norm,
            steps=steps,
            eps=eps,
            low=-bound,
            high=bound,
            linf_style=config.linf_style,
            skip_bound=False,
        )
        moved = points - base
        length = jnp.linalg.norm(moved, axis=1)
        along = jnp.sum(moved * descent, axis=1) / jnp.linalg.norm(descent, axis=1)
        gram = points @ points.T
        coefficients, reached = fit(start[network], points, gram, targets)
        rows = start[network] + coefficients @ points
        cross = x @ points.T
        return {
            "acc": right(outputs(x, rows, a, gamma)),
            "acc_equal": right(cross @ targets),
            "acc_limit": limit_accuracy(gram, targets, gamma, cross, y),
            "success": jnp.mean(values < 0, dtype=jnp.float32),
            "length": jnp.mean(length),
            "spread": jnp.mean(length / jnp.max(jnp.abs(moved), axis=1)) / d**0.5,
            "gradient_cosine": jnp.mean(along / length),
            "reached": reached,
            "plane": rows @ axes.T,
        }

    sets = jax.lax.map(second, _as_arrays(config))
    exact, exact_y = gram.astype(jnp.float64), y.astype(jnp.float64)
    tiers = conditions.orthogonality(exact, gamma)
    multipliers = limit_multipliers.solve_multipliers(exact, exact_y, gamma)
    return {
        **sets,
        "clean_plane": clean @ axes.T,
        "clean_acc": right(outputs(x, clean, a, gamma)),
        "hypothesis_ratio": tiers.paper_lhs / tiers.p_max,
        "pattern": conditions.certificate(exact, exact_y, multipliers, gamma).pattern_fraction,
    }


def _as_arrays(config: Config) -> tuple[Array, Array, Array, Array]:
    """Norm, steps, radius and network of each variant; noise is attacked in no step at all."""
    l2, linf, l0 = (
        jnp.asarray(values).reshape(-1) for values in (config.l2, config.linf, config.l0)
    )
    sizes = (1, l2.shape[0], linf.shape[0], l0.shape[0])
    norm, network = (
        jnp.concatenate([jnp.full(size, of_set[i]) for i, size in enumerate(sizes)])
        for of_set in ((0, 0, 1, 2), (1, 2, 2, 2))
    )
    steps = [jnp.zeros(1), jnp.full(sizes[1] + sizes[2], config.pgd_steps), l0]
    radii = [jnp.ones(1), l2, linf, jnp.ones(sizes[3])]
    return (
        norm,
        jnp.concatenate([part.astype(jnp.int32) for part in steps]),
        jnp.concatenate([part.astype(jnp.float32) for part in radii]),
        network,
    )
