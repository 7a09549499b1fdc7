"""Solutions that use one given cue: how flat and how stable they are, and what lies between them.

A solution is trained on images on the diagonal and on others labelled by its cue, until both are
learned. From there the loss on the diagonal is measured in random directions; training on the
diagonal alone begins anew at some distances; and a curve of low loss is sought to a solution that
was trained on the diagonal alone from the same random parameters.

Source: measures [paper] of Scimeca et al., ICLR 2022 (arXiv 2110.03095), on images made here.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import optax
from jax import Array

from twolayer.sims.components import training
from twolayer.sims.components.models import Flat
from twolayer.sims.engine.experiment import traced, word_index
from twolayer.sims.shortcut.cues import images as cue_images
from twolayer.sims.shortcut.cues import networks
from twolayer.sims.shortcut.cues.images import CUES
from twolayer.sims.shortcut.cues.networks import Cells, Sample
from twolayer.sims.shortcut.cues.preference import check_images
from twolayer.theory import validation
from twolayer.theory.shortcut.cues import landscape

PATHS = ("line", "curve")


@dataclasses.dataclass(frozen=True, kw_only=True)
class SolutionConfig:
    """A solution of one cue, and what is measured around it.

    Training is Adam of rate ``rate`` on fresh batches, in at most ``stretches`` stretches of
    ``stretch`` steps; of rate ``diagonal_rate`` where all images are on the diagonal. The loss is
    measured at ``radii`` in ``directions`` random directions; training on the diagonal begins anew
    at ``starts`` (distances) in ``start_directions`` others. The bend of the curve is trained for
    ``path_steps`` steps; losses are taken at ``path_points``.
    """

    net: str = "mlp"
    size: int = 16
    num_cues: int = 3
    cue: str = traced("colour", CUES)
    batch: int = 64
    stretch: int = 100
    stretches: int = 30
    rate: float = traced(3e-3)
    diagonal_rate: float = traced(1e-3)
    num_test: int = 480
    num_loss: int = 180
    radii: tuple[float, ...] = traced((0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 40.0))
    directions: int = 10
    starts: tuple[float, ...] = traced((0.5, 10.0, 20.0, 40.0))
    start_directions: int = 1
    path_steps: int = 100
    path_points: int = 21

    def __post_init__(self) -> None:
        check_images(self.net, self.size, self.num_cues)
        validation.choice("cue", self.cue, CUES[: self.num_cues])
        for name in (
            "batch",
            "stretch",
            "stretches",
            "num_test",
            "num_loss",
            "directions",
            "start_directions",
            "path_steps",
        ):
            validation.integer(name, getattr(self, name))
        validation.integer("path_points", self.path_points, low=2)
        for name in ("rate", "diagonal_rate"):
            validation.number(name, getattr(self, name), low=0.0, open_low=True)
        for name in ("radii", "starts"):
            values = getattr(self, name)
            if not values or list(values) != sorted(set(values)):
                raise ValueError(f"{name} must increase, at least one of them; got {values}.")
            for value in values:
                validation.number(name, value, low=0.0)


DIMS = {
    "accepted": (),
    "steps": (),
    "diagonal": (),
    "accuracy": ("cue",),
    "norm": (),
    "loss": (),
    "rise": ("radius", "direction"),
    "rerun": ("start", "start_direction", "cue"),
    "rerun_diagonal": ("start", "start_direction"),
    "end": ("cue",),
    "path": ("path", "t"),
}


def coords(config: SolutionConfig) -> dict[str, list]:
    """Values along each axis of the results."""
    return {
        "cue": list(CUES[: config.num_cues]),
        "radius": list(config.radii),
        "direction": list(range(config.directions)),
        "start": list(config.starts),
        "start_direction": list(range(config.start_directions)),
        "path": list(PATHS),
        "t": [step / (config.path_points - 1) for step in range(config.path_points)],
    }


def simulate(key: Array, config: SolutionConfig, inputs: dict[str, Array]) -> dict[str, Array]:
    r"""Train a solution in float32, then measure around it.

    Results, along the axes of :data:`DIMS`, all on images that no training or check has seen:

    - ``accepted``: whether both accuracies passed 0.99; ``steps`` that were trained;
    - ``diagonal``: its accuracy there; ``accuracy``: off it, for the label of each cue;
    - ``norm``: :math:`|\theta|`; ``loss``: L on the diagonal; ``rise``:
      :math:`L(\theta + r u) - L(\theta)`;
    - ``rerun``, ``rerun_diagonal``: these accuracies after training on the diagonal alone from
      :math:`\theta + r u`;
    - ``end``: accuracies off the diagonal of the solution trained on the diagonal from the same
      random parameters; ``path``: L along the straight line and the curve from there to theta.
    """
    key_net, key_solve, key_directions, key_starts, key_path, key_on, key_off = jax.random.split(
        key, 7
    )
    cells = Cells.of(config.num_cues)
    net = networks.network(config.net, config.size)
    cue = jnp.asarray(word_index(config, "cue"))
    on = Sample(*cue_images.wcst_images(key_on, cells.diagonal, config.num_loss, config.size))
    off = Sample(*cue_images.wcst_images(key_off, cells.off, config.num_test, config.size))
    start = net.initialise(key_net)
    number = config.start_directions
    directions = landscape.unit_directions(key_starts, number, start)
    starts = jnp.asarray(config.starts, start.dtype)

    def loss(params: Array) -> Array:
        return networks.cross_entropy(net)(params, on.x, on.levels[:, 0])

    def run(carry: tuple[Array, Array], task: Array) -> tuple[tuple[Array, Array], tuple]:
        """First the solution, then one on the diagonal, then from places around the first."""
        theta, end = carry
        row, column = jnp.divmod(jnp.maximum(task - 2, 0), number)
        found = networks.solve(
            jax.random.fold_in(key_solve, task),
            net,
            jnp.where(task < 2, start, theta + starts[row] * directions[column]),
            jnp.where(task == 0, cue, -1),
            cells,
            size=config.size,
            batch=config.batch,
            stretch=config.stretch,
            stretches=config.stretches,
            rate=jnp.where(task == 0, config.rate, config.diagonal_rate),
            checked=config.num_test,
        )
        theta, end = (
            jnp.where(task == own, found.params, old) for own, old in enumerate((theta, end))
        )
        return (theta, end), (
            found.accepted,
            found.stretches,
            networks.accuracies(net, found.params, on)[0],
            networks.accuracies(net, found.params, off),
        )

    # One loop over all trainings: a program's time to compile goes with the number of loops.
    (theta, end), (accepted, stretches, diagonal, accuracy) = jax.lax.scan(
        run, (start, start), jnp.arange(2 + starts.shape[0] * number)
    )
    bend = _bend(key_path, net, end, theta, cells, config)
    t = jnp.linspace(0, 1, config.path_points)
    middles = jnp.stack([(end + theta) / 2, bend])
    path = jax.lax.map(
        lambda at: loss(landscape.bezier(end, middles[at[0]], theta, t[at[1]])),
        tuple(jnp.indices((len(PATHS), config.path_points)).reshape(2, -1)),
    )
    shape = (starts.shape[0], number)
    return {
        "accepted": accepted[0],
        "steps": config.stretch * stretches[0],
        "diagonal": diagonal[0],
        "accuracy": accuracy[0],
        "norm": jnp.linalg.norm(theta),
        "loss": loss(theta),
        "rise": landscape.flatness(
            loss, theta, key_directions, jnp.asarray(config.radii), config.directions
        ),
        "rerun": accuracy[2:].reshape(*shape, -1),
        "rerun_diagonal": diagonal[2:].reshape(shape),
        "end": accuracy[1],
        "path": path.reshape(len(PATHS), -1),
    }


def _bend(
    key: Array, net: Flat, start: Array, end: Array, cells: Cells, config: SolutionConfig
) -> Array:
    """The bend of a curve with low mean loss on the diagonal, trained from the straight line."""
    key_rows, key_images = jax.random.split(key)
    rows = jnp.arange(config.batch * config.path_steps)
    levels = cells.diagonal[rows % cells.diagonal.shape[0]]

    def prepare(step: Array, levels: Array, y: Array) -> tuple[tuple[Array, Array], Array]:
        key_places, key_t = jax.random.split(jax.random.fold_in(key_images, step))
        places = cue_images.centres(key_places, levels, config.size)
        t = jax.random.uniform(key_t, (), jnp.float32)
        return (cue_images.draw(levels, places, config.size), t), y

    def loss(bend: Array, x: tuple[Array, Array], y: Array) -> Array:
        images, t = x
        at = landscape.bezier(start, bend, end, t)
        return networks.cross_entropy(net)(at, images, y)

    fit = training.train(
        key_rows,
        (start + end) / 2,
        loss,  # type: ignore[arg-type]
        levels,
        levels[:, 0],
        optimizer=optax.adam(jnp.asarray(config.rate, start.dtype)),
        batch=config.batch,
        epochs=1,
        score=lambda params: (),
        prepare=prepare,  # type: ignore[arg-type]
    )
    return fit.params
