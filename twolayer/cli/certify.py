"""``certify``: decide theorems in interval arithmetic."""

from __future__ import annotations

import dataclasses
from typing import Any

from twolayer.cli import errors
from twolayer.cli.theorem_command import TheoremCommand, width_of


@dataclasses.dataclass(frozen=True, kw_only=True)
class Certify(TheoremCommand):
    """Decide theorems at random instances in interval arithmetic."""

    instances: int = 100
    """Instances for each theorem, at least 1."""

    def check(self) -> None:
        """Check the number of instances and the optional package."""
        from twolayer.theory import validation

        validation.integer("--instances", self.instances)
        need_intervals()

    def work(self, theorems: list[Any]) -> tuple[list[dict[str, Any]], int]:
        """Print decisions as they come; status 1 if nothing was decided."""
        width = width_of(theorems)
        rows, refuted = [], 0
        for theorem in theorems:
            decided = decide(theorem, self.seed, self.instances)
            print(f"{theorem.name:{width}}  {counts(decided)}", flush=True)
            refuted += refuted_of(theorem, decided)
            rows.append({"name": theorem.name, "source": theorem.source, "decided": decided})
        decided_any = any(row["decided"] for row in rows)
        if not decided_any:
            print("nothing was decided: none of these theorems has a form for intervals")
        return rows, 0 if decided_any and not refuted else errors.FAILED


def need_intervals() -> None:
    """Check that python-flint is installed."""
    from twolayer.theory.verification import intervals

    intervals.pi()  # says so now if the optional package is missing


def decide(theorem: Any, seed: int, instances: int) -> dict[str, int] | None:
    """Count instances by decision; None without an interval form."""
    from twolayer.theory.verification import worker
    from twolayer.theory.verification.certify import certify
    from twolayer.theory.verification.intervals import Decision

    decisions = certify(theorem, worker.key(theorem.name, seed), instances)
    return None if decisions is None else {word.value: decisions[word] for word in Decision}


def counts(decided: dict[str, int] | None) -> str:
    """Format the counts of decisions."""
    if decided is None:
        return "no certified form"
    return ", ".join(f"{count} {word}" for word, count in decided.items())


def refuted_of(theorem: Any, decided: dict[str, int] | None) -> int:
    """Count refuted instances of a statement that holds always."""
    return (decided or {}).get("REFUTED", 0) if theorem.failure_rate == 0 else 0
