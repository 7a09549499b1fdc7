"""Parse the options of runs, and overrides of config fields."""

from __future__ import annotations

import dataclasses
import decimal
import difflib
import functools
import itertools
import operator
import re
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import tyro

from twolayer.cli import parsing

if TYPE_CHECKING:
    from twolayer.sims.engine.experiment import Experiment

StudyName = Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="STUDY")]
Studies = Annotated[tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="[STUDY ...]")]
Given = TypeVar("Given", bound="Options")

# The default of every override: the value that the scale's own config has.
UNCHANGED = "unchanged"
FOLDER = Path("results")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """Options of a run; fields of the study's configs are options too."""

    scale: Literal["smoke", "default", "paper"] = "default"
    """How much to run: seconds, minutes, or the published grid."""
    seeds: int | None = None
    """Number of seeds of every config, instead of the scale's own."""
    results: Path = FOLDER
    """Root folder of the results."""
    data: Path | None = None
    """Folder of image files; also the environment variable TWOLAYER_DATA."""
    only: tuple[str, ...] = ()
    """Labels to run; all by default."""
    processes: int | None = None
    """Run in this many processes: of this machine, or of the cluster that a scheduler started."""
    keep_stale: bool = False
    """Take cells that were computed by other code than is here now as they are."""
    part: str | None = None
    """Begin with this part of the missing cells, such as 2/8, and leave others' cells to them."""


def parse(
    experiment: Experiment, tokens: Sequence[str], kind: type[Given], prog: str
) -> tuple[Given, dict[str, Any]]:
    """Parse a command's options, and the overrides by field name.

    ``--set NAME=VALUE ...`` says the same as ``--NAME VALUE ...``.

    Raises:
      ValueError: in one line that names the option.
    """
    types: dict[str, list[Any]] = {}
    for study in experiment.studies:
        hints = typing.get_type_hints(study.config_type)
        for field in dataclasses.fields(study.config_type):
            types.setdefault(field.name, []).append(hints[field.name])
    allowed = {name: functools.reduce(operator.or_, kinds) for name, kinds in types.items()}
    hints = typing.get_type_hints(kind)
    own = {field.name: hints[field.name] for field in dataclasses.fields(kind)}
    kinds_by_name = {**own, **allowed}
    kinds_by_name.pop("study", None)
    tokens = list(_whole_numbers(_spelled_out(tokens), kinds_by_name))
    fields = []
    for name, each in allowed.items():
        help_text = f"in the configs of {', '.join(_studies_with(experiment, name))}"
        union = operator.or_(each, Literal["unchanged"])
        annotation = Annotated[union, tyro.conf.arg(help=help_text)]  # type: ignore[valid-type]
        fields.append((name, annotation, dataclasses.field(default=UNCHANGED)))
    options_type = dataclasses.make_dataclass(
        kind.__name__, fields, bases=(kind,), frozen=True, kw_only=True
    )
    read = functools.partial(
        parsing.read,
        options_type,
        prog=prog,
        description=f"{experiment.title}. {kind.__doc__}",
    )
    if {"-h", "--help"} & set(tokens):
        read([experiment.stem, "--help"])
    defaults = {field.name: field for field in dataclasses.fields(kind)}
    parsing.once(tokens)
    for option, values in grouped(tokens):
        name = _name(option)
        if name == "only" and not values:
            raise ValueError("--only must be followed by labels; got nothing.")
        if name not in kinds_by_name:
            raise ValueError(_unknown(option, values, kinds_by_name))
        given = (name, kinds_by_name[name], *([defaults[name]] if name in defaults else []))
        try:
            parsing.read(dataclasses.make_dataclass("One", [given]), [option, *values], prog)
        except ValueError:
            came = " ".join(values) or "nothing"
            raise ValueError(
                f"{option} must be {_words(kinds_by_name[name])}; got {came}."
            ) from None
    options = read([experiment.stem, *tokens])
    overrides = {name: getattr(options, name) for name in allowed}
    return options, {name: value for name, value in overrides.items() if value != UNCHANGED}


def grouped(tokens: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """Yield each option with its values; '' for values before all options."""
    starts = [i for i, token in enumerate(tokens) if token.startswith("--")]
    first = min(starts, default=len(tokens))
    if first:
        yield "", list(tokens[:first])
    for start, stop in itertools.pairwise([*starts, len(tokens)]):
        option, *values = [*tokens[start].split("=", 1), *tokens[start + 1 : stop]]
        yield option, values


def _unknown(option: str, values: Sequence[str], kinds: Mapping[str, Any]) -> str:
    known = [f"--{name.replace('_', '-')}" for name in kinds]
    near = difflib.get_close_matches(option, known, n=1)
    meant = f" Did you mean {near[0]}?" if near else ""
    came = " ".join([option, *values] if option else values)
    return f"options must be among {', '.join(known)}; got {came}.{meant}"


def _spelled_out(tokens: Sequence[str]) -> Iterator[str]:
    """Rewrite every ``--set a=1 b=2,3`` as ``--a 1 --b 2 3``."""
    setting = False
    for token in tokens:
        if token.startswith("-"):
            setting = token == "--set"
        if not setting:
            yield token
        elif token != "--set":
            name, given, value = token.partition("=")
            if not given:
                raise ValueError(f"--set must be followed by NAME=VALUE; got {token}.")
            yield from (f"--{name}", *value.split(","))


def _whole_numbers(tokens: Iterable[str], kinds: Mapping[str, Any]) -> Iterator[str]:
    """Spell out integers such as 1e9 for options that take integers."""
    name = ""
    for token in tokens:
        option, sign, value = token.partition("=") if token.startswith("--") else ("", "", token)
        name = _name(option) if option else name
        inner = typing.get_args(kinds.get(name)) or (kinds.get(name),)
        integral = re.fullmatch(r"\d+(\.\d*)?[eE]\+?\d{1,2}", value)
        if integral and int in inner and float not in inner and float(value).is_integer():
            value = str(int(decimal.Decimal(value)))
        yield f"{option}{sign}{value}"


def _name(option: str) -> str:
    return option.removeprefix("--").replace("-", "_")


def _studies_with(experiment: Experiment, name: str) -> list[str]:
    return [
        study.name
        for study in experiment.studies
        if name in {field.name for field in dataclasses.fields(study.config_type)}
    ]


def _words(kind: Any) -> str:
    """Describe a type by the values that a user may write."""
    if typing.get_origin(kind) is Literal:
        return f"one of {', '.join(map(str, typing.get_args(kind)))}"
    return kind.__name__ if isinstance(kind, type) and not typing.get_args(kind) else str(kind)
