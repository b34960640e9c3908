"""Loopback ports, and waiting for servers: what every peer needs before it can talk."""

from __future__ import annotations

import contextlib
import random
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

LOOPBACK = "127.0.0.1"


class NotReady(Exception):
    """A peer did not come up, or a condition did not come true, in time."""


# Below the ports that the kernel gives to clients (ip_local_port_range): between the choice and its use, a connection
# of some other test cannot take one of these.
_PORTS = range(12_000, 32_000)
_given: set[int] = set()
_giving = threading.Lock()
_chance = random.SystemRandom()  # whoever seeds the common one would make two runs choose alike


def free_port() -> int:
    """A TCP port of the loopback address that nobody listens on, for a process that cannot be given port 0.

    No port is given twice in a run; another run at the same time starts somewhere else.
    """
    with _giving:
        for _ in range(1000):
            port = _chance.choice(_PORTS)
            if port in _given:
                continue
            with socket.socket() as probe, contextlib.suppress(OSError):
                probe.bind((LOOPBACK, port))
                _given.add(port)
                return port
    raise NotReady("no free port")


def banner(port: int, timeout_s: float = 5.0) -> bytes:
    """The first line an SMTP server sends, closing politely; empty when nobody answers."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout_s) as connection:
            line = connection.makefile("rb").readline(2048)
            with contextlib.suppress(OSError):
                connection.sendall(b"QUIT\r\n")
                connection.recv(2048)
            return line
    except OSError:
        return b""


def wait_for(condition: Callable[[], Any], what: str, timeout_s: float = 20.0, pause_s: float = 0.02) -> Any:
    """Poll until ``condition()`` is true and return its value.

    Raises: NotReady, naming ``what``, after ``timeout_s``.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise NotReady(f"{what}: not within {timeout_s:g} s")
        time.sleep(pause_s)


def wait_for_banner(port: int, timeout_s: float = 20.0) -> bytes:
    """Wait until an SMTP server greets on ``port``."""
    line: bytes = wait_for(lambda: banner(port), f"SMTP greeting on port {port}", timeout_s)
    return line
