"""The options of run, plan and submit."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from twolayer.cli.options import Options, StudyName

if TYPE_CHECKING:
    pass


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run(Options):
    """Compute the missing cells of a study; a stopped run resumes.

    Fields of the study's configs are options too: twolayer run STUDY --help lists them.
    """

    command: ClassVar[str] = "run"
    study: StudyName
    """A study such as perturbation.wide, or all."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Forecast(Options):
    """Forecast memory, flops and time of a study's missing cells.

    With the options of run. The machine's speed is measured; nothing of the cells is computed, and
    nothing is written.
    """

    command: ClassVar[str] = "plan"
    study: StudyName
    """A study such as perturbation.wide."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Submit(Options):
    """Submit jobs that compute the missing cells of a study.

    With the options of run. Submitting again, also while jobs run, computes nothing twice and makes
    up for jobs that were ended. What is peculiar to a SLURM cluster goes into sbatch's own
    variables, such as SBATCH_PARTITION and SBATCH_ACCOUNT.
    """

    command: ClassVar[str] = "submit"
    study: StudyName
    """A study such as perturbation.wide."""
    cluster: Literal["slurm", "local"]
    """Where jobs run; local is this machine."""
    jobs: int = 4
    """Most jobs, at least 1."""
    minutes: int = 60
    """Minutes of each job."""
    cpus: int = 1
    """Cores of each job."""
    gpus: int = 0
    """GPUs of each job."""
    logs: Path = Path("jobs")
    """Folder of what the jobs write."""
