"""``run``, ``plan`` and ``submit``: compute the cells of studies."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from twolayer.cli import errors
from twolayer.cli.options import Options, grouped, parse
from twolayer.cli.run_options import Forecast, Run, Submit
from twolayer.host import atomic_io, console, signals

if TYPE_CHECKING:
    from twolayer.host.cluster import Member
    from twolayer.sims.engine.sweep import Plan

# So many missing cells are named where others are there: files have been deleted or damaged.
_FEW = 20


def about_study(kind: type[Options], tokens: Sequence[str]) -> int:
    """Run, plan or submit the study that is named first."""
    study, *rest = tokens
    with errors.wrong_input():
        from twolayer.sims import check_system
        from twolayer.sims.engine import registry

        check_system()
    study = registry.full_name(study)
    if kind is Run:
        _run(list(registry.STEMS) if study == "all" else [study], rest)
    elif kind is Forecast:
        _forecast(study, rest)
    else:
        _submit(study, rest)
    return 0


def _run(stems: Sequence[str], tokens: Sequence[str]) -> None:
    """Compute the missing cells of studies, after checking all of them."""
    plans: list[Plan] = []

    def so_far() -> str:
        done = sum(plan.done for plan in plans)
        known = f"{done} of {sum(plan.total for plan in plans)}" if plans else "no"
        return f"{known} cells done; the same command resumes"

    with signals.stopping(so_far), errors.whole_files(so_far):
        with errors.wrong_input():
            from twolayer.sims.forecast import memory_check

            asked = [_options(Run, stem, tokens) for stem in stems]
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


def _forecast(stem: str, tokens: Sequence[str]) -> None:
    """Print the forecast of a run without computing its cells."""
    with errors.wrong_input():
        options, overrides = _options(Forecast, stem, tokens)
        if options.processes is not None or options.part is not None:
            raise ValueError("processes and part are for run: a plan is of this process alone.")
        plan = _plan(stem, options, overrides, write=False)
    from twolayer.sims.forecast import requirements

    print(requirements.forecast(plan).report())
    for line in plan.stale():
        print(line)


def _submit(stem: str, tokens: Sequence[str]) -> None:
    """Submit jobs for the missing cells that no other run is computing."""
    from twolayer.theory import validation

    with errors.wrong_input():
        given, overrides = _options(Submit, stem, tokens)
        if given.processes is not None or given.part is not None:
            raise ValueError("processes and part are for run: jobs have parts of their own.")
        validation.integer("jobs", given.jobs)
        plan = _plan(stem, given, overrides)
        free = plan.free()
        count = min(given.jobs, free)
        ids = []
        if count:
            from twolayer.sims.engine import submit as jobs

            atomic_io.prepare("logs folder", given.logs)
            command = _command(stem, _of_run(tokens))
            ids = jobs.submit(
                [[*command, "--part", f"{i + 1}/{count}"] for i in range(count)],
                given.cluster,
                name=stem,
                logs=given.logs / stem,
                minutes=given.minutes,
                cpus=given.cpus,
                gpus=given.gpus,
            )
    for line in plan.left_out:
        print(line)
    print(f"{plan.done} of {plan.total} cells done, {plan.missing - free} being computed")
    if ids:
        print(f"submitted {free} cells in jobs {', '.join(ids)}; logs in {given.logs / stem}")
    else:
        print("nothing to submit")


def _options(kind: type[Any], stem: str, tokens: Sequence[str]) -> tuple[Any, dict[str, Any]]:
    from twolayer.sims.engine import registry

    return parse(registry.get(stem), tokens, kind, f"twolayer {kind.command} {stem}")


def _of_run(tokens: Sequence[str]) -> list[str]:
    """Drop the options that ``submit`` alone has."""
    own = {field.name for field in dataclasses.fields(Submit)} - {
        field.name for field in dataclasses.fields(Run)
    }
    return [
        word
        for option, values in grouped(tokens)
        if option.removeprefix("--") not in own
        for word in ([option] if option else []) + values
    ]


def _tell(plan: Plan) -> None:
    """Name stale cells, and missing ones if they are few."""
    for line in plan.stale():
        print(line)
    if plan.done and plan.missing <= _FEW and not plan.stale():
        for cell in plan.lacking():
            print(f"missing: {cell}")


def _command(stem: str, tokens: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", "twolayer", "run", stem, *tokens]


def _part(options: Options) -> tuple[int, int] | None:
    """Parse ``--part I/K`` into a zero-based index and a count."""
    if options.part is None:
        return None
    if options.processes is not None:
        raise ValueError("part must be left out where processes is given, which have parts.")
    index, _, count = options.part.partition("/")
    if not (index.isdecimal() and count.isdecimal() and 1 <= int(index) <= int(count)):
        raise ValueError(f"part must be I/K with 1 <= I <= K, such as 2/8; got {options.part}.")
    return int(index) - 1, int(count)


def _join(options: Options) -> Member | None:
    """Join this process to its cluster, if it has one."""
    if options.processes is None:
        return None
    import jax

    from twolayer.host import cluster
    from twolayer.theory import validation

    validation.integer("processes", options.processes)
    member = cluster.started() or cluster.detected(options.processes)
    if member is None:
        # Who supervises must not take the memory of the accelerators that the others compute on.
        jax.config.update("jax_platforms", "cpu")
    return member


def _plan(stem: str, options: Options, overrides: dict[str, Any], write: bool = True) -> Plan:
    from twolayer.host import jax_setup
    from twolayer.sims.engine import plan as runner

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
    """Compute the cells in several processes of this machine."""
    from tqdm import tqdm

    from twolayer.host import cluster

    show = console.on_terminal()
    try:
        with tqdm(total=plan.total, initial=plan.done, unit="cell", disable=not show) as bar:
            for _ in cluster.supervise(command, size):
                bar.update(plan.look(ours=True))
            bar.update(plan.look(ours=True))
    except cluster.MemberEnded as error:
        plan.look(ours=True)
        print(
            f"{error.output}stopped: {error}; {plan.done} of {plan.total} cells done; "
            "the same command resumes",
            file=sys.stderr,
        )
        sys.exit(1)
