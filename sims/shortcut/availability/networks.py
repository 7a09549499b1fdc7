r"""Shortcut bias of finite networks over predictivity and availability.

Perceptrons in d = 100 dimensions are trained by full-batch Adam on the logistic loss, and probed on
the grid of :func:`twolayer.theory.shortcut.availability.shortcut_bias.probe_grid`. Their bias is
taken against LDA fitted to the same sample. A cell trains a whole grid of predictivities and
availability ratios, with the
noise of the sample, the embedding and the initial weights the same at all its points: differences
between points, and between architectures at one seed, are paired.

Inputs :math:`x = \alpha_s z_s w_s + \alpha_c z_c w_c` lie in a plane, so that the first layer's
product is :math:`X V = (z\,\mathrm{diag}(\alpha)) (W^T V)`: the same function of the same weights V
in all d dimensions (Adam, which sees coordinates, moves every one of them), at two hundredths of
the cost.

He's initial weights, width, sizes and rates are those of the spec's table 4 [measured]; the paper's
own are [not recovered].
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
from jax import Array

from twolayer.sims.engine.experiment import traced, word_index
from twolayer.sims.shortcut.availability import training
from twolayer.theory import validation
from twolayer.theory.shortcut.availability import data, shortcut_bias

# The ratio r of availabilities as alpha = (r, 1), or as (1, 1/r), where all is learned more slowly.
SCALINGS = ("amplify", "attenuate")


@dataclasses.dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """Trainings of one architecture over predictivities ``rho_s`` and availability ``ratios``.

    ``depth`` counts hidden layers; 0 is the linear model. Full-batch Adam takes ``steps`` steps at
    ``rate``, and the network is probed after every ``every`` of them. ``num_points`` items of the
    sample at the last predictivity are kept for figures.
    """

    activation: str = "relu"
    depth: int = 1
    width: int = 64
    dim: int = 100
    n: int = 1600
    steps: int = 400
    every: int = 50
    rate: float = traced(3e-3)
    scaling: str = traced("amplify", SCALINGS)
    rho_s: tuple[float, ...] = traced((0.6, 0.65, 0.7, 0.75, 0.8, 0.85))
    rho_c: float = traced(0.9)
    ratios: tuple[float, ...] = traced((1.0, 2.0, 4.0, 8.0, 16.0))
    sigma: float = traced(0.6)
    num_probes: int = 30
    num_points: int = 200

    def __post_init__(self) -> None:
        training.check_training(self)
        validation.choice("scaling", self.scaling, SCALINGS)
        check_grid(self.rho_s, self.ratios)
        validation.number("rho_c", self.rho_c, low=0.5, high=1.0, open_low=True, open_high=True)
        validation.number("sigma", self.sigma, low=-1.0, high=1.0, open_low=True, open_high=True)
        if validation.integer("num_points", self.num_points) > self.n:
            raise ValueError(f"num_points must be at most n, {self.n}; got {self.num_points}.")


def check_grid(rho_s: tuple[float, ...], ratios: tuple[float, ...]) -> None:
    """Predictivities in (1/2, 1) and positive ratios, at least one of each."""
    for name, values, high in (("rho_s", rho_s, 1.0), ("ratios", ratios, float("inf"))):
        low = 0.5 if name == "rho_s" else 0.0
        if not values:
            raise ValueError(f"{name} must hold at least one value.")
        for value in values:
            validation.number(name, value, low=low, high=high, open_low=True, open_high=True)


_GRID = ("rho", "ratio")
DIMS = {
    "bias": (*_GRID, "step"),
    "loss": (*_GRID, "step"),
    "gradient": _GRID,
    "reference": ("rho",),
    "reference_loss": ("rho",),
    "surface": ("ratio", "probe_s", "probe_c"),
    "lda": ("coefficient",),
    "point": ("point", "axis"),
    "label": ("point",),
}


def coords(config: NetworkConfig) -> dict[str, list]:
    """Values along each axis of the results."""
    probes = list(range(config.num_probes))
    return {
        "rho": list(config.rho_s),
        "ratio": list(config.ratios),
        "step": list(range(config.every, config.steps + 1, config.every)),
        "probe_s": probes,
        "probe_c": probes,
        "coefficient": ["shortcut", "core", "intercept"],
        "point": list(range(config.num_points)),
        "axis": ["shortcut", "core"],
    }


def simulate(key: Array, config: NetworkConfig, inputs: dict[str, Array]) -> dict[str, Array]:
    """Train in float32 at every point of the grid; samples, LDA and reliances are float64.

    Results, along the axes of :data:`DIMS`:

    - ``bias``, ``loss``: signed shortcut bias against LDA of the sample, and mean training loss,
      after each number of steps; ``gradient``: norm of the loss's gradient at the end;
    - ``reference``: reliance of LDA of the sample; ``reference_loss``: its mean logistic loss,
      which is least squares' and hardly above the least of all linear models;
    - ``surface``: outputs at the probes at the end, for the last predictivity; ``lda``: the line of
      LDA there, in latents; ``point``, ``label``: some of its sample.
    """
    key_sample, key_embedding, key_net = jax.random.split(key, 3)
    basis = data.unit_embedding(key_embedding, config.dim).T.astype(jnp.float32)
    network = training.flat_network(config.activation, config.depth, config.width, config.dim)
    start = network.initialise(key_net)

    rho_s, ratios = (jnp.asarray(values, jnp.float64) for values in (config.rho_s, config.ratios))

    def sample(rho_s: Array) -> dict[str, Array]:
        rho = jnp.stack([rho_s, jnp.asarray(config.rho_c, rho_s.dtype)])
        z, y = data.sample_latents(key_sample, config.n, rho, config.sigma)
        probes = shortcut_bias.probe_grid(shortcut_bias.mu_from_rho(rho), config.num_probes)
        w, b = data.lda_fit(z, y)
        return {
            "z": z,
            "y": y,
            "probes": probes,
            "lda": jnp.append(w, b),
            "reference": shortcut_bias.reliance(shortcut_bias.decide(probes @ w + b), probes),
            # The log odds are twice what LDA's mean label is tanh of.
            "reference_loss": jnp.mean(jax.nn.softplus(-2 * y * (z @ w + b))),
        }

    samples = jax.lax.map(sample, rho_s)

    def point(at: tuple[Array, Array]) -> dict[str, Array]:
        index, ratio = at
        here = jax.tree.map(lambda leaf: leaf[index], samples)
        alpha = jnp.stack([ratio, jnp.ones_like(ratio)])
        alpha = jnp.where(word_index(config, "scaling") == 0, alpha, alpha / ratio)[None]
        x, grid = ((here[name] * alpha).astype(jnp.float32) for name in ("z", "probes"))
        fit = training.train(network, start, x, basis, here["y"], grid, config)
        found = jax.vmap(lambda f: shortcut_bias.reliance(shortcut_bias.decide(f), here["probes"]))(
            fit.outputs.astype(jnp.float64)
        )
        return {
            "bias": found - here["reference"],
            "loss": fit.loss,
            "gradient": fit.gradient,
            "surface": fit.outputs[-1],
        }

    number = ratios.shape[0]
    places = jnp.repeat(jnp.arange(rho_s.shape[0]), number)
    found = jax.lax.map(point, (places, jnp.tile(ratios, rho_s.shape[0])))
    shape = (rho_s.shape[0], number)
    found = {name: value.reshape(*shape, *value.shape[1:]) for name, value in found.items()}
    side = (config.num_probes, config.num_probes)
    return {
        **{name: found[name] for name in ("bias", "loss", "gradient")},
        **{name: samples[name] for name in ("reference", "reference_loss")},
        "surface": found["surface"][-1].reshape(number, *side),
        "lda": samples["lda"][-1],
        "point": samples["z"][-1, : config.num_points],
        "label": samples["y"][-1, : config.num_points],
    }
