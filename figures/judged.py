"""The verdict on a claim or a speed, as the report and the paper say it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twolayer.sims.engine.claims import Claim

WORDS = ("held", "not held", "context")


def word(claim: Claim) -> str:
    """``held`` or ``not held``; ``context`` for what is shown and never judged."""
    return {True: "held", False: "not held", None: "context"}[claim.held]


def speed_word(row: Mapping[str, Any]) -> str:
    """``held``, ``not held``; ``not judged`` where the machine lacks what is presumed."""
    return "not judged" if row["not_judged"] else "held" if row["met"] else "not held"
