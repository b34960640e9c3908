"""A database server of the test's own: directory, loopback port and socket; runs as its own user, gone afterwards.

:class:`peers.postgresql.PostgreSQL` and :class:`peers.mariadb.MariaDB` say how it is set up and started.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from abc import ABC, abstractmethod
from glob import glob
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

import psutil
from peers.ports import NotReady, free_port, wait_for

_PATH = os.pathsep.join([*sorted(glob("/usr/lib/postgresql/*/bin"), reverse=True), "/usr/sbin", "/usr/bin"])


class PrivateServer(ABC):
    """One server; set up and started when the ``with`` block begins.

    Attributes:
        directory: all its files; its user's.
        port: on 127.0.0.1.
    """

    label: ClassVar[str]
    user: ClassVar[str]

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix=f"{self.label}-peer-"))
        self.directory.chmod(0o755)
        if os.geteuid() == 0:
            shutil.chown(self.directory, self.user, pwd.getpwnam(self.user).pw_gid)
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def set_up(self) -> None:
        """Make the empty data directory."""

    @abstractmethod
    def command(self) -> list[str]:
        """The server's command line; it stays in the foreground."""

    @abstractmethod
    def is_ready(self) -> bool:
        """True when it takes connections."""

    def start(self) -> None:
        """Start it again, with the data it had."""
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self.as_own_user(self.command()), stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.directory
            )
        try:
            wait_for(self._is_up, f"{self.label} on port {self.port}")
        except NotReady as late:
            self.kill()
            raise NotReady(f"{late}; its log:\n{(self.directory / 'log').read_text()[-2000:]}") from None

    def _is_up(self) -> bool:
        if self._process is not None and self._process.poll() is not None:
            raise NotReady(f"{self.label} ended with {self._process.returncode}")
        return self.is_ready()

    def stop(self) -> None:
        """End it, open connections notwithstanding."""
        self._signal(signal.SIGINT if self.label == "postgresql" else signal.SIGTERM)
        self._wait()

    def kill(self) -> None:
        """End it in the middle of whatever it does."""
        self.resume()
        self._signal(signal.SIGQUIT if self.label == "postgresql" else signal.SIGKILL)
        self._wait()

    def pause(self) -> None:
        """Let it hang: connections stay open, nothing answers."""
        self._signal(signal.SIGSTOP, to_children=True)
        wait_for(lambda: all(map(_has_stopped, self._family())), "all to stop")

    def resume(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT, to_children=True)

    def as_own_user(self, command: list[str]) -> list[str]:
        """The command line that runs a command as the server's user, who must not be root."""
        program = shutil.which(command[0], path=_PATH)
        if program is None:
            raise NotReady(f"{command[0]} is not installed")
        switch = ["setpriv", f"--reuid={self.user}", f"--regid={self.user}", "--clear-groups"]
        return [*(switch if os.geteuid() == 0 else []), program, *command[1:]]

    def run(self, command: list[str]) -> None:
        """Run a command as the server's user.

        Raises:
            NotReady: it failed.
        """
        done = subprocess.run(
            self.as_own_user(command), check=False, capture_output=True, cwd=self.directory, env={"LC_ALL": "C.UTF-8"}
        )
        if done.returncode:
            raise NotReady(f"{' '.join(command)}: {(done.stdout + done.stderr).decode(errors='replace')}")

    def _signal(self, number: int, *, to_children: bool = False) -> None:
        for process in self._family()[: None if to_children else 1]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    def _family(self) -> list[psutil.Process]:
        """The server and its children; empty when it does not run."""
        if self._process is None or self._process.poll() is not None:
            return []
        main = psutil.Process(self._process.pid)
        return [main, *main.children(recursive=True)]

    def _wait(self) -> None:
        if self._process is None:
            return
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(10)
        self._process = None

    def __enter__(self) -> Self:
        try:
            self.set_up()
            self.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)


def _has_stopped(process: psutil.Process) -> bool:
    """Every thread of it: the first to stop speaks for the process in ``/proc/PID/stat``, and another may still answer."""
    states = [
        path.read_text().rpartition(")")[2].split()[0] for path in Path(f"/proc/{process.pid}/task").glob("*/stat")
    ]
    return set(states) == {"T"}
