"""Command line of the theorems: ``python -m theory list | verify | falsify [NAME ...]``."""

from __future__ import annotations

import argparse
import functools
import io
import json
import math
import sys
from pathlib import Path
from typing import Any

# Where counterexamples are stored unless the user names another folder.
FOLDER = Path("results/counterexamples")


def main(arguments: list[str] | None = None) -> int:
    """Run a command; 0 when all is well, 1 when a theorem fails, 2 for wrong arguments."""
    parser = argparse.ArgumentParser(prog="python -m theory", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    listing = commands.add_parser("list", help="names, sources and statements")
    verification = commands.add_parser("verify", help="check theorems on random instances")
    attack = commands.add_parser("falsify", help="search for counterexamples")
    for command in (listing, verification, attack):
        command.add_argument(
            "names", nargs="*", metavar="NAME", help="theorem, stem or wing; default: all"
        )
    verification.add_argument(
        "--instances", type=int, default=1000, metavar="N", help="instances a theorem (1000)"
    )
    verification.add_argument(
        "--certified",
        action="store_true",
        help="also decide the statements in ball arithmetic, instance by instance",
    )
    attack.add_argument(
        "--budget",
        type=float,
        default=30.0,
        metavar="SECONDS",
        help="a theorem's time with compilation (30); the first round is always made, and no "
        "compilation or round is cut short",
    )
    for command, what in ((verification, "verdicts"), (attack, "results")):
        command.add_argument("--seed", type=int, default=0, metavar="S", help="random seed (0)")
        command.add_argument("--json", type=Path, metavar="FILE", help=f"also write the {what}")
        command.add_argument(
            "--save",
            type=Path,
            metavar="FOLDER",
            help=f"of counterexamples, one npz a theorem ({FOLDER})",
        )
    options = parser.parse_args(arguments)

    from twolayer.theory.verification import registry
    from twolayer.host import atomic_io as files, signals

    try:
        theorems = registry.select(options.names)
        if options.command == "list":
            return _list(theorems)
        left = f"counterexamples found so far are in {options.save or FOLDER}"
        with signals.stopping(lambda: left):
            return (_verify if options.command == "verify" else _falsify)(theorems, options)
    except (ValueError, ImportError) as error:
        print(f"python -m theory: {error}", file=sys.stderr)
        return 2
    except files.NotWritten as error:
        print(f"python -m theory: {error}", file=sys.stderr)
        return 1


def _list(theorems: list[Any]) -> int:
    for theorem in theorems:
        print(f"{theorem.name}  ({theorem.source})\n    {theorem.statement}")
    return 0


def _verify(theorems: list[Any], options: argparse.Namespace) -> int:
    from twolayer.theory import validation as arguments
    from twolayer.theory.verification import intervals, worker as jobs
    from twolayer.host import jax_setup as runtime

    arguments.integer("--instances", options.instances)
    _check(options)
    if options.certified:
        intervals.pi()  # says so now if the optional package is missing
    runtime.single_threaded()
    runtime.configure()
    width = max(len(theorem.name) for theorem in theorems)
    print(
        f"{'theorem':{width}}  {'verdict':14} {'instances':>9} {'vacuous':>8} "
        f"{'violations':>12} {'slack':>10} {'tightness':>9} {'controls':>8} {'seconds':>7}  source"
    )
    judge = functools.partial(jobs.judge, seed=options.seed, instances=options.instances)
    rows = []
    refuted = 0
    verdicts = runtime.in_processes(judge, [theorem.name for theorem in theorems])
    for theorem, ((verdict, arrays), seconds) in zip(theorems, verdicts, strict=True):
        caught = len(verdict.controls) - len(verdict.missed)
        violations = f"{verdict.violations} of {verdict.allowed}"
        print(
            f"{verdict.name:{width}}  {verdict.status:14} {verdict.instances:9} "
            f"{verdict.vacuous / verdict.instances:8.1%} {violations:>12} "
            f"{verdict.worst_slack:10.3e} {_number(verdict.tightness):>9} "
            f"{f'{caught}/{len(verdict.controls)}':>8} {seconds:7.1f}  {verdict.source}",
            flush=True,
        )
        saved = _save(options, theorem.name, arrays, width)
        for name in verdict.missed:
            print(f"{'':{width}}  control not caught: {name}")
        decided = None
        if options.certified:
            decided = _certify(theorem, options)
            print(f"{'':{width}}  certified: {_counts(decided)}", flush=True)
            if theorem.failure_rate == 0:
                refuted += (decided or {}).get("REFUTED", 0)
        rows.append(
            {
                "name": verdict.name,
                "source": verdict.source,
                "statement": theorem.statement,
                "status": verdict.status,
                "instances": verdict.instances,
                "vacuous": verdict.vacuous,
                "violations": verdict.violations,
                "allowed": verdict.allowed,
                "worst_slack": _finite(verdict.worst_slack),
                "tightness": _finite(verdict.tightness),
                "ratios": {name: _finite(ratio) for name, ratio in verdict.ratios.items()},
                "controls": dict(verdict.controls),
                "missed": list(verdict.missed),
                "certified": decided,
                "counterexample": saved and str(saved),
                "seed": options.seed,
                "seconds": round(seconds, 2),
            }
        )
    held = sum(row["status"] == "HELD" for row in rows)
    print(
        f"\n{held} of {len(rows)} held. Violations: found of allowed (more than 0 only for "
        "statements with probability).\nSlack: worst (rhs - lhs) relative to the larger side. "
        "Tightness: median over instances of the largest lhs / rhs."
    )
    _write(options.json, rows)
    return 0 if held == len(rows) and not refuted else 1


def _certify(theorem: Any, options: argparse.Namespace) -> dict[str, int] | None:
    """Numbers of instances by decision; None without a certified form."""
    from twolayer.theory.verification import worker
    from twolayer.theory.verification.intervals import Decision
    from twolayer.theory.verification.certify import certify

    decisions = certify(theorem, worker.key(theorem.name, options.seed), options.instances)
    return None if decisions is None else {word.value: decisions[word] for word in Decision}


def _counts(decided: dict[str, int] | None) -> str:
    if decided is None:
        return "no certified form"
    return ", ".join(f"{count} {word}" for word, count in decided.items())


def _falsify(theorems: list[Any], options: argparse.Namespace) -> int:
    from twolayer.theory import validation as arguments
    from twolayer.theory.verification import worker as jobs
    from twolayer.host import jax_setup as runtime

    arguments.number("--budget", options.budget, low=0.0)
    _check(options)
    runtime.single_threaded()
    runtime.configure()
    width = max(len(theorem.name) for theorem in theorems)
    print(
        f"{'theorem':{width}}  {'result':9} {'restarts':>8} {'steps':>7} {'slack':>10} "
        f"{'closest':>9} {'seconds':>7}  source"
    )
    attack = functools.partial(jobs.attack, seed=options.seed, budget=options.budget)
    rows = []
    results = runtime.in_processes(attack, [theorem.name for theorem in theorems])
    for theorem, ((result, arrays), seconds) in zip(theorems, results, strict=True):
        print(
            f"{result.name:{width}}  {result.status:9} "
            f"{result.restarts:8} {result.steps:7} {result.slack:10.3e} "
            f"{_number(result.closest):>9} {seconds:7.1f}  {result.source}",
            flush=True,
        )
        saved = _save(options, theorem.name, arrays, width)
        rows.append(
            {
                "name": result.name,
                "source": result.source,
                "statement": theorem.statement,
                "status": result.status,
                "falsified": result.found,
                "restarts": result.restarts,
                "steps": result.steps,
                "slack": _finite(result.slack),
                "closest": _finite(result.closest),
                "counterexample": saved and str(saved),
                "seed": options.seed,
                "seconds": round(seconds, 2),
            }
        )
    found = sum(row["falsified"] for row in rows)
    print(
        f"\n{found} of {len(rows)} falsified. Slack: least (rhs - lhs) relative to the larger.\n"
        "Closest: largest lhs / rhs inside the hypotheses; for a statement with probability, the "
        "highest share of\nfailures over the one allowed."
    )
    vacuous = sum(row["status"] == "VACUOUS" for row in rows)
    if vacuous:
        print(f"VACUOUS: at no point that was visited did the hypotheses hold, in {vacuous}.")
    _write(options.json, rows)
    return 1 if found or vacuous else 0


def _check(options: argparse.Namespace) -> None:
    from twolayer.theory import validation
    from twolayer.host import atomic_io

    validation.integer("--seed", options.seed, low=0, high=2**63 - 1)
    if options.save is not None:
        atomic_io.prepare("--save folder", options.save)
    if options.json is not None:
        options.json = atomic_io.target("--json", options.json)


def _write(target: Path | None, rows: list[dict[str, Any]]) -> None:
    """Store rows, each with the digest of the code that it was computed by, and of itself."""
    if target is not None:
        from twolayer.host import atomic_io as files, jax_setup

        code = jax_setup.source_digest("theory")
        content = [files.signed({**row, "code": code}) for row in rows]
        files.write(target, (json.dumps(content, indent=1) + "\n").encode())


def _save(
    options: argparse.Namespace, name: str, arrays: dict[str, Any], width: int
) -> Path | None:
    """Store a counterexample with the seed that led to it, and say where; None if there is none."""
    import numpy as np

    from twolayer.host import atomic_io as files

    if not arrays:
        return None
    folder = options.save or FOLDER
    target = folder / f"{name}.npz"
    buffer = io.BytesIO()
    np.savez(buffer, **arrays, seed=np.asarray(options.seed))
    try:
        files.prepare("folder of counterexamples", folder)
    except ValueError as error:  # what was found is told all the same
        print(f"{'':{width}}  not saved: {error}", flush=True)
        return None
    files.write(target, buffer.getvalue())
    print(f"{'':{width}}  saved as {target}", flush=True)
    return target


def _number(value: float) -> str:
    """A ratio with the digits that tell on which side of 1 it lies."""
    if math.isnan(value):
        return "-"
    short = f"{value:.6g}"
    return f"1{value - 1:+.1e}" if short == "1" and value != 1 else short


def _finite(value: float) -> float | None:
    return None if math.isnan(value) else value


if __name__ == "__main__":
    from twolayer.host import console

    console.run(main)
