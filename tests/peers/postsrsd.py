"""A private postsrsd: two tcp_table(5) servers that rewrite sender addresses, and rewrite them back.

with PostSrsd() as srs:
    sender_canonical_maps = tcp:127.0.0.1:{srs.port}
    recipient_canonical_maps = tcp:127.0.0.1:{srs.reverse_port}
"""

from __future__ import annotations

import contextlib
import socket

import psutil
from peers.ports import LOOPBACK, free_port
from peers.private_server import PrivateServer

DOMAIN = "srs.example"


class PostSrsd(PrivateServer):
    """It forks for each connection."""

    label = "postsrsd"
    user = "postsrsd"

    def __init__(self) -> None:
        super().__init__()
        self.reverse_port = free_port()

    def set_up(self) -> None:
        (self.directory / "secret").write_text("no secret\n")

    def command(self) -> list[str]:
        return [
            "postsrsd", f"-s{self.directory / 'secret'}", f"-d{DOMAIN}", f"-l{LOOPBACK}", "-4",
            f"-f{self.port}", f"-r{self.reverse_port}",
        ]  # fmt: skip

    def is_ready(self) -> bool:
        with contextlib.suppress(OSError):
            for port in (self.port, self.reverse_port):
                socket.create_connection((LOOPBACK, port), 1).close()
            return True
        return False

    def conversations(self) -> list[psutil.Process]:
        """The processes that talk on a connection now."""
        return self._family()[1:]

    def _family(self) -> list[psutil.Process]:
        # It does not wait for its children before somebody connects.
        return [process for process in super()._family() if _is_alive(process)]

    def _signal(self, number: int, *, to_children: bool = False) -> None:
        super()._signal(number, to_children=True)  # they outlive it


def _is_alive(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
