"""Claims: numbers that were measured against those that a paper or the theory states."""

from __future__ import annotations

import dataclasses

from twolayer.theory import validation

KINDS = ("close", "at_least", "at_most", "context")
VERDICTS = ("held", "not held", "context")


@dataclasses.dataclass(frozen=True)
class Claim:
    """A number that was measured against one that the paper or the theory states.

    ``close`` holds if ``|measured - expected| <= tolerance``, ``at_least`` and ``at_most`` if the
    measured number is beyond the expected one or within the tolerance of it. ``context`` is shown
    and never judged. A NaN never holds.
    """

    name: str
    source: str
    expected: float
    measured: float
    tolerance: float = 0.0
    kind: str = "close"
    note: str = ""

    def __post_init__(self) -> None:
        validation.choice(f"kind of claim {self.name}", self.kind, KINDS)
        validation.number(f"tolerance of claim {self.name}", self.tolerance, low=0.0)

    @property
    def held(self) -> bool | None:
        """Tell whether the claim holds; None for numbers shown as context."""
        difference = float(self.measured) - float(self.expected)
        if self.kind == "context":
            return None
        if self.kind == "close":
            return bool(abs(difference) <= self.tolerance)
        # Infinities are compared directly, as their difference may be NaN.
        if self.kind == "at_least":
            return bool(self.measured >= self.expected - self.tolerance)
        return bool(self.measured <= self.expected + self.tolerance)

    @property
    def verdict(self) -> str:
        """``held`` or ``not held``; ``context`` for what is shown and never judged."""
        return {True: "held", False: "not held", None: "context"}[self.held]

    def describe(self) -> str:
        """One line: verdict, name, both numbers, source and note."""
        verdict = self.verdict.upper() if self.held is False else self.verdict
        relation = {"at_least": ">= ", "at_most": "<= "}.get(self.kind, "")
        within = f" +- {self.tolerance:.4g}" if self.tolerance and self.kind != "context" else ""
        note = f"; {self.note}" if self.note else ""
        return (
            f"{verdict:8} {self.name}: measured {self.measured:.4g}, "
            f"expected {relation}{self.expected:.4g}{within} ({self.source}{note})"
        )
