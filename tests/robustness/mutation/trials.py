"""A change is made in a copy of the tree, and the copy's checks are run, one change a core."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import attrs
from cosmic_ray.mutating import mutate_and_test
from cosmic_ray.work_item import MutationSpec, TestOutcome

from twolayer.host import process_pool

ROOT = Path(__file__).parents[3]
COPIED = ("twolayer", "theory", "sims", "figures", "tests", "pyproject.toml")
SECONDS = 900.0


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What came of one change."""

    module: str
    line: int
    definition: str | None
    change: str
    noticed: str | None  # by what; None if it was not


def tried(changes: Mapping[str, Sequence[MutationSpec]]) -> Iterator[tuple[str, list[Outcome]]]:
    """What comes of the changes of each module, in order, each tried on one core.

    A module's checks must pass as it is: they would notice any change otherwise.
    """
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(prefix="mutation-") as folder:
        with ProcessPoolExecutor(
            process_pool.cores(), mp_context=context, initializer=_take_copy, initargs=(folder,)
        ) as pool:
            started = [
                (
                    module,
                    pool.submit(_unchanged, module),
                    [pool.submit(_try, each) for each in specs],
                )
                for module, specs in changes.items()
            ]
            try:
                for module, unchanged, outcomes in started:
                    if trouble := unchanged.result():
                        raise SystemExit(f"error: {module} fails its checks unchanged: {trouble}")
                    yield module, [outcome.result() for outcome in outcomes]
            finally:
                pool.shutdown(cancel_futures=True)


def _take_copy(folder: str) -> None:
    copy = Path(tempfile.mkdtemp(dir=folder))
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            ignore = shutil.ignore_patterns("__pycache__", "out", "gallery")
            shutil.copytree(source, copy / name, ignore=ignore, symlinks=True)
        else:
            shutil.copy(source, copy / name)
    os.chdir(copy)


def _command(module: str, line: int) -> str:
    return f"{sys.executable} -m tests.robustness.mutation.judge {module} {line}"


def _unchanged(module: str) -> str | None:
    """What fails of a module's checks as it is: they would notice any change then."""
    result = mutate_and_test([], _command(module, 0), SECONDS)
    return None if result.test_outcome is TestOutcome.SURVIVED else _last_line(result.output)


def _try(spec: MutationSpec) -> Outcome:
    path = spec.module_path.relative_to(ROOT)
    module, line = module_name(spec.module_path), spec.start_pos[0]
    moved = attrs.evolve(spec, module_path=path)
    result = mutate_and_test([moved], _command(module, line), SECONDS)
    if result.test_outcome is TestOutcome.INCOMPETENT or result.test_outcome is None:
        raise RuntimeError(f"{path}:{line} could not be tried: {result.output}")
    rows = (result.diff or "").splitlines()
    change = "\n".join(
        row for row in rows if row[:1] in "+-" and not row.startswith(("+++", "---"))
    )
    survived = result.test_outcome is TestOutcome.SURVIVED
    noticed = None if survived else _last_line(result.output)
    return Outcome(module, line, spec.definition_name, change, noticed)


def _last_line(output: str | None) -> str:
    return ((output or "").strip().splitlines() or ["stopped"])[-1]


def module_name(path: Path) -> str:
    return ".".join(("twolayer", *path.relative_to(ROOT).with_suffix("").parts))
