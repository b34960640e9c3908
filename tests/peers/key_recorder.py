"""A table server that writes down what it is asked: the oracle for the order of keys.

Postfix reaches it as ``memcache:`` (a table of whole keys, whose parts are asked for too, folded), as ``socketmap:`` and as
``tcp:`` (which Postfix asks for whole addresses and names only, as it does pattern tables). What each key gives
is a function's matter, so that our side can be given the same tables.

    with KeyRecorder(lambda table, key: "OK" if key == "u@d" else None) as recorder:
        config.write_text(recorder.memcache_file("access"))   # check_recipient_access memcache:/config
        ...
        assert recorder.take() == [("access", "u@d")]
"""

from __future__ import annotations

import contextlib
import socketserver
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self
from urllib.parse import quote, unquote

from peers.ports import LOOPBACK

Answer = Callable[[str, str], str | None]
"""``answer(table, key)``: the text under the key."""


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128
    recorder: KeyRecorder


class _Handler(socketserver.StreamRequestHandler):
    server: _Server

    def handle(self) -> None:
        with contextlib.suppress(OSError):
            self.serve()

    def serve(self) -> None:
        raise NotImplementedError


class _Memcache(_Handler):
    """``get table=key``; the equals sign divides, for neither side needs one elsewhere."""

    def serve(self) -> None:
        for line in self.rfile:
            verb, _, name = line.decode("utf-8", "surrogateescape").rstrip("\r\n").partition(" ")
            table, _, key = name.partition("=")
            value = self.server.recorder.ask(table, key) if verb == "get" else None
            data = (value or "").encode()
            found = b"VALUE %s 0 %d\r\n%s\r\n" % (name.encode(), len(data), data) if value is not None else b""
            self.wfile.write(found + b"END\r\n")  # at once: the client waits for the end


class _Socketmap(_Handler):
    def serve(self) -> None:
        while length := self._length():
            table, _, key = self.rfile.read(length).decode("utf-8", "surrogateescape").partition(" ")
            self.rfile.read(1)
            value = self.server.recorder.ask(table, key)
            data = b"NOTFOUND " if value is None else b"OK " + value.encode()
            self.wfile.write(b"%d:%s," % (len(data), data))

    def _length(self) -> int:
        digits = b""
        while (octet := self.rfile.read(1)).isdigit():
            digits += octet
        return int(digits or b"0")


class _Tcp(_Handler):
    """tcp_table(5): ``get key``, which knows no names of tables; ours is called ``tcp``."""

    def serve(self) -> None:
        for line in self.rfile:
            verb, _, key = line.decode("ascii").rstrip("\n").partition(" ")
            value = self.server.recorder.ask("tcp", unquote(key)) if verb == "get" else None
            self.wfile.write(b"500 not found\n" if value is None else b"200 %s\n" % quote(value).encode())


_HANDLERS = {"memcache": _Memcache, "socketmap": _Socketmap, "tcp": _Tcp}


class KeyRecorder:
    """The servers, in threads of the test.

    Args:
        answer: what the tables have; nothing by default.

    Attributes:
        ports: of the servers, by table type.
    """

    def __init__(self, answer: Answer = lambda table, key: None) -> None:
        self._answer = answer
        self._asked: list[tuple[str, str]] = []
        servers = {kind: _Server((LOOPBACK, 0), handler) for kind, handler in _HANDLERS.items()}
        self.ports = {kind: server.server_address[1] for kind, server in servers.items()}
        self._servers = tuple(servers.values())
        for server in self._servers:
            server.recorder = self
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def memcache_file(self, table: str) -> str:
        """The text of a memcache_table(5) file for one table."""
        return f"memcache = inet:{LOOPBACK}:{self.ports['memcache']}\nkey_format = {table}=%s\n"

    def socketmap(self, table: str) -> str:
        """``socketmap:...`` for one table."""
        return f"socketmap:inet:{LOOPBACK}:{self.ports['socketmap']}:{table}"

    def ask(self, table: str, key: str) -> str | None:
        """Write the question down and answer it."""
        self._asked.append((table, key))
        return self._answer(table, key)

    def take(self) -> list[tuple[str, str]]:
        """The questions since the last call, as ``(table, key)``."""
        asked, self._asked = self._asked, []
        return asked

    def close(self) -> None:
        """Stop listening."""
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
