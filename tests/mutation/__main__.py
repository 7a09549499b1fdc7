"""The command ``python -m tests.mutation``: how many changes of the code do its checks notice?

Cosmic Ray finds and makes the changes. Its own runner works on one tree and tries all of them,
which would take days here: each is tried in a process with copies of its own, and a sample of them.
What survives changes nothing (tests/mutation/equivalent.py says why) or is a gap in the checks.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cosmic_ray.work_item import MutationSpec

from tests.mutation import changes, equivalent
from tests.mutation.trials import ROOT, Outcome, module_name, tried
from theory import files, runtime

REQUIRED = 0.9


def main(arguments: Sequence[str] | None = None) -> int:
    """Try changes and report; 1 if too few in the theorem modules are noticed, 2 for bad input."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument(
        "modules", nargs="*", metavar="MODULE", help="theory.kernels ...; all that state theorems"
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
    # Someone may work on the tree meanwhile.
    sampled = {
        "theory": runtime.source_digest("theory"),
        "changes": given.changes,
        "seed": given.seed,
    }
    tests = runtime.source_digest("tests")
    done = {
        module: each
        for module, each in _stored(given.json, sampled).items()
        if module not in specs or _is_of(each, specs[module])
    }
    lacking = {module: _untried(each, done.get(module), tests) for module, each in specs.items()}
    for module, found in tried({module: each for module, each in lacking.items() if each}):
        for outcome in found:
            if outcome.noticed is None and not _changes_nothing(outcome):
                print(f"{module}:{outcome.line} survived\n{outcome.change}", flush=True)
        done[module] = Tried(tests, _merged(done.get(module), found))
        if given.json:
            _store(given.json, sampled, done)
    outcomes = [outcome for module in specs for outcome in done[module].outcomes]
    print(_table(outcomes, {module: len(found) for module, found in possible.items()}))
    judged = [outcome for outcome in outcomes if outcome.module in states]
    return 0 if _score(judged) >= REQUIRED else 1


@dataclasses.dataclass(frozen=True)
class Tried:
    """What came of a module's sample, in its order."""

    tests: str  # digest of those that were run last
    outcomes: list[Outcome]


def _untried(specs: list[MutationSpec], done: Tried | None, tests: str) -> list[MutationSpec]:
    """What is to be tried: all, or after a change of the tests what survived the earlier ones."""
    if done is None:
        return specs
    pairs = zip(specs, done.outcomes, strict=True)
    return [spec for spec, outcome in pairs if outcome.noticed is None and done.tests != tests]


def _is_of(done: Tried, specs: list[MutationSpec]) -> bool:
    """Whether it is these changes that were tried; another version may find others."""
    return [each.line for each in done.outcomes] == [spec.start_pos[0] for spec in specs]


def _merged(done: Tried | None, found: list[Outcome]) -> list[Outcome]:
    """The outcomes with those of a second try in place."""
    if done is None:
        return found
    again = iter(found)
    return [next(again) if each.noticed is None else each for each in done.outcomes]


def _stored(file: Path | None, sampled: Mapping[str, Any]) -> dict[str, Tried]:
    """What came of the same changes in an earlier run, by module."""
    if file is None or not file.exists():
        return {}
    record = json.loads(file.read_text())
    if {name: record.get(name) for name in sampled} != sampled:
        return {}
    return {
        module: Tried(each["tests"], [Outcome(**row) for row in each["outcomes"]])
        for module, each in record["modules"].items()
    }


def _store(file: Path, sampled: Mapping[str, Any], done: Mapping[str, Tried]) -> None:
    modules = {module: dataclasses.asdict(each) for module, each in done.items()}
    files.write(file, (json.dumps({**sampled, "modules": modules}, indent=1) + "\n").encode())


def _changes_nothing(outcome: Outcome) -> bool:
    removed, _, put = outcome.change.partition("\n+")
    return (outcome.module, removed[1:], put) in equivalent.EQUIVALENT


def _score(outcomes: Sequence[Outcome]) -> float:
    """The share that was noticed of all that change something; 1 of none."""
    judged = [each for each in outcomes if each.noticed or not _changes_nothing(each)]
    return sum(each.noticed is not None for each in judged) / len(judged) if judged else 1.0


def _table(outcomes: Sequence[Outcome], possible: dict[str, int]) -> str:
    width = max(map(len, possible))
    lines = [f"{'module':{width}}  possible  tried  verify  tests  nothing  survived  score"]
    rows = {module: [each for each in outcomes if each.module == module] for module in possible}
    for module, of in {**rows, "all": list(outcomes)}.items():
        total = possible.get(module, sum(possible.values()))
        verified = sum((each.noticed or "").startswith("verify") for each in of)
        nothing = sum(not each.noticed and _changes_nothing(each) for each in of)
        survived = sum(not each.noticed for each in of) - nothing
        lines.append(
            f"{module:{width}}  {total:8}  {len(of):5}  {verified:6}  "
            f"{len(of) - verified - nothing - survived:5}  {nothing:7}  {survived:8}  "
            f"{_score(of):5.2f}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
