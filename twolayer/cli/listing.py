"""``list`` and ``show``: describe theorems, studies and figures."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from tyro.conf import Positional

from twolayer.cli import errors, tables
from twolayer.host import names


@dataclasses.dataclass(frozen=True, kw_only=True)
class List:
    """List theorems, studies and figures."""

    what: Positional[Literal["all", "theorems", "studies", "figures"]] = "all"
    """Which of them."""
    json: Path | None = None
    """Also write the list to this file."""

    def __call__(self) -> int:
        """Print one line for each."""
        with errors.wrong_input():
            file = tables.target(self.json)
            found = {
                kind: dict(_SOURCES[kind]()) for kind in _SOURCES if self.what in ("all", kind)
            }
        for kind, entries in found.items():
            tables.show((kind, "about"), [(name, _first(about)) for name, about in entries.items()])
            print()
        tables.write(
            file,
            [{"kind": k, "name": n, "about": a} for k, e in found.items() for n, a in e.items()],
        )
        print("More of one: twolayer show NAME.")
        return 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Show:
    """Show all about one theorem, study or figure."""

    name: Annotated[Positional[str], tyro.conf.arg(metavar="NAME")]
    """Such as wide.width, perturbation.wide or perturbation.wide/law."""

    def __call__(self) -> int:
        """Print all about it."""
        with errors.wrong_input():
            from twolayer.sims.engine import registry as studies
            from twolayer.theory.verification import registry as theorems

            figures = dict(_figures())
            name = studies.full_name(self.name)
            names.one_of("NAME", name, [*theorems.THEOREMS, *studies.STEMS, *figures])
        if name in theorems.THEOREMS:
            _show_theorem(theorems.THEOREMS[name])
        elif name in studies.STEMS:
            _show_study(studies.get(name))
        else:
            print(f"{name}\n\n{figures[name]}")
        return 0


def _theorems() -> Iterator[tuple[str, str]]:
    from twolayer.theory.verification import registry

    for theorem in registry.select([]):
        yield theorem.name, f"{theorem.statement} ({theorem.source})"


def _studies() -> Iterator[tuple[str, str]]:
    from twolayer.sims.engine import registry

    for name in registry.STEMS:
        yield name, registry.get(name).title


def _figures() -> Iterator[tuple[str, str]]:
    from twolayer.figures.engine import registry

    for stem in registry.STEMS:
        module = registry.get(stem)
        for name in module.FIGURES:
            yield f"{stem}/{name}", module.CAPTIONS[name]


_SOURCES: dict[str, Callable[[], Iterator[tuple[str, str]]]] = {
    "theorems": _theorems,
    "studies": _studies,
    "figures": _figures,
}


def _first(text: str) -> str:
    """Shorten a text to one line of a list."""
    text = " ".join(text.split())
    return text if len(text) <= 100 else f"{text[:99]}…"


def _show_theorem(theorem: Any) -> None:
    print(f"{theorem.name}  ({theorem.source})\n\n{theorem.statement}\n")
    if theorem.failure_rate:
        print(f"with probability at least {1 - theorem.failure_rate:g}\n")
    sizes = [" ".join(f"{name}={value}" for name, value in size.items()) for size in theorem.sizes]
    ranges = [(name, f"{low:g} to {high:g}") for name, (low, high) in theorem.parameters.items()]
    rows = [("sizes", "; ".join(sizes)), *ranges]
    rows += [("moved by a search", ", ".join(theorem.searchable))] if theorem.searchable else []
    tables.show(("instances", ""), rows)
    tables.show(("must fail with",), [(name,) for name in theorem.controls])
    print(f"\nCheck it: twolayer verify {theorem.name}; attack it: twolayer falsify {theorem.name}")


def _show_study(experiment: Any) -> None:
    from twolayer.sims.engine.experiment import SCALES

    print(f"{experiment.stem}: {experiment.title}\n")
    rows = [
        (study.name, scale, len(cells), sum(number for _, number in cells.values()))
        for study in experiment.studies
        for scale in SCALES
        if (cells := study.cells.get(scale, {}))
    ]
    numbers = ("settings", "cells")
    tables.show(("simulation", "scale", *numbers), rows, right=numbers)
    print(f"\nCompute it: twolayer run {experiment.stem} --scale smoke")
