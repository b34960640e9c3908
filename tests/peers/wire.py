"""An SMTP client of the tests, octet by octet: one raw connection to a gateway in process."""

from __future__ import annotations

import smtplib
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from gateway.testing import InProcessGateway

MESSAGE = b"Subject: test\r\nMessage-ID: <1@x>\r\n\r\nhello\r\n"


class Wire:
    """A raw connection."""

    def __init__(self, gateway: InProcessGateway) -> None:
        self.socket = socket.create_connection(("127.0.0.1", gateway.port), timeout=10)
        self.file = self.socket.makefile("rb")

    def read(self) -> str:
        """One reply, lines joined; empty at the end of the connection."""
        lines = []
        while line := self.file.readline().decode():
            lines.append(line.rstrip("\r\n"))
            if line[3:4] != "-":
                break
        return "\n".join(lines)

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def ask(self, line: str) -> str:
        self.send(line.encode() + b"\r\n")
        return self.read()


@contextmanager
def wire(gateway: InProcessGateway, *, greet: bool = True) -> Iterator[Wire]:
    connection = Wire(gateway)
    try:
        if greet:
            assert connection.read().startswith("220 gateway.test ESMTP")
        yield connection
    finally:
        connection.file.close()
        connection.socket.close()


def send(gateway: InProcessGateway, *recipients: str, message: bytes = MESSAGE, sender: str = "a@s.example") -> Any:
    with smtplib.SMTP("127.0.0.1", gateway.port, timeout=10, local_hostname="c.example") as client:
        return client.sendmail(sender, recipients or ("r@d.example",), message)


def wait_for_log(gateway: InProcessGateway, text: str) -> str:
    """The log once it has a line; lines are written when the connection's end is seen."""
    for _ in range(1000):
        if text in gateway.log:
            return gateway.log
        socket.socket().close()
        with smtplib.SMTP("127.0.0.1", gateway.port, timeout=10) as client:
            client.noop()
    raise AssertionError(f"{text!r} is not in\n{gateway.log}")
