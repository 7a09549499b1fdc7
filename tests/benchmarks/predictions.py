"""How good the plans are: predicted beside measured seconds, and memory beside the compiler's.

``python -m tests.benchmarks.predictions [--results FOLDER]``; some minutes. Measured are the
seconds that stored cells of scale default state; of programs one a label is compiled, at most three
a study.
"""

from __future__ import annotations

import argparse
import collections
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from twolayer.host import jax_setup
from twolayer.sims.engine import execution, plan, registry, storage
from twolayer.sims.engine.index import Index
from twolayer.sims.forecast import jaxpr as programs
from twolayer.sims.forecast import machine, peak_memory, requirements
from twolayer.sims.forecast.machine import Balance

PROGRAMS = 3
# Labels below this many seconds are not told one by one.
SHORT = 1.0


def stored_seconds(stem: str, folder: Path) -> dict[str, float]:
    """The seconds of the stored cells of each label, which add up to those of the run."""
    index = Index(folder / stem)
    found: dict[str, float] = collections.defaultdict(float)
    for study, label, config, num_seeds in registry.get(stem).table("default"):
        for seed in range(num_seeds):
            identity = storage.identity(stem, study.name, study.version, config, seed)
            for cell in index.find_all(identity)[:1]:
                found[f"{study.name}/{label}"] += cell.sidecar["seconds"]
    return dict(found)


def predicted_seconds(stem: str, measured: Balance) -> dict[str, float]:
    """The seconds that a plan with no cell done foretells for each label."""
    planned = plan.plan(stem, folder=Path("nowhere"), write=False)
    return {need.name: need.seconds for need in requirements.forecast(planned, measured).needs}


def memory_ratios(stem: str) -> dict[str, float]:
    """Predicted over reserved bytes of some programs."""
    taken: collections.Counter[str] = collections.Counter()
    seen, found = set(), {}
    for jobs in plan.plan(stem, folder=Path("nowhere"), write=False).batches():
        study, config = jobs[0].study, jobs[0].config
        jaxpr, args, program = execution.traced_program(study, config, len(jobs))
        if program in seen or taken[study.name] == PROGRAMS:
            continue
        seen.add(program)
        taken[study.name] += 1
        foretold = peak_memory.peak(programs.block(jaxpr, args, known=(1,), turns=study.turns))
        found[f"{study.name}/{jobs[0].row.label}"] = foretold / reserved_bytes(
            execution._compile(study, config, len(jobs))
        )
    return found


def reserved_bytes(program: Any) -> int:
    """What a compiled program takes for arguments, results and temporaries."""
    found = program.memory_analysis()
    sizes = found.argument_size_in_bytes, found.output_size_in_bytes, found.temp_size_in_bytes
    return sum(sizes)


def within(ratios: Mapping[str, float]) -> str:
    good = sum(0.5 <= ratio <= 2 for ratio in ratios.values())
    return f"{good} of {len(ratios)} within a factor 2"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.predictions")
    parser.add_argument("--results", type=Path, default=Path("results"), help="stored results")
    given = parser.parse_args(arguments)
    if not any((given.results / stem).is_dir() for stem in registry.STEMS):
        parser.exit(2, f"error: --results must hold stored cells; got {given.results}.\n")
    jax_setup.configure()
    measured = machine.measure()
    print(f"balance: {measured.describe()}")
    labels: dict[str, float] = {}
    sizes: dict[str, float] = {}
    for stem in registry.STEMS:
        there, foretold = stored_seconds(stem, given.results), predicted_seconds(stem, measured)
        common = [name for name in there if name in foretold]
        spent, expected = (sum(each[name] for name in common) for each in (there, foretold))
        if not common:
            print(f"{stem}: no stored cells")
            continue
        print(f"{stem}: {expected:.0f} of {spent:.0f} s, {expected / spent:.2f}", flush=True)
        labels |= {
            f"{stem} {name}": foretold[name] / there[name]
            for name in common
            if there[name] >= SHORT
        }
        sizes |= {f"{stem} {name}": ratio for name, ratio in memory_ratios(stem).items()}
    print(f"seconds of labels above {SHORT:.0f} s: {within(labels)}; memory: {within(sizes)}")
    for what, ratios in (("seconds", labels), ("memory", sizes)):
        for name, ratio in sorted(ratios.items(), key=lambda item: item[1]):
            if not 0.5 <= ratio <= 2:
                print(f"{what} of {name}: {ratio:.2f}")


if __name__ == "__main__":
    main()
