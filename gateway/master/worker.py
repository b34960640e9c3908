"""Entry point of every worker: ``python -Im gateway.master.worker ROLE FD``.

Reads its orders from the inherited channel, opens the log, gives up privileges, and only then loads plugins and runs
the role. A thread of its own watches the channel, so that a worker whose event loop hangs still ends when it is told to
or when the master is gone.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import sys
import threading
from contextlib import suppress

import uvloop

from gateway.config import Config
from gateway.master.affinity import stay_on
from gateway.master.channel import Failed, Ready, Reload, Reloaded, Start, Stop, ToWorker, WorkerChannel
from gateway.master.privileges import drop, raise_file_limit
from gateway.master.roles import resolve
from gateway.master.settings import admit_plugins, restore
from gateway.model.errors import ConfigError, GatewayError
from gateway.net.worker import Listener, WorkerContext
from gateway.observe import MailLog

ORPHAN_DRAIN_S = 5.0
"""Seconds that running work may still take when the master died."""
_HANG_S = 1.0
"""Seconds beyond the drain time before the watching thread ends a process that does not end itself."""


def main(argv: list[str]) -> int:
    """Run one worker; returns its exit status."""
    role, fd = argv
    channel = WorkerChannel(socket.socket(fileno=int(fd)))
    start = channel.receive()
    if not isinstance(start, Start):
        return 0
    _name_process(role)
    try:
        config, mail_log = _prepare(start)
    except (GatewayError, OSError) as exc:
        channel.send(Failed(str(exc)))
        return 1
    log = mail_log.logger(role)
    worker = _Worker(role, start, config, mail_log, channel)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(worker.run())
    except GatewayError as exc:
        log.fatal(str(exc))
        channel.send(Failed(f"{role}: {exc}"))
        return 1
    except Exception as exc:
        log.traceback(exc)
        channel.send(Failed(f"{role}: {type(exc).__name__}: {exc}"))
        return 1
    finally:
        mail_log.flush()
    return 0


def _prepare(start: Start) -> tuple[Config, MailLog]:
    """Read the configuration, open the log, become mail_owner, and then let plugins in.

    Raises:
        ConfigError: the configuration is wrong, or the account cannot be used. OSError: no more privileges to drop to.
    """
    config = restore(start.config)
    mail_log = MailLog.open(config)
    mail_log.is_verbose = start.is_verbose
    raise_file_limit()
    stay_on(start.cpu)
    os.chdir(config.text("queue_directory"))
    os.umask(0o077)
    drop(config)
    admit_plugins(config)
    return config, mail_log


class _Worker:
    """The event loop's side of a worker, and the thread that watches the channel."""

    def __init__(self, role: str, start: Start, config: Config, mail_log: MailLog, channel: WorkerChannel) -> None:
        self._role, self._start, self._channel = role, start, channel
        self._log = mail_log.logger(role)
        self._ended = threading.Event()
        self._context = WorkerContext(
            config=config,
            mail_log=mail_log,
            listeners=[Listener(socket.socket(fileno=fd), config.services[row]) for fd, row in start.listeners],
            worker_number=start.worker_number,
            report_ready=self._report_ready,
        )
        self._reloading: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Run the role until it ends."""
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._unhandled)
        loop.add_signal_handler(signal.SIGTERM, self._stop, self._context.drain_s)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # reloads come through the channel
        watcher = threading.Thread(target=self._watch, args=(loop,), name="channel", daemon=True)
        watcher.start()
        try:
            await resolve(self._role, self._start.roles)(self._context)
        finally:
            self._ended.set()

    def _report_ready(self) -> None:
        # Plugins, tables and modules live as long as the process: the garbage collector need not look at them again.
        gc.collect()
        gc.freeze()
        self._channel.send(Ready())

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """The thread: hand orders to the loop; without a master, end the process whatever the loop does."""
        while (order := self._receive()) is not None:
            with suppress(RuntimeError):  # the loop is closed: the process is about to end anyway
                if isinstance(order, Stop):
                    loop.call_soon_threadsafe(self._stop, order.drain_s)
                elif isinstance(order, Reload):
                    loop.call_soon_threadsafe(self._reload, order.config)
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(self._stop, ORPHAN_DRAIN_S)
        if not self._ended.wait(ORPHAN_DRAIN_S + _HANG_S):
            os._exit(1)

    def _receive(self) -> ToWorker | None:
        try:
            return self._channel.receive()
        except GatewayError:
            return None

    def _stop(self, drain_s: float) -> None:
        self._context.drain_s = drain_s
        self._context.stop.set()

    def _reload(self, data: bytes) -> None:
        if self._reloading is None or self._reloading.done():
            self._reloading = asyncio.get_running_loop().create_task(self._change_over(data))

    async def _change_over(self, data: bytes) -> None:
        """Reload in place; whatever goes wrong leaves the old configuration in force."""
        try:
            config = restore(data)
            admit_plugins(config)
            self._context.mail_log.reopen(config)
            await self._context.reload(config)
        except ConfigError as exc:
            self._log.error(f"reload refused: {exc}")
            self._channel.send(Reloaded(str(exc)))
        except Exception as exc:
            self._log.traceback(exc)
            self._channel.send(Reloaded(f"{type(exc).__name__}: {exc}"))
        else:
            self._channel.send(Reloaded())

    def _unhandled(self, loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        """Errors that reached nobody: they belong into the mail log."""
        self._log.error(f"event loop: {context.get('message')}")
        if isinstance(exc := context.get("exception"), BaseException):
            self._log.traceback(exc)


def _name_process(role: str) -> None:
    """Show the role in ps and top, where the kernel allows it."""
    with suppress(OSError), open("/proc/self/comm", "w", encoding="ascii") as stream:
        stream.write(f"postgate-{role}"[:15])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
