"""Results on disk: one cell, that is one (config, seed), is an ``.npz`` and a ``.json`` sidecar.

Both are written whole (see ``theory.files``), the sidecar last, so a process killed at any moment
leaves complete cells and at most a temporary file. The sidecar holds the hash of the ``.npz`` and a
digest of itself: a damaged cell is named in a warning and counts as absent. Of processes that write
the same cell the first one's stays. The name of a cell is a hash of what it is the result of: stem,
study, version, config, seed and the checksum of the data. Nothing is ever pickled.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import hashlib
import io
import json
import math
import os
import platform
import subprocess
import warnings
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from theory import files


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
    return files.digest(cell)[:32]


def write(
    folder: Path,
    cell: Mapping[str, Any],
    arrays: Mapping[str, np.ndarray],
    details: Mapping[str, Any],
) -> None:
    """Store a cell: the arrays, then the sidecar with the identity and the details.

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
    with _alone(folder):
        try:
            if _read(folder, name) is not None:
                return
        except _Damaged:
            pass
        files.write(folder / f"{name}.npz", payload)
        files.write(folder / f"{name}.json", _render(files.signed(sidecar)))


def read(folder: Path, name: str) -> Cell | None:
    """A stored cell; None if there is none, or, with a warning, if a file of it is damaged."""
    try:
        return _read(folder, name)
    except _Damaged as damage:
        warnings.warn(str(damage), stacklevel=2)
        return None


def names(folder: Path) -> set[str]:
    """The names of the stored cells, intact or not."""
    return {entry.stem for entry in folder.glob("*.json")}


class Index:
    """The cells of a folder by identity, for reading back where the data is not at hand."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._names: dict[str, list[str]] = {}
        for path in sorted(folder.glob("*.json")):
            try:
                sidecar = _read_sidecar(path)
            except _Damaged as damage:
                warnings.warn(str(damage), stacklevel=2)
                continue
            if sidecar is not None:
                self._names.setdefault(self._key(sidecar["cell"]), []).append(path.stem)

    def find(self, cell: Mapping[str, Any]) -> Cell | None:
        """The intact cell with this identity, whatever its data; ValueError if there are two."""
        found = self.find_all(cell)
        if len(found) > 1:
            checksums = ", ".join(each.sidecar["cell"]["data"][:12] for each in found)
            raise ValueError(
                f"{self._folder} holds results of {cell['study']} seed {cell['seed']} for several "
                f"versions of the data, checksums {checksums}: move all but one of them away."
            )
        return found[0] if found else None

    def find_all(self, cell: Mapping[str, Any]) -> list[Cell]:
        """The intact cells with this identity, one for each version of the data."""
        names = self._names.get(self._key(cell), [])
        return [found for name in names if (found := read(self._folder, name))]

    @staticmethod
    def _key(cell: Mapping[str, Any]) -> str:
        return files.digest({**cell, "data": None})


def provenance() -> dict[str, Any]:
    """Versions, device and commit of this process."""
    import jax
    import jaxlib

    return {
        "versions": {
            "python": platform.python_version(),
            "jax": jax.__version__,
            "jaxlib": jaxlib.__version__,
            "numpy": np.__version__,
        },
        "backend": jax.default_backend(),
        "device": jax.devices()[0].device_kind,
        "x64": bool(jax.config.read("jax_enable_x64")),
        "commit": _commit(),
    }


class _Damaged(Exception):
    def __init__(self, path: Path, what: str):
        super().__init__(f"{path} is damaged and not used: it {what}.")


def _read(folder: Path, name: str) -> Cell | None:
    sidecar = _read_sidecar(folder / f"{name}.json")
    if sidecar is None:
        return None
    path = folder / f"{name}.npz"
    payload = _contents(path)
    if payload is None:
        raise _Damaged(path, "is missing")
    if hashlib.sha256(payload).hexdigest() != sidecar["npz_sha256"]:
        raise _Damaged(path, "does not have the hash that its sidecar states")
    try:
        with np.load(io.BytesIO(payload), allow_pickle=False) as archive:
            return Cell({key: archive[key] for key in archive.files}, sidecar)
    # Its hash can be right and yet no run of this program have written it.
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise _Damaged(path, "does not hold arrays of numbers") from error


def _read_sidecar(path: Path) -> dict[str, Any] | None:
    """A sidecar whose every byte is as written; None if there is none."""
    payload = _contents(path)
    if payload is None:
        return None
    try:
        sidecar = json.loads(payload)
        # The second comparison sees what the parser forgives, such as changed white space.
        intact = files.is_intact(sidecar) and payload == _render(sidecar)
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
        raise files.NotWritten(files.failure(folder, error)) from error
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


def _commit() -> str | None:
    """The commit of the checkout that this file is in, marked if changed; None outside of one."""
    root = Path(__file__).resolve().parent.parent
    try:
        run = ["git", "-C", str(root)]
        top = subprocess.run(
            [*run, "rev-parse", "--show-toplevel"], capture_output=True, text=True, check=True
        )
        # An installed copy may lie below somebody else's repository.
        if Path(top.stdout.strip()).resolve() != root:
            return None
        described = subprocess.run(
            [*run, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return described.stdout.strip()
