"""How far a stem is: cells that are done, stale ones, and what else is stored."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twolayer.sims.code import digest
from twolayer.sims.engine import commands, labels, provenance, registry, storage
from twolayer.sims.engine.experiment import SCALES, Experiment, Study
from twolayer.sims.engine.index import Index


@dataclasses.dataclass(frozen=True)
class Status:
    """What is stored of a stem.

    Attributes:
      counts: for each scale, how many cells are done and how many there are.
      notes: one line for each kind of further cells: stale ones, which are not done, those of other
        settings or seeds than the scales', and those that are not used.
    """

    counts: dict[str, tuple[int, int]]
    notes: list[str]


def status(stem: str, folder: str | Path = "results") -> Status:
    """What is stored of a stem; nothing is computed."""
    experiment = registry.get(stem)
    stored = Index(Path(folder) / stem)
    counts, notes, known = {}, [], []
    for scale in SCALES:
        done = total = stale = 0
        for study, _, config, num_seeds in experiment.table(scale):
            code = digest.of_study(study)
            for seed in range(num_seeds):
                cell = storage.identity(stem, study.name, study.version, config, seed)
                known.append(cell)
                faults = [provenance.fault(each.sidecar, code) for each in stored.find_all(cell)]
                total += 1
                done += "" in faults
                stale += bool(faults) and "" not in faults
        counts[scale] = done, total
        if stale:
            command = commands.run(stem, scale, folder)
            notes.append(
                f"stale: {stale} cells of {stem} at scale {scale}, {provenance.OTHER_CODE}; "
                f"recompute them with: {command}"
            )
    notes += _others(experiment, stored.others(known))
    if stored.incomparable:
        notes.append(
            f"not used: {stored.incomparable} cells of {stem}, which were computed with other "
            "precision or random generator"
        )
    return Status(counts, notes)


def _others(experiment: Experiment, cells: list[dict[str, Any]]) -> list[str]:
    """What is stored besides the cells of the scales, by study and label."""
    seeds: dict[str, set[int]] = collections.defaultdict(set)
    studies = {study.name: study for study in experiment.studies}
    for cell in cells:
        study = studies.get(cell["study"])
        if study is None or study.version != cell["version"]:
            name = f"{cell['study']}, another version"
        else:
            name = f"{study.name}/{_label(study, cell['config'])}"
        seeds[name].add(cell["seed"])
    return [
        f"also stored: {experiment.stem} {name}, seeds {', '.join(map(str, sorted(each)))}"
        for name, each in sorted(seeds.items())
    ]


def _label(study: Study, values: Mapping[str, Any]) -> str:
    """The label of a stored config: that of the scales' nearest one, with what differs."""
    try:
        config = study.config_type(**{name: _tuples(value) for name, value in values.items()})
    except (TypeError, ValueError):
        return "settings that are none now"
    own, label = min(
        ((own, label) for cells in study.cells.values() for label, (own, _) in cells.items()),
        key=lambda pair: len(list(labels.differences(pair[0], config))),
    )
    return labels.relabel(label, own, config)


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
