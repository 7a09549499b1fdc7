"""A member of a cluster, for ``tests/host/test_cluster.py``: solves with all processes, or ends."""

import os
import sys
import time

import jax
import numpy as np

from twolayer.host import cluster, jax_setup
from twolayer.sims.components import devices, sharded

NUM_SAMPLES = 101
RIDGE = 0.5


def samples():
    draw = np.random.default_rng(0)
    return draw.normal(size=(NUM_SAMPLES, 20)), draw.normal(size=NUM_SAMPLES)


def solve(member, folder):
    x, y = samples()
    mesh = devices.mesh()
    assert mesh.size == member.size == jax.process_count()
    gram = sharded.gram(mesh, x, x, 0.1, kind="lazy")
    np.savez(
        f"{folder}/{member.rank}.npz",
        rows=sum(shard.data.shape[0] for shard in gram.addressable_shards),
        weights=np.asarray(sharded.kernel_ridge(mesh, x, y, 0.1, ridge=RIDGE, kind="lazy")),
        seeds=np.asarray(devices.map_cells(mesh, lambda seed: seed**2, np.arange(7))),
    )


if __name__ == "__main__":
    joined = cluster.started()
    jax_setup.configure()
    what, folder = sys.argv[1:]
    if what == "solve":
        solve(joined, folder)
    else:
        with open(f"{folder}/{joined.rank}.txt", "w") as file:
            file.write(str(os.getpid()))
        if what == "fail" and joined.rank == 1:
            raise RuntimeError("no more")
        time.sleep(600)
