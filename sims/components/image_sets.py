"""Which sets of images are read, from which folder, and which of them are not there."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path

# The folder of files of images.
DATA_VARIABLE = "TWOLAYER_DATA"


class MissingData(ValueError):
    """The data set is nowhere that was looked; the message says what to install or point to.

    Attributes:
      name: of the data set.
    """

    def __init__(self, message: str, name: str = ""):
        super().__init__(message)
        self.name = name


@dataclasses.dataclass(frozen=True)
class Use:
    """A set of images that was loaded by its name, and the folder of its files if it has any."""

    name: str
    folder: Path | None


# Of each thread its own: several load the data of different studies at once.
_recording: ContextVar[tuple[list[Use], ...]] = ContextVar("recording", default=())


@contextlib.contextmanager
def recorded() -> Iterator[list[Use]]:
    """The sets of images that this thread loads meanwhile."""
    uses: list[Use] = []
    before = _recording.set((*_recording.get(), uses))
    try:
        yield uses
    finally:
        _recording.reset(before)


def record(name: str, folder: Path | None) -> None:
    """Tell those who are recording that a set of images is loaded."""
    for uses in _recording.get():
        uses.append(Use(name, folder))


def check_folder(data: str | Path) -> Path:
    """See that the argument ``data`` is a folder."""
    if not Path(data).is_dir():
        raise ValueError(f"data must be a folder; got {str(data)!r}.")
    return Path(data)
