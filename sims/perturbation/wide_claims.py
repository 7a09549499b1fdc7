"""What the stem ``perturbation.wide`` measured, against the theory, our bands and the paper."""

from __future__ import annotations

from sims.experiment import Claim, StemResults


def claims(results: StemResults) -> list[Claim]:
    """Acceptance list of the stem; statements that its scale has no cells for are left out."""
    return []
