"""Set-up that commands and tests share: float64 and the persistent compilation cache."""

from __future__ import annotations

import os
from pathlib import Path

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
