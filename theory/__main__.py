"""Command line of the theorems: ``python -m theory list | verify [NAME ...]``."""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time
import zlib
from pathlib import Path
from typing import Any


def main(arguments: list[str] | None = None) -> int:
    """Run a command; 0 when all is well, 1 when a theorem fails, 2 for wrong arguments."""
    parser = argparse.ArgumentParser(prog="python -m theory", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    listing = commands.add_parser("list", help="names, sources and statements")
    verification = commands.add_parser("verify", help="check theorems on random instances")
    for command in (listing, verification):
        command.add_argument(
            "names", nargs="*", metavar="NAME", help="theorem, stem or wing; default: all"
        )
    verification.add_argument(
        "--instances", type=int, default=1000, metavar="N", help="instances a theorem (1000)"
    )
    verification.add_argument("--seed", type=int, default=0, metavar="S", help="random seed (0)")
    verification.add_argument("--json", type=Path, metavar="FILE", help="also write the verdicts")
    options = parser.parse_args(arguments)

    from theory import catalogue

    try:
        theorems = catalogue.select(options.names)
        if options.command == "list":
            return _list(theorems)
        return _verify(theorems, options)
    except ValueError as error:
        print(f"python -m theory: {error}", file=sys.stderr)
        return 2


def _list(theorems: list[Any]) -> int:
    for theorem in theorems:
        print(f"{theorem.name}  ({theorem.source})\n    {theorem.statement}")
    return 0


def _verify(theorems: list[Any], options: argparse.Namespace) -> int:
    from concurrent.futures import ThreadPoolExecutor

    import jax

    from theory import arguments, runtime
    from theory.theorem import Theorem, Verdict, verify

    arguments.integer("--instances", options.instances)
    arguments.integer("--seed", options.seed, low=0)
    target = options.json
    if target is not None and (target.is_dir() or not os.access(target.absolute().parent, os.W_OK)):
        raise ValueError(f"--json must be a file in a writable folder; got {target}.")
    runtime.configure()
    width = max(len(theorem.name) for theorem in theorems)
    print(
        f"{'theorem':{width}}  {'verdict':14} {'instances':>9} {'vacuous':>8} "
        f"{'violations':>12} {'slack':>9} {'tightness':>9} {'controls':>8} {'seconds':>7}  source"
    )
    root = jax.random.key(options.seed)

    def judge(theorem: Theorem) -> tuple[Verdict, float]:
        # A theorem's key depends on its name alone, not on what else is verified.
        key = jax.random.fold_in(root, zlib.crc32(theorem.name.encode()))
        start = time.perf_counter()
        verdict = verify(theorem, key, options.instances)
        return verdict, time.perf_counter() - start

    rows = []
    # Most of the time is compilation, which uses one core: so one theorem a core at once.
    pool = ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1))
    for theorem, (verdict, seconds) in zip(theorems, pool.map(judge, theorems), strict=True):
        caught = len(verdict.controls) - len(verdict.missed)
        violations = f"{verdict.violations} of {verdict.allowed}"
        print(
            f"{verdict.name:{width}}  {verdict.status:14} {verdict.instances:9} "
            f"{verdict.vacuous / verdict.instances:8.1%} {violations:>12} "
            f"{verdict.worst_slack:9.1e} {_number(verdict.tightness):>9} "
            f"{f'{caught}/{len(verdict.controls)}':>8} {seconds:7.1f}  {verdict.source}",
            flush=True,
        )
        for name in verdict.missed:
            print(f"{'':{width}}  control not caught: {name}")
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
                "controls": dict(verdict.controls),
                "missed": list(verdict.missed),
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
    if target is not None:
        partial = target.with_name(target.name + ".partial")
        partial.write_text(json.dumps(rows, indent=1) + "\n")
        partial.replace(target)
    return 0 if held == len(rows) else 1


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3g}"


def _finite(value: float) -> float | None:
    return None if math.isnan(value) else value


if __name__ == "__main__":
    sys.exit(main())
