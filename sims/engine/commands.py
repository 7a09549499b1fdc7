"""Format the shell command that a message suggests."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any


def run(
    stem: str,
    scale: str,
    folder: str | Path,
    *,
    seeds: int | None = None,
    overrides: Mapping[str, Any] | None = None,
    only: Sequence[str] | None = None,
    data: str | Path | None = None,
) -> str:
    """The command that computes what is missing of what was asked for."""
    words = ["twolayer", "run", stem, "--scale", scale]
    if str(folder) != "results":
        words += ["--results", str(folder)]
    if seeds is not None:
        words += ["--seeds", str(seeds)]
    if data is not None:
        words += ["--data", str(data)]
    if only:
        words += ["--only", *map(str, only)]
    for name, value in (overrides or {}).items():
        words += [f"--{name.replace('_', '-')}", *_values(value)]
    return shlex.join(words)


def _values(value: Any) -> Iterator[str]:
    yield from map(str, value) if isinstance(value, (tuple, list)) else [str(value)]
