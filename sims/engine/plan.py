"""Run a stem: see first that everything can be done and what is missing, then compute that."""

from __future__ import annotations

import dataclasses
import os
import shlex
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax

from twolayer.host import atomic_io
from twolayer.sims.code import digest
from twolayer.sims.components.image_sets import DATA_VARIABLE, MissingData, Use, check_folder
from twolayer.sims.engine import execution, registry, selection, storage
from twolayer.sims.engine.experiment import Inputs
from twolayer.sims.engine.jobs import Job, Row
from twolayer.sims.engine.selection import Setting
from twolayer.sims.engine.sweep import Plan
from twolayer.sims.forecast import memory_check


def run(
    stem: str,
    scale: str = "default",
    folder: str | Path = "results",
    *,
    seeds: int | None = None,
    overrides: Mapping[str, Any] | None = None,
    only: Sequence[str] | None = None,
    data: str | Path | None = None,
    keep_stale: bool = False,
    progress: bool = True,
) -> Plan:
    """Compute what is missing of a stem at one scale; arguments and errors as :func:`plan`.

    Warns of stale cells, and of results that are not finite.

    Raises:
      ValueError: also if the machine has not the memory for it.
    """
    planned = plan(
        stem,
        scale,
        folder,
        seeds=seeds,
        overrides=overrides,
        only=only,
        data=data,
        keep_stale=keep_stale,
    )
    memory_check.check_memory(planned)
    for line in planned.stale():
        warnings.warn(line, stacklevel=2)
    planned.execute(progress)
    return planned


def plan(
    stem: str,
    scale: str = "default",
    folder: str | Path = "results",
    *,
    seeds: int | None = None,
    overrides: Mapping[str, Any] | None = None,
    only: Sequence[str] | None = None,
    data: str | Path | None = None,
    keep_stale: bool = False,
    write: bool = True,
) -> Plan:
    """See that a run can be done and which cells it lacks; computes nothing yet.

    Args:
      stem: a name of ``twolayer.sims.engine.registry``.
      scale: one of ``experiment.SCALES``.
      folder: the root of the results; the cells lie in its subfolder ``stem``.
      seeds: instead of the number of seeds that the scale has.
      overrides: values by field name, for every selected config that has the field.
      only: the labels to run, also as study/label; all by default.
      data: where files of images are: ``TWOLAYER_DATA`` of this process from now on.
      keep_stale: take cells that were computed by other code than is here now as they are.
      write: make the folder, or see that it can be written; without it nothing is written, and
        whatever data is missing is left out.

    Raises:
      ValueError: naming the argument, for an unknown stem, scale, label or field, for a value that
        the config rejects, for missing data that is not optional or was asked for by its label or
        name, for a folder of data that nothing is read from, or for a folder that cannot be
        written.
    """
    # What JAX lets nobody set for a block.
    if offset := jax.config.jax_random_seed_offset:  # type: ignore[attr-defined]
        raise ValueError(f"jax_random_seed_offset must be 0 for a run; got {offset}.")
    overrides = overrides or {}
    experiment = registry.get(stem)
    settings = selection.select(experiment, scale, seeds=seeds, overrides=overrides, only=only)
    if data is not None:
        os.environ[DATA_VARIABLE] = str(check_folder(data))
    cells_folder = Path(folder) / stem
    execution.forget_inputs()
    ready: list[tuple[Setting, Inputs | None]] = []
    left_out: dict[str, list[str]] = {}
    uses: list[Use] = []
    for setting in settings:
        try:
            ready.append((setting, execution.load_inputs(setting.study, setting.config)))
            uses += execution.data_used(setting.study, setting.config)
        except MissingData as error:
            asked = only or error.name in overrides.values()
            if asked or (write and not setting.study.optional(setting.config)):
                raise
            left_out.setdefault(str(error), []).append(setting.name)
    if data is not None:
        _check_read(Path(data), uses, settings)
    _check_kinds([setting for setting, _ in ready], overrides)
    if write:
        atomic_io.prepare("results folder", Path(folder), stem)
        storage.settle(cells_folder)
    rows, jobs = [], []
    planned: set[str] = set()
    for setting, inputs in ready:
        row = Row(setting.study.name, setting.label, setting.seeds)
        rows.append(row)
        for seed in range(setting.seeds):
            job = _job(stem, setting, seed, inputs, row, keep_stale)
            # Overrides can make two labels the same cell.
            if job.name in planned:
                row.reused += 1
                continue
            planned.add(job.name)
            cell, why = job.look(cells_folder)
            row.stale.update([why] if why else [])
            if cell is None:
                jobs.append(job)
            else:
                row.reused += 1
                row.not_finite.update(execution.not_finite(setting.study, cell.arrays).keys())
    reasons = [f"left out {', '.join(names)}: {why}" for why, names in left_out.items()]
    return Plan(cells_folder, rows, jobs, reasons, keep_stale)


def _job(
    stem: str, setting: Setting, seed: int, inputs: Inputs | None, row: Row, keep_stale: bool
) -> Job:
    study, config = setting.study, setting.config
    checksum = inputs.checksum if inputs else None
    identity = storage.identity(stem, study.name, study.version, config, seed, checksum)
    return Job(
        row=row,
        study=study,
        config=config,
        seed=seed,
        identity=identity,
        name=storage.cell_name(identity),
        source=inputs.source if inputs else None,
        code=digest.of_study(study),
        keep_stale=keep_stale,
    )


def _check_read(data: Path, uses: Sequence[Use], settings: Sequence[Setting]) -> None:
    """See that images are read from the folder that was given for them."""
    folder = data.resolve()
    if any(use.folder and use.folder.resolve().is_relative_to(folder) for use in uses):
        return
    named = {use.name for use in uses}
    fields = [
        field.name
        for setting in settings
        for field in dataclasses.fields(setting.config)
        if getattr(setting.config, field.name) in named
    ]
    option = fields[0] if fields else "dataset"
    raise ValueError(
        f"data {data} is not read by what is to be run, which uses "
        f"{', '.join(sorted(named)) or 'no images'}: name a set of images that is in it, such as "
        f"--{option} NAME for NAME.npz, and by --only the settings that are to use it."
    )


def _check_kinds(settings: Sequence[Setting], overrides: Mapping[str, Any]) -> None:
    """See that no setting without images is given some, as its label and text speak of none."""
    words = [value for value in overrides.values() if isinstance(value, str)]
    wrong: list[str] = []
    right: list[str] = []
    for setting in settings:
        if execution.names_data(setting.study, setting.config, words):
            (right if _reads_images(setting) else wrong).append(setting.name)
    if wrong:
        which = " ".join(shlex.quote(name) for name in right[:3])
        more = f" and {len(wrong) - 3} more" if wrong[3:] else ""
        raise ValueError(
            f"{' and '.join(words)} would put images into settings that have none, "
            f"{', '.join(wrong[:3])}{more}: "
            + (f"select those with images, such as --only {which}." if right else "none has any.")
        )


def _reads_images(setting: Setting) -> bool:
    """Whether the setting of the scale reads images, there or not."""
    try:
        return bool(execution.data_used(setting.study, setting.own))
    except MissingData:
        return True
