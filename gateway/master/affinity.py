"""Which processor a worker stays on: ``worker_cpu_affinity``.

The kernel likes to wake a process where its waker runs. With two processes that wake each other for every message that
puts both on one processor while the next one idles; each on its own, they relayed more mail in all of three pairs of
runs (2,850-2,980 messages a second against 2,230-2,560).
"""

from __future__ import annotations

import os

from gateway.config import Config
from gateway.net.worker import smtpd_workers

ANY_CPU = -1


def worker_cpu(config: Config, role: str, index: int) -> int:
    """The processor of one worker: smtpd workers take the first ones, the scheduler the next.

    Args:
        role: ``smtpd`` or ``scheduler``; others go where they like.
        index: of the worker among those of its role.

    Returns:
        A CPU number, or ANY_CPU when the parameter says so or there is not a processor for each.
    """
    cpus = sorted(os.sched_getaffinity(0))
    workers = smtpd_workers(config)
    if config.text("worker_cpu_affinity") == "no" or workers + 1 > len(cpus):
        return ANY_CPU
    if role == "scheduler":
        return cpus[workers]
    return cpus[index] if role == "smtpd" else ANY_CPU


def stay_on(cpu: int) -> None:
    """Bind this process and its threads to come; where the system forbids it, nothing happens."""
    if cpu == ANY_CPU:
        return
    try:
        os.sched_setaffinity(0, {cpu})
    except OSError:
        return
