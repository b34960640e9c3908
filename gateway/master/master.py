"""The master: keeps one set of workers running for the configuration in force.

A reload builds a second set beside the first: the new configuration is read, checked by a process without privileges,
its sockets are bound and its workers are ready before the old workers are told to finish. Whatever fails on the way
leaves the old set as it was. Source: master(8), postfix(1) reload.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Sequence

import gateway
from gateway.config import Config
from gateway.master.affinity import worker_cpu
from gateway.master.channel import Start
from gateway.master.child import Child, worker_environment
from gateway.master.directories import make
from gateway.master.listening import Listening, endpoints, master_cf
from gateway.master.maillog import reopen_log
from gateway.master.notify import notify, reloading
from gateway.master.privileges import owner
from gateway.master.roles import LISTENING_COMMANDS, ROLES
from gateway.master.settings import load, snapshot
from gateway.master.slot import Slot
from gateway.model.errors import ConfigError, GatewayError
from gateway.net.worker import smtpd_workers
from gateway.observe import MailLog

STOP_DRAIN_S = 5.0
"""Seconds that sessions and deliveries may still take after ``postgate stop``."""
RELOAD_DRAIN_S = 600.0
"""Seconds that sessions on the old configuration may still take after a reload."""


class StartFailed(GatewayError):
    """A worker did not come up; the text says why."""


class Master:
    """Supervisor of one configuration directory. Everything runs in one event loop.

    Args:
        config: checked configuration.
        mail_log: open log.
        roles: import path of each role; tests give their own.
    """

    def __init__(self, config: Config, mail_log: MailLog, roles: dict[str, str] | None = None) -> None:
        self.config = config
        self.started_at = time.time()
        self.stopped = asyncio.Event()
        self.slots: list[Slot] = []
        self.listening = Listening.nothing()
        self._mail_log = mail_log
        self._log = mail_log.logger("master")
        self._roles = roles or ROLES
        self._children: dict[int, Child] = {}
        self._changing = asyncio.Lock()
        self._is_stopping = False

    # --- life --------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Bind, spawn every worker, and wait until all are ready.

        Raises:
            ConfigError: a socket cannot be had. StartFailed: a worker did not come up; then all are gone again.
        """
        async with self._changing:
            listening = Listening(endpoints(self.config), smtpd_workers(self.config))
            self.listening = listening
            try:
                # The scheduler first: the others submit to it.
                self.slots += await self._bring_up([("scheduler", 0)], self.config, listening)
                self.slots += await self._bring_up(_smtpd_plan(listening), self.config, listening)
            except StartFailed:
                await self._stop_all()
                raise
        self._log.info(f"daemon started -- version {gateway.__version__}, configuration {self.config.directory}")
        self._report(self.config)

    async def stop(self) -> None:
        """End all workers in order: first those that take mail in, then the one that keeps it."""
        if not self._is_stopping:
            self._is_stopping = True
            notify("STOPPING=1")
            await self._stop_all()
            self.stopped.set()

    async def reload(self) -> str:
        """Change over to the configuration on disk; returns what was wrong, or nothing."""
        async with self._changing:
            if self._is_stopping:
                return "the mail system is stopping"
            reloading()
            try:
                problem = await self._change_over(load(self.config.directory))
            except (ConfigError, StartFailed) as exc:
                self._log.error(f"reload refused, the old configuration stays in force: {exc}")
                return str(exc)
            finally:
                notify("READY=1")
        if problem:
            self._log.error(f"reload: {problem}")
        return problem

    @property
    def children(self) -> list[Child]:
        """Every living worker, those that finish on an older configuration included."""
        return list(self._children.values())

    def reap(self) -> None:
        """Collect every process that ended: ours, and orphans when this is process 1 of a container."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if child := self._children.pop(pid, None):
                child.ended(status)

    # --- changing over -----------------------------------------------------------------------------------------------

    async def _change_over(self, config: Config) -> str:
        """Make ``config`` the one in force; returns what the scheduler has against it.

        Raises:
            ConfigError, StartFailed: it cannot be; nothing changed.
        """
        await self._judge(config)
        warnings = make(config)
        fresh = Listening(endpoints(config), smtpd_workers(config), self.listening)
        try:
            slots = await self._bring_up(_smtpd_plan(fresh), config, fresh)
        except StartFailed:
            fresh.close_except(self.listening)
            raise
        old_slots, old_listening = self.slots, self.listening
        self.config, self.listening = config, fresh
        self.slots = [slot for slot in old_slots if slot.role == "scheduler"] + slots
        for slot in old_slots:
            slot.config = config  # the one that stays: for the day it has to be replaced
            if slot not in self.slots:
                slot.stop(RELOAD_DRAIN_S)
        old_listening.close_except(fresh)
        reopen_log(self._mail_log, config)
        self._log.info(f"reload -- version {gateway.__version__}, configuration {config.directory}")
        for warning in warnings:
            self._log.warning(warning)
        self._report(config)
        deadline_s = config.seconds("scheduler_start_timeout")
        answers = [
            await slot.child.reload(snapshot(config), deadline_s) for slot in self.slots if slot.role == "scheduler"
        ]
        return "; ".join(filter(None, answers))

    async def _judge(self, config: Config) -> None:
        """Have a configuration checked with plugins and tables, by a process that has no privileges.

        Raises:
            StartFailed: it is no good.
        """
        judge = self._new_child("check", 0, config, Listening.nothing())
        try:
            await self._wait_up([judge])
        finally:
            judge.stop(0)

    # --- workers -----------------------------------------------------------------------------------------------------

    async def _bring_up(self, plan: Sequence[tuple[str, int]], config: Config, listening: Listening) -> list[Slot]:
        """Start workers and wait until they are ready; from then on they are replaced when they die.

        Raises:
            StartFailed: one did not come up; all of them are told to stop.
        """

        def spawn(slot: Slot) -> Child:
            return self._new_child(slot.role, slot.index, slot.config, listening)

        slots = [Slot(role, index, config, spawn, self._log) for role, index in plan]
        try:
            await self._wait_up([slot.child for slot in slots])
        except StartFailed:
            await asyncio.gather(*[slot.stop(0) for slot in slots])
            raise
        for slot in slots:
            slot.supervise()
        return slots

    async def _wait_up(self, children: Sequence[Child]) -> None:
        if not children:
            return
        deadline_s = self.config.seconds("scheduler_start_timeout")
        done, late = await asyncio.wait([child.is_up for child in children], timeout=deadline_s)
        problems = [problem for future in done if (problem := future.result())]
        if late:
            problems.append(f"not ready within {deadline_s:g}s (scheduler_start_timeout)")
        if problems:
            raise StartFailed("; ".join(dict.fromkeys(problems)))

    def _new_child(self, role: str, index: int, config: Config, listening: Listening) -> Child:
        sockets = listening.for_worker(index) if role in LISTENING_COMMANDS.values() else []
        start = Start(
            config=snapshot(config),
            worker_number=self._free_number(),
            listeners=[(sock.fileno(), config.services.index(service)) for sock, service in sockets],
            roles=self._roles,
            is_verbose=self._mail_log.is_verbose,
            cpu=worker_cpu(config, role, index),
        )
        environment = worker_environment(config.words("export_environment"))
        child = Child(role, start, [sock for sock, _ in sockets], environment)
        self._children[child.pid] = child
        return child

    def _free_number(self) -> int:
        """The lowest number that no living worker has: queue IDs of two processes must never meet."""
        taken = {child.number for child in self._children.values()}
        return next(number for number in range(len(taken) + 1) if number not in taken)

    async def _stop_all(self) -> None:
        """First whatever takes mail in, old generations included; the scheduler last, to hear of everything."""
        for slot in self.slots:
            if slot.role != "scheduler":
                slot.stop(STOP_DRAIN_S)
        await self._end([child for child in self._children.values() if child.role != "scheduler"])
        for slot in self.slots:
            slot.stop(STOP_DRAIN_S)
        await self._end(list(self._children.values()))
        self.slots = []
        self.listening.close_except(None)

    async def _end(self, children: list[Child]) -> None:
        for child in children:
            child.stop(STOP_DRAIN_S)
        await asyncio.gather(*[child.exit for child in children])

    def _report(self, config: Config) -> None:
        """Say where we listen, and what of the configuration has no effect."""
        for name, address in self.listening.addresses:
            self._log.info(f"listening on {address} (service {name})")
        for warning in (*config.warnings, *self.listening.warnings, *_ignored(config)):
            self._log.warning(warning)


def _smtpd_plan(listening: Listening) -> list[tuple[str, int]]:
    return [("smtpd", index) for index in range(listening.workers)]


def _ignored(config: Config) -> list[str]:
    """What master.cf and main.cf ask for and do not get."""
    found = [
        f"{master_cf(config)}, line {service.line}: no {service.command} on inet sockets so far: row ignored"
        for service in config.services
        if service.type == "inet" and service.command not in LISTENING_COMMANDS
    ]
    if os.geteuid() == 0:
        if owner(config).pw_uid == 0:
            found.append("mail_owner has the rights of root, and so has every plugin: name another account")
        jailed = {s.command for s in config.services if s.chroot and s.command in LISTENING_COMMANDS}
        if jailed:
            # Plugins and tables import modules and open files whenever they first need them: a jail would break them
            # in the middle of the night.
            found.append(f"master.cf: chroot is ignored for {', '.join(sorted(jailed))}: use systemd's sandboxing")
    return found
