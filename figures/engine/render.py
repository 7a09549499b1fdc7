"""Draw the figures of some stems and save them; the command and the report start here."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from twolayer.figures.engine import registry
from twolayer.host import atomic_io, console

if TYPE_CHECKING:
    from twolayer.sims.engine.results import StemResults

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
    seeds: int | None = None,
) -> list[Stem]:
    """Draw every figure of the stems into ``out/<stem>/<name>.pdf`` and ``.png``.

    Args:
      stems: names of ``twolayer.figures.engine.registry``; all when empty.
      scale: the scale of the results, one of ``twolayer.sims.engine.experiment.SCALES``.
      results: root folder of the results.
      out: root folder of the figures, made if it is not there.
      seeds: instead of the number of seeds that the scale has, as for the run.

    The figures of a stem are kept as they are if the same code drew all from the same results, and
    their files are as they were written.

    Raises:
      ValueError: for an unknown stem or scale, missing results, or a folder that cannot be written.
        Nothing has been drawn then.
      NotWritten: if the folder or its disk does not take a file.
    """
    modules = {stem: registry.get(stem) for stem in stems or registry.STEMS}
    from tqdm import tqdm

    from twolayer.host import process_pool
    from twolayer.sims.engine import experiment

    loaded = {stem: experiment.load(stem, scale, results, seeds=seeds) for stem in modules}
    for stem in modules:
        atomic_io.prepare("out folder", Path(out), stem)
    found = {stem: _kept(loaded[stem], Path(out) / stem) for stem in modules}
    missing = [stem for stem in modules if not found[stem]]
    draw = functools.partial(_draw, out=Path(out))
    drawn = process_pool.in_processes(draw, [loaded[stem] for stem in missing])
    with tqdm(total=len(missing), unit="study", disable=not console.on_terminal()) as bar:
        for stem, (figures, _) in zip(missing, drawn, strict=True):
            found[stem] = figures
            bar.update()
    return [Stem(loaded[stem], found[stem]) for stem in modules]


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
        f"{label:{widths[0]}}  {paths:{widths[1]}}  {seconds:>{widths[2]}}".rstrip()
        for label, paths, seconds in rows
    )


def _draw(results: StemResults, out: Path) -> tuple[Drawn, ...]:
    """Draw and save the figures of one stem, and note down what they were drawn from."""
    from twolayer.figures.engine import style
    from twolayer.host import jax_setup

    module = registry.get(results.stem)
    folder = out / results.stem
    drawn = []
    for name, draw in module.FIGURES.items():
        caption = module.CAPTIONS[name]
        start = time.perf_counter()
        try:
            with jax_setup.numerics():  # for curves of theory beside the results
                figure = draw(results)
        except registry.Absent as reason:
            drawn.append(Drawn(name, caption, left_out=str(reason)))
        else:
            pdf, png = style.save(figure, folder, name)
            drawn.append(Drawn(name, caption, pdf, png, time.perf_counter() - start))
    record = {
        "key": _key(results),
        "left_out": {each.name: each.left_out for each in drawn},
        "sha256": {
            path.name: _sha256(path) for each in drawn for path in (each.pdf, each.png) if path
        },
    }
    atomic_io.write(folder / RECORD, json.dumps(record).encode())
    return tuple(drawn)


def _key(results: StemResults) -> str:
    """Identifies the results and the code that figures are drawn from."""
    import matplotlib

    digest = hashlib.sha256(matplotlib.__version__.encode())
    for source in sorted(Path(__file__).parent.parent.rglob("*.py")):
        digest.update(source.read_bytes())
    for run in results.values():
        digest.update(f"{run.study}/{run.label}".encode())
        for sidecar in run.sidecars:
            digest.update(sidecar["npz_sha256"].encode())
    return digest.hexdigest()


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _kept(results: StemResults, folder: Path) -> tuple[Drawn, ...]:
    """A stem's figures as they lie there; none if one is missing, changed or drawn otherwise."""
    module = registry.get(results.stem)
    try:
        record = json.loads((folder / RECORD).read_text())
        left_out = record["left_out"] if record["key"] == _key(results) else {}
        found = []
        for name in module.FIGURES:
            if left_out[name]:
                found.append(Drawn(name, module.CAPTIONS[name], left_out=left_out[name]))
                continue
            pdf, png = (folder / f"{name}.{kind}" for kind in ("pdf", "png"))
            if any(record["sha256"][path.name] != _sha256(path) for path in (pdf, png)):
                return ()
            found.append(Drawn(name, module.CAPTIONS[name], pdf, png, kept=True))
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return ()
    return tuple(found)
