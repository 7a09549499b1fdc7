"""Lease cells, so that runs on one folder share the work.

A lease is a small file in the subfolder ``.leases`` of the cells' folder, named after its cell and
a number. It is created so that of several processes only one can (``O_EXCL``), says who holds it,
and is touched as long as its holder lives. One that has expired stays where it is, and who takes
over creates the file of the next number, which again only one can. Leases save double work; that
results are whole does not rest on them, as cells are written atomically.

Clocks are not compared, as those of two machines may differ and any may be set: who finds a lease
watches whether it is touched, for a minute of its own.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import threading
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

from twolayer.host import atomic_io

# Seconds between two touches of a lease, and after which one that is watched and stays untouched
# has expired.
HEARTBEAT = 5.0
EXPIRY = 60.0
# Seconds between two looks at leases that are waited for.
_LOOK = 0.5


@dataclasses.dataclass(frozen=True)
class _Watch:
    """What this process has observed of another's lease."""

    stamp: int
    since: float
    touched: bool = False


class Leases:
    """A context manager that leases cells of a folder.

    Raises:
      NotWritten: on entering and from :meth:`take`, if the folder or its disk does not take them.
    """

    def __init__(self, folder: Path):
        self._cells = folder
        self._folder = folder / ".leases"
        self._held: dict[str, Path] = {}
        self._watched: dict[Path, _Watch] = {}
        self._ended = threading.Event()

    def __enter__(self) -> Leases:
        try:
            if self._folder.is_symlink():
                raise OSError("it must not be a link")
            self._folder.mkdir(exist_ok=True)
        except OSError as error:
            raise atomic_io.NotWritten(atomic_io.failure(self._folder, error)) from error
        self._clear()
        self._ended.clear()
        threading.Thread(target=self._touch, name="leases", daemon=True).start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._ended.set()
        with contextlib.suppress(OSError):  # they will expire
            for name in list(self._held):
                self.release(name)
            self._clear()

    def is_free(self, name: str) -> bool:
        """Tell whether a cell is free, as far as is known."""
        return self._is_free(self._numbered(name))

    def settle(self, names: Collection[str]) -> None:
        """Wait until it is known which of these cells are free.

        That takes a heartbeat where the holder lives on another machine, and at most a minute.
        """
        while any(
            (found := self._numbered(name)) and self._lives(found[max(found)]) is None
            for name in names
        ):
            time.sleep(_LOOK)

    def take(self, name: str) -> bool:
        """Try to lease a cell; True if this process may compute it.

        Between the caller's look at the cell and this call another process may have stored it and
        given its lease back: look again after taking it.
        """
        found = self._numbered(name)
        if not self._is_free(found):
            return False
        path = self._folder / f"{name}.{max(found, default=0) + 1}"
        try:
            with open(path, "x") as file:
                self._held[name] = path  # to be given back even if the disk is full
                json.dump(atomic_io.holder(), file)
        except FileExistsError:
            return False
        except OSError as error:
            raise atomic_io.NotWritten(atomic_io.failure(self._folder, error)) from error
        return True

    def release(self, name: str) -> None:
        """Give a lease back, and clear away the expired ones before it."""
        own = self._held.pop(name)
        for number, path in sorted(self._numbered(name).items()):
            if number <= int(own.suffix[1:]):
                path.unlink(missing_ok=True)

    def _numbered(self, name: str) -> dict[int, Path]:
        found = self._folder.glob(f"{name}.*")
        return {int(path.suffix[1:]): path for path in found if path.suffix[1:].isdecimal()}

    def _is_free(self, found: dict[int, Path]) -> bool:
        return not found or self._lives(found[max(found)]) is False

    def _lives(self, path: Path) -> bool | None:
        """Tell whether a lease's holder lives; None while unknown."""
        try:
            # Opening a file has its times fetched anew where the folder is on a network.
            with open(path, "rb") as file:
                stamp = os.fstat(file.fileno()).st_mtime_ns
                holder = json.loads(file.read())
        except OSError:
            # Given back just now, so that its cell is stored, or free at the next look.
            return True
        except ValueError:  # its holder is writing it, or was killed there
            holder = None
        if atomic_io.lives(holder) is False:
            return False
        now, seen = time.monotonic(), self._watched.get(path)
        if seen is None or seen.stamp != stamp:
            seen = self._watched[path] = _Watch(stamp, now, touched=seen is not None)
        if now - seen.since > EXPIRY:
            return False
        return True if seen.touched or atomic_io.lives(holder) else None

    def _clear(self) -> None:
        """Remove leases whose cells are stored already."""
        for path in self._folder.iterdir():
            if (self._cells / f"{path.stem}.json").exists() and self._lives(path) is False:
                path.unlink(missing_ok=True)

    def _touch(self) -> None:
        while not self._ended.wait(HEARTBEAT):
            for path in list(self._held.values()):
                with contextlib.suppress(OSError):  # given back meanwhile, or the disk fails
                    os.utime(path)
