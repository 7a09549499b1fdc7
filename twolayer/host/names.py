"""Look names up, and say which one may have been meant."""

from __future__ import annotations

import difflib
from collections.abc import Sequence


def one_of(argument: str, name: str, known: Sequence[str]) -> str:
    """The name, where it is known.

    Raises:
      ValueError: with the known names, or where there are many with those alike.
    """
    if name in known:
        return name
    near = difflib.get_close_matches(name, known, n=2)
    meant = f" Did you mean {' or '.join(near)}?" if near else ""
    allowed = ", ".join(known) if len(known) <= 20 else "those of twolayer list"
    raise ValueError(f"{argument} must be one of {allowed}; got {name!r}.{meant}")
