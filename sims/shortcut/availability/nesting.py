r"""Shortcut bias where the core is nested in more frozen tanh layers than the shortcut.

The embedded feature :math:`e_c = w_c z_c` passes through 0 to 3 random layers
:math:`h \mapsto \tanh(G h)`, entries of G of variance :math:`g^2/d`, before it is added to that of
the shortcut. Inputs leave the plane, but lie along two curves, in few dimensions up to rounding.
Width and scale of the published nesting layers are [not recovered]; with g = 1 and inputs whose
entries are near 1/10, tanh is nearly linear, and a larger g is compared.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
from jax import Array

from twolayer.sims.engine.experiment import traced
from twolayer.sims.shortcut.availability import training
from twolayer.theory import validation
from twolayer.theory.shortcut.availability import data, shortcut_bias

# Principal directions of the inputs that are kept; what they leave out is below rounding.
_RANK = 24
# A direction of the embedded sample that single precision hardly sees is no feature for LDA.
_CUT = 1e-6


@dataclasses.dataclass(frozen=True, kw_only=True)
class NestingConfig:
    """Trainings of one architecture with the core nested in each number of ``layers``.

    ``gain`` is g. Training as in
    :class:`twolayer.sims.shortcut.availability.networks.NetworkConfig`; both amplifications are 1.
    """

    activation: str = "relu"
    depth: int = 1
    width: int = 64
    dim: int = 100
    n: int = 1600
    steps: int = 400
    every: int = 50
    rate: float = traced(3e-3)
    layers: tuple[int, ...] = (0, 1, 2, 3)
    gain: float = traced(1.0)
    rho_s: float = traced(0.85)
    rho_c: float = traced(0.9)
    sigma: float = traced(0.6)
    num_probes: int = 30

    def __post_init__(self) -> None:
        training.check_training(self)
        if not self.layers:
            raise ValueError("layers must hold at least one number.")
        for number in self.layers:
            validation.integer("layers", number, low=0)
        validation.number("gain", self.gain, low=0.0, open_low=True)
        for name in ("rho_s", "rho_c"):
            validation.number(
                name, getattr(self, name), low=0.5, high=1.0, open_low=True, open_high=True
            )
        validation.number("sigma", self.sigma, low=-1.0, high=1.0, open_low=True, open_high=True)


DIMS = {
    "bias": ("nesting", "step"),
    "latent_bias": ("nesting", "step"),
    "loss": ("nesting", "step"),
    "reference": ("nesting",),
    "reference_loss": ("nesting",),
    "left_out": ("nesting",),
    "latent_reference": (),
    "core_size": ("nesting",),
}


def coords(config: NestingConfig) -> dict[str, list]:
    """Values along each axis of the results."""
    return {
        "nesting": list(config.layers),
        "step": list(range(config.every, config.steps + 1, config.every)),
    }


def simulate(key: Array, config: NestingConfig, inputs: dict[str, Array]) -> dict[str, Array]:
    """Train in float32 at every nesting, from the same sample and initial weights.

    Results, along the axes of :data:`DIMS`:

    - ``bias``, ``loss``: shortcut bias and training loss after each number of steps, against LDA
      fitted to the embedded sample [paper], whose reliance is ``reference`` and whose mean logistic
      loss ``reference_loss``; it sees powers of the core's latent;
    - ``latent_bias``: against LDA fitted to the latents, which knows no nesting, of reliance
      ``latent_reference``;
    - ``core_size``: root mean square length of the embedded core; ``left_out``: root sum of
      squares of the inputs that training leaves out, in units of their largest singular value.
    """
    key_sample, key_embedding, key_layers, key_net = jax.random.split(key, 4)
    w = data.unit_embedding(key_embedding, config.dim)
    network = training.flat_network(config.activation, config.depth, config.width, config.dim)
    rank = min(_RANK, config.dim)
    rho = jnp.stack([jnp.asarray(each, jnp.float64) for each in (config.rho_s, config.rho_c)])
    z, y = data.sample_latents(key_sample, config.n, rho, config.sigma)
    probes = shortcut_bias.probe_grid(shortcut_bias.mu_from_rho(rho), config.num_probes)
    both = jnp.concatenate([z, probes])

    def reliance(f: Array) -> Array:
        return shortcut_bias.reliance(shortcut_bias.decide(f), probes)

    latent, offset = data.lda_fit(z, y)
    latent_reference = reliance(probes @ latent + offset)

    def embedded(points: Array, number: int) -> Array:
        return data.embed(points, jnp.ones(2), w, (0, number), key_layers, config.gain)

    def nested(x: Array) -> dict[str, Array]:
        # By the second moment, which is small: directions below 1e-8 of the first are not needed.
        values, vectors = jnp.linalg.eigh(x.T @ x)
        basis = vectors[:, ::-1][:, :rank].T
        kept = x @ basis.T
        sample, grid = jnp.split(kept, [config.n])
        rule, intercept = _lda(sample, y)
        start = network.initialise(key_net)
        x32, basis32, grid32 = (part.astype(jnp.float32) for part in (sample, basis, grid))
        fit = training.train(network, start, x32, basis32, y, grid32, config)
        found = jax.vmap(reliance)(fit.outputs.astype(jnp.float64))
        reference = reliance(grid @ rule + intercept)
        return {
            "bias": found - reference,
            "latent_bias": found - latent_reference,
            "loss": fit.loss,
            "reference": reference,
            # The log odds are twice what LDA's mean label is tanh of.
            "reference_loss": jnp.mean(jax.nn.softplus(-2 * y * (sample @ rule + intercept))),
            "left_out": jnp.linalg.norm(x - kept @ basis) / jnp.sqrt(values[-1]),
        }

    nestings = jnp.stack([embedded(both, number) for number in config.layers])
    core = nestings[:, : config.n] - (z[:, :1] * w[None, :, 0])[None]
    return {
        **jax.lax.map(nested, nestings),
        "latent_reference": latent_reference,
        "core_size": jnp.sqrt(jnp.mean(jnp.sum(core**2, axis=2), axis=1)),
    }


def _lda(x: Array, y: Array) -> tuple[Array, Array]:
    """LDA along the directions of the sample that are there in single precision."""
    centre = jnp.mean(x, axis=0, keepdims=True)
    _, sizes, directions = jnp.linalg.svd(x - centre, full_matrices=False)
    # Directions below the cut are made exactly 0, which LDA's pseudo-inverse leaves out.
    kept = jnp.where((sizes > _CUT * sizes[0])[:, None], directions, 0)
    w, b = data.lda_fit((x - centre) @ kept.T, y, allow_singular=True)
    return kept.T @ w, b - centre[0] @ (kept.T @ w)
