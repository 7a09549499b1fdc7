"""Parse a command with tyro, and report errors in one line."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Sequence
from typing import Any

import tyro

# Flags without a --no-form, and no prefixes that only tell how the code is divided.
_CONFIG = (
    tyro.conf.FlagCreatePairsOff,
    tyro.conf.OmitSubcommandPrefixes,
    tyro.conf.OmitArgPrefixes,
)


def read(kind: Any, tokens: Sequence[str], prog: str, description: str | None = None) -> Any:
    """Parse the words of a command into a dataclass.

    Raises:
      ValueError: for words that do not fit, in one line; the parser's own message fills a panel.
      SystemExit: with status 0, after the help has been shown.
    """
    once(tokens)
    told = io.StringIO()
    try:
        with contextlib.redirect_stderr(told):
            return tyro.cli(kind, args=tokens, prog=prog, description=description, config=_CONFIG)
    except SystemExit as end:
        if not end.code:
            raise
    raise ValueError(_one_line(told.getvalue(), prog)) from None


def once(tokens: Sequence[str]) -> None:
    """Check that no option is given twice."""
    options = [token.split("=", 1)[0] for token in tokens if token.startswith("--")]
    for option in options:
        if options.count(option) > 1:
            raise ValueError(f"{option} must be given once; got it {options.count(option)} times.")


def _one_line(panel: str, prog: str) -> str:
    """Condense an error panel into one line."""
    lines = [line.strip("│╭╰╮╯|+ ") for line in panel.splitlines()]
    parts: list[list[str]] = [[]]
    for line in lines[1:]:
        if re.fullmatch(r"[─-]*", line):
            parts.append([])
        else:
            parts[-1].append(line)
    parts = [part for part in parts if part]
    said = re.sub(r" \(applied to [^)]*\)", "", " ".join(parts[0])).rstrip(".")
    meant = [
        option
        for part in parts
        if part and part[0].startswith("Perhaps you meant")
        for option in re.findall(r"^--[\w-]+", "\n".join(part), re.MULTILINE)
        if option not in said
    ]
    hint = f"; did you mean {' or '.join(meant[:2])}?" if meant else "."
    return f"{said}{hint} See {prog} --help."
