"""Find studies by their folders, here and in ``TWOLAYER_PATH``.

A floor (``theory``, ``sims`` or ``figures``) holds wings, a wing holds studies:
``theory/perturbation/wide``. A folder of a user's own, named in the environment variable
``TWOLAYER_PATH`` (several are separated by ``:``), may hold the same floors; its studies are found
and imported as if they stood here: ``twolayer.theory.mine.first``.
"""

from __future__ import annotations

import importlib
import os
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType

PATH_VARIABLE = "TWOLAYER_PATH"
_IMPORTLIB = importlib.__file__


def extended(paths: Iterable[str], package: str) -> list[str]:
    """Extend a package's ``__path__`` by the users' folders of that name.

    Args:
      paths: its own.
      package: its full name, such as ``twolayer.theory``.

    Raises:
      ValueError: if ``TWOLAYER_PATH`` names what is no folder.
    """
    below = Path(*package.split(".")[1:])
    own = list(paths)
    return own + [str(root / below) for root in _roots() if (root / below).is_dir()]


def find(floor: ModuleType, marker: str) -> dict[str, str]:
    """Map the studies of a floor to their modules, in alphabetical order.

    Args:
      floor: the package, such as ``twolayer.sims``.
      marker: the module or package that makes a folder a study, such as ``experiment``.

    Returns:
      For ``"wing.study"`` the full name of its marker, ``"twolayer.sims.wing.study.experiment"``.

    Raises:
      ValueError: for a folder beside studies that lacks the marker, or two of one name.
    """
    wings: dict[str, list[Path]] = {}
    for root in map(Path, floor.__path__):
        for wing in root.iterdir():
            if wing.is_dir():
                wings.setdefault(wing.name, []).extend(_packages(wing))
    found: dict[str, str] = {}
    for wing_name, studies in sorted(wings.items()):
        if not any(_has(study, marker) for study in studies):
            continue  # no wing, but a part of an engine
        for study in studies:
            name = f"{wing_name}.{study.name}"
            if not _has(study, marker):
                raise ValueError(
                    f"{study} must hold {marker}.py or {marker}/, as the other studies of "
                    f"{wing_name} do."
                )
            if name in found:
                raise ValueError(f"{study} must have a name of its own; {name} is there twice.")
            found[name] = f"{floor.__name__}.{name}.{marker}"
    return dict(sorted(found.items()))


def load(module: str) -> ModuleType:
    """Import a module of a study.

    Raises:
      ValueError: if its code cannot be imported; names the file and the line.
    """
    try:
        return importlib.import_module(module)
    except Exception as error:  # a user's code may raise anything
        raise ValueError(f"{module} cannot be imported: {_told(error)}") from error


def _told(error: Exception) -> str:
    """Describe an error and where it was raised."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith("<") and frame.filename not in (__file__, _IMPORTLIB)
    ]
    place = f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""
    if isinstance(error, SyntaxError):
        place = f" ({error.filename}, line {error.lineno})"
        return f"{type(error).__name__}: {error.msg}{place}"
    return f"{type(error).__name__}: {' '.join(str(error).split())}{place}"


def check() -> None:
    """Check that ``TWOLAYER_PATH`` names folders; ValueError if not."""
    list(_roots())


def _roots() -> Iterator[Path]:
    for entry in os.environ.get(PATH_VARIABLE, "").split(os.pathsep):
        if entry:
            root = Path(entry)
            if not root.is_dir():
                raise ValueError(f"{PATH_VARIABLE} must name folders; got {entry}.")
            yield root.resolve()


def _packages(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if (path / "__init__.py").is_file():
            yield path


def _has(study: Path, marker: str) -> bool:
    return (study / f"{marker}.py").is_file() or (study / marker / "__init__.py").is_file()
