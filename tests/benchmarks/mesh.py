"""More devices: a Gram matrix and kernel ridge on two virtual devices of the CPU against one."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import jax
import numpy as np

from tests.benchmarks.measure import Check, Row, deviation, machine, side_by_side
from twolayer.host import jax_setup
from twolayer.sims.components import devices, sharded

ROOT = Path(__file__).parent.parent.parent
COUNT = 2


def run(*, n: int = 3000, d: int = 200, rounds: int = 2, repeats: int = 3) -> list[Row]:
    """One thread for each device, so that the ratio is what the second device gives.

    How many devices there are is settled when a process starts: each number of them has processes
    of its own, in turns, as in :func:`tests.benchmarks.measure.side_by_side`.
    """
    best: dict[int, np.ndarray] = {}
    found: dict[int, dict[str, np.ndarray]] = {}
    environment = {**os.environ, "NPROC": "1", "PYTHONPATH": str(ROOT)}
    with tempfile.TemporaryDirectory() as folder:
        file = str(Path(folder) / "results.npz")
        for _ in range(rounds):
            for count in (1, COUNT):
                given = [str(number) for number in (count, n, d, repeats)]
                command = [sys.executable, "-m", __name__, *given, file]
                subprocess.run(command, env=environment, cwd=ROOT, check=True)
                with np.load(file) as archive:
                    found[count] = dict(archive)
                seconds = found[count].pop("seconds")
                best[count] = np.minimum(best.get(count, np.inf), seconds)
    cores = machine()["cores"]
    rows = []
    for i, (name, what) in enumerate((("gram", "Gram matrix"), ("ridge", "kernel ridge"))):
        exact, ours = (jax.numpy.asarray(found[count][name]) for count in (1, COUNT))
        rows.append(
            Row(
                name=f"devices, {name}",
                what=f"{what} of N = {n}, d = {d}, float64, {COUNT} devices of the CPU against 1",
                reference=float(best[1][i]),
                ours=float(best[COUNT][i]),
                required=1.2,
                checks=(Check("deviation", deviation(ours, exact), at_most=1e-10),),
                hardware="" if cores >= COUNT else f"needs {COUNT} cores",
            )
        )
    return rows


def _measure(count: int, n: int, d: int, repeats: int, file: str) -> None:
    """In a process of its own: seconds and results on so many devices."""
    jax.config.update("jax_num_cpu_devices", count)
    jax_setup.configure()
    line = devices.mesh()
    draw = np.random.default_rng(0)
    x, y = draw.normal(size=(n, d)), draw.normal(size=n)
    seconds, (gram, ridge) = side_by_side(
        [
            lambda: sharded.gram(line, x, x, 0.1, kind="lazy"),
            lambda: sharded.kernel_ridge(line, x, y, 0.1, ridge=1.0, kind="lazy"),
        ],
        repeats,
    )
    np.savez(file, seconds=seconds, gram=np.asarray(gram)[:n], ridge=np.asarray(ridge))


BENCHMARKS = {"devices": run}


if __name__ == "__main__":
    _measure(*map(int, sys.argv[1:5]), sys.argv[5])
