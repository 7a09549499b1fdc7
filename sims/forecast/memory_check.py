"""Check that a planned run fits into memory."""

from __future__ import annotations

import contextlib
import math
import os
from pathlib import Path

import jax

from twolayer.sims.engine import execution
from twolayer.sims.engine.sweep import Plan
from twolayer.sims.forecast import jaxpr as programs
from twolayer.sims.forecast import peak_memory

# Where Linux tells what a container may use.
_CGROUP = Path("/sys/fs/cgroup/memory.max")


def check_memory(plan: Plan) -> None:
    """See that each call of a run fits into the memory of a device; computes nothing.

    Raises:
      ValueError: if one does not.
    """
    there = total_memory()
    calls = {(jobs[0].study, jobs[0].config, len(jobs)): jobs[0] for jobs in plan.batches()}
    seen = set()
    for (study, config, num_seeds), job in calls.items():
        jaxpr, args, program = execution.traced_program(study, config, num_seeds)
        if program in seen:
            continue
        seen.add(program)
        needed = peak_memory.peak(programs.block(jaxpr, args, known=(1,), turns=study.turns))
        if needed > there:
            raise ValueError(
                f"{job.row.name} needs {in_words(needed)} of memory for one call, and this "
                f"machine has {in_words(there)}; see twolayer plan."
            )


def total_memory() -> float:
    """Bytes of memory of a device; infinity if nobody tells."""
    if jax.default_backend() != "cpu":
        told = jax.local_devices()[0].memory_stats() or {}
        return told.get("bytes_limit", float("inf"))
    sizes = [float("inf")]
    with contextlib.suppress(ValueError, OSError):
        sizes.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    with contextlib.suppress(ValueError, OSError):  # the word max is no number
        sizes.append(int(_CGROUP.read_text()))
    return min(sizes)


def in_words(number: float) -> str:
    """A number of bytes in the largest unit that fits."""
    power = min(4, max(0, int(math.log(max(number, 1), 1000))))
    return f"{number / 1000**power:.3g} {['B', 'kB', 'MB', 'GB', 'TB'][power]}"
