"""Join or start a JAX cluster of several processes.

The processes of a cluster see each other's devices and compute together what is spread over them
(``twolayer.sims.components.sharded``), on CPUs by gloo. Where a scheduler has started them (SLURM,
Open MPI, ...) JAX finds the cluster; elsewhere :func:`supervise` starts one on loopback, of which
each process is a :func:`started` member.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import jax

# For the processes that are started here: the cluster's port, this one's rank, and their number.
_MEMBER = "TWOLAYER_MEMBER"
# Seconds without a sign of life after which JAX ends the rest of a cluster.
_SILENCE = 30
# Seconds between two looks at the members, and for which they may end in their own way.
_LOOK, _GRACE = 0.2, 5.0


@dataclasses.dataclass(frozen=True)
class Member:
    """Describe this process's place in its cluster."""

    rank: int
    size: int
    local: bool


class MemberEnded(Exception):
    """Report that a process of the cluster ended too early."""

    def __init__(self, message: str, output: str):
        super().__init__(message)
        self.output = output


def started() -> Member | None:
    """Join the cluster that :func:`supervise` started, before JAX computes.

    From then on it ends when the process that started it does.
    """
    told = os.environ.get(_MEMBER)
    if told is None:
        return None
    port, rank, size = map(int, told.split())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    address = f"127.0.0.1:{port}"
    _initialize(
        coordinator_address=address,
        coordinator_bind_address=address,
        num_processes=size,
        process_id=rank,
        local_device_ids=[rank],  # of accelerators; each process has CPU devices of its own
    )
    return Member(rank, size, local=True)


def detected(size: int) -> Member | None:
    """Join the cluster that a scheduler started, before JAX computes.

    Raises:
      ValueError: if the cluster has another size.
    """
    if not jax.distributed.is_initialized():
        try:
            _initialize()
        except ValueError as error:
            if "coordinator_address" in str(error):  # which nobody has told
                return None
            raise
    if jax.process_count() != size:
        raise ValueError(
            f"processes must be the size of the cluster that this process is of, "
            f"{jax.process_count()}; got {size}."
        )
    return Member(jax.process_index(), size, local=False)


def supervise(command: Sequence[str], size: int) -> Iterator[None]:
    """Run a command in several processes that form a cluster.

    Their output is kept from the terminal. All have ended when this ends, in whatever way: each has
    a pipe from here, and :func:`started` ends it when that closes.

    Args:
      command: a program that calls :func:`started`, and its arguments.
      size: the number of processes.

    Raises:
      MemberEnded: when one of them has failed; the others have been ended then.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with contextlib.ExitStack() as stack:
        logs = [stack.enter_context(tempfile.TemporaryFile("w+")) for _ in range(size)]
        members: list[subprocess.Popen] = []
        stack.callback(_end, members)
        for rank, log in enumerate(logs):
            members.append(
                subprocess.Popen(
                    command,
                    env={**os.environ, _MEMBER: f"{port} {rank} {size}"},
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                )
            )
        while True:
            states = [member.poll() for member in members]
            if failed := {rank: state for rank, state in enumerate(states) if state}:
                # JAX aborts those that miss another: they are not where it began.
                rank = min(failed, key=lambda rank: failed[rank] == -signal.SIGABRT)
                logs[rank].seek(0)
                raise MemberEnded(
                    f"process {rank + 1} of {size} {_how(failed[rank])}", logs[rank].read()
                )
            if all(state == 0 for state in states):
                return
            yield
            time.sleep(_LOOK)


def _initialize(**where: Any) -> None:
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    # It would take the place of a command's own answer to SIGTERM.
    jax.config.update("jax_enable_preemption_service", False)
    jax.distributed.initialize(**where, heartbeat_timeout_seconds=_SILENCE)
    sys.excepthook = _end_of_member


def _end_of_member(kind: type, error: BaseException, trace: Any) -> None:
    """End at once, without waiting for the other processes."""
    sys.__excepthook__(kind, error, trace)
    sys.stderr.flush()
    os._exit(1)


def _end_with_parent() -> None:
    os.read(0, 1)
    os._exit(1)


def _end(members: Sequence[subprocess.Popen]) -> None:
    for member in members:
        assert member.stdin is not None
        member.stdin.close()
    limit = time.monotonic() + _GRACE
    for member in members:
        try:
            member.wait(max(0.0, limit - time.monotonic()))
        except subprocess.TimeoutExpired:
            member.kill()
            member.wait()


def _how(state: int) -> str:
    if state < 0:
        return f"was ended by {signal.Signals(-state).name}"
    return f"ended with status {state}"
