"""Print tables, and write the same as JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from twolayer.host import atomic_io

# Where no terminal sets a width, no line is broken: programs read lines.
_UNBROKEN = 10_000


class _Console(Console):
    """A rich console that raises on a closed pipe."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def show(columns: Sequence[str], rows: Sequence[Sequence[Any]], right: Sequence[str] = ()) -> None:
    """Print a table; columns named in ``right`` are right-aligned."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left")
    for row in rows:
        table.add_row(*(Text(str(entry)) for entry in row))
    width = None if sys.stdout.isatty() else _UNBROKEN
    _Console(width=width, file=sys.stdout).print(table)


def target(path: Path | None) -> Path | None:
    """Check that the file of ``--json`` can be written."""
    return None if path is None else atomic_io.target("--json", path)


def write(path: Path | None, content: Any) -> None:
    """Write content to the file of ``--json``."""
    if path is not None:
        atomic_io.write(path, (json.dumps(content, indent=1) + "\n").encode())
