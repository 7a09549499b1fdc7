"""Claims about learning from perturbed images."""

from __future__ import annotations

from sims.experiment import Claim, StemResults


def claims(results: StemResults) -> list[Claim]:
    """What networks learn from perturbed images, as far as the scale has the cells for it."""
    return []
