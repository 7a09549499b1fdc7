"""What the commands wrote beside the cells: verdicts, attacks and benchmarks, read and checked."""

from __future__ import annotations

import dataclasses
import json
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from types import NoneType
from typing import Any

from twolayer.host import atomic_io, checkout

_NUMBER = (int, float)
_OR_NONE = (int, float, NoneType)
_COMMON = {"name": str, "source": str, "statement": str, "code": str, "seed": int}
# File, the command that writes it, and the keys and types that its rows must have.
_FILES: dict[str, tuple[str, dict[str, Any]]] = {
    "theorems": (
        "twolayer verify --json",
        _COMMON
        | {"status": str, "instances": int, "vacuous": int, "violations": int, "allowed": int}
        | {"worst_slack": _OR_NONE, "tightness": _OR_NONE, "controls": dict, "missed": list},
    ),
    "attacks": (
        "twolayer falsify --json",
        _COMMON
        | {"status": str, "falsified": bool, "restarts": int, "steps": int, "slack": _OR_NONE}
        | {"closest": _OR_NONE},
    ),
    "bench": (
        "python -m tests.benchmarks --json",
        {"name": str, "what": str, "reference_seconds": _NUMBER, "seconds": _NUMBER}
        | {"ratio": _NUMBER, "required_ratio": _OR_NONE, "met": bool, "not_judged": str}
        | {"note": str},
    ),
}
# They become keys and commands of LaTeX.
_NAME = re.compile(r"[\w.]+")
_STATUS = ("HELD", "VIOLATED", "VACUOUS", "CONTROL MISSED", "FALSIFIED", "none")


@dataclasses.dataclass(frozen=True)
class Records:
    """Rows by name; empty where the command has not been run.

    Attributes:
      theorems: verdicts of ``twolayer verify``.
      attacks: what ``twolayer falsify`` found.
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
      ValueError: naming the file, if one is damaged or not what its command writes. Those that
        earlier versions wrote have no digest, so that damage inside of a number goes unnoticed.
    """
    found: dict[str, dict[str, dict[str, Any]]] = {}
    machine: dict[str, Any] = {}
    stale = []
    for kind in _FILES:
        path = Path(folder) / f"{kind}.json"
        content = _content(path)
        if content is None:
            found[kind] = {}
            continue
        rows = content["rows"] if kind == "bench" else content
        if kind == "bench":
            machine = content["machine"]
        found[kind] = {row["name"]: row for row in rows}
        if len(found[kind]) < len(rows):
            raise ValueError(f"{path} must have one row a name.")
        codes = {content["code"]} if kind == "bench" else {row["code"] for row in rows}
        packages = ("theory", "sims") if kind == "bench" else ("theory",)
        if codes != {checkout.source_digest(*packages)}:
            stale.append(path.name)
    return Records(**found, machine=machine, stale=tuple(stale))


def _content(path: Path) -> Any:
    """What a file holds, once it is known to be what its command writes; None if it is not there"""
    command, types = _FILES[path.stem]
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} must hold JSON: {error}.") from error
    again = f"{command} {shlex.quote(str(path))}"
    rows, signed = content, content
    fits = True
    if path.stem == "bench":
        fits = isinstance(content, dict) and {"machine", "code", "rows"} <= set(content)
        rows, signed = content["rows"] if fits else [], [content] if fits else []
    fits = fits and isinstance(rows, list) and all(_fits(row, types) for row in rows)
    if not fits:
        raise ValueError(f"{path} must be written by {again}.")
    if not all(atomic_io.is_intact(each) for each in signed if "digest" in each):
        raise ValueError(f"{path} is damaged: make it again with {again}.")
    return content


def _fits(row: Any, types: Mapping[str, Any]) -> bool:
    return (
        isinstance(row, dict)
        and all(name in row and isinstance(row[name], kind) for name, kind in types.items())
        and ("status" not in types or row["status"] in _STATUS)
        and ("code" not in types or _NAME.fullmatch(row["name"]) is not None)
    )


def speed_word(row: Mapping[str, Any]) -> str:
    """``held``, ``not held``; ``not judged`` where the machine lacks what is presumed."""
    return "not judged" if row["not_judged"] else "held" if row["met"] else "not held"
