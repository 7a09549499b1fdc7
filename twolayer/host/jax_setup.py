"""Set JAX's precision, random generator and compilation cache."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax import Array

# What settings, and variables such as JAX_DEFAULT_PRNG_IMPL, would otherwise decide.
_GENERATOR = "threefry2x32"


@contextlib.contextmanager
def numerics() -> Iterator[None]:
    """Compute in float64, with one random generator, whatever JAX's settings.

    Every engine (``verify``, ``falsify``, ``certify``, a run of a simulation) enters it itself, so
    that it gives the same numbers from Python with JAX's default settings as from the command line.
    The settings hold for the thread that enters and end with the block; a thread or process that is
    started inside must enter it again. It is a context manager and a decorator::

        with jax_setup.numerics():
            x = jax.random.normal(jax_setup.key(0), (3,))  # float64

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
    """Make the random key of a seed, independent of JAX's settings.

    It is ``jax.random.key(seed)`` with JAX's default settings and float64 on. What is drawn with it
    is the same under :func:`numerics` alone.

    Args:
      seed: in [0, 2**63).
    """
    words = jax.numpy.array([seed >> 32, seed & 0xFFFFFFFF], np.uint32)
    return jax.random.wrap_key_data(words, impl=_GENERATOR)


def own_key(given: Array) -> Array:
    """Convert a key of any kind to the generator of :func:`numerics`.

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
    """Print each warning of this process as one line.

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


def single_threaded() -> None:
    """Run each program of this process on one thread.

    For many small programs. [measured] With two threads of XLA's own (jax 0.10.2, CPU) batched
    decompositions of 16 rows and more came to a standstill, all threads waiting for work.
    """
    os.environ["NPROC"] = "1"
    jax.config.update("jax_cpu_enable_async_dispatch", False)
