"""The options of ``python -m sims run`` and ``plan``: what is to be computed, and overrides."""

from __future__ import annotations

import contextlib
import dataclasses
import decimal
import functools
import io
import itertools
import operator
import re
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

if TYPE_CHECKING:
    from twolayer.sims.engine.experiment import Experiment

# The default of every override: the value that the scale's own config has.
UNCHANGED = "unchanged"
FOLDER = Path("results")


@dataclasses.dataclass(frozen=True)
class Options:
    """Compute the cells that are missing; what is done is kept, and a stopped run resumes."""

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
    experiment: Experiment, tokens: Sequence[str], command: str = "run"
) -> tuple[Options, dict[str, Any]]:
    """The options of a run or its plan, and the overrides by field name.

    ``--set NAME=VALUE ...`` says the same as ``--NAME VALUE ...``. The parser's own messages fill
    a panel; in their place comes one line that names the option.
    """
    import tyro

    types: dict[str, list[Any]] = {}
    for study in experiment.studies:
        hints = typing.get_type_hints(study.config_type)
        for field in dataclasses.fields(study.config_type):
            types.setdefault(field.name, []).append(hints[field.name])
    allowed = {name: functools.reduce(operator.or_, kinds) for name, kinds in types.items()}
    kinds_by_name = {**typing.get_type_hints(Options), **allowed}
    tokens = list(_whole_numbers(_spelled_out(tokens), kinds_by_name))
    fields = []
    for name, kind in allowed.items():
        help_text = f"in the configs of {', '.join(_studies_with(experiment, name))}"
        union = operator.or_(kind, Literal["unchanged"])
        annotation = Annotated[union, tyro.conf.arg(help=help_text)]  # type: ignore[valid-type]
        fields.append((name, annotation, dataclasses.field(default=UNCHANGED)))
    options_type = dataclasses.make_dataclass("Options", fields, bases=(Options,), frozen=True)
    read = functools.partial(
        tyro.cli,
        options_type,
        prog=f"python -m sims {command} {experiment.stem}",
        description=f"{experiment.title}. {Options.__doc__}",
        return_unknown_args=True,
    )
    if {"-h", "--help"} & set(tokens):
        read(args=["--help"])
    starts = [i for i, token in enumerate(tokens) if token.startswith("--")]
    for start, stop in itertools.pairwise([*starts, len(tokens)]):
        option, *values = [*tokens[start].split("=", 1), *tokens[start + 1 : stop]]
        name = _name(option)
        if name not in kinds_by_name:
            continue
        try:
            with contextlib.redirect_stderr(io.StringIO()):
                read(args=tokens[start:stop])
        except SystemExit:
            came = " ".join(values) or "nothing"
            raise ValueError(
                f"{option} must be {_words(kinds_by_name[name])}; got {came}."
            ) from None
    options, unknown = read(args=tokens)
    if unknown:
        known = ", ".join(f"--{f.name.replace('_', '-')}" for f in dataclasses.fields(options))
        raise ValueError(f"options must be among {known}; got {' '.join(unknown)}.")
    overrides = {name: getattr(options, name) for name in allowed}
    return options, {name: value for name, value in overrides.items() if value != UNCHANGED}


def _spelled_out(tokens: Sequence[str]) -> Iterator[str]:
    """The tokens with every ``--set a=1 b=2,3`` as ``--a 1 --b 2 3``."""
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
    """The tokens with integers such as 1e9 spelled out, where an option takes integers."""
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
    """A type as the user writes values of it."""
    if typing.get_origin(kind) is Literal:
        return f"one of {', '.join(map(str, typing.get_args(kind)))}"
    return kind.__name__ if isinstance(kind, type) and not typing.get_args(kind) else str(kind)
