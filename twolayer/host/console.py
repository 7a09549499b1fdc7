"""Run a command's main function with well-behaved standard streams."""

from __future__ import annotations

import errno
import io
import os
import sys
import traceback
from collections.abc import Callable
from typing import NoReturn

# What shells report of a program that a closed pipe ended: 128 + SIGPIPE.
CLOSED_PIPE = 141
UNWRITABLE = 2
# Unlike 1, which says that something did not hold.
ERROR_OF_THE_PROGRAM = 3
# Of a write; errors of opening a file name it, and are not of a stream.
_OF_WRITING = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


def run(main: Callable[[], int | None]) -> NoReturn:
    """Run a command's ``main`` and end the process with the status that it returns.

    A reader that leaves early, as ``head`` does, ends the command without a word and with status
    141. Where a standard stream is closed, as by ``2>&-``, what is written to it goes nowhere.
    Output that has no room, as on a full disk, is told in one line, with status 2. What the
    encoding of a terminal lacks is shown as Python escapes it. Any other exception is an error of
    the program: a traceback, and status 3.
    """
    _open_streams()
    try:
        try:
            status = main()
        finally:
            # Here and not at the interpreter's end, where a closed pipe can no longer be caught.
            sys.stdout.flush()
    except BrokenPipeError:
        _drop_output()
        sys.exit(CLOSED_PIPE)
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _OF_WRITING and error.filename is None:
            _drop_output()
            print(f"error: output cannot be written: {error.strerror}", file=sys.stderr)
            sys.exit(UNWRITABLE)
        traceback.print_exc()
        sys.exit(ERROR_OF_THE_PROGRAM)
    sys.exit(status)


def on_terminal() -> bool:
    """Tell whether messages go to a terminal."""
    return sys.stderr is not None and sys.stderr.isatty()


def _drop_output() -> None:
    """Discard further output, which the interpreter would flush."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _open_streams() -> None:
    """Give closed standard streams a place to write to.

    Else the next file that is opened takes the number of the stream, and receives what XLA says.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "r" if number == 0 else "w"))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
