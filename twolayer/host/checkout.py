"""Identify the code of this package by digest and by commit."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Iterable
from pathlib import Path

PACKAGE = Path(__file__).parent.parent


def source_digest(*floors: str) -> str:
    """Hash the Python code of floors such as ``"theory"``.

    What a command has measured is stale where this has changed since.
    """
    return digest_of(PACKAGE, ("host", *floors))


def digest_of(root: Path, folders: Iterable[str]) -> str:
    """Hash the Python code of some folders.

    Raises:
      ValueError: for a folder that holds none.
    """
    digest = hashlib.sha256()
    for folder in folders:
        files = sorted((root / folder).rglob("*.py"))
        if not files:
            raise ValueError(f"folders must hold Python code; {folder} of {root} has none.")
        for path in files:
            digest.update(path.relative_to(root).as_posix().encode() + b"\0")
            digest.update(path.read_bytes() + b"\0")
    return digest.hexdigest()


def commit() -> str | None:
    """Return the commit of this checkout, marked if changed; or None."""
    root = PACKAGE.resolve().parent
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
