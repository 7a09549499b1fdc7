"""Results of a stem read back from the disk, as far as they are what a run would give."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from twolayer.sims.code import digest
from twolayer.sims.components.image_sets import DATA_VARIABLE, check_folder
from twolayer.sims.engine import commands, execution, provenance, registry, selection, storage
from twolayer.sims.engine.index import Index
from twolayer.sims.engine.results import Run, StemResults
from twolayer.sims.engine.selection import Setting


def load(
    stem: str,
    scale: str,
    folder: str | Path = "results",
    *,
    seeds: int | None = None,
    overrides: Mapping[str, Any] | None = None,
    only: Sequence[str] | None = None,
    data: str | Path | None = None,
) -> StemResults:
    """Read back what a run with the same arguments has stored; computes nothing.

    Warns in one line of cells that were computed by other code than is here now.

    Args:
      stem: a name of ``twolayer.sims.engine.registry``.
      scale: one of ``experiment.SCALES``.
      folder: the root of the results; the cells lie in its subfolder ``stem``.
      seeds: instead of the number of seeds that the scale has.
      overrides: values by field name, for every selected config that has the field.
      only: labels of settings, also as study/label; all by default.
      data: where files of images are, to tell versions of a data set apart; else they need not be
        there.

    Raises:
      ValueError: if cells are missing or damaged, with the command that makes them; if cells of
        several versions of a data set are there, as it is not known which is meant; as ``plan``.
    """
    overrides = overrides or {}
    settings = selection.select(
        registry.get(stem), scale, seeds=seeds, overrides=overrides, only=only
    )
    stored = Index(Path(folder) / stem)
    runs: dict[tuple[str, str], Run] = {}
    missing, left_out, faults = [], [], []
    with _data_from(data):
        for setting in settings:
            study = setting.study
            found = _cells(stored, stem, setting, exact=data is not None)
            if not any(found) and study.optional(setting.config) and not only:
                if not execution.names_data(study, setting.config, overrides.values()):
                    left_out.append((study.name, setting.label))
                    continue
            lacking = [f"{setting.name} seed {seed}" for seed, cell in enumerate(found) if not cell]
            missing += lacking
            if not lacking:
                run = runs[study.name, setting.label] = _stack(setting, [c for c in found if c])
                code = digest.of_study(study)
                faults += [why for each in run.sidecars if (why := provenance.fault(each, code))]
    command = commands.run(
        stem, scale, folder, seeds=seeds, overrides=overrides, only=only, data=data
    )
    if missing:
        some = ", ".join(missing[:3]) + (f" and {len(missing) - 3} more" if missing[3:] else "")
        others = f" ({stored.incomparable} cells there are not used: they were computed with other "
        others += "precision or random generator)"
        raise ValueError(
            f"results of {stem} at scale {scale} are incomplete in {folder}: {some}"
            f"{others if stored.incomparable else ''}; make them with: {command}"
        )
    if faults:
        warnings.warn(
            f"{len(faults)} cells of {stem} at scale {scale} in {folder} are stale, {faults[0]}; "
            f"recompute them with: {command}",
            stacklevel=3,
        )
    return StemResults(stem, scale, runs, tuple(left_out))


def _cells(stored: Index, stem: str, setting: Setting, exact: bool) -> list[storage.Cell | None]:
    """The cell of each seed; ``exact`` tells that its data must be that which is there now."""
    study, config = setting.study, setting.config
    inputs = execution.load_inputs(study, config) if exact else None
    found = []
    for seed in range(setting.seeds):
        cell = stored.find(
            storage.identity(
                stem, study.name, study.version, config, seed, inputs.checksum if inputs else None
            )
        )
        # Other code may have had other results.
        found.append(cell if cell and set(study.dims) <= set(cell.arrays) else None)
    return found


@contextlib.contextmanager
def _data_from(folder: str | Path | None) -> Iterator[None]:
    """Images are looked for in this folder meanwhile, if it is given."""
    before = os.environ.get(DATA_VARIABLE)
    if folder is not None:
        os.environ[DATA_VARIABLE] = str(check_folder(folder))
    execution.forget_inputs()
    try:
        yield
    finally:
        if folder is not None and before is None:
            del os.environ[DATA_VARIABLE]
        elif before is not None:
            os.environ[DATA_VARIABLE] = before


def _stack(setting: Setting, cells: Sequence[storage.Cell]) -> Run:
    study, seeds = setting.study, tuple(range(len(cells)))
    return Run(
        study=study.name,
        label=setting.label,
        config=setting.config,
        seeds=seeds,
        arrays={name: np.stack([cell.arrays[name] for cell in cells]) for name in study.dims},
        dims={name: ("seed", *dims) for name, dims in study.dims.items()},
        coords={"seed": list(seeds), **study.coords(setting.config)},
        sidecars=[cell.sidecar for cell in cells],
    )
