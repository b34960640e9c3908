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

from peers.ports import LOOPBACK, free_port
from peers.threaded import ThreadedServer

Attributes = dict[str, str]
Decide = Callable[[Attributes], str]


def attributes_of(request: bytes) -> Attributes:
    """Name to value, in the order they came."""
    lines = request.decode(errors="surrogateescape").removesuffix("\n\n").split("\n")
    return {name: value for name, _, value in (line.partition("=") for line in lines)}


class PolicyServer(ThreadedServer):
    """Answers each request with ``action=`` what ``decide`` says.

    Attributes:
        requests: all that came, in order.
        connections: how many were made.
    """

    def __init__(self, decide: Decide) -> None:
        self.decide = decide
        self.requests: list[bytes] = []
        self.connections = 0
        self._lock = threading.Lock()
        policy = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                with contextlib.suppress(ConnectionError):
                    policy._talk(self)

        super().__init__(Handler, free_port())

    @property
    def endpoint(self) -> str:
        """As ``check_policy_service`` takes it."""
        return f"inet:{LOOPBACK}:{self.port}"

    def taken(self) -> list[bytes]:
        """The requests so far, which are forgotten."""
        with self._lock:
            taken, self.requests = self.requests, []
        return taken

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
