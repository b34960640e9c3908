"""One worker process as the master sees it: spawned, ready, stopping, dead."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from enum import Enum

from gateway.master.channel import Failed, Ready, Reload, Reloaded, Start, Stop, ToMaster, Unpacker, pack
from gateway.model.errors import RemoteProtocolError

KILL_AFTER_S = 2.0
"""Seconds beyond its drain time after which a worker is killed."""


class State(Enum):
    """Life of a worker."""

    STARTING = "starting"
    READY = "ready"
    STOPPING = "stopping"
    DEAD = "dead"


class Child:
    """A running worker.

    Attributes:
        role, number, pid: who it is; ``number`` is unique among living workers.
        started: clock of the event loop.
        state: see :class:`State`.
        problem: what it said when it gave up.
        is_up: a future with None once it is ready, or its problem when it will never be.
        exit: a future with its exit code, negative for a signal.
    """

    def __init__(self, role: str, start: Start, sockets: list[socket.socket], environment: Mapping[str, str]) -> None:
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                [sys.executable, "-Im", "gateway.master.worker", role, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno(), *(sock.fileno() for sock in sockets)],
                env=dict(environment),
                # A ^C at the terminal of start-fg is for the master alone.
                process_group=0,
            )
        self.role, self.number, self.pid = role, start.worker_number, self._process.pid
        self.started = loop.time()
        self.state = State.STARTING
        self.problem = ""
        self.is_up: asyncio.Future[str | None] = loop.create_future()
        self.exit: asyncio.Future[int] = loop.create_future()
        self._reloaded: asyncio.Future[str] | None = None
        self._killer: asyncio.TimerHandle | None = None
        self._talk = loop.create_task(self._listen(ours, start))
        self._writer: asyncio.StreamWriter | None = None
        self._unsent: list[bytes] = []

    def stop(self, drain_s: float) -> None:
        """Ask it to finish within ``drain_s`` seconds; kill it some time after. A second call may only shorten."""
        if self.state is State.DEAD:
            return
        self.state = State.STOPPING
        self._send(pack(Stop(drain_s)))
        if self._killer:
            self._killer.cancel()
        self._killer = asyncio.get_running_loop().call_later(drain_s + KILL_AFTER_S, self.kill)

    def kill(self) -> None:
        """End it now."""
        if self.state is not State.DEAD:
            os.kill(self.pid, signal.SIGKILL)

    async def reload(self, config: bytes, deadline_s: float) -> str:
        """Have it go over to another configuration (a snapshot); returns its problem, or nothing when it did."""
        self._reloaded = asyncio.get_running_loop().create_future()
        self._send(pack(Reload(config)))
        try:
            return await asyncio.wait_for(self._reloaded, deadline_s)
        except TimeoutError:
            return f"no answer within {deadline_s:g}s"
        finally:
            self._reloaded = None

    def ended(self, status: int) -> None:
        """The kernel reported its end: ``status`` as from waitpid."""
        code = os.waitstatus_to_exitcode(status)
        self._process.returncode = code  # we reaped it ourselves; Popen must not look for it
        self.state = State.DEAD
        if self._killer:
            self._killer.cancel()
        self.exit.set_result(code)
        # What it last said may still be in the channel: its problem is read before anybody is told.
        self._talk.add_done_callback(lambda _: self._settle(code))

    def _settle(self, code: int) -> None:
        self.problem = self.problem or describe(self.role, self.pid, code)
        if not self.is_up.done():
            self.is_up.set_result(self.problem)
        if self._reloaded and not self._reloaded.done():
            self._reloaded.set_result(self.problem)

    async def _listen(self, sock: socket.socket, start: Start) -> None:
        reader, self._writer = await asyncio.open_connection(sock=sock)
        self._writer.write(pack(start) + b"".join(self._unsent))
        unpacker = Unpacker()
        try:
            while data := await reader.read(4096):
                for message in unpacker.feed(data):
                    self._take(message)
        except (OSError, RemoteProtocolError):
            # It died mid-word, or talks nonsense: either way it is of no more use.
            self.kill()
        finally:
            self._writer.close()

    def _take(self, message: ToMaster) -> None:
        match message:
            case Ready() if self.state is State.STARTING:
                self.state = State.READY
                if not self.is_up.done():
                    self.is_up.set_result(None)
            case Failed(problem):
                self.problem = problem
            case Reloaded(problem) if self._reloaded and not self._reloaded.done():
                self._reloaded.set_result(problem)

    def _send(self, data: bytes) -> None:
        if self._writer is None:
            self._unsent.append(data)
        elif not self._writer.is_closing():
            self._writer.write(data)


def describe(role: str, pid: int, code: int) -> str:
    """How a process ended, in Postfix's words."""
    return f"process {role} pid {pid} " + (f"killed by signal {-code}" if code < 0 else f"exit status {code}")


def worker_environment(imported: tuple[str, ...]) -> dict[str, str]:
    """Environment of workers: what export_environment names (``NAME`` passes on, ``NAME=value`` sets), and PATH."""
    environment = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
    for entry in imported:
        name, equals, value = entry.partition("=")
        if equals:
            environment[name] = value
        elif name in os.environ:
            environment[name] = os.environ[name]
    return environment
