"""The command ``python -m sims``: list the stems, run or submit one, see how far it is."""

from __future__ import annotations

import argparse
import contextlib
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from sims import catalogue
from sims.options import FOLDER, Options
from sims.options import parse as options_of
from theory import files, stopping

if TYPE_CHECKING:
    from sims import processes, runner

# So many missing cells are named where others are there: files have been deleted or damaged.
_FEW = 20


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
    run.add_argument("stem", metavar="STEM", help=f"{', '.join(catalogue.STEMS)}, or all")
    rest = run.add_argument("options", nargs=argparse.REMAINDER, help="see STEM --help")
    rest.required = False
    plan = commands.add_parser(
        "plan",
        help="memory, flops and time of the missing cells of a stem, before anything runs",
        description="What python -m sims run STEM would need, with the same options. The machine's "
        "speed is measured; of the cells nothing is computed, and nothing is written.",
    )
    plan.add_argument("stem", metavar="STEM", help=", ".join(catalogue.STEMS))
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
    submit.add_argument("stem", metavar="STEM", help=", ".join(catalogue.STEMS))
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
    warnings.formatwarning = lambda message, *_, **__: f"warning: {message}\n"
    if given.command == "list":
        _list()
    elif given.command == "run":
        for stem in catalogue.STEMS if given.stem == "all" else [given.stem]:
            _run(stem, given.options)
    elif given.command == "plan":
        _forecast(given.stem, given.options)
    elif given.command == "submit":
        _submit(given, further)
    else:
        _status([given.stem] if given.stem else list(catalogue.STEMS), given.results)


def _list() -> None:
    width = max(map(len, catalogue.STEMS))
    for stem in catalogue.STEMS:
        print(f"{stem:{width}}  {catalogue.get(stem).title}")


def _status(stems: Sequence[str], folder: Path) -> None:
    from sims import runner

    with _wrong_input():
        counts = {stem: runner.status(stem, folder) for stem in stems}
    width = max(map(len, ["stem", *stems]))
    print(f"{'stem':{width}}  scale     done  total")
    for stem, scales in counts.items():
        for scale, (done, total) in scales.items():
            print(f"{stem:{width}}  {scale:8}  {done:4}  {total:5}")


def _run(stem: str, tokens: Sequence[str]) -> None:
    plans: list[runner.Plan] = []

    def so_far() -> str:
        done = f"{plans[0].done} of {plans[0].total}" if plans else "no"
        return f"{done} cells done; the same command resumes"

    with stopping.stopping(so_far), _whole_cells(so_far):
        with _wrong_input():
            experiment = catalogue.get(stem)
            options, overrides = options_of(experiment, tokens)
            part = _part(options)
            member = _join(options)
            plan = _plan(stem, options, overrides)
        plans.append(plan)
        if plan.done and plan.missing <= _FEW and not member:
            for cell in plan.lacking():
                print(f"missing: {cell}")
        if member:
            processes = member.size if member.local else 1
            plan.execute(part=(member.rank, member.size), processes=processes)
        elif options.processes:
            _supervise(plan, _command(stem, tokens), options.processes)
        elif part:
            plan.execute(part=part, wait=False)
        else:
            plan.execute()
    if not member or member.rank == 0:
        print(plan.report())


def _forecast(stem: str, tokens: Sequence[str]) -> None:
    with _wrong_input():
        options, overrides = options_of(catalogue.get(stem), tokens, "plan")
        if options.processes is not None or options.part is not None:
            raise ValueError("processes and part are for run: a plan is of this process alone.")
        plan = _plan(stem, options, overrides, write=False)
    from sims import planning

    print(planning.forecast(plan).report())


def _submit(given: argparse.Namespace, tokens: Sequence[str]) -> None:
    from theory import arguments

    with _wrong_input():
        options, overrides = options_of(catalogue.get(given.stem), tokens)
        if options.processes is not None or options.part is not None:
            raise ValueError("processes and part are for run: jobs have parts of their own.")
        arguments.integer("jobs", given.jobs)
        plan = _plan(given.stem, options, overrides)
        free = plan.free()
        count = min(given.jobs, free)
        ids = []
        if count:
            from sims import submit

            files.prepare("logs folder", given.logs)
            command = _command(given.stem, tokens)
            ids = submit.submit(
                [[*command, "--part", f"{i + 1}/{count}"] for i in range(count)],
                given.cluster,
                name=given.stem,
                logs=given.logs / given.stem,
                minutes=given.minutes,
                cpus=given.cpus,
                gpus=given.gpus,
            )
    for line in plan.left_out:
        print(line)
    print(f"{plan.done} of {plan.total} cells done, {plan.missing - free} being computed")
    if ids:
        print(f"submitted {free} cells in jobs {', '.join(ids)}; logs in {given.logs / given.stem}")
    else:
        print("nothing to submit")


def _command(stem: str, tokens: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", "sims", "run", stem, *tokens]


def _part(options: Options) -> tuple[int, int] | None:
    """The part that was asked for, counted from 0, and of how many."""
    if options.part is None:
        return None
    if options.processes is not None:
        raise ValueError("part must be left out where processes is given, which have parts.")
    index, _, count = options.part.partition("/")
    if not (index.isdecimal() and count.isdecimal() and 1 <= int(index) <= int(count)):
        raise ValueError(f"part must be I/K with 1 <= I <= K, such as 2/8; got {options.part}.")
    return int(index) - 1, int(count)


def _join(options: Options) -> processes.Member | None:
    """This process in its cluster, if it is of one."""
    if options.processes is None:
        return None
    import jax

    from sims import processes

    member = processes.started() or processes.detected(options.processes)
    if member is None:
        # Who supervises must not take the memory of the accelerators that the others compute on.
        jax.config.update("jax_platforms", "cpu")
    return member


def _plan(
    stem: str, options: Options, overrides: dict[str, Any], write: bool = True
) -> runner.Plan:
    from sims import runner
    from theory import runtime

    runtime.configure()
    return runner.plan(
        stem,
        options.scale,
        options.results,
        seeds=options.seeds,
        overrides=overrides,
        only=options.only,
        data=options.data,
        write=write,
    )


def _supervise(plan: runner.Plan, command: Sequence[str], size: int) -> None:
    """Have the cells computed by processes of this machine; ends the command if one fails."""
    from tqdm import tqdm

    from sims import processes

    show = sys.stderr.isatty()
    try:
        with tqdm(total=plan.total, initial=plan.done, unit="cell", disable=not show) as bar:
            for _ in processes.supervise(command, size):
                bar.update(plan.look(ours=True))
            bar.update(plan.look(ours=True))
    except processes.MemberEnded as error:
        plan.look(ours=True)
        print(
            f"{error.output}stopped: {error}; {plan.done} of {plan.total} cells done; "
            "the same command resumes",
            file=sys.stderr,
        )
        sys.exit(1)


@contextlib.contextmanager
def _whole_cells(so_far: Callable[[], str]) -> Iterator[None]:
    """A disk that takes no more ends the command with one line."""
    try:
        yield
    except files.NotWritten as error:
        print(f"stopped: {error} {so_far()}", file=sys.stderr)
        sys.exit(1)


@contextlib.contextmanager
def _wrong_input() -> Iterator[None]:
    """Errors that tell the user what to change, unlike those of a computation."""
    try:
        yield
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


class _Parser(argparse.ArgumentParser):
    """One line for wrong input, as for all other errors of the command."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {message}\n")


if __name__ == "__main__":
    main()
