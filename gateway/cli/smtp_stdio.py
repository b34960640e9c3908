"""``sendmail -bs``: an SMTP session on stdin and stdout, relayed to the running smtpd over loopback.

The session so meets the same policy as every local client; Postfix starts an smtpd of its own here.
"""

from __future__ import annotations

import os
import selectors
import socket

from gateway.cli.console import EX_TEMPFAIL, Fatal
from gateway.cli.control_client import NotRunning, ask
from gateway.config import Config
from gateway.master.control import SOCKET

TIMEOUT_S = 600.0
PIECE = 65536


def relay(config: Config) -> int:
    """Copy both ways until the server closes.

    Raises:
        Fatal: the mail system is down (EX_TEMPFAIL).
    """
    with _connect(config) as server, selectors.DefaultSelector() as selector:
        selector.register(0, selectors.EVENT_READ)
        selector.register(server, selectors.EVENT_READ)
        while ready := selector.select(TIMEOUT_S):
            for key, _ in ready:
                if key.fileobj is server:
                    if not (data := server.recv(PIECE)):
                        return 0
                    _write_all(data)
                elif data := os.read(0, PIECE):
                    server.sendall(data)
                else:
                    selector.unregister(0)
                    server.shutdown(socket.SHUT_WR)
    raise Fatal(f"nothing happened for {TIMEOUT_S:g}s", EX_TEMPFAIL)


def _connect(config: Config) -> socket.socket:
    try:
        (status,) = ask(config.text("queue_directory"), SOCKET, {"op": "status"})
        host, _, port = status["listening"][0]["address"].rpartition(":")
        host = host.strip("[]")
        # A wildcard address is also reached over loopback.
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound
        return socket.create_connection((host, int(port)), timeout=TIMEOUT_S)
    except (NotRunning, OSError, LookupError, ValueError) as exc:
        raise Fatal(f"mail system is down: {exc}", EX_TEMPFAIL) from exc


def _write_all(data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(1, view) :]
