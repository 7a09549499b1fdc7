"""Leases: which cells are being computed at the moment, so that runs on one folder share the work.

A lease is a small file in the subfolder ``.leases`` of the cells' folder, named after its cell and
a number. It is created so that of several processes only one can (``O_EXCL``), says who holds it,
and is touched as long as its holder lives. One that has expired stays where it is, and who takes
over creates the file of the next number, which again only one can. Leases save double work; that
results are whole does not rest on them, as cells are written atomically.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from pathlib import Path
from typing import Any

# Seconds between two touches of a lease, and after which an untouched one has expired. Clocks of
# machines that share a folder may differ by less than the second, or cells are computed twice.
HEARTBEAT = 5.0
EXPIRY = 60.0


class Leases:
    """The leases of this process on cells of a folder; a context that gives them all back."""

    def __init__(self, folder: Path):
        self._cells = folder
        self._folder = folder / ".leases"
        self._held: dict[str, Path] = {}
        self._ended = threading.Event()

    def __enter__(self) -> Leases:
        self._folder.mkdir(exist_ok=True)
        for path in self._folder.iterdir():
            # Of processes that were killed between storing a cell and giving its lease back.
            if (self._cells / f"{path.stem}.json").exists() and _expired(path):
                path.unlink(missing_ok=True)
        self._ended.clear()
        threading.Thread(target=self._touch, name="leases", daemon=True).start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._ended.set()
        for name in list(self._held):
            self.release(name)

    def is_free(self, name: str) -> bool:
        """Whether no live process holds the cell of this name."""
        return _is_free(self._numbered(name))

    def take(self, name: str) -> bool:
        """Whether the cell of this name is now this process's to compute.

        Between the caller's look at the cell and this call another process may have stored it and
        given its lease back: look again after taking it.
        """
        found = self._numbered(name)
        if not _is_free(found):
            return False
        path = self._folder / f"{name}.{max(found, default=0) + 1}"
        try:
            with open(path, "x") as file:
                json.dump({"host": socket.gethostname(), "process": os.getpid()}, file)
        except FileExistsError:
            return False
        self._held[name] = path
        return True

    def release(self, name: str) -> None:
        """Give a lease back, and clear away the expired ones before it."""
        own = self._held.pop(name)
        for number, path in sorted(self._numbered(name).items()):
            if number <= int(own.suffix[1:]):
                path.unlink(missing_ok=True)

    def _numbered(self, name: str) -> dict[int, Path]:
        return {int(path.suffix[1:]): path for path in self._folder.glob(f"{name}.*")}

    def _touch(self) -> None:
        while not self._ended.wait(HEARTBEAT):
            for path in list(self._held.values()):
                try:
                    os.utime(path)
                except FileNotFoundError:  # given back meanwhile
                    continue


def _is_free(found: dict[int, Path]) -> bool:
    return not found or _expired(found[max(found)])


def _expired(path: Path) -> bool:
    try:
        if time.time() - path.stat().st_mtime > EXPIRY:
            return True
        holder = json.loads(path.read_text())
        if holder["host"] == socket.gethostname():
            os.kill(holder["process"], 0)  # only asks whether it lives
    except ProcessLookupError:
        return True
    except (OSError, ValueError):
        # Just given back, so that its cell is stored, or free at the next look; being written; or
        # of a process of another user.
        return False
    return False
