"""What the tests of each study bring for tests of all: found by the files that hold it."""

import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

TESTS = Path(__file__).parent


def folders(file: str) -> Iterator[tuple[str, Path]]:
    """Short name and folder of each study whose tests have a file of this name."""
    for path in sorted(TESTS.glob(f"*/*/{file}")):
        yield path.parent.name, path.parent


def modules(name: str) -> Iterator[tuple[str, ModuleType]]:
    """Short name of each study whose tests have a module of this name, and the module."""
    for study, folder in folders(f"{name}.py"):
        yield study, importlib.import_module(f"tests.{folder.parent.name}.{study}.{name}")
