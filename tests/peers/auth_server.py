"""A Dovecot authentication server that offers PLAIN and never sees a login: Postfix starts no smtpd with SASL without one.

Tests give logins by XCLIENT. Source: Dovecot's authentication protocol, version 1.1 (handshake).

    with AuthServer() as auth:
        settings = {"smtpd_sasl_auth_enable": "yes", "smtpd_sasl_type": "dovecot", "smtpd_sasl_path": auth.path}
"""

from __future__ import annotations

import socketserver
import threading
from typing import Self

_HANDSHAKE = (
    b"VERSION\t1\t1\nMECH\tPLAIN\tplaintext\nSPID\t1\nCUID\t1\nCOOKIE\t00112233445566778899aabbccddeeff\nDONE\n"
)


class _Handler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        self.wfile.write(_HANDSHAKE)
        while self.rfile.readline(4096):
            pass


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False


class AuthServer:
    """Listens on a loopback port for as long as it is entered."""

    def __init__(self) -> None:
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def path(self) -> str:
        """The value of smtpd_sasl_path."""
        return f"inet:127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)
