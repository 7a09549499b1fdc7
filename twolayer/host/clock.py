"""Tell whether time is left."""

from __future__ import annotations

import time
from collections.abc import Callable


def deadline(seconds: float) -> Callable[[], bool]:
    """Return a function that tells whether time is left."""
    end = time.perf_counter() + seconds
    return lambda: time.perf_counter() < end
