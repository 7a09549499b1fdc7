"""Compute the missing cells of a stem: check everything first, then run, store and report.

On CPU each core computes one cell at a time, so that a killed run loses no more than those in
flight; on accelerators the missing seeds of a config go in one call, spread over all of them. Runs
at the same time on the same folder divide the cells among them (see ``sims.leases``).
"""

from __future__ import annotations

import dataclasses
import itertools
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from tqdm import tqdm

from sims import catalogue, compute, leases, storage
from sims.data import DATA_VARIABLE, MissingData
from sims.experiment import SCALES, Experiment, Study
from theory import arguments, files, runtime

# Seconds between two looks at whether another run has stored a cell.
_LOOK = 0.5


@dataclasses.dataclass
class Row:
    """What a run did for one label; cells of other runs count as reused."""

    study: str
    label: str
    cells: int
    computed: int = 0
    reused: int = 0
    seconds: float = 0.0


@dataclasses.dataclass(frozen=True)
class Job:
    """One cell to be: its row in the report, and what it is the result of."""

    row: Row
    study: Study
    config: Any
    seed: int
    identity: dict[str, Any]
    name: str
    source: str | None


class Plan:
    """A checked run: the cells that are there, and those to compute.

    Attributes:
      folder: where the cells of the stem lie.
      rows: one :class:`Row` for each label.
      left_out: one line for each data set that is not installed and whose cells can be left out.
    """

    def __init__(self, folder: Path, rows: list[Row], jobs: list[Job], left_out: list[str]):
        self.folder = folder
        self.rows = rows
        self.left_out = left_out
        self._jobs = {job.name: job for job in jobs}

    @property
    def total(self) -> int:
        """The number of cells."""
        return sum(row.cells for row in self.rows)

    @property
    def done(self) -> int:
        """How many of the cells are on the disk by now."""
        return sum(row.computed + row.reused for row in self.rows)

    @property
    def missing(self) -> int:
        """How many of the cells are not on the disk, as far as this plan has looked."""
        return len(self._jobs)

    def lacking(self) -> list[str]:
        """The missing cells as a reader calls them."""
        return [f"{job.row.study}/{job.row.label} seed {job.seed}" for job in self._jobs.values()]

    def batches(self, of: Callable[[str], bool] = lambda name: True) -> list[list[Job]]:
        """The missing cells, or some by name, by the call that computes them: one, or a label's."""
        jobs = [job for job in self._jobs.values() if of(job.name)]
        if jax.default_backend() == "cpu":
            return [[job] for job in jobs]
        return [list(group) for _, group in itertools.groupby(jobs, key=lambda job: id(job.row))]

    def free(self) -> int:
        """How many of the missing cells no other run is computing now; see `Leases.settle`."""
        held = leases.Leases(self.folder)
        held.settle(self._jobs)
        return sum(map(held.is_free, self._jobs))

    def execute(
        self,
        progress: bool = True,
        *,
        part: tuple[int, int] = (0, 1),
        wait: bool = True,
        processes: int = 1,
    ) -> None:
        """Compute the missing cells that no other run is computing.

        Progress is a bar where stderr is a terminal; elsewhere nothing is printed.

        Args:
          progress: whether to show it.
          part: ``(i, k)`` begins with the i-th of k parts of the missing cells (from 0), and goes
            on with what is left of the others: so k runs divide the work without getting in each
            other's way.
          wait: whether to stay until the cells of other runs are there, and to compute those that
            such a run leaves behind when it is killed; otherwise only those that one has left.
          processes: how many processes share the cores of this machine.

        Raises:
          NotWritten: if the folder or its disk does not take the results; what is stored is whole.
        """
        index, count = part
        provenance = storage.provenance()
        workers = cells_at_once(processes)
        show = progress and sys.stderr.isatty()
        batches = self.batches()
        start = len(batches) * index // count
        own = len(batches) * (index + 1) // count - start
        batches = batches[start:] + batches[:start]
        compute.compile_ahead(
            [(jobs[0].study, jobs[0].config, len(jobs)) for jobs in batches[:own]]
        )
        running: dict[str, None] = {}

        def compute_batch(jobs: list[Job]) -> tuple[list[dict[str, np.ndarray]], float]:
            name = f"{jobs[0].row.study}/{jobs[0].row.label} seed {jobs[0].seed}"
            running[name] = None
            bar.set_postfix_str(", ".join(list(running)))
            start = time.perf_counter()
            results = compute.results(
                jobs[0].study,
                jobs[0].config,
                [job.seed for job in jobs],
                jobs[0].identity["data"],
            )
            del running[name]
            return results, time.perf_counter() - start

        def attempt(batch: list[Job]) -> tuple[list[Job], list[dict[str, np.ndarray]], float]:
            """Those of the cells that are free now, with their results."""
            jobs = [job for job in batch if held.take(job.name)]
            # Stored by another run between the plan and now: counted when next looked for.
            stored = [job for job in jobs if storage.read(self.folder, job.name) is not None]
            for job in stored:
                held.release(job.name)
            jobs = [job for job in jobs if job not in stored]
            results, seconds = compute_batch(jobs) if jobs else ([], 0.0)
            return jobs, results, seconds

        with (
            leases.Leases(self.folder) as held,
            tqdm(total=self.total, initial=self.done, unit="cell", disable=not show) as bar,
        ):
            while batches:
                for _, (jobs, results, seconds) in compute.side_by_side(attempt, batches, workers):
                    for job, arrays in zip(jobs, results, strict=True):
                        storage.write(
                            self.folder,
                            job.identity,
                            arrays,
                            {
                                **provenance,
                                "dims": job.study.dims,
                                "coords": job.study.coords(job.config),
                                "source": job.source,
                                # Its share of the wall clock: seconds of cells add up to it.
                                "seconds": seconds / len(jobs) / workers / processes,
                            },
                        )
                        held.release(job.name)
                        del self._jobs[job.name]
                        job.row.computed += 1
                        bar.update()
                    if jobs:
                        jobs[0].row.seconds += seconds / workers
                bar.update(self.look())
                if not wait:
                    held.settle(self._jobs)
                batches = self.batches(lambda name: wait or held.is_free(name))
                if batches:
                    time.sleep(_LOOK)

    def look(self, ours: bool = False) -> int:
        """Count the cells that other processes have stored by now, and say how many are new.

        With ``ours`` they count as computed, with their seconds, as work of this run.
        """
        stored = storage.names(self.folder) if self._jobs else set()
        found = 0
        for name in [name for name in self._jobs if name in stored]:
            cell = storage.read(self.folder, name)
            if cell is None:
                continue
            job = self._jobs.pop(name)
            found += 1
            if ours:
                job.row.computed += 1
                job.row.seconds += cell.sidecar["seconds"]
            else:
                job.row.reused += 1
        return found

    def report(self) -> str:
        """A table of the labels, and where the results are."""
        names = [f"{row.study}/{row.label}" for row in self.rows]
        width = max(map(len, ["label", *names]))
        lines = [f"{'label':{width}}  computed  reused  seconds"]
        for name, row in zip(names, self.rows, strict=True):
            lines.append(f"{name:{width}}  {row.computed:8}  {row.reused:6}  {row.seconds:7.1f}")
        others = [f"cells left to other runs: {self.missing}"] if self._jobs else []
        return "\n".join([*lines, *self.left_out, *others, f"results in {self.folder}"])


def run(
    stem: str,
    scale: str = "default",
    folder: str | Path = "results",
    *,
    seeds: int | None = None,
    overrides: Mapping[str, Any] | None = None,
    only: Sequence[str] | None = None,
    data: str | Path | None = None,
    progress: bool = True,
) -> Plan:
    """Compute what is missing of a stem at one scale; arguments and errors as :func:`plan`."""
    planned = plan(stem, scale, folder, seeds=seeds, overrides=overrides, only=only, data=data)
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
    write: bool = True,
) -> Plan:
    """See that a run can be done and which cells it lacks; computes nothing yet.

    Args:
      stem: a name of ``sims.catalogue``.
      scale: one of ``experiment.SCALES``.
      folder: the root of the results; the cells lie in its subfolder ``stem``.
      seeds: instead of the number of seeds that the scale has.
      overrides: values by field name, for every selected config that has the field.
      only: the labels to run; all by default.
      data: where files of images are: ``TWOLAYER_DATA`` of this process from now on.
      write: make the folder, or see that it can be written; without it nothing is written.

    Raises:
      ValueError: naming the argument, for an unknown stem, scale, label or field, for a value that
        the config rejects, for missing data that is not optional or was asked for by its label, or
        for a folder that cannot be written.
    """
    experiment = catalogue.get(stem)
    selected = _select(experiment, scale, seeds, overrides or {}, only)
    if data is not None:
        if not Path(data).is_dir():
            raise ValueError(f"data must be a folder; got {str(data)!r}.")
        os.environ[DATA_VARIABLE] = str(data)
    cells_folder = Path(folder) / stem
    if write:
        files.prepare("results folder", Path(folder), stem)
    compute.forget_inputs()
    rows, jobs = [], []
    planned: set[str] = set()
    left_out: dict[str, list[str]] = {}
    for study, label, config, num_seeds in selected:
        try:
            inputs = compute.load_inputs(study, config)
        except MissingData as error:
            if only or not study.optional(config):
                raise
            left_out.setdefault(str(error), []).append(f"{study.name}/{label}")
            continue
        row = Row(study.name, label, num_seeds)
        rows.append(row)
        for seed in range(num_seeds):
            checksum = inputs.checksum if inputs else None
            cell = storage.identity(stem, study.name, study.version, config, seed, checksum)
            name = storage.cell_name(cell)
            # Overrides can make two labels the same cell.
            if name in planned or storage.read(cells_folder, name) is not None:
                row.reused += 1
            else:
                source = inputs.source if inputs else None
                jobs.append(Job(row, study, config, seed, cell, name, source))
            planned.add(name)
    reasons = [f"left out {', '.join(labels)}: {why}" for why, labels in left_out.items()]
    return Plan(cells_folder, rows, jobs, reasons)


def status(stem: str, folder: str | Path = "results") -> dict[str, tuple[int, int]]:
    """For each scale, how many cells are done and how many there are."""
    experiment = catalogue.get(stem)
    stored = storage.Index(Path(folder) / stem)
    counts = {}
    for scale in SCALES:
        cells = [
            storage.identity(stem, study.name, study.version, config, seed)
            for study, _, config, num_seeds in experiment.table(scale)
            for seed in range(num_seeds)
        ]
        counts[scale] = (sum(bool(stored.find_all(cell)) for cell in cells), len(cells))
    return counts


def _select(
    experiment: Experiment,
    scale: str,
    seeds: int | None,
    overrides: Mapping[str, Any],
    only: Sequence[str] | None,
) -> list[tuple[Study, str, Any, int]]:
    table = list(experiment.table(scale))
    if seeds is not None:
        arguments.integer("seeds", seeds)
    for label in only or ():
        arguments.choice("only", label, dict.fromkeys(label for _, label, _, _ in table))
    used = set()
    selected = []
    for study, label, config, num_seeds in table:
        if only and label not in only:
            continue
        names = {field.name for field in dataclasses.fields(config)} & set(overrides)
        used |= names
        changed = dataclasses.replace(config, **{name: overrides[name] for name in names})
        selected.append((study, label, changed, seeds or num_seeds))
    if not selected:
        raise ValueError(f"{experiment.stem} has nothing to run at scale {scale}.")
    if unused := sorted(set(overrides) - used):
        fields = {f.name for _, _, config, _ in selected for f in dataclasses.fields(config)}
        raise ValueError(
            f"overrides must be fields of the selected configs, {', '.join(sorted(fields))}; "
            f"got {', '.join(unused)}."
        )
    return selected


def cells_at_once(processes: int = 1) -> int:
    """How many calls each of so many processes on this machine has in flight.

    [measured] Two threads with a cell each do 1.9 times the work of one on two cores, where XLA's
    own threads make little of products as small as these.
    """
    return max(1, runtime.cores() // processes) if jax.default_backend() == "cpu" else 1
