"""What the commands wrote beside the cells: verdicts, attacks and benchmarks, read and checked."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from theory import runtime

# File, the command that writes it, and the keys that its rows must have.
_COMMON = {"name", "source", "statement", "code"}
_FILES = {
    "theorems": (
        "python -m theory verify --json",
        _COMMON
        | {"status", "instances", "vacuous", "violations", "allowed"}
        | {"worst_slack", "tightness", "controls", "missed", "seed"},
    ),
    "attacks": (
        "python -m theory falsify --json",
        _COMMON | {"falsified", "restarts", "steps", "slack", "closest", "seed"},
    ),
    "bench": (
        "python -m tests.benchmarks --json",
        {"name", "what", "reference_seconds", "seconds", "ratio", "required_ratio"}
        | {"met", "not_judged", "note"},
    ),
}


@dataclasses.dataclass(frozen=True)
class Records:
    """Rows by name; empty where the command has not been run.

    Attributes:
      theorems: verdicts of ``python -m theory verify``.
      attacks: what ``python -m theory falsify`` found.
      bench: comparisons of ``make bench``.
      machine: what the comparisons were measured on.
      stale: the files whose rows other code has computed than is here now.
    """

    theorems: dict[str, dict[str, Any]]
    attacks: dict[str, dict[str, Any]]
    bench: dict[str, dict[str, Any]]
    machine: dict[str, Any]
    stale: tuple[str, ...]


def read(folder: str | Path) -> Records:
    """Read ``theorems.json``, ``attacks.json`` and ``bench.json`` of a folder of results.

    Raises:
      ValueError: naming the file, if one is not what its command writes.
    """
    found: dict[str, dict[str, dict[str, Any]]] = {}
    machine: dict[str, Any] = {}
    stale = []
    for kind, (command, keys) in _FILES.items():
        path = Path(folder) / f"{kind}.json"
        wrong = ValueError(f"{path} must be written by {command} {path}.")
        try:
            content = json.loads(path.read_text())
        except FileNotFoundError:
            found[kind] = {}
            continue
        except ValueError as error:
            raise ValueError(f"{path} must hold JSON: {error}.") from error
        rows = content
        if kind == "bench":
            if not isinstance(content, dict) or not {"machine", "code", "rows"} <= set(content):
                raise wrong
            machine, rows = content["machine"], content["rows"]
        if not isinstance(rows, list) or not all(
            isinstance(row, dict) and keys <= set(row) for row in rows
        ):
            raise wrong
        found[kind] = {row["name"]: row for row in rows}
        if len(found[kind]) < len(rows):
            raise ValueError(f"{path} must have one row a name.")
        codes = {content["code"]} if kind == "bench" else {row["code"] for row in rows}
        packages = ("theory", "sims") if kind == "bench" else ("theory",)
        if codes != {runtime.source_digest(*packages)}:
            stale.append(path.name)
    return Records(**found, machine=machine, stale=tuple(stale))
