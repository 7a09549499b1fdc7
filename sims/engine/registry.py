"""Find the studies, and import each when it is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from twolayer import sims
from twolayer.host import names, stems

if TYPE_CHECKING:
    from twolayer.sims.engine.experiment import Experiment

# Each module defines EXPERIMENT.
STEMS = stems.find(sims, "experiment")


class _Studies(Mapping[str, "Experiment"]):
    """The experiments by name, each imported when it is looked up."""

    def __getitem__(self, name: str) -> Experiment:
        if name not in STEMS:
            raise KeyError(name)
        return get(name)

    def __iter__(self) -> Iterator[str]:
        return iter(STEMS)

    def __len__(self) -> int:
        return len(STEMS)

    def __repr__(self) -> str:
        return f"studies: {', '.join(STEMS)}"


studies = _Studies()


def full_name(study: str) -> str:
    """The name with its wing of a study that is named without, where only one fits."""
    found = [name for name in STEMS if study in (name, name.rpartition(".")[2])]
    return found[0] if len(found) == 1 else study


def get(stem: str) -> Experiment:
    """The experiment of a study; ValueError names the studies that there are."""
    names.one_of("study", stem, list(STEMS))
    experiment: Experiment | None = getattr(stems.load(STEMS[stem]), "EXPERIMENT", None)
    if experiment is None:
        raise ValueError(f"{STEMS[stem]} must define EXPERIMENT; it does not.")
    if experiment.stem != stem:
        raise ValueError(f"stem of {STEMS[stem]} must be {stem}; got {experiment.stem}.")
    return experiment
