"""Draw the figures of some stems and save them; the command and the report start here."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from figures import catalogue

if TYPE_CHECKING:
    from sims.experiment import StemResults

FOLDER = Path("figures/out")
RECORD = "drawn.json"


@dataclasses.dataclass(frozen=True)
class Drawn:
    """One figure: its files, or why it was left out."""

    name: str
    caption: str
    pdf: Path | None = None
    png: Path | None = None
    seconds: float = 0.0
    left_out: str = ""
    kept: bool = False  # the files were there from before, drawn by this code from these results


@dataclasses.dataclass(frozen=True)
class Stem:
    """The results of a stem and the figures drawn from them."""

    results: StemResults
    figures: tuple[Drawn, ...]


def draw_all(
    stems: Sequence[str] = (),
    scale: str = "default",
    results: str | Path = "results",
    out: str | Path = FOLDER,
) -> list[Stem]:
    """Draw every figure of the stems into ``out/<stem>/<name>.pdf`` and ``.png``.

    Args:
      stems: names of ``figures.catalogue``; all when empty.
      scale: the scale of the results, one of ``sims.experiment.SCALES``.
      results: root folder of the results.
      out: root folder of the figures, made if it is not there.

    A figure is kept as it is if the same code drew it from the same results.

    Raises:
      ValueError: for an unknown stem or scale, missing results, or a folder that cannot be written.
        Nothing has been drawn then.
    """
    modules = {stem: catalogue.get(stem) for stem in stems or catalogue.STEMS}
    from tqdm import tqdm

    from figures import style
    from sims import experiment

    loaded = {stem: experiment.load(stem, scale, results) for stem in modules}
    for stem in modules:
        style.prepare(Path(out) / stem)
    found = []
    total = sum(len(module.FIGURES) for module in modules.values())
    with tqdm(total=total, unit="figure", disable=not sys.stderr.isatty()) as bar:
        for stem, module in modules.items():
            drawn = []
            record = Path(out) / stem / RECORD
            key = _key(loaded[stem])
            kept = _kept(record, key)
            for name, draw in module.FIGURES.items():
                bar.set_postfix_str(f"{stem}/{name}")
                if name in kept:
                    pdf, png = (record.with_name(f"{name}.{kind}") for kind in ("pdf", "png"))
                    drawn.append(Drawn(name, module.CAPTIONS[name], pdf, png, kept=True))
                    bar.update()
                    continue
                start = time.perf_counter()
                try:
                    figure = draw(loaded[stem])
                except catalogue.Absent as reason:
                    drawn.append(Drawn(name, module.CAPTIONS[name], left_out=str(reason)))
                else:
                    pdf, png = style.save(figure, Path(out) / stem, name)
                    seconds = time.perf_counter() - start
                    drawn.append(Drawn(name, module.CAPTIONS[name], pdf, png, seconds))
                bar.update()
            names = [each.name for each in drawn if each.png is not None]
            style.replace(record, json.dumps({"key": key, "figures": names}).encode())
            found.append(Stem(loaded[stem], tuple(drawn)))
    return found


def table(stems: Sequence[Stem]) -> str:
    """What was drawn, file by file, and what was left out for which reason."""
    rows = [("figure", "files", "seconds")]
    for stem in stems:
        for drawn in stem.figures:
            label = f"{stem.results.stem}/{drawn.name}"
            if drawn.pdf is None:
                rows.append((label, f"left out: {drawn.left_out}", ""))
            else:
                seconds = "kept" if drawn.kept else f"{drawn.seconds:.1f}"
                rows.append((label, f"{drawn.pdf}, .png", seconds))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return "\n".join(
        f"{label:{widths[0]}}  {files:{widths[1]}}  {seconds:>{widths[2]}}".rstrip()
        for label, files, seconds in rows
    )


def _key(results: StemResults) -> str:
    """Identifies the results and the code that figures are drawn from."""
    import matplotlib

    digest = hashlib.sha256(matplotlib.__version__.encode())
    for source in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(source.read_bytes())
    for run in results.values():
        digest.update(f"{run.study}/{run.label}".encode())
        for sidecar in run.sidecars:
            digest.update(sidecar["npz_sha256"].encode())
    return digest.hexdigest()


def _kept(record: Path, key: str) -> set[str]:
    """Names of the figures that are there and were drawn under this key."""
    try:
        found = json.loads(record.read_text())
        names = found["figures"] if found["key"] == key else []
    except (OSError, ValueError, KeyError, TypeError):
        return set()
    return {
        name
        for name in names
        if all(record.with_name(f"{name}.{kind}").is_file() for kind in ("pdf", "png"))
    }
