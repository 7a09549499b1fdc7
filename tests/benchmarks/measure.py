"""Timing side by side, and what a benchmark reports."""

from __future__ import annotations

import dataclasses
import platform
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from twolayer.host import process_pool


@dataclasses.dataclass(frozen=True)
class Check:
    """A measured number that must not be beyond a limit; a limit of None is no requirement."""

    name: str
    value: float
    at_most: float | None = None
    at_least: float | None = None

    @property
    def met(self) -> bool:
        return (self.at_most is None or self.value <= self.at_most) and (
            self.at_least is None or self.value >= self.at_least
        )

    def describe(self) -> str:
        limits = [
            f" ({word} {limit:.3g})"
            for word, limit in (("at most", self.at_most), ("at least", self.at_least))
            if limit is not None
        ]
        return f"{self.name} {self.value:.3g}{''.join(limits)}{'' if self.met else ' MISSED'}"


@dataclasses.dataclass(frozen=True)
class Row:
    """One comparison; ``reference`` and ``ours`` are seconds.

    ``required`` is the least ratio reference / ours, None where nothing is asked for. ``hardware``
    says which hardware the requirement presumes, where this machine lacks it: the ratio is then
    reported and not judged. ``checks`` are judged always; the first of them is the error.
    """

    name: str
    what: str
    reference: float
    ours: float
    required: float | None = None
    checks: tuple[Check, ...] = ()
    hardware: str = ""
    note: str = ""

    @property
    def ratio(self) -> float:
        return self.reference / self.ours

    @property
    def fast(self) -> bool:
        return self.required is None or bool(self.hardware) or self.ratio >= self.required

    @property
    def met(self) -> bool:
        return self.fast and all(check.met for check in self.checks)

    def describe(self) -> str:
        asked = "" if self.required is None else f" (required {self.required:.3g})"
        parts = [
            f"{self.what}: reference {seconds(self.reference)}, ours {seconds(self.ours)}, "
            f"ratio {self.ratio:.3g}{asked}{'' if self.fast else ' MISSED'}",
            *(check.describe() for check in self.checks),
            *([f"not judged: {self.hardware}"] if self.hardware else []),
            *([self.note] if self.note else []),
        ]
        return f"{'met   ' if self.met else 'MISSED'} {self.name:24} {'; '.join(parts)}"

    def record(self) -> dict[str, Any]:
        """The row as it is stored."""
        return {
            "name": self.name,
            "what": self.what,
            "reference_seconds": self.reference,
            "seconds": self.ours,
            "ratio": self.ratio,
            "required_ratio": self.required,
            "error": self.checks[0].value if self.checks else None,
            "checks": [dataclasses.asdict(check) | {"met": check.met} for check in self.checks],
            "met": self.met,
            "not_judged": self.hardware,
            "note": self.note,
        }


def side_by_side(calls: Sequence[Callable[[], Any]], repeats: int) -> tuple[list[float], list[Any]]:
    """Least seconds of each call, and their results.

    The calls take turns, so that a busy machine slows all of them, and what others do to a run
    only ever adds time, which the minimum leaves out. A first round compiles and is not counted.
    """
    results = [jax.block_until_ready(call()) for call in calls]
    best = [float("inf")] * len(calls)
    for _ in range(repeats):
        for i, call in enumerate(calls):
            start = time.perf_counter()
            jax.block_until_ready(call())
            best[i] = min(best[i], time.perf_counter() - start)
    return best, results


def deviation(values: Array, exact: Array) -> float:
    """Largest difference, in units of the largest exact entry."""
    exact = exact.astype(jnp.float64)
    return float(jnp.max(jnp.abs(values.astype(jnp.float64) - exact)) / jnp.max(jnp.abs(exact)))


def in_float64(tree: Any) -> Any:
    return jax.tree.map(lambda leaf: leaf.astype(jnp.float64), tree)


def seconds(value: float) -> str:
    return f"{value:.3g} s" if value >= 1 else f"{1e3 * value:.3g} ms"


def machine() -> dict[str, Any]:
    """What the numbers were measured on."""
    return {
        "cpu": _cpu_model(),
        "cores": process_pool.cores(),
        "device": jax.devices()[0].device_kind,
        "jax": jax.__version__,
        "python": platform.python_version(),
    }


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor()
