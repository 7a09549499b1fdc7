"""What engines, commands and tests share: float64, one random generator, work in processes."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import jax
import numpy as np
from jax import Array

from twolayer.host import program_memory

Item = TypeVar("Item")
Result = TypeVar("Result")

# Held by programs of quick.
_one_at_a_time = threading.Lock()

# What settings, and variables such as JAX_DEFAULT_PRNG_IMPL, would otherwise decide.
_GENERATOR = "threefry2x32"


@contextlib.contextmanager
def numerics() -> Iterator[None]:
    """Compute in float64, with one random generator, whatever JAX's settings.

    Every engine (``verify``, ``falsify``, ``certify``, a run of a simulation) enters it itself, so
    that it gives the same numbers from Python with JAX's default settings as from the command line.
    The settings hold for the thread that enters and end with the block; a thread or process that is
    started inside must enter it again. It is a context manager and a decorator::

        with runtime.numerics():
            x = jax.random.normal(runtime.key(0), (3,))  # float64

    Decided inside:
      - float64 is there, and is the default of arrays that are made without a dtype;
      - keys that are made without naming a generator are of threefry2x32;
      - threefry draws in its partitionable form, in which a number does not depend on how the array
        is spread over devices;
      - matrix products have the precision that JAX gives them by default;
      - numbers of different dtypes may meet, as they do by default.

    Not decided:
      - the dtype of arrays that were made outside: float32 stays float32;
      - the generator of typed keys that were made outside (see :func:`own_key`), and the seed of
        ``jax.random.key`` where ``jax_random_seed_offset`` is set (see :func:`key`);
      - device, number of threads, instruction set and XLA's flags, which change results within
        rounding;
      - what only refuses or reports, such as ``jax_debug_nans`` or ``jax_numpy_rank_promotion``.
    """
    with (
        jax.enable_x64(True),
        jax.default_prng_impl(_GENERATOR),
        jax.threefry_partitionable(True),
        jax.default_matmul_precision(None),
        jax.numpy_dtype_promotion("standard"),
    ):
        yield


def key(seed: int) -> Array:
    """Root random key of a seed, the same under all settings of JAX.

    It is ``jax.random.key(seed)`` with JAX's default settings and float64 on. What is drawn with it
    is the same under :func:`numerics` alone.

    Args:
      seed: in [0, 2**63).
    """
    words = jax.numpy.array([seed >> 32, seed & 0xFFFFFFFF], np.uint32)
    return jax.random.wrap_key_data(words, impl=_GENERATOR)


def own_key(given: Array) -> Array:
    """Key of the generator of :func:`numerics` for a key of any kind.

    Args:
      given: a key or an array of keys, typed or raw (``jax.random.PRNGKey``), of any generator.

    Returns:
      Typed keys of threefry2x32: the given ones where they are that, else those of their first 64
      bits. Keys of ``rbg`` that come from one seed by splitting and folding hold those of threefry
      twice, and so give what threefry's would.

    Raises:
      ValueError: for what is no key.
    """
    try:
        typed = jax.dtypes.issubdtype(given.dtype, jax.dtypes.prng_key)
        words = (jax.random.key_data(given) if typed else given)[..., :2]
        if words.shape[-1] == 1:  # a generator of shorter keys
            words = jax.numpy.concatenate([jax.numpy.zeros_like(words), words], -1)
        return jax.random.wrap_key_data(jax.numpy.asarray(words), impl=_GENERATOR)
    except (AttributeError, IndexError, TypeError, ValueError) as error:
        raise ValueError(f"key must be of jax.random.key or PRNGKey; got {given!r:.80}.") from error


def cores() -> int:
    """The cores that this process may use, which on a cluster are fewer than there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def configure() -> None:
    """Turn on float64 and fix the generator, keep compiled functions, factorise on one thread.

    For a whole process what :func:`numerics` is for a block. Simulations name their dtypes, so that
    float64 being available does not change them. The cache lies in ``$JAX_COMPILATION_CACHE_DIR``,
    or else ``$XDG_CACHE_HOME/twolayer``, or else ``~/.cache/twolayer``; a folder that cannot be
    made, or a user without a home, only costs the cache.
    """
    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_default_prng_impl", _GENERATOR)
    jax.config.update("jax_threefry_partitionable", True)
    jax.config.update("jax_default_matmul_precision", None)
    # Read by the first factorisation. [measured] Threads of the library wait in a busy loop:
    # ten decompositions of 600 x 600 beside other work took 1 s with one thread and 6 s with two.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    if not os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        base = os.environ.get("XDG_CACHE_HOME")
        try:
            folder = (Path(base) if base else Path.home() / ".cache") / "twolayer"
            folder.mkdir(parents=True, exist_ok=True)
        except (OSError, RuntimeError):  # a user of a container may have no home at all
            return
        jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


def warn_in_lines() -> None:
    """Have each warning of this process be a line of its command.

    One about a damaged entry of the compilation cache names the folder to remove, as JAX neither
    replaces the entry nor says where it is.
    """

    def line(message: Warning | str, *_: Any, **__: Any) -> str:
        text = " ".join(str(message).split())
        if "persistent compilation cache" in text:
            folder = jax.config.jax_compilation_cache_dir  # type: ignore[attr-defined]
            text += f"; to be rid of it remove the folder {folder}"
        return f"warning: {text}\n"

    warnings.formatwarning = line


def source_digest(*packages: str) -> str:
    """Identifies the Python code of top-level packages beside this one, such as ``"theory"``.

    What a command has measured is stale where this has changed since.
    """
    root = Path(__file__).parent.parent
    digest = hashlib.sha256()
    for package in packages:
        for path in sorted((root / package).rglob("*.py")):
            digest.update(path.relative_to(root).as_posix().encode() + b"\0")
            digest.update(path.read_bytes() + b"\0")
    return digest.hexdigest()


def single_threaded() -> None:
    """One thread for each program of this process, if XLA has not started in it yet.

    For many small programs. [measured] With two threads of XLA's own (jax 0.10.2, CPU) batched
    decompositions of 16 rows and more came to a standstill, all threads waiting for work.
    """
    os.environ["NPROC"] = "1"
    jax.config.update("jax_cpu_enable_async_dispatch", False)


class Quick:
    """A program of :func:`quick`; it can be compiled before it is called."""

    def __init__(self, function: Callable, options: dict[str, Any]):
        self._function = function
        self._options = options
        self._program: Any = jax.jit(function, compiler_options=options)

    def compile(self, *args: Any) -> None:
        """Compile for arguments of these shapes; later ones must have the same."""
        leaves, tree = jax.tree.flatten(args)
        # What describes arguments is no array, and records of arrays may check that.
        flat = jax.jit(
            lambda *leaves: self._function(*jax.tree.unflatten(tree, leaves)),
            compiler_options=self._options,
        )
        program = flat.lower(*leaves).compile()
        self._program = lambda *args: program(*jax.tree.leaves(args))

    def __call__(self, *args: Any) -> Any:
        """The results, once they are there."""
        with _one_at_a_time:
            return jax.block_until_ready(self._program(*args))


def quick(function: Callable, level: int) -> Quick:
    """``jit`` for what is compiled once and run for seconds; not for use inside of other ``jit``.

    At level 1 compilation takes about half of the usual time, and what spends its time in matrix
    products, which come compiled, runs as fast; at level 0 it is shortest, which pays where a
    thousand small instances are run [measured]. Without XLA's fusion emitters it takes half as long
    again [measured: 39 for 83 s of 23 theorems]. Numbers stay within rounding; the options are the
    same in every process, for that of a command must find what one of Python's finds.

    Calls wait for their results and for each other: two programs without fusion emitters at once
    were seen to wait for each other for ever.
    """
    options: dict[str, Any] = {"xla_backend_optimization_level": level}
    if jax.default_backend() == "cpu":
        options["xla_cpu_use_fusion_emitters"] = False
    return Quick(function, options)


def in_processes(
    work: Callable[[Item], Result], items: Sequence[Item]
) -> Iterator[tuple[Result, float]]:
    """What ``work`` gives for each item and its seconds, in order, as they come.

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
    """A worker whose parent has been killed would otherwise wait for work for ever."""
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
