"""Write files atomically, and report failures in one line.

A file is written under another name in its folder, flushed to the disk and renamed, so a process
killed at any moment leaves the old file or the new one. The other name says which process of which
machine is writing, so that the next command knows a dead process's file and removes it.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import socket
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# Seconds after which a temporary file of a process on another machine, which cannot be asked
# whether it lives, belongs to none: writing a file takes seconds.
STALE = 3600.0

_HINTS = {
    errno.ENOSPC: "make room on its disk",
    errno.EDQUOT: "make room in the quota",
    errno.EFBIG: "raise the limit on the size of files",
    errno.EROFS: "name another folder",
    errno.EACCES: "name another folder, or allow writing",
    errno.EPERM: "name another folder, or allow writing",
}


class NotWritten(OSError):
    """Report a file that could not be written, and what to do."""


def write(path: Path, payload: bytes) -> None:
    """Write a file atomically: it has the new content or the old.

    Raises:
      NotWritten: if the folder or its disk does not take it.
    """
    temporary = _temporary(path.parent)
    try:
        try:
            with open(temporary, "xb") as file:
                file.write(payload)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        # The rename itself is on the disk only once the folder is.
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise NotWritten(failure(path.parent, error)) from error


def prepare(what: str, root: Path, below: str = "") -> None:
    """Make a writable folder, and remove files of dead processes.

    Args:
      what: how messages call the folder, such as ``"results folder"``.
      root: the folder that the user named.
      below: a folder in it, which must not be a link: what is written stays below ``root``.

    Raises:
      ValueError: if the folder is such a link, or cannot be made or written.
    """
    folder = root / below
    if "\0" in str(folder):
        raise ValueError(f"{what} must be a path; got {str(folder)!r}.")
    try:
        is_link = below and folder.is_symlink()
        folder.mkdir(parents=True, exist_ok=True)
        probe = _temporary(folder)
        try:
            probe.write_bytes(b"?")
            # Ages are told by the one clock that stamps the folder's files.
            now = probe.stat().st_mtime
        finally:
            probe.unlink(missing_ok=True)
    except OSError as error:
        raise ValueError(f"{what} {failure(folder, error)}") from error
    if is_link:
        raise ValueError(f"{what} {folder} must not be a link; name the folder that it leads to.")
    for path in folder.glob(".*.tmp"):
        try:
            if _is_left_over(path, now):
                path.unlink()
        except FileNotFoundError:  # done with, or another process was faster
            continue


def target(name: str, path: Path) -> Path:
    """Check and resolve the path of a file to be written later.

    Raises:
      ValueError: naming the argument, if the file cannot be made or replaced: its folder is not
        there or not writable, or it is a folder, a device or a pipe.
    """
    try:
        leads_to = path.resolve()
        # Of a pipe that is open, such as /dev/stdout, the name at the end of links is none.
        fits = leads_to.parent.is_dir() and (path.is_file() or not path.exists())
    except (OSError, RuntimeError, ValueError):  # a name that no file can have, a circle of links
        fits = False
    if not fits:
        raise ValueError(f"{name} must be a file in a writable folder; got {path}.")
    prepare(f"{name} folder", leads_to.parent)
    return leads_to


def holder() -> dict[str, Any]:
    """Describe this process for :func:`lives`."""
    return {"host": _host(), "process": os.getpid()}


def lives(holder: Any) -> bool | None:
    """Tell whether a process lives; None for another machine's."""
    match holder:
        case {"host": str(host), "process": int(process)} if host == _host() and 0 < process < 1e9:
            try:
                os.kill(process, 0)  # only asks
            except ProcessLookupError:
                return False
            except OSError:  # it is another user's
                return True
            return True
    return None


def failure(folder: Path, error: OSError) -> str:
    """Explain in one line why a folder cannot be written."""
    hint = _HINTS.get(error.errno or 0)
    why = f"{error.strerror or error}; {hint}" if hint else error.strerror or error
    return f"{folder} cannot be written: {why}."


def digest(value: Any) -> str:
    """Hash a JSON value, whatever the order of its keys."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def signed(value: Mapping[str, Any]) -> dict[str, Any]:
    """Add to a JSON object the digest that :func:`is_intact` checks."""
    return {**value, "digest": digest(value)}


def is_intact(value: Mapping[str, Any]) -> bool:
    """Tell whether a signed object is unchanged."""
    return value["digest"] == digest({key: value[key] for key in value if key != "digest"})


def _is_left_over(path: Path, now: float) -> bool:
    writer = re.fullmatch(r"\.(\d{1,8})-[0-9a-f]{8}@(.*)\.tmp", path.name)
    if writer is None:  # not a file of ours
        return False
    known = lives({"host": writer[2], "process": int(writer[1])})
    return now - path.stat().st_mtime > STALE if known is None else not known


def _temporary(folder: Path) -> Path:
    return folder / f".{os.getpid()}-{uuid.uuid4().hex[:8]}@{_host()}.tmp"


def _host() -> str:
    return re.sub(r"[^\w.-]", "_", socket.gethostname())
