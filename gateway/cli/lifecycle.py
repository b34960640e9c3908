"""Starting, stopping and reloading the master process. Source: postfix(1)."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from typing import IO

from gateway.cli.console import EX_UNAVAILABLE, Console, Fatal, open_config
from gateway.cli.control_client import NotRunning, ask
from gateway.config import Config
from gateway.master import daemon
from gateway.master.control import SOCKET
from gateway.master.lock import running_pid
from gateway.master.settings import load

STOP_DEADLINE_S = 30.0
"""Longest wait for an orderly end: the drain times of the master's two phases and some more."""
RELOAD_DEADLINE_S = 180.0
SYSLOG = "/dev/log"


def start(directory: str, *, is_verbose: bool) -> int:
    """Start in the background; returns when every worker is ready.

    Raises:
        ConfigError, Fatal: why it did not start.
    """
    config = load(directory)
    console = Console("postgate")
    if pid := running_pid(config.text("queue_directory")):
        raise Fatal(f"the Postgate mail system is already running: pid {pid}")
    if config.text("maillog_file") == "/dev/stdout":
        raise Fatal("maillog_file = /dev/stdout needs start-fg: in the background nobody reads it")
    if not config.text("maillog_file") and not os.path.exists(SYSLOG):
        console.warning(f"no syslog daemon ({SYSLOG}) and no maillog_file: there will be no log")
    # The master waits once for the scheduler and once for the smtpd workers.
    deadline_s = 2 * config.seconds("scheduler_start_timeout") + 10
    with tempfile.TemporaryFile() as errors:
        process, reports = _launch(directory, errors, is_verbose=is_verbose)
        problem = _await_report(process, reports, deadline_s)
        if problem is None:
            errors.seek(0)
            tail = errors.read().decode("utf-8", "replace").strip()
            problem = f"the master process ended early\n{tail}".strip()
    if problem:
        try:
            process.wait(STOP_DEADLINE_S)
        except subprocess.TimeoutExpired:
            process.kill()
        raise Fatal(problem)
    console.info(f"the Postgate mail system is running: pid {process.pid}")
    # It lives on without us: no warning about a child that was not waited for.
    process.returncode = 0
    return 0


def start_fg(directory: str, *, is_verbose: bool) -> int:
    """Be the master in the foreground: for containers and systemd."""

    def tell(problem: str) -> None:
        if problem:
            Console("postgate").fatal(problem)

    return daemon.run(directory, tell, is_verbose=is_verbose)


def stop(directory: str) -> int:
    """Stop in order; whatever takes too long is killed.

    Raises:
        Fatal: it does not run, or the caller may not stop it.
    """
    pid = _pid(open_config(directory))
    console = Console("postgate")
    console.info("stopping the Postgate mail system")
    try:
        handle = os.pidfd_open(pid)
        os.kill(pid, signal.SIGTERM)
        if _has_ended(handle, STOP_DEADLINE_S):
            return 0
        console.warning(f"the master process {pid} did not stop within {STOP_DEADLINE_S:g}s: killing it")
        os.kill(pid, signal.SIGKILL)
        _has_ended(handle, STOP_DEADLINE_S)
    except ProcessLookupError:
        return 0
    except PermissionError as exc:
        raise Fatal(f"you may not stop process {pid}") from exc
    return 1


def reload(directory: str) -> int:
    """Go over to the configuration on disk; sessions go on.

    Raises:
        Fatal: it does not run, or the new configuration was refused and why.
    """
    config = open_config(directory)
    try:
        answers = list(ask(config.text("queue_directory"), SOCKET, {"op": "reload"}, timeout_s=RELOAD_DEADLINE_S))
    except NotRunning as exc:
        raise Fatal("the Postgate mail system is not running") from exc
    if problem := "; ".join(answer.get("problem", "") for answer in answers):
        raise Fatal(f"reload refused: {problem}", EX_UNAVAILABLE)
    return 0


def _pid(config: Config) -> int:
    pid = running_pid(config.text("queue_directory"))
    if pid is None:
        raise Fatal("the Postgate mail system is not running")
    return pid


def _launch(directory: str, errors: IO[bytes], *, is_verbose: bool) -> tuple[subprocess.Popen[bytes], int]:
    """Start the master in a session of its own; returns it and the pipe on which it reports."""
    reports, theirs = os.pipe()
    try:
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [sys.executable, "-Im", "gateway.master.daemon", directory, str(theirs), *(["-v"] if is_verbose else [])],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            pass_fds=[theirs],
            start_new_session=True,
        )
    finally:
        os.close(theirs)
    return process, reports


def _await_report(process: subprocess.Popen[bytes], reports: int, deadline_s: float) -> str | None:
    """What the master says: nothing when all is well, the problem, or None when it died without a word."""
    end = time.monotonic() + deadline_s
    data = b""
    with os.fdopen(reports, "rb", buffering=0) as pipe:
        while True:
            ready, _, _ = select.select([pipe], [], [], max(0.0, end - time.monotonic()))
            if not ready:
                process.terminate()
                return f"not ready within {deadline_s:g}s"
            if not (piece := pipe.read(65536)):
                break
            data += piece
    text = data.decode("utf-8", "replace")
    return None if not text else "" if text == "ok" else text


def _has_ended(handle: int, deadline_s: float) -> bool:
    ready, _, _ = select.select([handle], [], [], deadline_s)
    return bool(ready)
