"""Run the subcommand that was asked for."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated, Any, NoReturn, Union

from tyro.conf import subcommand

from twolayer import __version__
from twolayer.cli import errors, parsing, run_options, runs, status
from twolayer.cli.certify import Certify
from twolayer.cli.claims import Claims
from twolayer.cli.drawing import Draw, Numbers, Report
from twolayer.cli.falsify import Falsify
from twolayer.cli.listing import List, Show
from twolayer.cli.verify import Verify
from twolayer.host import console, names, stems

# A study's configs decide which options these have.
_ABOUT_STUDY = {"run": run_options.Run, "plan": run_options.Forecast, "submit": run_options.Submit}
_COMMANDS: dict[str, type] = {
    "list": List,
    "show": Show,
    "verify": Verify,
    "falsify": Falsify,
    "certify": Certify,
    "plan": run_options.Forecast,
    "run": run_options.Run,
    "submit": run_options.Submit,
    "status": status.Status,
    "claims": Claims,
    "draw": Draw,
    "report": Report,
    "numbers": Numbers,
}
_DESCRIPTION = (
    "Theorems about wide two-layer networks: verify and attack them; studies: run, draw and report "
    "them. Exit status 0: all is well; 1: something did not hold; 2: wrong use; 3: an error of the "
    "program or of a study's own code."
)


def run() -> NoReturn:
    """Start the command and end the process with its status."""
    console.run(main)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command: 0 when all is well, 1 when something does not hold.

    Raises:
      SystemExit: with status 2 after one line on stderr, for wrong use.
    """
    tokens = list(sys.argv[1:] if arguments is None else arguments)
    with errors.wrong_input():
        stems.check()
    if tokens == ["--version"]:
        print(f"twolayer {__version__}")
        return 0
    kind = _ABOUT_STUDY.get(tokens[0]) if tokens else None
    if kind and tokens[1:] and not tokens[1].startswith("-"):
        return runs.about_study(kind, tokens[1:])
    named = [
        Annotated[each, subcommand(name, description=str(each.__doc__).splitlines()[0])]
        for name, each in _COMMANDS.items()
    ]
    every: Any = Union[tuple(named)]  # noqa: UP007
    with errors.wrong_input():
        if not tokens or not tokens[0].startswith("-"):
            names.one_of("COMMAND", tokens[0] if tokens else "nothing", list(_COMMANDS))
        try:
            command = parsing.read(every, tokens, "twolayer", _DESCRIPTION)
        except ValueError as error:
            hint = getattr(_COMMANDS.get(tokens[0]), "hint", "")
            raise ValueError(f"{error}{hint}") from None
        if kind:
            raise ValueError(
                f"STUDY must come first, as in twolayer {tokens[0]} perturbation.wide --seeds 3."
            )
    return command()
