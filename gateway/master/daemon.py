"""The master process from start to end: lock, signals, readiness, systemd.

``python -Im gateway.master.daemon CONFIG_DIRECTORY FD`` is what ``postgate start`` leaves behind: FD is a pipe on which
it says ``ok`` or what is wrong. ``postgate start-fg`` calls :func:`run` in its own process.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Coroutine

import gateway
from gateway.master.control import Control
from gateway.master.directories import make
from gateway.master.lock import PidLock
from gateway.master.maillog import open_log
from gateway.master.master import Master
from gateway.master.notify import notify
from gateway.master.privileges import raise_file_limit
from gateway.master.settings import load
from gateway.model.errors import GatewayError
from gateway.observe import Logger


def run(
    config_directory: str,
    tell: Callable[[str], None],
    *,
    roles: dict[str, str] | None = None,
    is_verbose: bool = False,
) -> int:
    """Be the master until told to stop; returns the exit status.

    Args:
        config_directory: absolute path.
        tell: called once, with nothing when all workers are ready, else with what is wrong.
        roles: other roles than the usual, for tests.
        is_verbose: log debug lines too.
    """
    try:
        config = load(config_directory)
        warnings = make(config)
        queue_directory = config.text("queue_directory")
        lock = PidLock(queue_directory)
        mail_log = open_log(config)
    except (GatewayError, OSError) as exc:
        tell(str(exc))
        return 1
    mail_log.is_verbose = is_verbose
    log = mail_log.logger("postgate-script")
    log.info("starting the Postgate mail system")
    for warning in warnings:
        log.warning(warning)
    raise_file_limit()
    os.chdir(queue_directory)
    os.umask(0o022)
    try:
        has_started = asyncio.run(_live(Master(config, mail_log, roles), mail_log.logger("master"), tell))
    except Exception as exc:
        log.traceback(exc)
        raise
    finally:
        lock.release()
        mail_log.close()
    return 0 if has_started else 1


async def _live(master: Master, log: Logger, tell: Callable[[str], None]) -> bool:
    """Start, wait for the end, stop. False when the start failed."""
    loop = asyncio.get_running_loop()
    control = Control(master)
    running: set[asyncio.Task[object]] = set()

    def on_signal(number: signal.Signals, work: Callable[[], Coroutine[object, object, object]]) -> None:
        log.info(f"{'reload' if number is signal.SIGHUP else 'terminating'} on signal {number.value}")
        task = loop.create_task(work())
        running.add(task)
        task.add_done_callback(running.discard)

    loop.add_signal_handler(signal.SIGCHLD, master.reap)
    loop.add_signal_handler(signal.SIGTERM, on_signal, signal.SIGTERM, master.stop)
    loop.add_signal_handler(signal.SIGINT, on_signal, signal.SIGINT, master.stop)
    loop.add_signal_handler(signal.SIGHUP, on_signal, signal.SIGHUP, master.reload)
    try:
        await master.start()
        await control.open()
    except (GatewayError, OSError) as exc:
        log.fatal(str(exc))
        tell(str(exc))
        await master.stop()
        return False
    tell("")
    notify("READY=1", f"MAINPID={os.getpid()}", f"STATUS=version {gateway.__version__}")
    await master.stopped.wait()
    await control.close()
    return True


def main(argv: list[str]) -> int:
    """Entry point of the background master: configuration directory, descriptor to report on, ``-v`` or nothing."""
    config_directory, fd, *options = argv

    def tell(problem: str) -> None:
        if not problem:
            # Errors went to whoever started us; from now on there is the log.
            with open(os.devnull, "wb") as nothing:
                os.dup2(nothing.fileno(), 2)
        try:
            os.write(int(fd), (problem or "ok").encode("utf-8", "replace"))
            os.close(int(fd))
        except OSError:  # nobody waits any more
            pass

    return run(config_directory, tell, is_verbose="-v" in options)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
