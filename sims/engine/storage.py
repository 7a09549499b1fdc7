"""Store each cell, one (config, seed), as ``.npz`` and ``.json``.

Both are written whole (see ``twolayer.host.atomic_io``), the sidecar last, so a process killed at
any moment leaves complete cells and at most a temporary file. The sidecar holds the hash of the
``.npz`` and a
digest of itself: a damaged cell is named in a warning and counts as absent. Of processes that write
the same cell the first one's stays. Where a stale cell is replaced the new arrays wait in a file of
their own, which the sidecar leads to from the moment that it is the new one. The name of a cell is
a hash of what it is the result of: stem, study, version, config, seed and the checksum of the data.
Nothing is ever pickled.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import io
import json
import math
import os
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from twolayer.host import atomic_io
from twolayer.sims import check_system

check_system()
import fcntl  # noqa: E402


@dataclasses.dataclass(frozen=True)
class Cell:
    """What was read back: the arrays, and the sidecar with their provenance."""

    arrays: dict[str, np.ndarray]
    sidecar: dict[str, Any]


def identity(
    stem: str, study: str, version: int, config: Any, seed: int, data: str | None = None
) -> dict[str, Any]:
    """What a cell is the result of, as JSON; ``data`` is the checksum of the data from outside."""
    values = dataclasses.asdict(config)
    return {
        "stem": stem,
        "study": study,
        "version": version,
        "config": {name: _plain(f"config field {name}", value) for name, value in values.items()},
        "seed": seed,
        "data": data,
    }


def cell_name(cell: Mapping[str, Any]) -> str:
    """The file name, without ending, of the cell with this identity."""
    return atomic_io.digest(cell)[:32]


def write(
    folder: Path,
    cell: Mapping[str, Any],
    arrays: Mapping[str, np.ndarray],
    details: Mapping[str, Any],
    *,
    is_stale: Callable[[Mapping[str, Any]], bool] = lambda sidecar: False,
) -> None:
    """Store a cell: the arrays, then the sidecar with the identity and the details.

    A cell that is there stays, unless its sidecar is stale: then it is what is read until the new
    one is whole, and from that moment on the new one is.

    Raises:
      NotWritten: if the folder or its disk does not take it.
    """
    name = cell_name(cell)
    payload = _npz(arrays)
    sidecar = {
        **_plain("sidecar", details),
        "cell": dict(cell),
        "npz_sha256": hashlib.sha256(payload).hexdigest(),
    }
    path, waiting = folder / f"{name}.npz", _waiting(folder, name, sidecar)
    with _alone(folder):
        try:
            there = _read(folder, name)
        except _Damaged:
            there = None
        if there is not None and not is_stale(there.sidecar):
            return
        atomic_io.write(path if there is None else waiting, payload)
        atomic_io.write(folder / f"{name}.json", _render(atomic_io.signed(sidecar)))
        if there is not None:
            _rename(waiting, path)
        for left_over in folder.glob(f"{name}.*.next"):  # by processes that were killed
            with contextlib.suppress(OSError):
                left_over.unlink()


def settle(folder: Path) -> None:
    """Give arrays that still wait, as their process was killed, their cells' names."""
    for path in folder.glob("*.next"):
        name = path.name.partition(".")[0]
        with _alone(folder), contextlib.suppress(_Damaged):
            sidecar = _read_sidecar(folder / f"{name}.json")
            if sidecar and path == _waiting(folder, name, sidecar) and path.exists():
                _rename(path, folder / f"{name}.npz")


def read(folder: Path, name: str) -> Cell | None:
    """A stored cell; None if there is none, or, with a warning, if a file of it is damaged."""
    try:
        return _read(folder, name)
    except _Damaged as damage:
        warnings.warn(str(damage), stacklevel=2)
        return None


def read_sidecar(folder: Path, name: str) -> dict[str, Any] | None:
    """The sidecar of a stored cell alone; None, and a warning, as :func:`read`."""
    try:
        return _read_sidecar(folder / f"{name}.json")
    except _Damaged as damage:
        warnings.warn(str(damage), stacklevel=2)
        return None


def names(folder: Path) -> list[str]:
    """The names of the stored cells, intact or not, in order."""
    return sorted(entry.stem for entry in folder.glob("*.json"))


class _Damaged(Exception):
    def __init__(self, path: Path, what: str):
        super().__init__(f"{path} is damaged and not used: it {what}.")


def _read(folder: Path, name: str) -> Cell | None:
    path, seen = folder / f"{name}.npz", None
    while sidecar := _read_sidecar(folder / f"{name}.json"):
        payload = _contents(path)
        if not _is_of(payload, sidecar):
            payload = _contents(_waiting(folder, name, sidecar)) or payload
        if _is_of(payload, sidecar):
            return Cell(_arrays(path, payload or b""), sidecar)
        # Between two looks at the same sidecar no other process can have been replacing the cell.
        if sidecar == seen:
            what = "does not have the hash that its sidecar states" if payload else "is missing"
            raise _Damaged(path, what)
        seen = sidecar
    return None


def _is_of(payload: bytes | None, sidecar: Mapping[str, Any]) -> bool:
    return payload is not None and hashlib.sha256(payload).hexdigest() == sidecar["npz_sha256"]


def _arrays(path: Path, payload: bytes) -> dict[str, np.ndarray]:
    try:
        with np.load(io.BytesIO(payload), allow_pickle=False) as archive:
            return {key: archive[key] for key in archive.files}
    # Its hash can be right and yet no run of this program have written it.
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise _Damaged(path, "does not hold arrays of numbers") from error


def _waiting(folder: Path, name: str, sidecar: Mapping[str, Any]) -> Path:
    return folder / f"{name}.{sidecar['npz_sha256'][:16]}.next"


def _rename(source: Path, target: Path) -> None:
    try:
        os.replace(source, target)
    except OSError as error:
        raise atomic_io.NotWritten(atomic_io.failure(target.parent, error)) from error


def _read_sidecar(path: Path) -> dict[str, Any] | None:
    """A sidecar whose every byte is as written; None if there is none."""
    payload = _contents(path)
    if payload is None:
        return None
    try:
        sidecar = json.loads(payload)
        # The second comparison sees what the parser forgives, such as changed white space.
        intact = atomic_io.is_intact(sidecar) and payload == _render(sidecar)
    except (ValueError, LookupError, AttributeError, TypeError, RecursionError):
        intact = False
    if not intact:
        raise _Damaged(path, "does not have the digest that it states")
    if cell_name(sidecar["cell"]) != path.stem:
        raise _Damaged(path, "belongs to a cell of another name")
    return sidecar


def _contents(path: Path) -> bytes | None:
    """The bytes of a file; None if it is not there."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _Damaged(path, f"cannot be read ({error.strerror})") from error


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """While no other process of this machine writes a cell of this folder.

    Two processes that write the same cell at once, with results that differ in their last digits,
    would otherwise pair the arrays of one with the sidecar of the other.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise atomic_io.NotWritten(atomic_io.failure(folder, error)) from error
    try:
        with contextlib.suppress(OSError):  # not every network's folders can be locked
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _npz(arrays: Mapping[str, np.ndarray]) -> bytes:
    """An ``.npz`` whose bytes depend on nothing but the arrays: sorted, undated, uncompressed."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in sorted(arrays):
            array = np.asarray(arrays[name], order="C")
            if array.dtype.kind not in "biufc":
                raise ValueError(f"result {name} must hold numbers; got dtype {array.dtype}.")
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as file:
                np.lib.format.write_array(file, array, allow_pickle=False)
    return buffer.getvalue()


def _plain(name: str, value: Any) -> Any:
    """``value`` as JSON can say it exactly; equal numbers become the same text."""
    if value is None or isinstance(value, (str, bool)):
        return value
    if isinstance(value, (np.ndarray, np.generic)):
        return _plain(name, value.tolist())
    if isinstance(value, (int, float)):
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"{name} must be finite to be stored; got {value}.")
        return int(value) if value == int(value) else float(value)
    if isinstance(value, (tuple, list)):
        return [_plain(name, item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): _plain(f"{name} {key}", item) for key, item in value.items()}
    raise ValueError(
        f"{name} must be made of numbers, words and tuples of them; got {value!r:.80}."
    )


def _render(value: Any) -> bytes:
    return (json.dumps(value, sort_keys=True, indent=1, allow_nan=False) + "\n").encode()
