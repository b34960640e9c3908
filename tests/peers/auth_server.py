"""A Dovecot authentication server that offers PLAIN and never sees a login: Postfix starts no smtpd with SASL without one.

Tests give logins by XCLIENT. Source: Dovecot's authentication protocol, version 1.1 (handshake).

    with AuthServer() as auth:
        settings = {"smtpd_sasl_auth_enable": "yes", "smtpd_sasl_type": "dovecot", "smtpd_sasl_path": auth.path}
"""

from __future__ import annotations

import socketserver

from peers.threaded import ThreadedServer

_HANDSHAKE = (
    b"VERSION\t1\t1\nMECH\tPLAIN\tplaintext\nSPID\t1\nCUID\t1\nCOOKIE\t00112233445566778899aabbccddeeff\nDONE\n"
)


class _Handler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        self.wfile.write(_HANDSHAKE)
        while self.rfile.readline(4096):
            pass


class AuthServer(ThreadedServer):
    """Listens on a loopback port for as long as it is entered."""

    def __init__(self) -> None:
        super().__init__(_Handler)

    @property
    def path(self) -> str:
        """The value of smtpd_sasl_path."""
        return f"inet:127.0.0.1:{self.port}"
