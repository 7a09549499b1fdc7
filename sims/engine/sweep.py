"""Execute a planned run, or resume a stopped one: missing and stale cells are computed and stored.

On CPU each core computes one cell at a time, so that a killed run loses no more than those in
flight; on accelerators the missing seeds of a config go in one call, spread over all of them. Runs
at the same time on the same folder divide the cells among them (see
``twolayer.host.leases``).
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
from tqdm import tqdm

from twolayer.host import console, jax_setup, leases, process_pool
from twolayer.sims.engine import execution, provenance, storage
from twolayer.sims.engine.jobs import Job, Row

# Seconds between two looks at whether another run has stored a cell.
_LOOK = 0.5


class Plan:
    """A checked run: the cells that are there, and those to compute.

    Attributes:
      folder: where the cells of the stem lie.
      rows: one :class:`Row` for each label.
      left_out: one line for each data set that is not installed and whose cells can be left out.
      keep_stale: whether cells that other code has computed are taken as they are.
    """

    def __init__(
        self,
        folder: Path,
        rows: list[Row],
        jobs: list[Job],
        left_out: list[str],
        keep_stale: bool,
    ):
        self.folder = folder
        self.rows = rows
        self.left_out = left_out
        self.keep_stale = keep_stale
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
        """How many of the cells are to be computed, as far as this plan has looked."""
        return len(self._jobs)

    def lacking(self) -> list[str]:
        """The missing cells as a reader calls them."""
        return [job.told for job in self._jobs.values()]

    def stale(self) -> list[str]:
        """For each reason why cells are stale, how many are and what becomes of them."""
        lines = []
        for why in dict.fromkeys(why for row in self.rows for why in row.stale):
            rows = [row for row in self.rows if row.stale[why]]
            names = ", ".join(row.name for row in rows[:3])
            names += f" and {len(rows) - 3} more" if rows[3:] else ""
            fate = "computed again"
            if why == provenance.OTHER_CODE:
                fate = "kept" if self.keep_stale else f"{fate} (--keep-stale keeps them)"
            count = sum(row.stale[why] for row in rows)
            lines.append(f"stale: {count} cells of {names}, {why}: {fate}")
        return lines

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

    @jax_setup.numerics()
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
        made = provenance.here()
        workers = cells_at_once(processes)
        show = progress and console.on_terminal()
        batches = self.batches()
        start = len(batches) * index // count
        own = len(batches) * (index + 1) // count - start
        batches = batches[start:] + batches[:start]
        execution.compile_ahead(
            [(jobs[0].study, jobs[0].config, len(jobs)) for jobs in batches[:own]]
        )
        running: dict[str, None] = {}

        def compute_batch(jobs: list[Job]) -> tuple[list[dict[str, np.ndarray]], float]:
            name = jobs[0].told
            running[name] = None
            bar.set_postfix_str(", ".join(list(running)))
            start = time.perf_counter()
            results = execution.results(
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
            stored = [job for job in jobs if job.look(self.folder)[0] is not None]
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
                for _, (jobs, results, seconds) in execution.side_by_side(
                    attempt, batches, workers
                ):
                    for job, arrays in zip(jobs, results, strict=True):
                        # Its share of the wall clock: seconds of cells add up to it.
                        share = seconds / len(jobs) / workers / processes
                        job.write(self.folder, arrays, share, made)
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
        stored = set(storage.names(self.folder)) if self._jobs else set()
        found = 0
        for name in [name for name in self._jobs if name in stored]:
            job = self._jobs[name]
            cell, _ = job.look(self.folder)
            if cell is None:
                continue
            del self._jobs[name]
            job.row.not_finite.update(execution.not_finite(job.study, cell.arrays).keys())
            found += 1
            if ours:
                job.row.computed += 1
                job.row.seconds += cell.sidecar["seconds"]
            else:
                job.row.reused += 1
        return found

    def report(self) -> str:
        """A table of the labels, and where the results are."""
        names = [row.name for row in self.rows]
        width = max(map(len, ["label", *names]))
        lines = [f"{'label':{width}}  computed  reused  seconds"]
        for name, row in zip(names, self.rows, strict=True):
            lines.append(f"{name:{width}}  {row.computed:8}  {row.reused:6}  {row.seconds:7.1f}")
        lines += [
            f"not finite: {result} of {row.name}, NaN or infinite in {count} of {row.cells} cells"
            for row in self.rows
            for result, count in row.not_finite.items()
        ]
        lines += self.left_out
        lines += [f"cells left to other runs: {self.missing}"] if self._jobs else []
        return "\n".join([*lines, f"results in {self.folder}"])


def cells_at_once(processes: int = 1) -> int:
    """How many calls each of so many processes on this machine has in flight.

    [measured] Two threads with a cell each do 1.9 times the work of one on two cores, where XLA's
    own threads make little of products as small as these.
    """
    return max(1, process_pool.cores() // processes) if jax.default_backend() == "cpu" else 1
