"""``status``: count the stored cells of studies."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from twolayer.cli import errors, tables
from twolayer.cli.options import FOLDER, Studies

if TYPE_CHECKING:
    pass


@dataclasses.dataclass(frozen=True, kw_only=True)
class Status:
    """Count the stored cells of studies, for each scale."""

    studies: Studies = ()
    """Studies such as perturbation.wide; all by default."""
    results: Path = FOLDER
    """Root folder of the results."""

    def __call__(self) -> int:
        """Print the table, and lines about further cells."""
        with errors.wrong_input():
            from twolayer.sims import check_system

            check_system()
            from twolayer.host import jax_setup
            from twolayer.sims.engine import registry
            from twolayer.sims.engine.status import status

            jax_setup.warn_in_lines()
            if self.results != FOLDER and not self.results.is_dir():
                raise ValueError(f"--results must be a folder of results; got {self.results}.")
            names = tuple(map(registry.full_name, self.studies)) or tuple(registry.STEMS)
            found = {name: status(name, self.results) for name in names}
        rows = [
            (name, scale, done, total)
            for name, each in found.items()
            for scale, (done, total) in each.counts.items()
        ]
        tables.show(("study", "scale", "done", "total"), rows, right=("done", "total"))
        for each in found.values():
            for note in each.notes:
                print(note)
        return 0
