"""Computes on the first 1, 2, 4 and 8 of eight virtual devices, for ``tests/test_devices.py``."""

import sys

import jax
import jax.numpy as jnp
import numpy as np

from sims import devices, sharded
from theory import runtime

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
    runtime.configure()
    arrays = {}
    for n, k in SIZES:
        mesh = devices.mesh(jax.devices()[:k])
        for name, array in everything(mesh, n).items():
            arrays[f"{n} {k} {name}"] = np.asarray(array)
    np.savez(sys.argv[1], **arrays)
