"""The command ``python -m tests.robustness.mutation``: how many changes of the code do its checks
notice?

Cosmic Ray finds and makes the changes. Its own runner works on one tree and tries all of them,
which would take days here: each is tried in a process with copies of its own, and a sample of them.
What survives changes nothing (tests/robustness/mutation/equivalent.py says why) or is a gap in the
checks.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.robustness.mutation import changes, equivalent, history
from tests.robustness.mutation.trials import ROOT, Outcome, module_name

REQUIRED = 0.9


def main(arguments: Sequence[str] | None = None) -> int:
    """Try changes and report; 1 if too few in the theorem modules are noticed, 2 for bad input."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.robustness.mutation", description=__doc__
    )
    parser.add_argument(
        "modules",
        nargs="*",
        metavar="MODULE",
        help="twolayer.theory.kernels.shallow ...; all that state theorems",
    )
    parser.add_argument("--all", action="store_true", help="all modules of theory")
    parser.add_argument("--changes", type=int, default=12, metavar="K", help="a module (12)")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="of the sample (0)")
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="store there what came out, and go on from there"
    )
    given = parser.parse_args(arguments)
    known = {module_name(path): path for path in sorted((ROOT / "theory").rglob("*.py"))}
    for module in given.modules:
        if module not in known:
            parser.exit(2, f"error: MODULE must be one of {', '.join(known)}; got {module}.\n")
    if given.changes < 1:
        parser.exit(2, f"error: --changes must be at least 1; got {given.changes}.\n")
    states = {name for name, path in known.items() if "\nTHEOREMS = (" in path.read_text()}
    chosen = given.modules or (list(known) if given.all else sorted(states))
    possible = {module: changes.of(known[module]) for module in chosen}
    specs = {
        module: changes.sample(found, given.changes, given.seed)
        for module, found in possible.items()
        if found
    }
    outcomes: list[Outcome] = []
    for module, found in history.outcomes(given.json, specs, given.seed):
        outcomes += found
        for outcome in found:
            if not (_is_noticed(outcome) or _changes_nothing(outcome)):
                print(f"{module}:{outcome.line} survived\n{outcome.change}", flush=True)
    print(_table(outcomes, {module: len(found) for module, found in possible.items()}))
    judged = [outcome for outcome in outcomes if outcome.module in states]
    return 0 if _score(judged) >= REQUIRED else 1


def _changes_nothing(outcome: Outcome) -> bool:
    removed, _, put = outcome.change.partition("\n+")
    return (outcome.module, removed[1:], put) in equivalent.EQUIVALENT


def _score(outcomes: Sequence[Outcome]) -> float:
    """The share that was noticed, of all; 1 of none."""
    return sum(map(_is_noticed, outcomes)) / len(outcomes) if outcomes else 1.0


def _is_noticed(outcome: Outcome) -> bool:
    return outcome.noticed is not None


def _table(outcomes: Sequence[Outcome], possible: dict[str, int]) -> str:
    width = max(map(len, possible))
    lines = [f"{'module':{width}}  possible  tried  verify  tests  nothing  survived  score"]
    rows = {module: [each for each in outcomes if each.module == module] for module in possible}
    for module, of in {**rows, "all": list(outcomes)}.items():
        total = possible.get(module, sum(possible.values()))
        verified = sum((each.noticed or "").startswith("verify") for each in of)
        unnoticed = [each for each in of if not _is_noticed(each)]
        nothing = sum(map(_changes_nothing, unnoticed))
        lines.append(
            f"{module:{width}}  {total:8}  {len(of):5}  {verified:6}  "
            f"{len(of) - verified - len(unnoticed):5}  {nothing:7}  {len(unnoticed) - nothing:8}  "
            f"{_score(of):5.2f}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
