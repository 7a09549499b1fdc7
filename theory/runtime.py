"""Set-up that commands and tests share: float64, the persistent cache, and quick compilation."""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import Any

import jax


def configure() -> None:
    """Turn on float64 and keep compiled functions on disk between runs.

    Simulations name their dtypes, so that float64 being available does not change them. The
    cache lies in ``$JAX_COMPILATION_CACHE_DIR``, or else ``$XDG_CACHE_HOME/twolayer``, or else
    ``~/.cache/twolayer``; a folder that cannot be made only costs the cache.
    """
    jax.config.update("jax_enable_x64", True)
    if not os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        base = os.environ.get("XDG_CACHE_HOME")
        folder = (Path(base) if base else Path.home() / ".cache") / "twolayer"
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            return
        jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


@functools.cache
def quick_options(level: int) -> dict[str, Any] | None:
    """Options of ``jit`` with which programs compile quickly on CPU; None on accelerators.

    For what is compiled once and run for seconds: at level 1 compilation takes about half of the
    usual time, and what spends its time in matrix products, which come compiled, runs as fast; at
    level 0 it is shortest, which pays where a thousand small instances are run. Without XLA's
    fusion emitters and with one module a program a third less again [measured]. Numbers stay
    within rounding.
    """
    if jax.default_backend() != "cpu":
        return None
    options: dict[str, Any] = {"xla_backend_optimization_level": level}
    more = {"xla_cpu_use_fusion_emitters": False, "xla_cpu_parallel_codegen_split_count": 1}
    try:
        jax.jit(lambda: 0.0, compiler_options={**options, **more}).lower().compile()
    except jax.errors.JaxRuntimeError:
        # A version of XLA without these options.
        return options
    return {**options, **more}
