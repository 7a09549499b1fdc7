"""Computes on the first 1, 2, 4 and 8 of eight virtual devices, for
``tests/sims/test_devices.py``."""

import dataclasses
import sys

import jax
import jax.numpy as jnp
import numpy as np

from twolayer.host import jax_setup
from twolayer.sims.components import devices, sharded
from twolayer.sims.engine import execution
from twolayer.sims.engine.experiment import Inputs, Study, traced

# Numbers of rows and of devices: also a multiple of it, and fewer rows than devices.
SIZES = ((203, 1), (203, 2), (203, 4), (203, 8), (64, 8), (5, 8))
SEEDS = np.arange(5)
RIDGE = 0.5
OPTIONS = {"loss": "logistic", "lr": 0.05, "steps": 60, "gamma": 0.1, "scheduler": "plateau"}


def samples(n, d=40, m=16):
    draw = np.random.default_rng(n)
    return {
        "x": draw.normal(size=(n, d)),
        "z": draw.normal(size=(37, d)),
        "y": np.sign(draw.normal(size=n)),
        "weights": draw.normal(size=n),
        "a": draw.normal(size=m) / 4,
        "pre": draw.normal(size=(n, m)),
    }


def cell(given):
    step = jax.random.normal(jax.random.key(given["seed"]), (3,))
    # A loop that starts at the same value on all devices.
    step = jax.lax.fori_loop(0, 3, lambda _, total: total + step, jnp.zeros(3))
    return {"outer": jnp.outer(step, step), "scaled": given["gamma"] * step}


# Numbers of seeds in one call: fewer than there are devices, and no multiple of their number.
SEED_COUNTS = (1, 2, 5, 19)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    gamma: float = traced(0.5)
    rates: tuple[float, ...] = traced((1.0, 0.1))


def simulate(key, config, inputs):
    noise = jax.random.normal(key, inputs["x"].shape, jnp.float32)
    walk = jax.lax.fori_loop(0, 3, lambda _, at: jnp.sin(at + config.gamma * noise), 0 * noise)
    gram = (inputs["x"] + noise) @ (inputs["x"] + noise).T
    return {
        "walk": jnp.sum(walk, axis=1) * config.gamma,
        "scaled": config.rates * jnp.sum(noise),
        "values": jnp.linalg.eigvalsh(gram + jnp.eye(4)),
    }


STUDY = Study(
    name="walk",
    config_type=Config,
    simulate=simulate,
    cells={scale: {"one": (Config(), 1)} for scale in ("smoke", "default", "paper")},
    dims={"walk": ("sample",), "scaled": ("rate",), "values": ("sample",)},
    coords=lambda config: {"sample": list(range(4)), "rate": list(config.rates)},
    inputs=lambda config: Inputs({"x": samples(4)["x"]}, "checksum", "drawn"),
)


def seeds_in_one_call(num_seeds):
    """What a run stores for so many seeds, and the number of devices that it used."""
    config = Config(gamma=0.25)
    found = execution.results(STUDY, config, range(num_seeds), "checksum")
    arrays = {f"{i} {name}": array for i, cell in enumerate(found) for name, array in cell.items()}
    program = execution._program(STUDY, config, num_seeds)
    return arrays | {"devices": len(program.output_shardings["walk"].device_set)}


def everything(mesh, n):
    """Every function on one mesh, by name."""
    given = samples(n)
    x, z, y = given["x"], given["z"], given["y"]
    results = {}
    for kind in sharded.KINDS:
        gram = sharded.gram(mesh, x, z, 0.1, kind=kind)
        results[f"gram {kind}"] = gram
        results[f"rows of a device {kind}"] = gram.addressable_shards[0].data.shape[0]
    results["matvec"] = sharded.kernel_matvec(
        mesh, x, z, given["weights"], 0.1, kind="lazy", block=4
    )
    results["ridge"] = sharded.kernel_ridge(mesh, x, y, 0.1, ridge=RIDGE, kind="lazy")
    coef, trace = sharded.train_dual(mesh, given["pre"], x, y, given["a"], **OPTIONS)
    results["train coef"] = coef
    results |= {f"train {name}": leaf for name, leaf in vars(trace).items()}
    cells = {"seed": SEEDS, "gamma": np.linspace(0, 1, len(SEEDS))}
    return results | {
        f"cells {name}": leaf for name, leaf in devices.map_cells(mesh, cell, cells).items()
    }


if __name__ == "__main__":
    jax.config.update("jax_num_cpu_devices", 8)
    jax_setup.configure()
    arrays = {}
    for n, k in SIZES:
        mesh = devices.mesh(jax.devices()[:k])
        for name, array in everything(mesh, n).items():
            arrays[f"{n} {k} {name}"] = np.asarray(array)
    for count in SEED_COUNTS:
        arrays |= {
            f"seeds {count} {name}": array for name, array in seeds_in_one_call(count).items()
        }
    np.savez(sys.argv[1], **arrays)
