"""Share the options and the output of commands about theorems."""

from __future__ import annotations

import dataclasses
import io
import math
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import tyro
from tyro.conf import Positional

from twolayer.cli import errors, tables
from twolayer.host import atomic_io, signals


@dataclasses.dataclass(frozen=True, kw_only=True)
class TheoremCommand:
    """Options of every command about theorems."""

    names: Annotated[Positional[tuple[str, ...]], tyro.conf.arg(metavar="[NAME ...]")] = ()
    """Theorem (wide.width), study (wide) or wing (perturbation); all by default."""
    seed: int = 0
    """Random seed, from 0 to 2**63 - 1."""
    json: Path | None = None
    """Also write the results to this file."""
    save: Path = Path("results/counterexamples")
    """Folder of counterexamples, one npz for each theorem."""

    def __call__(self) -> int:
        """Check the options, do the work, and write what ``--json`` asks for."""
        left = f"counterexamples found so far are in {self.save}"
        with signals.stopping(lambda: left), errors.whole_files(lambda: ""):
            with errors.wrong_input():
                from twolayer.theory import validation
                from twolayer.theory.verification import registry

                theorems = registry.select(self.names)
                validation.integer("--seed", self.seed, low=0, high=2**63 - 1)
                if self.save != TheoremCommand.save:
                    atomic_io.prepare("--save folder", self.save)
                self.check()
                file = tables.target(self.json)
            rows, status = self.work(theorems)
            _write(file, rows)
            return status

    def check(self) -> None:
        """Check the command's own options."""

    def work(self, theorems: list[Any]) -> tuple[list[dict[str, Any]], int]:
        """Return one row for each theorem, and the exit status."""
        raise NotImplementedError


def each(work: Callable, theorems: list[Any]) -> Any:
    """Yield theorem, result, counterexample arrays and seconds."""
    from twolayer.host import jax_setup, process_pool

    jax_setup.single_threaded()
    jax_setup.configure()
    results = process_pool.in_processes(work, [theorem.name for theorem in theorems])
    for theorem, ((result, arrays), seconds) in zip(theorems, results, strict=True):
        yield theorem, result, arrays, seconds


def save_counterexample(
    command: TheoremCommand, name: str, arrays: dict[str, Any], width: int
) -> Path | None:
    """Store a counterexample with its seed, and print its path."""
    import numpy as np

    if not arrays:
        return None
    target = command.save / f"{name}.npz"
    buffer = io.BytesIO()
    np.savez(buffer, **arrays, seed=np.asarray(command.seed))
    try:
        atomic_io.prepare("folder of counterexamples", command.save)
    except ValueError as error:  # what was found is told all the same
        print(f"{'':{width}}  not saved: {error}", flush=True)
        return None
    atomic_io.write(target, buffer.getvalue())
    print(f"{'':{width}}  saved as {target}", flush=True)
    return target


def _write(file: Path | None, rows: list[dict[str, Any]]) -> None:
    """Store rows, each with digests of the code and of itself."""
    from twolayer.host import checkout

    if file is not None:
        code = checkout.source_digest("theory")
        tables.write(file, [atomic_io.signed({**row, "code": code}) for row in rows])


def width_of(theorems: list[Any]) -> int:
    """Return the width of the longest name."""
    return max(len(theorem.name) for theorem in theorems)


def ratio(value: float) -> str:
    """Format a ratio with the digits that separate it from 1."""
    if math.isnan(value):
        return "-"
    short = f"{value:.6g}"
    return f"1{value - 1:+.1e}" if short == "1" and value != 1 else short


def finite(value: float) -> float | None:
    """Replace NaN, which JSON lacks, by None."""
    return None if math.isnan(value) else value
