"""Jobs of a scheduler, through submitit: each runs a command of this program.

submitit stores the job it submits as a pickle in its own folder and reads that back when the job
starts. What is stored there is a command line, and the folder is not that of the results.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from twolayer.theory import validation

CLUSTERS = ("slurm", "local")


def submit(
    commands: Sequence[Sequence[str]],
    cluster: str,
    *,
    name: str,
    logs: str | Path = "jobs",
    minutes: int = 60,
    cpus: int = 1,
    gpus: int = 0,
) -> list[str]:
    """Submit one job for each command, and say their ids; does not wait for them.

    Args:
      commands: programs with their arguments; they run in the current folder.
      cluster: ``"slurm"``, or ``"local"`` for processes of this machine, all at once.
      name: of the jobs, for the scheduler.
      logs: the folder of what the jobs write, on a disk that all machines share.
      minutes: after which a job is ended.
      cpus: cores of each job.
      gpus: accelerators of each job.

    Raises:
      ValueError: naming the argument; if submitit is not installed; if the cluster is not there or
        refuses the jobs.
    """
    validation.choice("cluster", cluster, CLUSTERS)
    for number, value, low in (("minutes", minutes, 1), ("cpus", cpus, 1), ("gpus", gpus, 0)):
        validation.integer(number, value, low=low)
    try:
        import submitit
        from submitit.helpers import CommandFunction
    except ImportError as error:
        raise ValueError(
            "submitting needs submitit, the extra `cluster`: pip install 'twolayer[cluster]'."
        ) from error
    try:
        executor = submitit.AutoExecutor(folder=Path(logs) / "%j", cluster=cluster)
    except RuntimeError as error:
        raise ValueError(f"cluster {cluster} is not there: {error}") from error
    executor.update_parameters(
        name=name, timeout_min=minutes, cpus_per_task=cpus, gpus_per_node=gpus
    )
    try:
        with executor.batch():
            jobs = [executor.submit(CommandFunction(list(command))) for command in commands]
    except (submitit.core.utils.FailedJobError, OSError) as error:
        raise ValueError(
            f"{cluster} refused {len(commands)} jobs: {' '.join(str(error).split())}; it may limit "
            "--jobs, or ask for SBATCH_PARTITION and SBATCH_ACCOUNT in the environment."
        ) from error
    return [job.job_id for job in jobs]
