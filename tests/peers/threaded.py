"""A TCP server in threads, for as long as it is entered: what the small peers written in Python share."""

from __future__ import annotations

import socketserver
import threading
from typing import Self

from peers.ports import LOOPBACK


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128


class ThreadedServer:
    """Listens on a loopback port.

    Args:
        handler: what talks to each client.
        port: 0 for any.
    """

    def __init__(self, handler: type[socketserver.BaseRequestHandler], port: int = 0) -> None:
        self._server = _Server((LOOPBACK, port), handler)
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)
