"""Labels that tell the truth: what they state of a config is what the config has."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Sequence
from typing import Any


def relabel(label: str, own: Any, config: Any) -> str:
    """The label of a config that another config was made from by giving fields other values.

    A part of the label that may state such a field, by its name or its value, gives way to the
    field's name and new value, or a word to the new word; a field that no part states is told at
    the end.

    Args:
      label: of ``own``; its parts stand between slashes and commas.
      own: the config that has this label.
      config: of the same type.
    """
    parts = re.split(r"(/|, )", label)
    told: set[int] = set()
    for name, before, after in differences(own, config):
        stating = [
            place
            for place in range(0, len(parts), 2)
            if place not in told and _may_state(parts[place], name, before)
        ]
        if not stating:
            stating = [len(parts) + 1]
            parts += [", ", ""]
        for place in stating:
            parts[place] = _restated(parts[place], name, before, after)
        told |= set(stating)
    return "".join(parts)


def differences(own: Any, config: Any) -> Iterator[tuple[str, Any, Any]]:
    """Each field in which two configs of a type differ, with both values."""
    for field in dataclasses.fields(own):
        before, after = getattr(own, field.name), getattr(config, field.name)
        if before != after:
            yield field.name, before, after


def shown(value: Any) -> str:
    """A value in a label; long tuples by their ends."""
    if isinstance(value, tuple):
        if len(value) > 4:
            return f"{shown(value[0])}..{shown(value[-1])} ({len(value)})"
        return ",".join(map(shown, value))
    return f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else str(value)


def _restated(part: str, name: str, before: Any, after: Any) -> str:
    if isinstance(before, str) and before and isinstance(after, str):
        changed = re.sub(rf"(?<!\w){re.escape(before)}(?!\w)", lambda _: after, part)
        if changed != part:
            return changed
    return f"{name}={shown(after)}"


def _may_state(part: str, name: str, value: Any) -> bool:
    values: Sequence[Any] = value if isinstance(value, tuple) else (value,)
    words = [each for each in values if isinstance(each, str)]
    if any(len(word) > 2 and word in part or word == part for word in words):
        return True
    if any(re.search(rf"(?<!\w){each}(?!\w)", part) for each in (name, name.replace("_", " "))):
        return True
    numbers = [float(found) for found in re.findall(r"\d+(?:\.\d+)?(?:e[+-]?\d+)?", part)]
    return any(
        isinstance(each, (int, float)) and not isinstance(each, bool) and abs(each) in numbers
        for each in values
    )
