"""``draw``, ``report`` and ``numbers``: turn results into figures and text."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from twolayer.cli import errors
from twolayer.cli.options import Studies
from twolayer.host import signals


@dataclasses.dataclass(frozen=True, kw_only=True)
class _FromResults:
    scale: str = "default"
    """smoke, default or paper."""
    results: Path = Path("results")
    """Root folder of the results."""
    out: Path = Path("figures/out")
    """Folder of what is written."""

    def __call__(self) -> int:
        """Write the files, each atomically."""
        # A notebook's, which its shell passes on, cannot be imported everywhere.
        os.environ.pop("MPLBACKEND", None)
        goes_on = "files are whole; the same command goes on"
        with signals.stopping(lambda: goes_on), errors.whole_files(lambda: goes_on):
            with errors.wrong_input():
                from twolayer.host import jax_setup

                jax_setup.warn_in_lines()
                self.write()
        return 0

    def write(self) -> None:
        """Write the files, and say what was written."""
        raise NotImplementedError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Draw(_FromResults):
    """Draw figures from stored results."""

    hint: ClassVar[str] = (
        " Figures show the settings of a scale; what a run with others has stored is read in "
        "Python by twolayer.load(study, scale, folder, overrides=...)."
    )
    studies: Studies = ()
    """Studies such as perturbation.wide; all by default."""
    seeds: int | None = None
    """Number of seeds of every config, as for the run that computed them."""

    def write(self) -> None:
        """Draw the figures, and list the files."""
        self.draw()

    def draw(self) -> Sequence[Any]:
        """Draw what is missing or out of date."""
        from twolayer.figures.engine import render
        from twolayer.sims.engine import registry

        studies = tuple(map(registry.full_name, self.studies))
        drawn = render.draw_all(studies, self.scale, self.results, self.out, self.seeds)
        print(render.table(drawn))
        return drawn


@dataclasses.dataclass(frozen=True, kw_only=True)
class Report(Draw):
    """Draw figures, and write one HTML page of all results."""

    def write(self) -> None:
        """Draw the figures, then write the page."""
        from twolayer.figures.report import build

        drawn = self.draw()
        page = build.write(drawn, self.results, self.out)
        print(f"\n{build.summary(drawn)}\nreport in {page}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Numbers(_FromResults):
    """Write the paper's numbers as LaTeX macros and tables."""

    def write(self) -> None:
        """Load all studies, and write their numbers."""
        from twolayer.figures.engine import registry
        from twolayer.figures.latex import macros
        from twolayer.sims.engine import experiment

        stems = [experiment.load(stem, self.scale, self.results) for stem in registry.STEMS]
        written = macros.write(stems, self.results, self.out)
        for line in written.missing:
            print(f"left out: {line}")
        print(f"{written.macros} numbers in {written.path}")
