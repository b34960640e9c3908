"""A server on loopback that answers as a test tells it: what no well-behaved server would say, and when.

with ScriptedServer(lambda request: b"500 no\\n") as server:
    server.port
    server.answer = lambda request: (b"200 half a li", CLOSE)
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import threading
from collections.abc import Callable
from enum import Enum

from peers.ports import LOOPBACK, wait_for


class Then(Enum):
    """What follows an answer."""

    READ = "read the next request"
    CLOSE = "close the connection"
    RESET = "close it so that the other side gets an error"
    HANG = "say nothing more, and read nothing more, until the server ends"


CLOSE, RESET, HANG = Then.CLOSE, Then.RESET, Then.HANG

Answer = Callable[[bytes], "bytes | Then | tuple[bytes, Then]"]


class ScriptedServer:
    """Each piece that arrives is a request. ``path`` makes it a UNIX-domain socket.

    Attributes:
        answer: asked for each request, in the thread of its connection.
        requests: all that came.
        connections: how many were made; ``open_now`` of them are, ``most`` were at a time.
    """

    def __init__(self, answer: Answer, *, path: str = "") -> None:
        self.answer, self.path = answer, path
        self.port = 0
        self.requests: list[bytes] = []
        self.connections = self.open_now = self.most = 0
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._kept: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._listener: socket.socket | None = None

    def __enter__(self) -> ScriptedServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Listen, at the same place as before."""
        self._ended.clear()
        if self.path:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path)
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(self.path)
            listener.listen()
        else:
            listener = socket.create_server((LOOPBACK, self.port))
            self.port = listener.getsockname()[1]
        self._listener = listener
        self._spawn(self._accept, listener)

    def stop(self) -> None:
        """Be down: nobody listens, all connections are closed."""
        self._ended.set()
        if self._listener is not None:
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        with self._lock:
            for connection in self._kept:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)
        self._threads.clear()

    def wait_until_idle(self) -> None:
        """Wait until no connection is open."""
        wait_for(lambda: self.open_now == 0, "connections closed")

    def send_to_all(self, octets: bytes) -> None:
        """Say what nobody asked for on each open connection."""
        with self._lock:
            for connection in self._kept:
                connection.sendall(octets)

    def _spawn(self, target: Callable[[socket.socket], None], sock: socket.socket) -> None:
        thread = threading.Thread(target=target, args=(sock,), daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with self._lock:
                self._kept.append(connection)
                self.connections += 1
                self.open_now += 1
                self.most = max(self.most, self.open_now)
            self._spawn(self._talk, connection)

    def _talk(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while request := connection.recv(1 << 20):
                with self._lock:
                    self.requests.append(request)
                said = self.answer(request)
                octets, then = said if isinstance(said, tuple) else (said, Then.READ)
                if isinstance(octets, Then):
                    octets, then = b"", octets
                connection.sendall(octets)
                if then is HANG:
                    self._ended.wait()
                if then is RESET:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                if then is not Then.READ:
                    break
        with self._lock:
            self._kept.remove(connection)
            self.open_now -= 1
        connection.close()
