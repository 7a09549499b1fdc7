"""``claims``: judge the claims of studies on stored results."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from twolayer.cli import errors, tables
from twolayer.cli.options import FOLDER, Studies


@dataclasses.dataclass(frozen=True, kw_only=True)
class Claims:
    """Judge the claims of studies on stored results; status 1 if one does not hold."""

    studies: Studies = ()
    """Studies such as perturbation.wide; all by default."""
    scale: str = "default"
    """smoke, default or paper."""
    results: Path = FOLDER
    """Root folder of the results."""
    json: Path | None = None
    """Also write the claims to this file."""

    def __call__(self) -> int:
        """Judge the claims, and print one line each."""
        with errors.wrong_input():
            from twolayer.sims.engine import registry
            from twolayer.sims.engine.experiment import load

            file = tables.target(self.json)
            judged = [
                (name, claim)
                for name in map(registry.full_name, self.studies or registry.STEMS)
                for claim in registry.get(name).claims(load(name, self.scale, self.results))
            ]
        for name, claim in judged:
            print(f"{name}: {claim.describe()}")
        missed = sum(claim.held is False for _, claim in judged)
        held = sum(claim.held is True for _, claim in judged)
        print(f"\n{held} held, {missed} not, {len(judged) - held - missed} for context")
        tables.write(
            file,
            [{"study": n, **dataclasses.asdict(c), "held": c.held} for n, c in judged],
        )
        return errors.FAILED if missed else 0
