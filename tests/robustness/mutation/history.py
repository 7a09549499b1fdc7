"""What was tried is kept in a file, and not tried again as long as it is of this code."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cosmic_ray.work_item import MutationSpec

from tests.robustness.mutation import trials
from tests.robustness.mutation.trials import Outcome
from twolayer.host import atomic_io, checkout


@dataclasses.dataclass(frozen=True)
class Tried:
    """What came of a module's sample, in its order."""

    tests: str  # digest of those that were run last
    outcomes: list[Outcome]

    def is_of(self, specs: list[MutationSpec]) -> bool:
        """Whether it is these changes that were tried; other numbers or versions find others."""
        return [each.line for each in self.outcomes] == [spec.start_pos[0] for spec in specs]


def outcomes(
    file: Path | None, specs: Mapping[str, list[MutationSpec]], seed: int
) -> Iterator[tuple[str, list[Outcome]]]:
    """What comes of the changes of each module: those on file first, others tried now.

    After a change of the tests only what survived is tried again, as tests are rather added than
    taken away; after one of the theory everything is.

    Args:
      file: where outcomes are kept, module by module; None keeps none.
      specs: the changes to try.
      seed: that of their sample.
    """
    # Someone may work on the tree meanwhile.
    sampled = {"theory": checkout.source_digest("theory"), "seed": seed}
    tests = checkout.digest_of(trials.ROOT, ["tests"])
    done = {
        module: each
        for module, each in _stored(file, sampled).items()
        if module not in specs or each.is_of(specs[module])
    }
    lacking = {module: _untried(each, done.get(module), tests) for module, each in specs.items()}
    for module in specs:
        if not lacking[module]:
            yield module, done[module].outcomes
    for module, found in trials.tried({module: each for module, each in lacking.items() if each}):
        done[module] = Tried(tests, _merged(done.get(module), found))
        if file:
            _store(file, sampled, done)
        yield module, done[module].outcomes


def _untried(specs: list[MutationSpec], done: Tried | None, tests: str) -> list[MutationSpec]:
    if done is None:
        return specs
    pairs = zip(specs, done.outcomes, strict=True)
    return [spec for spec, outcome in pairs if outcome.noticed is None and done.tests != tests]


def _merged(done: Tried | None, found: list[Outcome]) -> list[Outcome]:
    """The outcomes with those of a second try in place."""
    if done is None:
        return found
    again = iter(found)
    return [next(again) if each.noticed is None else each for each in done.outcomes]


def _stored(file: Path | None, sampled: Mapping[str, Any]) -> dict[str, Tried]:
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
    atomic_io.write(file, (json.dumps({**sampled, "modules": modules}, indent=1) + "\n").encode())
