"""``verify``: check theorems on random instances."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

from twolayer.cli import errors
from twolayer.cli.certify import counts, decide, need_intervals, refuted_of
from twolayer.cli.theorem_command import (
    TheoremCommand,
    each,
    finite,
    ratio,
    save_counterexample,
    width_of,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Verify(TheoremCommand):
    """Check theorems on random instances, and that their controls fail."""

    instances: int = 1000
    """Instances for each theorem, at least 1."""
    certified: bool = False
    """Also decide the statements in interval arithmetic, instance by instance."""

    def check(self) -> None:
        """Check the number of instances, and the package that is needed."""
        from twolayer.theory import validation

        validation.integer("--instances", self.instances)
        if self.certified:
            need_intervals()

    def work(self, theorems: list[Any]) -> tuple[list[dict[str, Any]], int]:
        """Print each verdict as it comes."""
        from twolayer.theory.verification import worker

        width = width_of(theorems)
        print(
            f"{'theorem':{width}}  {'verdict':14} {'instances':>9} {'vacuous':>8} "
            f"{'violations':>12} {'slack':>10} {'tightness':>9} {'controls':>8} {'seconds':>7}  "
            "source"
        )
        judge = functools.partial(worker.judge, seed=self.seed, instances=self.instances)
        rows, refuted = [], 0
        for theorem, verdict, arrays, seconds in each(judge, theorems):
            caught = len(verdict.controls) - len(verdict.missed)
            violations = f"{verdict.violations} of {verdict.allowed}"
            print(
                f"{verdict.name:{width}}  {verdict.status:14} {verdict.instances:9} "
                f"{verdict.vacuous / verdict.instances:8.1%} {violations:>12} "
                f"{verdict.worst_slack:10.3e} {ratio(verdict.tightness):>9} "
                f"{f'{caught}/{len(verdict.controls)}':>8} {seconds:7.1f}  {verdict.source}",
                flush=True,
            )
            saved = save_counterexample(self, theorem.name, arrays, width)
            for name in verdict.missed:
                print(f"{'':{width}}  control not caught: {name}")
            decided = None
            if self.certified:
                decided = decide(theorem, self.seed, self.instances)
                print(f"{'':{width}}  certified: {counts(decided)}", flush=True)
                refuted += refuted_of(theorem, decided)
            rows.append(
                {
                    "name": verdict.name,
                    "source": verdict.source,
                    "statement": theorem.statement,
                    "status": verdict.status,
                    "instances": verdict.instances,
                    "vacuous": verdict.vacuous,
                    "violations": verdict.violations,
                    "allowed": verdict.allowed,
                    "worst_slack": finite(verdict.worst_slack),
                    "tightness": finite(verdict.tightness),
                    "ratios": {name: finite(value) for name, value in verdict.ratios.items()},
                    "controls": dict(verdict.controls),
                    "missed": list(verdict.missed),
                    "certified": decided,
                    "counterexample": saved and str(saved),
                    "seed": self.seed,
                    "seconds": round(seconds, 2),
                }
            )
        held = sum(row["status"] == "HELD" for row in rows)
        print(
            f"\n{held} of {len(rows)} held. Violations: found of allowed (more than 0 only for "
            "statements with probability).\nSlack: worst (rhs - lhs) relative to the larger side. "
            "Tightness: median over instances of the largest lhs / rhs."
        )
        return rows, 0 if held == len(rows) and not refuted else errors.FAILED
