"""The command ``python -m tests.benchmarks``."""

from __future__ import annotations

import argparse
import importlib
import json
import pkgutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import tests.benchmarks
from tests.benchmarks.measure import Row, machine
from twolayer.host import atomic_io, checkout, jax_setup


def found() -> dict[str, Callable[[], list[Row]]]:
    """The benchmarks of all modules of this package by name."""
    every: dict[str, Callable[[], list[Row]]] = {}
    for module in pkgutil.iter_modules(tests.benchmarks.__path__, "tests.benchmarks."):
        if not module.name.endswith("__main__"):
            every |= getattr(importlib.import_module(module.name), "BENCHMARKS", {})
    return every


def main(
    arguments: Sequence[str] | None = None,
    benchmarks: dict[str, Callable[[], list[Row]]] | None = None,
) -> int:
    """Run the benchmarks; 1 if a requirement is missed, else 0."""
    benchmarks = found() if benchmarks is None else benchmarks
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
