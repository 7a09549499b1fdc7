"""Every number that the paper says, as LaTeX macros: ``numbers.tex`` and the rows of its tables.

A claim, a theorem, a comparison of speed is looked up by its name, so that nobody types what comes
out: ``\\measured{mixup.features}{...}``. The lookup of a name that is not there ends the build.
"""

from __future__ import annotations

import dataclasses
import hashlib
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from twolayer.figures.engine import artifacts
from twolayer.figures.latex import format, tables
from twolayer.host import atomic_io
from twolayer.sims.engine import registry

if TYPE_CHECKING:
    from twolayer.figures.engine.artifacts import Records
    from twolayer.sims.engine.claims import Claim
    from twolayer.sims.engine.results import StemResults

NAME = "numbers.tex"


@dataclasses.dataclass(frozen=True)
class Numbers:
    """Where the macros are, and what the paper cannot state yet."""

    path: Path
    macros: int
    missing: tuple[str, ...]


def write(stems: Sequence[StemResults], results: str | Path, out: str | Path) -> Numbers:
    """Write ``out/numbers.tex`` and the rows of the paper's tables beside it.

    Args:
      stems: the results of all stems, at one scale.
      results: root folder of the results, with the verdicts, attacks and benchmarks in it.
      out: the folder to write to, made if it is not there.

    Where optional data is not installed, and at the scale ``smoke``, the paper leaves a dash for
    what is missing. Else a name that is not there ends its build.

    Raises:
      ValueError: if verdicts, attacks or benchmarks are missing, or were computed by other code
        than is here now; if a file of them is not what its command writes; if two claims of a stem
        have one name.
    """
    (scale,) = {stem.scale for stem in stems}
    stored = artifacts.read(results)
    missing = [
        f"{kind}.json is missing"
        for kind in ("theorems", "attacks", "bench")
        if not getattr(stored, kind)
    ] + [f"{name} is of other code than is here now" for name in stored.stale]
    if missing and scale != "smoke":
        raise ValueError(
            f"results folder {results} must have all that the paper states: {', '.join(missing)}; "
            "make paper computes what is missing."
        )
    claims = {stem.stem: registry.get(stem.stem).claims(stem) for stem in stems}
    macros: dict[str, str] = {"scale": scale}
    left_out = sorted({f"{stem.stem} {label}" for stem in stems for _, label in stem.left_out})
    if left_out or scale == "smoke":
        macros["lenient"] = "a dash stands for what is missing"
        missing += [f"{label}: its data is not installed" for label in left_out]
    for stem in stems:
        macros |= _stem(stem, claims[stem.stem])
    macros |= _totals(stems, claims)
    macros |= _theorems(stored) if stored.theorems else {}
    macros |= _bench(stored) if stored.bench else {}
    lines = [rf"\twolayerset{{{key}}}{{{value}}}" for key, value in macros.items()]
    atomic_io.prepare("out folder", Path(out))
    atomic_io.write(Path(out) / "claims.tex", tables.claims(claims).encode())
    atomic_io.write(Path(out) / "theorems.tex", tables.theorems(stored).encode())
    atomic_io.write(Path(out) / "bench.tex", tables.bench(stored).encode())
    path = Path(out) / NAME
    atomic_io.write(path, ("\n".join(lines) + "\n").encode())
    return Numbers(path, len(macros), tuple(missing))


def _stem(stem: StemResults, claims: Sequence[Claim]) -> dict[str, str]:
    words = [claim.verdict for claim in claims]
    sidecars = [sidecar for run in stem.values() for sidecar in run.sidecars]
    of = f"stem:{stem.stem}"
    macros = {
        f"{of}:held": format.number(words.count("held")),
        f"{of}:judged": format.number(words.count("held") + words.count("not held")),
        f"{of}:not held": format.number(words.count("not held")),
        f"{of}:context": format.number(words.count("context")),
        f"{of}:cells": format.number(len(sidecars)),
        f"{of}:seconds": format.number(round(sum(each["seconds"] for each in sidecars))),
    }
    for claim in claims:
        key = f"claim:{stem.stem}:{format.slug(claim.name)}"
        if f"{key}:measured" in macros:
            raise ValueError(f"claims of {stem.stem} must differ in name; got twice {claim.name}.")
        macros[f"{key}:measured"] = format.number(claim.measured)
        macros[f"{key}:expected"] = format.number(claim.expected)
        macros[f"{key}:tolerance"] = format.number(claim.tolerance)
        macros[f"{key}:verdict"] = claim.verdict
    return macros


def _totals(
    stems: Sequence[StemResults], claims: Mapping[str, Sequence[Claim]]
) -> Iterator[tuple[str, str]]:
    words = [claim.verdict for each in claims.values() for claim in each]
    sidecars = [each for stem in stems for run in stem.values() for each in run.sidecars]
    for key in ("held", "not held", "context"):
        yield f"total:{key}", format.number(words.count(key))
    yield "total:judged", format.number(words.count("held") + words.count("not held"))
    yield "total:stems", format.number(len(stems))
    yield "total:cells", format.number(len(sidecars))
    yield "total:minutes", format.number(round(sum(each["seconds"] for each in sidecars) / 60))
    commits = sorted({each["commit"] or "none" for each in sidecars})
    commit = f"commit {format.text(commits[0][:12])}" if len(commits) == 1 else "several commits"
    yield "run:commit", commit
    digest = hashlib.sha256("".join(each["npz_sha256"] for each in sidecars).encode()).hexdigest()
    yield "run:results", digest[:12]
    for library in ("jax", "numpy", "python"):
        versions = sorted({each["versions"][library] for each in sidecars})
        yield f"run:{library}", format.text(", ".join(versions))


def _theorems(stored: Records) -> Iterator[tuple[str, str]]:
    rows = list(stored.theorems.values())
    held = [row for row in rows if row["status"] == "HELD"]
    controls = sum(len(row["controls"]) for row in rows)
    missed = sum(len(row["missed"]) for row in rows)
    yield "total:theorems", format.number(len(rows))
    yield "total:theorems held", format.number(len(held))
    yield "total:derived", format.number(sum("[derived]" in row["source"] for row in rows))
    yield "total:instances", format.number(statistics.median(row["instances"] for row in rows))
    yield "total:controls", format.number(controls)
    yield "total:controls caught", format.number(controls - missed)
    yield "total:falsified", format.number(sum(row["falsified"] for row in stored.attacks.values()))
    yield "total:attacked", format.number(len(stored.attacks))
    yield "total:steps", format.number(sum(row["steps"] for row in stored.attacks.values()))
    for name, row in stored.theorems.items():
        of = f"theorem:{name}"
        yield f"{of}:verdict", row["status"].lower()
        yield f"{of}:instances", format.number(row["instances"])
        yield f"{of}:vacuous", tables.share(row)
        yield f"{of}:slack", format.number(row["worst_slack"], 2)
        yield f"{of}:tightness", format.number(row["tightness"])
        yield f"{of}:closest", format.number(stored.attacks.get(name, {}).get("closest"))


def _bench(stored: Records) -> Iterator[tuple[str, str]]:
    for name, row in stored.bench.items():
        of = f"bench:{format.slug(name)}"
        yield f"{of}:ratio", format.number(row["ratio"])
        yield f"{of}:ours", tables.seconds(row["seconds"])
        yield f"{of}:reference", tables.seconds(row["reference_seconds"])
        yield f"{of}:required", format.number(row["required_ratio"])
    yield "run:cpu", format.text(stored.machine["cpu"])
    yield "run:cores", format.number(stored.machine["cores"])
