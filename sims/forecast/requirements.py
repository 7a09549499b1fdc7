"""Forecast the memory, flops and time of each label of a run.

The work is counted from the traced programs (``twolayer.sims.forecast.op_counts``), its time
follows from the balance of this machine (``twolayer.sims.forecast.machine``), and that of the run
from going through it as the runner does.
"""

from __future__ import annotations

import collections
import dataclasses
import time
from collections.abc import Hashable, Sequence

import jax
from tqdm import tqdm

from twolayer.host import console, process_pool
from twolayer.sims.engine import execution, sweep
from twolayer.sims.engine.experiment import Study
from twolayer.sims.forecast import jaxpr as programs
from twolayer.sims.forecast import machine as balance
from twolayer.sims.forecast import memory_check, op_counts, peak_memory
from twolayer.sims.forecast.machine import Balance
from twolayer.sims.forecast.op_counts import Work


@dataclasses.dataclass
class Need:
    """What the missing cells of a label need.

    Attributes:
      name: study and label.
      missing: how many cells are missing.
      total: how many there are.
      bytes: memory of one call on each of its devices, at its worst moment.
      work: of all missing cells.
      seconds: their share of the run's time; these add up to what the run takes.
    """

    name: str
    missing: int
    total: int
    bytes: float = 0.0
    work: Work = dataclasses.field(default_factory=Work)
    seconds: float = 0.0


@dataclasses.dataclass(frozen=True)
class Call:
    """One call of a program: the row it counts for, what it takes, and the program's compile.

    Attributes:
      row: index of the label.
      seconds: of the call on its own.
      program: equal for calls of one program.
      compiling: seconds to compile the program.
    """

    row: int
    seconds: float
    program: Hashable
    compiling: float


@dataclasses.dataclass(frozen=True)
class Forecast:
    """The needs of each label, of the run, and the balance that its times rest on."""

    needs: list[Need]
    seconds: float
    bytes: float
    calls_at_once: int
    balance: Balance
    left_out: list[str]

    def report(self) -> str:
        """A table of the labels, totals, and the machine's balance."""
        missing = sum(need.missing for need in self.needs)
        total = sum(need.total for need in self.needs)
        work = sum((need.work for need in self.needs), Work())
        everything = Need("total", missing, total, self.bytes, work, self.seconds)
        rows = [
            (
                need.name,
                f"{need.missing}/{need.total}",
                *(_shown(need) if need.missing else ("-", "-", "-")),
            )
            for need in [*self.needs, everything]
        ]
        table = [("label", "missing", "memory", "flops", "time"), *rows]
        name, *others = (max(map(len, column)) for column in zip(*table, strict=True))
        lines = [
            f"{row[0]:{name}}"
            + "".join(f"  {cell:>{width}}" for cell, width in zip(row[1:], others, strict=True))
            for row in table
        ]
        lines += self.left_out
        if missing:
            at_once = f"{self.calls_at_once} calls at a time"
            lines += [
                f"memory: of a call; total: of {at_once}, the largest, without the libraries' own",
                "time: compiling included, which programs that are in the cache spare",
                f"balance: {self.balance.describe()}",
            ]
        return "\n".join(lines)


def forecast(plan: sweep.Plan, measured: Balance | None = None) -> Forecast:
    """What a planned run will need; computes and writes nothing.

    Args:
      plan: from ``twolayer.sims.engine.plan.plan``.
      measured: the machine's balance; measured now if left out, if anything is missing.

    Returns:
      The forecast. Loops that end when they have converged are taken to make ``Study.turns`` steps.
    """
    needs = [Need(f"{row.study}/{row.label}", 0, row.cells) for row in plan.rows]
    places = {id(row): place for place, row in enumerate(plan.rows)}
    batches = plan.batches()
    if measured is None:
        measured = balance.measure() if batches else Balance(Work(), 0.0)
    counted: dict[Hashable, tuple[Work, float, Hashable, float]] = {}
    calls = []
    for jobs in tqdm(batches, unit="call", leave=False, disable=not console.on_terminal()):
        study, config = jobs[0].study, jobs[0].config
        loading = 0.0
        kind = (study, config, len(jobs))
        if kind not in counted:
            # The run loads its data once more.
            start = time.perf_counter()
            execution.load_inputs(study, config)
            loading = time.perf_counter() - start
            counted[kind] = _count(study, config, len(jobs), measured)
        work, size, program, compiling = counted[kind]
        place = places[id(jobs[0].row)]
        need = needs[place]
        need.missing += len(jobs)
        need.bytes = max(need.bytes, size)
        need.work += work * execution.devices_of(len(jobs))
        calls.append(Call(place, measured.seconds(work) + loading, program, compiling))
    at_once = sweep.cells_at_once()
    shares, total = schedule(
        calls,
        workers=at_once,
        cores=process_pool.cores(),
        compiling=execution.compiled_at_once(),
        shared=jax.default_backend() == "cpu",
    )
    for place, share in shares.items():
        needs[place].seconds = share
    largest = sorted((need.bytes for need in needs for _ in range(need.missing)), reverse=True)
    together = sum(largest[:at_once])
    return Forecast(needs, total, together, at_once, measured, plan.left_out)


def _count(
    study: Study, config: object, num_seeds: int, measured: Balance
) -> tuple[Work, float, Hashable, float]:
    jaxpr, args, program = execution.traced_program(study, config, num_seeds)
    block = programs.block(jaxpr, args, known=(1,), turns=study.turns)
    return (
        op_counts.count(block),
        peak_memory.peak(block),
        program,
        measured.code * op_counts.code(block),
    )


def schedule(
    calls: Sequence[Call], *, workers: int, cores: int, compiling: int, shared: bool
) -> tuple[dict[int, float], float]:
    """Go through a run: calls in order by some workers, programs compiled ahead beside them.

    Whatever is under way gets an equal part of the cores, at most one each. A call waits for its
    program. As in a run, the time of a label is that of its calls, waiting included, divided by the
    number of workers.

    Args:
      calls: in the order of the run.
      workers: how many calls are under way at a time.
      cores: of this machine.
      compiling: how many programs are compiled at a time.
      shared: whether calls run on the cores that compile, and not on an accelerator.

    Returns:
      The seconds of every row that has calls, and those of the run.
    """
    seconds_to_compile = {call.program: call.compiling for call in calls}
    programs_left = list(seconds_to_compile.items())[::-1]
    calls_left = list(calls)[::-1]
    compiled: set[Hashable] = set()
    under_compile: dict[Hashable, float] = {}
    under_way: list[tuple[Call, float, list[float]]] = []
    spent: dict[int, float] = collections.defaultdict(float)
    now = 0.0
    while calls_left or under_way:
        while calls_left and len(under_way) < workers:
            call = calls_left.pop()
            under_way.append((call, now, [call.seconds]))
        while programs_left and len(under_compile) < compiling:
            program, seconds = programs_left.pop()
            under_compile[program] = seconds
        running = [entry for entry in under_way if entry[0].program in compiled]
        active = len(under_compile) + (len(running) if shared else 0)
        speed = min(1.0, cores / max(active, 1))
        own_speed = speed if shared else 1.0
        step = min(
            [left / speed for left in under_compile.values()]
            + [left[0] / own_speed for _, _, left in running],
            default=0.0,
        )
        now += step
        for program in list(under_compile):
            under_compile[program] -= step * speed
            if under_compile[program] <= 1e-12:
                compiled.add(program)
                del under_compile[program]
        for _, _, left in running:
            left[0] -= step * own_speed
        for call, start, left in running:
            if left[0] <= 1e-12:
                spent[call.row] += now - start
        under_way = [entry for entry in under_way if entry[2][0] > 1e-12]
    return {row: seconds / workers for row, seconds in spent.items()}, now


def _shown(need: Need) -> tuple[str, str, str]:
    """Memory, flops and time in words."""
    return memory_check.in_words(need.bytes), f"{need.work.total_flops:.2e}", _seconds(need.seconds)


def _seconds(number: float) -> str:
    for unit, size in (("days", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if number >= 2 * size:
            return f"{number / size:.3g} {unit}"
    return f"{number:.2g} s" if number < 100 else f"{number:.0f} s"
