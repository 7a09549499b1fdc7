"""One self-contained HTML page: figures, claims, theorem verdicts and provenance."""

from __future__ import annotations

import base64
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from twolayer.figures.engine import artifacts
from twolayer.figures.engine.artifacts import speed_word
from twolayer.figures.engine.render import Drawn, Stem
from twolayer.figures.report import html
from twolayer.figures.report.html import table, text, verdict
from twolayer.host import atomic_io
from twolayer.sims.engine import registry
from twolayer.sims.engine.claims import VERDICTS, Claim
from twolayer.sims.engine.results import StemResults

if TYPE_CHECKING:
    from twolayer.figures.engine.artifacts import Records

NAME = "report.html"


def write(stems: Sequence[Stem], results: str | Path, out: str | Path) -> Path:
    """Write ``out/report.html`` about stems that ``figures.draw_all`` has drawn into ``out``.

    Args:
      stems: what was drawn, with the results it was drawn from.
      results: root folder of the results; verdicts on theorems, attacks and comparisons of speed
        are shown if it holds them, see :mod:`twolayer.figures.engine.artifacts`.
      out: root folder of the figures, to which the page links.

    Raises:
      ValueError: if a file of those is damaged, or not what its command writes.
      NotWritten: if the folder or its disk does not take the page.
    """
    stored = artifacts.read(results)
    claims = [registry.get(stem.results.stem).claims(stem.results) for stem in stems]
    body = [
        "<h1>twolayer: report</h1>",
        "<p>What was measured, against what the theory and the papers say. A claim is <b>held</b>"
        " or <b>not held</b> within its stated tolerance; <b>context</b> is shown and never"
        " judged.</p>",
        _overview(stems, claims),
    ]
    for stem, about in zip(stems, claims, strict=True):
        body += [_stem(stem, about, Path(out))]
    if stored.theorems:
        body += [
            '<h2 id="theorems">Theorems on random instances</h2>',
            "<p>Violations: found of allowed, which is more than 0 only for statements with"
            " probability. Worst slack: right less left side, relative to the larger. Tightness:"
            " median over instances of the largest left over right side. Controls: planted errors"
            " that were caught, listed below each statement with the share of instances on which"
            " they show. Attack: a search for a counterexample; closest is the largest left over"
            " right side that it reached inside the hypotheses.</p>",
            _theorems(stored),
        ]
    if stored.bench:
        body += ['<h2 id="speed">Speed against straightforward implementations</h2>']
        body += [_bench(stored)]
    if stored.stale:
        stale = " and ".join(stored.stale)
        body.append(f'<p class="note">Computed by other code than is here now: {text(stale)}.</p>')
    path = Path(out) / NAME
    atomic_io.write(path, html.render("twolayer: report", body).encode())
    return path


def summary(stems: Sequence[Stem]) -> str:
    """A row for each study: claims by verdict, figures, seconds of its simulations."""
    rows: list[tuple[str, ...]] = [("study", "held", "not held", "context", "figures", "seconds")]
    for stem in stems:
        words = [claim.verdict for claim in registry.get(stem.results.stem).claims(stem.results)]
        sidecars = [sidecar for run in stem.results.values() for sidecar in run.sidecars]
        seconds = sum(sidecar["seconds"] for sidecar in sidecars)
        drawn = sum(figure.png is not None for figure in stem.figures)
        counts = [str(words.count(each)) for each in VERDICTS]
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
        words = [claim.verdict for claim in about]
        drawn = sum(figure.png is not None for figure in stem.figures)
        rows.append(
            [
                f'<a href="#{quote(name)}">{text(name)}</a>',
                text(registry.get(name).title),
                text(stem.results.scale),
                *(str(words.count(each)) for each in VERDICTS),
                f"{drawn} of {len(stem.figures)}",
            ]
        )
    return table(["study", "about", "scale", "held", "not held", "context", "figures"], rows)


def _stem(stem: Stem, claims: list[Claim], out: Path) -> str:
    results = stem.results
    parts = [
        f'<h2 id="{quote(results.stem)}">{text(results.stem)}</h2>',
        f"<p>{text(registry.get(results.stem).title)}.</p>",
        "<h3>Claims</h3>",
        _claims(claims),
        "<h3>Figures</h3>",
        *(_figure(drawn, out) for drawn in stem.figures if drawn.png is not None),
    ]
    left_out = [drawn for drawn in stem.figures if drawn.png is None]
    if left_out:
        items = (f"<li>{text(each.name)}: {text(each.left_out)}</li>" for each in left_out)
        parts.append(f'<p class="note">Left out:</p>\n<ul class="note">{"".join(items)}</ul>')
    return "\n".join([*parts, "<h3>Provenance</h3>", _provenance(results)])


def _figure(drawn: Drawn, out: Path) -> str:
    assert drawn.png is not None and drawn.pdf is not None
    payload = drawn.png.read_bytes()
    width, _ = struct.unpack(">II", payload[16:24])  # pixels, from the header of the PNG
    link = quote(drawn.pdf.relative_to(out).as_posix())
    return (
        f'<figure>\n<img width="{width * 7 // 10}" alt="{text(drawn.name)}" '
        f'src="data:image/png;base64,{base64.b64encode(payload).decode()}">\n'
        f"<figcaption><b>{text(drawn.name)}.</b> {text(drawn.caption)} "
        f'<a href="{link}">PDF</a></figcaption>\n</figure>'
    )


def _claims(claims: Sequence[Claim]) -> str:
    if not claims:
        return '<p class="note">This scale has no cells that a claim is about.</p>'
    rows = [
        [
            verdict(claim.verdict),
            text(claim.name),
            text(_expected(claim)),
            text(f"{claim.measured:.4g}"),
            text(claim.source),
            text(claim.note),
        ]
        for claim in claims
    ]
    return table(["verdict", "claim", "expected", "measured", "source", "note"], rows)


def _expected(claim: Claim) -> str:
    value, tolerance = f"{claim.expected:.4g}", f"{claim.tolerance:.4g}"
    if claim.kind == "context":
        return value
    if claim.kind == "close":
        return f"{value} ± {tolerance}"
    sign, slack = {"at_least": ("≥", "−"), "at_most": ("≤", "+")}[claim.kind]
    return f"{sign} {value}" + (f" {slack} {tolerance}" if claim.tolerance else "")


def _theorems(stored: Records) -> str:
    rows = []
    for name, row in stored.theorems.items():
        tightness = row["tightness"]
        attack = stored.attacks.get(name)
        rows.append(
            [
                verdict(row["status"]),
                f"{text(name)} {text(row['source'])}<small>{text(row['statement'])}</small>"
                f"{_controls(row)}",
                text(row["instances"]),
                text(row["vacuous"]),
                text(f"{row['violations']} of {row['allowed']}"),
                _number(row["worst_slack"]),
                _number(tightness),
                text(f"{len(row['controls']) - len(row['missed'])} of {len(row['controls'])}"),
                _attack(attack) if attack else "–",
            ]
        )
    heads = ["verdict", "theorem", "instances", "vacuous", "violations", "worst slack"]
    return table([*heads, "tightness", "controls", "attack"], rows)


def _controls(row: dict[str, Any]) -> str:
    """The planted errors, and on which share of the instances each was caught."""
    each = (f"{name} ({100 * share:.0f} %)" for name, share in row["controls"].items())
    return f"<small>Caught: {text(', '.join(each))}.</small>"


def _attack(row: dict[str, Any]) -> str:
    words = {"FALSIFIED": "COUNTEREXAMPLE", "none": "none found"}
    found = verdict(words.get(row["status"], row["status"]))
    closest = f"<small>closest {_number(row['closest'])}</small>"
    return f"{found}<small>{text(row['steps'])} steps</small>{closest}"


def _bench(stored: Records) -> str:
    rows = []
    for name, row in stored.bench.items():
        required = row["required_ratio"]
        rows.append(
            [
                "–" if required is None else verdict(speed_word(row)),
                f"{text(name)}<small>{text(row['what'])}</small>",
                _number(row["reference_seconds"]),
                _number(row["seconds"]),
                _number(row["ratio"]),
                _number(required),
                text(row["not_judged"] or row["note"]),
            ]
        )
    heads = ["verdict", "comparison", "reference, s", "ours, s", "ratio", "demanded", "note"]
    return table(heads, rows)


def _number(value: float | None) -> str:
    return "–" if value is None else text(f"{value:.3g}")


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
    not_finite = {
        f"{result} of {run.study}/{run.label}"
        for run in results.values()
        for each in run.sidecars
        for result in each.get("not_finite", ())
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
        "NaN or infinite": not_finite or ["nothing that should not be"],
    }
    return table(
        ["what", "from the stored cells"],
        [[text(name), "<br>".join(map(text, sorted(each)))] for name, each in facts.items()],
    )
