"""Check names, and suggest the ones that may have been meant."""

from __future__ import annotations

import difflib
from collections.abc import Sequence


def one_of(argument: str, name: str, known: Sequence[str]) -> str:
    """Return the name if it is known.

    Raises:
      ValueError: with the known names, or where there are many with those alike.
    """
    if name in known:
        return name
    allowed = ", ".join(known) if len(known) <= 20 else "those of twolayer list"
    raise ValueError(f"{argument} must be one of {allowed}; got {name!r}.{near(name, known)}")


def near(name: str, known: Sequence[str]) -> str:
    """Suggest names in a sentence, or return the empty string."""
    found = difflib.get_close_matches(name, known, n=2)
    return f" Did you mean {' or '.join(found)}?" if found else ""
