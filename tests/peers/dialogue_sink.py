"""A next hop that offers what a test tells it, takes everything, and keeps every line that a client says.

with DialogueSink("XFORWARD NAME ADDR") as sink:
    sink.port
    sink.commands("MAIL")
"""

from __future__ import annotations

import contextlib
import socketserver
import threading
from types import TracebackType
from typing import Self

from peers.ports import LOOPBACK, wait_for


class _Talk(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        sink: DialogueSink = self.server.sink  # type: ignore[attr-defined]
        self._say(b"220 sink.peer.example ESMTP")
        with contextlib.suppress(OSError):
            while line := self.rfile.readline(70_000):
                with sink.lock:
                    sink.lines.append(line)
                verb = line[:4].upper()
                if verb in (b"EHLO", b"LHLO"):
                    self._say(*[b"250-" + word.encode() for word in sink.offers], b"250 8BITMIME")
                elif verb == b"DATA":
                    self._say(b"354 go on")
                    content = b""
                    while not (b"\r\n" + content).endswith(b"\r\n.\r\n"):
                        content += self.rfile.readline(70_000)
                    with sink.lock:
                        sink.contents.append(content)
                    self._say(b"250 2.0.0 Ok: kept")
                elif verb == b"QUIT":
                    self._say(b"221 2.0.0 Bye")
                    return
                else:
                    self._say(sink.answers.get(verb.decode("ascii", "replace"), b"250 2.0.0 Ok"))

    def _say(self, *lines: bytes) -> None:
        self.wfile.write(b"".join(line + b"\r\n" for line in lines))


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


class DialogueSink:
    """One next hop.

    Args:
        offers: lines of the EHLO reply behind the first.

    Attributes:
        lines: all that clients said outside of content, with their line ends.
        contents: messages, dots doubled, the last line included.
        answers: replies by the first four letters of a verb; everything else gets 250.
    """

    def __init__(self, *offers: str) -> None:
        self.offers = ("sink.peer.example", *offers)
        self.lines: list[bytes] = []
        self.contents: list[bytes] = []
        self.answers: dict[str, bytes] = {}
        self.lock = threading.Lock()
        self._server = _Server((LOOPBACK, 0), _Talk)
        self._server.sink = self  # type: ignore[attr-defined]
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    def wait_for(self, count: int) -> None:
        """Wait until ``count`` messages came."""
        wait_for(lambda: len(self.contents) >= count, f"{count} messages at the dialogue sink")

    def said(self, verb: str) -> list[bytes]:
        """The lines that begin with a verb."""
        with self.lock:
            return [line for line in self.lines if line.upper().startswith(verb.encode())]
