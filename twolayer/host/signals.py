"""End a command at once on Ctrl-C or SIGTERM."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator

from twolayer.host import console


@contextlib.contextmanager
def stopping(say: Callable[[], str]) -> Iterator[None]:
    """End the process on SIGINT and SIGTERM with one line.

    Python calls its signal handlers between two of its own instructions, so minutes late where one
    compiled call takes minutes. The number of the signal is written to a socket without delay, and
    a thread waits for it there. Files are written so that any moment is a good one to stop.

    Args:
      say: what is done and how to go on, asked when the signal has come.
    """
    reader, writer = socket.socketpair()
    writer.setblocking(False)

    def wait() -> None:
        with reader:
            number = reader.recv(1)
        if number:
            # A progress bar leaves the cursor behind it.
            start = "\n" if console.on_terminal() else ""
            print(f"{start}stopped: {say()}", file=sys.stderr)
            sys.stderr.flush()
            os._exit(128 + number[0])

    threading.Thread(target=wait, daemon=True).start()
    before = signal.set_wakeup_fd(writer.fileno())
    handlers = {
        number: signal.signal(number, lambda *_: None) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(before)
        writer.close()
