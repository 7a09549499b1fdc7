"""One self-contained HTML page: figures, claims, theorem verdicts and provenance."""

from __future__ import annotations

import base64
import html
import json
import struct
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from figures import style
from figures.drawing import Drawn, Stem
from sims import catalogue
from sims.experiment import Claim, StemResults

NAME = "report.html"
THEOREMS = "theorems.json"
_COLORS = {"held": "good", "HELD": "good", "not held": "bad", "context": "plain"}
_CSS = """
body { font-family: system-ui, sans-serif; line-height: 1.45; color: #1b1b1b; background: #fff;
  max-width: 62rem; margin: 0 auto; padding: 1rem; }
h1, h2, h3 { line-height: 1.2; }
h2 { margin-top: 2.5rem; border-bottom: 1px solid #ccc; }
figure { margin: 1.5rem 0; break-inside: avoid; }
img { max-width: 100%; height: auto; }
figcaption, small, .note { color: #444; font-size: .9rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .85rem; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .3rem .6rem; border-bottom: 1px solid #ddd;
  overflow-wrap: break-word; min-width: 3.5rem; }
th { white-space: nowrap; }
td:nth-child(2) { min-width: 9rem; }
tr { break-inside: avoid; }
.good { color: #00664b; font-weight: 600; }
.bad { color: #b3261e; font-weight: 600; }
.plain { color: #595959; }
@media print { body { max-width: none; padding: 0; } .scroll { overflow: visible; } }
"""


def write(stems: Sequence[Stem], results: str | Path, out: str | Path) -> Path:
    """Write ``out/report.html`` about stems that ``figures.draw_all`` has drawn into ``out``.

    Args:
      stems: what was drawn, with the results it was drawn from.
      results: root folder of the results; the verdicts of ``python -m theory verify --json`` are
        shown if it holds them as ``theorems.json``.
      out: root folder of the figures, to which the page links.

    Raises:
      ValueError: if the file of verdicts is not what that command writes.
    """
    verdicts = _verdicts(Path(results) / THEOREMS)
    claims = [catalogue.get(stem.results.stem).claims(stem.results) for stem in stems]
    body = [
        "<h1>twolayer: report</h1>",
        "<p>What was measured, against what the theory and the papers say. A claim is <b>held</b>"
        " or <b>not held</b> within its stated tolerance; <b>context</b> is shown and never"
        " judged.</p>",
        _overview(stems, claims),
    ]
    for stem, about in zip(stems, claims, strict=True):
        body += [_stem(stem, about, Path(out))]
    if verdicts:
        body += ["<h2>Theorems on random instances</h2>", _theorems(verdicts)]
    page = (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>twolayer: report</title>\n<style>{_CSS}</style>\n</head>\n<body>\n"
        + "\n".join(body)
        + "\n</body>\n</html>\n"
    )
    path = Path(out) / NAME
    style.replace(path, page.encode())
    return path


def summary(stems: Sequence[Stem]) -> str:
    """A row a stem: claims held, not held and for context, figures, seconds of its simulations."""
    rows: list[tuple[str, ...]] = [("stem", "held", "not held", "context", "figures", "seconds")]
    for stem in stems:
        words = [_word(claim) for claim in catalogue.get(stem.results.stem).claims(stem.results)]
        sidecars = [sidecar for run in stem.results.values() for sidecar in run.sidecars]
        seconds = sum(sidecar["seconds"] for sidecar in sidecars)
        drawn = sum(figure.png is not None for figure in stem.figures)
        counts = [str(words.count(word)) for word in ("held", "not held", "context")]
        rows.append((stem.results.stem, *counts, str(drawn), f"{seconds:.0f}"))
    widths = [max(len(row[column]) for row in rows) for column in range(6)]
    return "\n".join(
        "  ".join(
            [
                f"{row[0]:{widths[0]}}",
                *(f"{c:>{w}}" for c, w in zip(row[1:], widths[1:], strict=True)),
            ]
        )
        for row in rows
    )


def _overview(stems: Sequence[Stem], claims: Sequence[list[Claim]]) -> str:
    rows = []
    for stem, about in zip(stems, claims, strict=True):
        name = stem.results.stem
        words = [_word(claim) for claim in about]
        drawn = sum(figure.png is not None for figure in stem.figures)
        rows.append(
            [
                f'<a href="#{quote(name)}">{_text(name)}</a>',
                _text(catalogue.get(name).title),
                _text(stem.results.scale),
                *(str(words.count(word)) for word in ("held", "not held", "context")),
                f"{drawn} of {len(stem.figures)}",
            ]
        )
    return _table(["stem", "about", "scale", "held", "not held", "context", "figures"], rows)


def _stem(stem: Stem, claims: list[Claim], out: Path) -> str:
    results = stem.results
    parts = [
        f'<h2 id="{quote(results.stem)}">{_text(results.stem)}</h2>',
        f"<p>{_text(catalogue.get(results.stem).title)}.</p>",
        "<h3>Claims</h3>",
        _claims(claims),
        "<h3>Figures</h3>",
        *(_figure(drawn, out) for drawn in stem.figures if drawn.png is not None),
    ]
    left_out = [drawn for drawn in stem.figures if drawn.png is None]
    if left_out:
        items = (f"<li>{_text(each.name)}: {_text(each.left_out)}</li>" for each in left_out)
        parts.append(f'<p class="note">Left out:</p>\n<ul class="note">{"".join(items)}</ul>')
    return "\n".join([*parts, "<h3>Provenance</h3>", _provenance(results)])


def _figure(drawn: Drawn, out: Path) -> str:
    assert drawn.png is not None and drawn.pdf is not None
    payload = drawn.png.read_bytes()
    width, _ = struct.unpack(">II", payload[16:24])  # pixels, from the header of the PNG
    link = quote(drawn.pdf.relative_to(out).as_posix())
    return (
        f'<figure>\n<img width="{width * 7 // 10}" alt="{_text(drawn.name)}" '
        f'src="data:image/png;base64,{base64.b64encode(payload).decode()}">\n'
        f"<figcaption><b>{_text(drawn.name)}.</b> {_text(drawn.caption)} "
        f'<a href="{link}">PDF</a></figcaption>\n</figure>'
    )


def _claims(claims: Sequence[Claim]) -> str:
    if not claims:
        return '<p class="note">This scale has no cells that a claim is about.</p>'
    rows = [
        [
            _verdict(_word(claim)),
            _text(claim.name),
            _text(_expected(claim)),
            _text(f"{claim.measured:.4g}"),
            _text(claim.source),
            _text(claim.note),
        ]
        for claim in claims
    ]
    return _table(["verdict", "claim", "expected", "measured", "source", "note"], rows)


def _word(claim: Claim) -> str:
    return {True: "held", False: "not held", None: "context"}[claim.held]


def _expected(claim: Claim) -> str:
    value, tolerance = f"{claim.expected:.4g}", f"{claim.tolerance:.4g}"
    if claim.kind == "context":
        return value
    if claim.kind == "close":
        return f"{value} ± {tolerance}"
    sign, slack = {"at_least": ("≥", "−"), "at_most": ("≤", "+")}[claim.kind]
    return f"{sign} {value}" + (f" {slack} {tolerance}" if claim.tolerance else "")


def _theorems(verdicts: list[dict[str, Any]]) -> str:
    rows = []
    for row in verdicts:
        tightness = row["tightness"]
        rows.append(
            [
                _verdict(row["status"]),
                f"{_text(row['name'])}<br><small>{_text(row['statement'])}</small>",
                _text(row["instances"]),
                _text(row["vacuous"]),
                _text(f"{row['violations']} of {row['allowed']}"),
                "–" if tightness is None else f"{tightness:.3g}",
                _text(f"{len(row['controls']) - len(row['missed'])} of {len(row['controls'])}"),
                _text(row["source"]),
            ]
        )
    heads = ["verdict", "theorem", "instances", "vacuous", "violations of allowed", "tightness"]
    return _table([*heads, "controls caught", "source"], rows)


def _verdicts(path: Path) -> list[dict[str, Any]]:
    """Rows that the theory command wrote, or none if it has not."""
    keys = {"name", "source", "statement", "status", "instances", "vacuous", "violations"}
    keys |= {"allowed", "tightness", "controls", "missed"}
    try:
        rows = json.loads(path.read_text())
    except FileNotFoundError:
        return []
    except ValueError as error:
        raise ValueError(f"{path} must hold JSON: {error}.") from error
    if not isinstance(rows, list) or not all(
        isinstance(row, dict) and keys <= set(row) for row in rows
    ):
        raise ValueError(f"{path} must be written by python -m theory verify --json {path}.")
    return rows


def _provenance(results: StemResults) -> str:
    sidecars = [sidecar for run in results.values() for sidecar in run.sidecars]
    versions = {
        f"{name} {version}" for each in sidecars for name, version in each["versions"].items()
    }
    data = {
        f"{each['source']} (sha256 {each['cell']['data']})"
        for each in sidecars
        if each["cell"]["data"]
    }
    seeds = {len(run.seeds) for run in results.values()}
    facts = {
        "scale": [results.scale],
        "cells": [f"{len(sidecars)} of {len(results)} configs, {min(seeds)} to {max(seeds)} seeds"],
        "computed in": [f"{sum(each['seconds'] for each in sidecars) / 60:.1f} minutes"],
        "commit": {each["commit"] or "none: outside of a checkout" for each in sidecars},
        "versions": versions,
        "machine": {f"{each['backend']}: {each['device']}" for each in sidecars},
        "data": data or ["synthetic only"],
    }
    return _table(
        ["what", "from the stored cells"],
        [[_text(name), "<br>".join(map(_text, sorted(each)))] for name, each in facts.items()],
    )


def _verdict(word: str) -> str:
    return f'<span class="{_COLORS.get(word, "bad")}">{_text(word)}</span>'


def _table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table of cells that are HTML already."""
    head = "".join(f"<th>{_text(each)}</th>" for each in heads)
    lines = ("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return (
        f'<div class="scroll"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n'
        + "\n".join(lines)
        + "\n</tbody>\n</table></div>"
    )


def _text(value: Any) -> str:
    return html.escape(str(value))
