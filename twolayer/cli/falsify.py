"""``falsify``: search for counterexamples to theorems."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

from twolayer.cli import errors
from twolayer.cli.theorem_command import (
    TheoremCommand,
    each,
    finite,
    ratio,
    save_counterexample,
    width_of,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Falsify(TheoremCommand):
    """Search for counterexamples to theorems."""

    budget: float = 30.0
    """Seconds for each theorem, with compilation; the first round is always made, and no
    compilation or round is cut short."""

    def check(self) -> None:
        """Check the budget."""
        from twolayer.theory import validation

        validation.number("--budget", self.budget, low=0.0)

    def work(self, theorems: list[Any]) -> tuple[list[dict[str, Any]], int]:
        """Print the result of each attack as it comes."""
        from twolayer.theory.verification import worker

        width = width_of(theorems)
        print(
            f"{'theorem':{width}}  {'result':9} {'restarts':>8} {'steps':>7} {'slack':>10} "
            f"{'closest':>9} {'seconds':>7}  source"
        )
        rows = []
        attack = functools.partial(worker.attack, seed=self.seed, budget=self.budget)
        for theorem, result, arrays, seconds in each(attack, theorems):
            print(
                f"{result.name:{width}}  {result.status:9} "
                f"{result.restarts:8} {result.steps:7} {result.slack:10.3e} "
                f"{ratio(result.closest):>9} {seconds:7.1f}  {result.source}",
                flush=True,
            )
            saved = save_counterexample(self, theorem.name, arrays, width)
            rows.append(
                {
                    "name": result.name,
                    "source": result.source,
                    "statement": theorem.statement,
                    "status": result.status,
                    "falsified": result.found,
                    "restarts": result.restarts,
                    "steps": result.steps,
                    "slack": finite(result.slack),
                    "closest": finite(result.closest),
                    "counterexample": saved and str(saved),
                    "seed": self.seed,
                    "seconds": round(seconds, 2),
                }
            )
        found = sum(row["falsified"] for row in rows)
        print(
            f"\n{found} of {len(rows)} falsified. Slack: least (rhs - lhs) relative to the larger."
            "\nClosest: largest lhs / rhs inside the hypotheses; for a statement with probability, "
            "the highest share of\nfailures over the one allowed."
        )
        vacuous = sum(row["status"] == "VACUOUS" for row in rows)
        if vacuous:
            print(f"VACUOUS: at no point that was visited did the hypotheses hold, in {vacuous}.")
        return rows, errors.FAILED if found or vacuous else 0
