"""The command ``python -m sims``: list the stems, run or submit one, see how far it is."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from twolayer.sims.engine import registry, running
from twolayer.sims import check_system
from twolayer.sims.engine.options import FOLDER, Options
from twolayer.host import console


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command; wrong input ends it with one line and exit status 2."""
    parser = _Parser(prog="python -m sims", description="Simulations and their results.")
    commands = parser.add_subparsers(
        dest="command", required=True, metavar="{list,run,plan,submit,status}"
    )
    commands.add_parser("list", help="the stems and what they are about")
    run = commands.add_parser(
        "run",
        help="compute the missing cells of a stem",
        description=f"{Options.__doc__} Options: python -m sims run STEM --help.",
    )
    run.add_argument("stem", metavar="STEM", help=f"{', '.join(registry.STEMS)}, or all")
    rest = run.add_argument("options", nargs=argparse.REMAINDER, help="see STEM --help")
    rest.required = False
    plan = commands.add_parser(
        "plan",
        help="memory, flops and time of the missing cells of a stem, before anything runs",
        description="What python -m sims run STEM would need, with the same options. The machine's "
        "speed is measured; of the cells nothing is computed, and nothing is written.",
    )
    plan.add_argument("stem", metavar="STEM", help=", ".join(registry.STEMS))
    plan.add_argument("options", nargs=argparse.REMAINDER, help="those of run; see STEM --help")
    submit = commands.add_parser(
        "submit",
        help="compute the missing cells of a stem by jobs of a cluster",
        description="Submit jobs that divide the missing cells of a stem among them. Submitting "
        "again, also while they run, computes nothing twice and makes up for jobs that were ended. "
        "Further options are those of python -m sims run STEM; what is peculiar to a SLURM cluster "
        "goes into sbatch's own variables, such as SBATCH_PARTITION and SBATCH_ACCOUNT.",
        allow_abbrev=False,
    )
    submit.add_argument("stem", metavar="STEM", help=", ".join(registry.STEMS))
    submit.add_argument(
        "--cluster", choices=("slurm", "local"), required=True, help="local: on this machine"
    )
    submit.add_argument("--jobs", type=int, default=4, help="at most so many; 4 by default")
    submit.add_argument("--minutes", type=int, default=60, help="of each job; 60 by default")
    submit.add_argument("--cpus", type=int, default=1, help="of each job; 1 by default")
    submit.add_argument("--gpus", type=int, default=0, help="of each job; none by default")
    submit.add_argument(
        "--logs", type=Path, default=Path("jobs"), help="folder of what the jobs write"
    )
    status = commands.add_parser("status", help="how many cells are done, for each scale")
    status.add_argument("stem", metavar="STEM", nargs="?", help="all stems by default")
    status.add_argument("--results", type=Path, default=FOLDER, help="root folder of the results")
    given, further = parser.parse_known_args(arguments)
    if further and given.command != "submit":
        parser.error(f"unrecognized arguments: {' '.join(further)}")
    if given.command == "list":
        _list()
        return
    with running.wrong_input():
        check_system()
    if given.command == "run":
        running.run(list(registry.STEMS) if given.stem == "all" else [given.stem], given.options)
    elif given.command == "plan":
        running.forecast(given.stem, given.options)
    elif given.command == "submit":
        running.submit(given, further)
    else:
        _status([given.stem] if given.stem else list(registry.STEMS), given.results)


def _list() -> None:
    width = max(map(len, registry.STEMS))
    for stem in registry.STEMS:
        print(f"{stem:{width}}  {registry.get(stem).title}")


def _status(stems: Sequence[str], folder: Path) -> None:
    with running.wrong_input():
        from twolayer.sims.engine.status import status
        from twolayer.host import jax_setup

        jax_setup.warn_in_lines()
        found = {stem: status(stem, folder) for stem in stems}
    width = max(map(len, ["stem", *stems]))
    print(f"{'stem':{width}}  scale     done  total")
    for stem, each in found.items():
        for scale, (done, total) in each.counts.items():
            print(f"{stem:{width}}  {scale:8}  {done:4}  {total:5}")
    for each in found.values():
        for note in each.notes:
            print(note)


class _Parser(argparse.ArgumentParser):
    """One line for wrong input, as for all other errors of the command."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {message}\n")


if __name__ == "__main__":
    console.run(main)
