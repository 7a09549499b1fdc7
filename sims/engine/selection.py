"""What is asked for: settings of a scale, some by label, with other values and numbers of seeds."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from twolayer.sims.engine import labels
from twolayer.theory import validation

if TYPE_CHECKING:
    from twolayer.sims.engine.experiment import Experiment, Study


@dataclasses.dataclass(frozen=True, eq=False)
class Setting:
    """A config of a study, with its label and number of seeds.

    Attributes:
      own: the config that the scale itself has, from which this one was made by overrides.
      names: what the option ``only`` may call it.
    """

    study: Study
    label: str
    config: Any
    seeds: int
    own: Any
    names: frozenset[str]

    @property
    def name(self) -> str:
        """Study and label."""
        return f"{self.study.name}/{self.label}"


def select(
    experiment: Experiment,
    scale: str,
    *,
    seeds: int | None = None,
    overrides: Mapping[str, Any] | None = None,
    only: Sequence[str] | None = None,
) -> list[Setting]:
    """The settings of a scale, as they were asked for.

    Args:
      experiment: the stem.
      scale: one of ``experiment.SCALES``.
      seeds: instead of the number of seeds that the scale has.
      overrides: values by field name, for every selected config that has the field. The labels
        state them then; settings that become one are one.
      only: labels of the settings, also as study/label; all by default.

    Raises:
      ValueError: naming the argument, for an unknown scale, label or field, or for a value that a
        config rejects.
    """
    overrides = overrides or {}
    if seeds is not None:
        validation.integer("seeds", seeds)
    if isinstance(only, str):
        raise ValueError(f"only must be a sequence of labels; got the word {only!r}.")
    settings, rejected = _overridden(experiment, scale, seeds, overrides)
    names = [name for setting in (*settings, *rejected) for name in sorted(setting.names)]
    for name in only or ():
        if name not in names:
            near = difflib.get_close_matches(str(name), names, n=1)
            meant = f" Did you mean {near[0]}?" if near else ""
            known = ", ".join(dict.fromkeys(label for _, label, _, _ in experiment.table(scale)))
            raise ValueError(f"only must be one of {known}; got {name!r}.{meant}")
    for setting, error in rejected.items():
        if not only or setting.names & set(only):
            raise error
    selected = [setting for setting in settings if not only or setting.names & set(only)]
    if not selected:
        raise ValueError(f"{experiment.stem} has nothing to run at scale {scale}.")
    fields = {f.name for each in selected for f in dataclasses.fields(each.config)}
    if unused := sorted(set(overrides) - fields):
        raise ValueError(
            f"overrides must be fields of the selected configs, {', '.join(sorted(fields))}; "
            f"got {', '.join(unused)}."
        )
    return selected


def _overridden(
    experiment: Experiment, scale: str, seeds: int | None, overrides: Mapping[str, Any]
) -> tuple[list[Setting], dict[Setting, ValueError]]:
    """Every setting of a scale with the overrides, and those whose config rejects them."""
    settings: list[Setting] = []
    rejected = {}
    for study, label, own, number in experiment.table(scale):
        names = frozenset({label, f"{study.name}/{label}"})
        given = {field.name for field in dataclasses.fields(own)} & set(overrides)
        try:
            config = dataclasses.replace(own, **{name: overrides[name] for name in given})
        except ValueError as error:
            rejected[Setting(study, label, own, number, own, names)] = error
            continue
        shown = labels.relabel(label, own, config)
        settings.append(Setting(study, shown, config, seeds or number, own, names))
    return _distinct(settings), rejected


def _distinct(settings: Sequence[Setting]) -> list[Setting]:
    """Settings under labels that tell them apart; those of one label and config are one."""
    by_name: dict[str, list[Setting]] = {}
    for setting in settings:
        by_name.setdefault(setting.name, []).append(setting)
    found: list[Setting] = []
    for alike in by_name.values():
        varied = {
            name
            for setting in alike
            for name, _, _ in labels.differences(alike[0].config, setting.config)
        }
        merged: dict[Any, Setting] = {}
        for setting in alike:
            stated = [
                f", {name}={labels.shown(getattr(setting.config, name))}" for name in sorted(varied)
            ]
            label = setting.label + "".join(stated)
            same = merged.get(setting.config, setting)
            merged[setting.config] = dataclasses.replace(
                setting,
                label=label,
                seeds=max(setting.seeds, same.seeds),
                names=setting.names | same.names | {label, f"{setting.study.name}/{label}"},
            )
        found += merged.values()
    return found
