"""A JSON-lines control socket that answers as a test says."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any


class ControlSocket:
    """Serves one socket under a queue directory until closed; remembers the requests."""

    def __init__(
        self, queue: Path, answer: Callable[[dict[str, Any]], list[dict[str, Any]]], name: str = "public/qmgr"
    ) -> None:
        self.requests: list[dict[str, Any]] = []
        self._answer = answer
        (queue / name).parent.mkdir(exist_ok=True)
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(queue / name))
        self._server.listen()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            with connection, connection.makefile("rb") as lines:
                for line in lines:
                    request = json.loads(line)
                    self.requests.append(request)
                    for answer in self._answer(request):
                        connection.sendall(json.dumps(answer).encode() + b"\n")

    def close(self) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join(10)
