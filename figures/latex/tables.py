"""The rows of the paper's long tables: all claims, all theorems, all comparisons of speed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from twolayer.figures.engine.artifacts import speed_word
from twolayer.figures.latex import format

if TYPE_CHECKING:
    from twolayer.figures.engine.artifacts import Records
    from twolayer.sims.engine.claims import Claim

_NONE = "--"
_COLORS = {"held": "good", "HELD": "good", "not held": "bad", "context": "plain"}


def claims(by_stem: Mapping[str, Sequence[Claim]]) -> str:
    """Claim, published value, value of the theory, ours, verdict; a headed block a stem."""
    lines = []
    for stem, about in by_stem.items():
        lines.append(rf"\block{{{format.text(stem)}}}")
        for claim in about:
            published = claim.source.startswith(("[paper]", "[fig]", "[code]"))
            stated = _stated(claim)
            cells = [
                format.text(claim.name),
                stated if published else "",
                "" if published else stated,
                format.number(claim.measured),
                _colored(claim.verdict),
            ]
            lines.append(" & ".join(cells) + r" \\")
    return "\n".join(lines) + "\n"


def theorems(stored: Records) -> str:
    """Name, label, instances, vacuous share, worst slack, tightness, controls, closest attack."""
    lines = []
    for name, row in stored.theorems.items():
        attack = stored.attacks.get(name, {})
        cells = [
            format.text(name),
            format.text(row["source"].partition("]")[0].strip("[ ")),
            format.number(row["instances"]),
            share(row),
            format.number(row["worst_slack"], 2),
            format.number(row["tightness"], 2),
            f"{len(row['controls']) - len(row['missed'])}/{len(row['controls'])}",
            format.number(attack.get("closest"), 3),
            _colored(row["status"]),
        ]
        lines.append(" & ".join(cells) + r" \\")
    return "\n".join(lines or [r"-- \\"]) + "\n"


def bench(stored: Records) -> str:
    """Name, setting, seconds of the reference, ours, the ratio and the one asked for."""
    lines = []
    for name, row in stored.bench.items():
        required = row["required_ratio"]
        cells = [
            format.text(name),
            format.text(row["what"]),
            seconds(row["reference_seconds"]),
            seconds(row["seconds"]),
            format.number(row["ratio"]),
            _NONE if required is None else format.number(required, 2),
            _NONE if required is None else _colored(speed_word(row)),
        ]
        lines.append(" & ".join(cells) + r" \\")
    return "\n".join(lines or [r"-- \\"]) + "\n"


def share(row: Mapping[str, Any]) -> str:
    """The vacuous share of a theorem's instances, in percent."""
    return rf"{format.number(round(100 * row['vacuous'] / row['instances']))}\,\%"


def seconds(value: float) -> str:
    """A duration with its unit."""
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if value >= size:
            return rf"{format.number(value / size)}\,{unit}"
    return rf"{format.number(value / 1e-6)}\,\ensuremath{{\mu}}s"


def _stated(claim: Claim) -> str:
    stated = format.number(claim.expected)
    if claim.kind == "context":
        return stated
    if claim.kind == "close":
        if not claim.tolerance:
            return stated
        return rf"{stated}\,\ensuremath{{\pm}}\,{format.number(claim.tolerance, 2)}"
    sign, slack = {"at_least": (r"\ge", "-"), "at_most": (r"\le", "+")}[claim.kind]
    beyond = rf"\,\ensuremath{{{slack}}}\,{format.number(claim.tolerance, 2)}"
    return rf"\ensuremath{{{sign}}}\,{stated}" + (beyond if claim.tolerance else "")


def _colored(verdict: str) -> str:
    return rf"\textcolor{{{_COLORS.get(verdict, 'plain')}}}{{{verdict.lower()}}}"
