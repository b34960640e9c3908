"""A TCP proxy that fails when told to: down, silent, or talking nonsense; whatever server stands behind it.

with FaultyProxy(server.port) as proxy:
    proxy.state = State.SILENT    # as after SIGSTOP: connections stay, nothing is answered
    proxy.state = State.UP        # what was held back goes on
"""

from __future__ import annotations

import contextlib
import socket
import threading
from enum import Enum
from types import TracebackType
from typing import Self

from peers.ports import LOOPBACK, free_port, wait_for

NONSENSE = b"\xff\xfe 999 this is no protocol at all\r\n\x00\x00{}\n" * 3
_CHUNK = 1 << 16


class State(Enum):
    """How the server looks from outside."""

    UP = "up"
    DOWN = "down"
    SILENT = "silent"
    NONSENSE = "nonsense"


class FaultyProxy:
    """One address in front of one server on loopback.

    Args:
        port: the server's.

    Attributes:
        port: the proxy's own.
        held: requests that came while it was silent.
    """

    def __init__(self, port: int) -> None:
        self._server_port, self.port = port, free_port()
        self.held = 0
        self._state = State.DOWN
        self._changed = threading.Condition()
        self._open: set[socket.socket] = set()
        self._listener: socket.socket | None = None

    @property
    def state(self) -> State:
        """What it does now. Set: connections stay, unless it goes down or comes back from talking nonsense."""
        return self._state

    @state.setter
    def state(self, state: State) -> None:
        with self._changed:
            before, self._state = self._state, state
            self._changed.notify_all()
        if state is State.DOWN:
            self._stop_listening()
        if State.DOWN in (before, state) or before is State.NONSENSE:
            self._hang_up()
        if self._listener is None and state is not State.DOWN:
            self._listen()

    @property
    def connections(self) -> int:
        """Clients connected now."""
        return len(self._open) // 2

    def _listen(self) -> None:
        self._listener = listener = socket.create_server((LOOPBACK, self.port), backlog=512)
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def _stop_listening(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()

    def _hang_up(self) -> None:
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        wait_for(lambda: not self._open, "closed connections of the proxy")

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            server = socket.create_connection((LOOPBACK, self._server_port))
            self._open |= {client, server}
            done = threading.Barrier(2, action=lambda pair=(client, server): self._close(pair))  # type: ignore[misc]
            for source, target, is_request in ((client, server, True), (server, client, False)):
                arguments = (source, target, done, is_request)
                threading.Thread(target=self._pump, args=arguments, daemon=True).start()

    def _close(self, pair: tuple[socket.socket, socket.socket]) -> None:
        for each in pair:
            each.close()
        self._open -= set(pair)

    def _pump(self, source: socket.socket, target: socket.socket, done: threading.Barrier, is_request: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(_CHUNK):
                match self._settled(is_request):
                    case State.NONSENSE if is_request:
                        source.sendall(NONSENSE)
                    case State.UP:
                        target.sendall(data)
        for each in (source, target):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        done.wait()

    def _settled(self, is_request: bool) -> State:
        """The state, once it is not silence."""
        with self._changed:
            self.held += is_request and self._state is State.SILENT
            self._changed.wait_for(lambda: self._state is not State.SILENT)
            return self._state

    def __enter__(self) -> Self:
        self.state = State.UP
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.state = State.DOWN
