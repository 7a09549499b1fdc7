"""What ``python -m sims`` does to run stems, forecast a run, and submit it to a cluster."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from twolayer.sims import UnsupportedSystem
from twolayer.sims.engine import registry
from twolayer.sims.engine.options import Options
from twolayer.sims.engine.options import parse as options_of
from twolayer.host import console, atomic_io, signals

if TYPE_CHECKING:
    from twolayer.sims.engine import cluster as processes
    from twolayer.sims.engine.sweep import Plan

# So many missing cells are named where others are there: files have been deleted or damaged.
_FEW = 20


def run(stems: Sequence[str], tokens: Sequence[str]) -> None:
    """Compute what is missing of some stems, once it is known of all of them that it can be."""
    plans: list[Plan] = []

    def so_far() -> str:
        done = sum(plan.done for plan in plans)
        known = f"{done} of {sum(plan.total for plan in plans)}" if plans else "no"
        return f"{known} cells done; the same command resumes"

    with signals.stopping(so_far), _whole_cells(so_far):
        with wrong_input():
            from twolayer.sims.forecast import memory_check

            asked = [options_of(registry.get(stem), tokens) for stem in stems]
            options = asked[0][0]
            part = _part(options)
            member = _join(options)
            planned = [_plan(stem, *each) for stem, each in zip(stems, asked, strict=True)]
            for plan in planned:
                memory_check.check_memory(plan)
        plans += planned
        for stem, plan in zip(stems, plans, strict=True):
            if not member:
                _tell(plan)
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


def forecast(stem: str, tokens: Sequence[str]) -> None:
    """Print what a run would need; computes nothing of it."""
    with wrong_input():
        options, overrides = options_of(registry.get(stem), tokens, "plan")
        if options.processes is not None or options.part is not None:
            raise ValueError("processes and part are for run: a plan is of this process alone.")
        plan = _plan(stem, options, overrides, write=False)
    from twolayer.sims.forecast import requirements

    print(requirements.forecast(plan).report())
    for line in plan.stale():
        print(line)


def submit(given: argparse.Namespace, tokens: Sequence[str]) -> None:
    """Submit jobs for the missing cells that no other run is computing."""
    from twolayer.theory import validation

    with wrong_input():
        options, overrides = options_of(registry.get(given.stem), tokens)
        if options.processes is not None or options.part is not None:
            raise ValueError("processes and part are for run: jobs have parts of their own.")
        validation.integer("jobs", given.jobs)
        plan = _plan(given.stem, options, overrides)
        free = plan.free()
        count = min(given.jobs, free)
        ids = []
        if count:
            from twolayer.sims.engine import submit as jobs

            atomic_io.prepare("logs folder", given.logs)
            command = _command(given.stem, tokens)
            ids = jobs.submit(
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


def _tell(plan: Plan) -> None:
    """What is to be computed though other cells are there."""
    for line in plan.stale():
        print(line)
    if plan.done and plan.missing <= _FEW and not plan.stale():
        for cell in plan.lacking():
            print(f"missing: {cell}")


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

    from twolayer.sims.engine import cluster

    member = cluster.started() or cluster.detected(options.processes)
    if member is None:
        # Who supervises must not take the memory of the accelerators that the others compute on.
        jax.config.update("jax_platforms", "cpu")
    return member


def _plan(stem: str, options: Options, overrides: dict[str, Any], write: bool = True) -> Plan:
    from twolayer.sims.engine import plan as runner
    from twolayer.host import jax_setup

    jax_setup.configure()
    jax_setup.warn_in_lines()
    return runner.plan(
        stem,
        options.scale,
        options.results,
        seeds=options.seeds,
        overrides=overrides,
        only=options.only,
        data=options.data,
        keep_stale=options.keep_stale,
        write=write,
    )


def _supervise(plan: Plan, command: Sequence[str], size: int) -> None:
    """Have the cells computed by processes of this machine; ends the command if one fails."""
    from tqdm import tqdm

    from twolayer.sims.engine import cluster as processes

    show = console.on_terminal()
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
    except atomic_io.NotWritten as error:
        print(f"stopped: {error} {so_far()}", file=sys.stderr)
        sys.exit(1)


@contextlib.contextmanager
def wrong_input() -> Iterator[None]:
    """Errors that tell the user what to change, unlike those of a computation."""
    try:
        yield
    except (ValueError, UnsupportedSystem) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
