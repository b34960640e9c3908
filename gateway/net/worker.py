"""What a worker process gets from the master: configuration, log, listening sockets, and when to stop or reload.

A role is ``async def run(context: WorkerContext) -> None`` (``gateway.master.roles``). It starts its work, calls
:meth:`WorkerContext.ready`, waits for :attr:`WorkerContext.stop`, finishes within :attr:`WorkerContext.drain_s`, and
returns. The master restarts a role that returns or raises before it was told to stop.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from gateway.config import Config, Service
from gateway.observe import Counters, MailLog

MOST_WORKERS = 8
ReloadCallback = Callable[[Config], Awaitable[None]]


def smtpd_workers(config: Config) -> int:
    """How many smtpd workers (``smtpd_workers``): by default one for each CPU but one, which the scheduler needs.

    More processes than CPUs cost throughput: on two CPUs a second worker took more CPU for each
    message in all of three pairs of runs (664-688 µs against 542-560).
    """
    return config.integer("smtpd_workers") or min(max(len(os.sched_getaffinity(0)) - 1, 1), MOST_WORKERS)


@dataclass(frozen=True, slots=True)
class Listener:
    """A bound, listening, non-blocking socket and the master.cf row it serves (its ``-o`` overrides included)."""

    socket: socket.socket
    service: Service


def _not_waited_for() -> None:
    """Nobody waits for readiness: tests and in-process gateways."""


@dataclass(slots=True)
class WorkerContext:
    """One worker's surroundings.

    Attributes:
        config: checked configuration; replaced before reload callbacks run.
        mail_log: open log of this process.
        listeners: sockets of this worker, in master.cf order; empty for the scheduler.
        worker_number: small number that no other living process has, for queue IDs.
        stop: set when the worker must stop: take no new work, finish what runs.
        drain_s: once ``stop`` is set, how many seconds running work may still take; the process is killed after it.
        counters: event counts of this process.
        report_ready: how :meth:`ready` reaches the master.
    """

    config: Config
    mail_log: MailLog
    listeners: list[Listener] = field(default_factory=list)
    worker_number: int = 0
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    drain_s: float = 5.0
    counters: Counters = field(default_factory=Counters)
    report_ready: Callable[[], None] = _not_waited_for
    _reload_callbacks: list[ReloadCallback] = field(default_factory=list)

    def ready(self) -> None:
        """Tell the master that this worker serves: ``postgate start`` succeeds when all have said so."""
        self.report_ready()

    def on_reload(self, callback: ReloadCallback) -> None:
        """Have ``callback(config)`` awaited with each new, checked configuration, in order of registration.

        A callback that raises leaves its part on the old configuration; the error is logged and reported.
        """
        self._reload_callbacks.append(callback)

    async def reload(self, config: Config) -> None:
        """Give the new configuration to every callback.

        Raises:
            Exception: what the first failing callback raised; the remaining ones are not called.
        """
        before, self.config = self.config, config
        try:
            for callback in self._reload_callbacks:
                await callback(config)
        except BaseException:
            self.config = before
            raise
