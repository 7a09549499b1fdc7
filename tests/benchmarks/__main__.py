"""The command ``python -m tests.benchmarks``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.benchmarks import (
    availability,
    availability_grid,
    calibration,
    collapse,
    features,
    flows,
    gate_kernels,
    maps,
    mesh,
    orthogonal,
    seeds,
    training,
)
from tests.benchmarks.measure import Row, machine
from twolayer.host import atomic_io, checkout, jax_setup

BENCHMARKS: dict[str, Callable[[], list[Row]]] = {
    "maps": maps.run,
    "training": training.wide_data,
    "square": training.square_data,
    "automatic": training.automatic,
    "kernels": gate_kernels.run,
    "seeds": seeds.run,
    "flows": flows.run,
    "limit": orthogonal.limit,
    "cell": orthogonal.cell,
    "lengths": orthogonal.lengths,
    "pairs": features.reduced,
    "weights": features.grid,
    "temperature": calibration.temperature,
    "prediction": calibration.prediction,
    "optima": collapse.run,
    "networks": availability_grid.run,
    "population": availability.population,
    "devices": mesh.run,
}


def main(
    arguments: Sequence[str] | None = None,
    benchmarks: dict[str, Callable[[], list[Row]]] | None = None,
) -> int:
    """Run the benchmarks; 1 if a requirement is missed, else 0."""
    benchmarks = BENCHMARKS if benchmarks is None else benchmarks
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks",
        description="Speed against the usual way, measured side by side; some minutes.",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(benchmarks)}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="store the table there")
    given = parser.parse_args(arguments)
    if unknown := [name for name in given.names if name not in benchmarks]:
        parser.error(f"NAME must be one of {', '.join(benchmarks)}; got {', '.join(unknown)}.")
    if given.json:
        try:
            atomic_io.prepare("--json folder", given.json.parent)
            given.json = atomic_io.target("--json", given.json)
        except ValueError as error:
            parser.exit(2, f"python -m tests.benchmarks: {error}\n")
    jax_setup.configure()
    rows: list[Row] = []
    for name in given.names or benchmarks:
        for row in benchmarks[name]():
            print(row.describe(), flush=True)
            rows.append(row)
    if given.json:
        table = {
            "machine": machine(),
            "code": checkout.source_digest("theory", "sims"),
            "rows": [row.record() for row in rows],
        }
        try:
            atomic_io.write(
                given.json, (json.dumps(atomic_io.signed(table), indent=2) + "\n").encode()
            )
        except atomic_io.NotWritten as error:
            parser.exit(1, f"python -m tests.benchmarks: {error}\n")
    missed = sum(not row.met for row in rows)
    print(f"{len(rows)} comparisons, {missed} missed")
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
