"""Report wrong input and unwritable files in one line."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator

from twolayer.host import atomic_io

# Exit statuses: something did not hold or could not be finished; wrong use.
FAILED, WRONG_USE = 1, 2


@contextlib.contextmanager
def wrong_input() -> Iterator[None]:
    """Report wrong input in one line, with status 2.

    What a computation raises is not for here: that is an error of the program.
    """
    try:
        yield
    except (ValueError, ImportError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(WRONG_USE)


@contextlib.contextmanager
def whole_files(so_far: Callable[[], str]) -> Iterator[None]:
    """Report a full disk in one line, with status 1."""
    try:
        yield
    except atomic_io.NotWritten as error:
        print(f"stopped: {error} {so_far()}", file=sys.stderr)
        sys.exit(FAILED)
