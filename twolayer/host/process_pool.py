"""Map a function over items in several processes."""

from __future__ import annotations

import functools
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

import jax

from twolayer.host import program_memory
from twolayer.host.jax_setup import configure, single_threaded

Item = TypeVar("Item")


Result = TypeVar("Result")


def cores() -> int:
    """Count the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def in_processes(
    work: Callable[[Item], Result], items: Sequence[Item]
) -> Iterator[tuple[Result, float]]:
    """Yield ``work``'s result and seconds for each item, in order.

    For work of seconds that holds Python's lock, as tracing and drawing do: one process a core, at
    most four, all on the CPU. A single item is worked on in this process.

    Args:
      work: a function of a module; it, the items and what it gives must be picklable.
      items: what to work on.
    """
    timed = functools.partial(_timed, work)
    workers = min(4, cores(), len(items))
    if workers < 2:
        yield from map(timed, items)
        return
    # Python's helper that tidies up after a command that was stopped would say so in two lines.
    os.environ.setdefault("PYTHONWARNINGS", "ignore::UserWarning:multiprocessing.resource_tracker")
    # Forked processes would inherit XLA's threads, locked.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_take_one_core) as pool:
        try:
            yield from pool.map(timed, items)
        finally:
            pool.shutdown(cancel_futures=True)


def _take_one_core() -> None:
    # Ctrl-C reaches every process of a terminal, and the first one answers it for all.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    # Nothing is shown here, so no backend is needed, and a notebook's may not be installed.
    os.environ.pop("MPLBACKEND", None)
    # Each process would take an accelerator's memory for itself.
    jax.config.update("jax_platforms", "cpu")
    single_threaded()
    configure()


def _end_with_parent() -> None:
    """End this worker when its parent process ends."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    multiprocessing.connection.wait([parent.sentinel])
    os._exit(1)


def _timed(work: Callable[[Item], Result], item: Item) -> tuple[Result, float]:
    start = time.perf_counter()
    result = work(item)
    seconds = time.perf_counter() - start
    program_memory.relieve()
    return result, seconds
