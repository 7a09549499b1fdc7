"""The command ``python -m figures``: draw figures, write the report page or the paper's numbers."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from twolayer.figures.engine import registry, render
from twolayer.host import console, atomic_io, signals


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command; wrong input ends it with one line and exit status 2."""
    # A shell inside of a notebook passes on the notebook's, which cannot be imported everywhere.
    os.environ.pop("MPLBACKEND", None)
    parser = _Parser(
        prog="python -m figures",
        usage="%(prog)s [report] [STEM ...] [options] | %(prog)s numbers [options]",
        description="Draw figures from stored results; with the word report, also write one HTML "
        "page of figures, claims, theorem verdicts and provenance; with the word numbers, write "
        "instead, of all stems, what the paper states, as LaTeX macros and tables.",
    )
    parser.add_argument(
        "stems", nargs="*", metavar="STEM", help=f"of {', '.join(registry.STEMS)}; default: all"
    )
    parser.add_argument(
        "--scale", default="default", help="smoke, default or paper (default: %(default)s)"
    )
    parser.add_argument(
        "--results", type=Path, default=Path("results"), help="root folder of the results"
    )
    parser.add_argument(
        "--out", type=Path, default=render.FOLDER, help="folder of the figures (%(default)s)"
    )
    parser.add_argument(
        "--seeds",
        type=int,
        help="number of seeds of every config, as for the run that computed them",
    )
    given, further = parser.parse_known_intermixed_args(arguments)
    if further:
        parser.error(
            f"unrecognized arguments: {' '.join(further)}. Figures show the settings of a scale; "
            "what a run with others has stored is read in Python by twolayer.sims.engine.experiment.load(stem, "
            "scale, folder, overrides=...)."
        )
    from twolayer.host import jax_setup

    jax_setup.warn_in_lines()
    with signals.stopping(lambda: "files are whole; the same command goes on"):
        try:
            _numbers(given) if given.stems[:1] == ["numbers"] else _draw(given)
        except ValueError as error:
            parser.error(str(error))
        except atomic_io.NotWritten as error:
            parser.exit(1, f"stopped: {error} Files are whole; the same command goes on\n")


def _draw(given: argparse.Namespace) -> None:
    with_report = given.stems[:1] == ["report"]
    drawn = render.draw_all(
        given.stems[with_report:], given.scale, given.results, given.out, given.seeds
    )
    print(render.table(drawn))
    if with_report:
        from twolayer.figures.report import build

        page = build.write(drawn, given.results, given.out)
        print(f"\n{build.summary(drawn)}\nreport in {page}")


def _numbers(given: argparse.Namespace) -> None:
    from twolayer.figures.latex import macros
    from twolayer.sims.engine import experiment

    if given.stems[1:]:
        raise ValueError(f"numbers is about all stems; got {', '.join(given.stems[1:])}.")
    stems = [experiment.load(stem, given.scale, given.results) for stem in registry.STEMS]
    written = macros.write(stems, given.results, given.out)
    for line in written.missing:
        print(f"left out: {line}")
    print(f"{written.macros} numbers in {written.path}")


class _Parser(argparse.ArgumentParser):
    """One line for wrong input, as for all other errors of the command."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {message}\n")


if __name__ == "__main__":
    console.run(main)
