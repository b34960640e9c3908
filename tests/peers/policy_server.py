"""A policy server of the test's own: keeps every request, octet for octet, and answers as the test tells it.

with PolicyServer(lambda request: "DUNNO") as server:
    server.endpoint       # "inet:127.0.0.1:12345"
    server.requests       # bytes, each with its empty line

What no well-behaved server says is :class:`peers.scripted.ScriptedServer`'s.
"""

from __future__ import annotations

import contextlib
import socketserver
import threading
from collections.abc import Callable
from typing import Self

from peers.ports import LOOPBACK, free_port

Attributes = dict[str, str]
Decide = Callable[[Attributes], str]


def attributes_of(request: bytes) -> Attributes:
    """Name to value, in the order they came."""
    lines = request.decode(errors="surrogateescape").removesuffix("\n\n").split("\n")
    return {name: value for name, _, value in (line.partition("=") for line in lines)}


class PolicyServer:
    """Answers each request with ``action=`` what ``decide`` says.

    Attributes:
        requests: all that came, in order.
        connections: how many were made.
    """

    def __init__(self, decide: Decide) -> None:
        self.decide = decide
        self.requests: list[bytes] = []
        self.connections = 0
        self.port = free_port()
        self._lock = threading.Lock()
        policy = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                with contextlib.suppress(ConnectionError):
                    policy._talk(self)

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = True
            daemon_threads = True
            request_queue_size = 128

        self._server = Server((LOOPBACK, self.port), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def endpoint(self) -> str:
        """As ``check_policy_service`` takes it."""
        return f"inet:{LOOPBACK}:{self.port}"

    def taken(self) -> list[bytes]:
        """The requests so far, which are forgotten."""
        with self._lock:
            taken, self.requests = self.requests, []
        return taken

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    def _talk(self, handler: socketserver.StreamRequestHandler) -> None:
        with self._lock:
            self.connections += 1
        request = b""
        for line in handler.rfile:
            request += line
            if line == b"\n":
                with self._lock:
                    self.requests.append(request)
                handler.wfile.write(f"action={self.decide(attributes_of(request))}\n\n".encode())
                request = b""
