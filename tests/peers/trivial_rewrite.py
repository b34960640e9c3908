"""A client of Postfix's address rewriting and resolving service, trivial-rewrite(8).

Each private Postfix has the service's socket at ``private/rewrite`` in its queue directory; a ``master.cf`` row of
another name with ``-o`` options gives the same instance a second service under other parameters.

    with PostfixInstance(settings) as postfix, TrivialRewrite(postfix) as oracle:
        assert oracle.rewrite("user%host") == "user@host"
        assert oracle.resolve("user@host").transport == "smtp"

The protocol is Postfix's attribute list: name, NUL, value, NUL, and so on, and one more NUL at the end.
"""

from __future__ import annotations

import socket
from enum import IntFlag
from types import TracebackType
from typing import NamedTuple, Self

from peers.instance import MailInstance


class Flags(IntFlag):
    """What trivial-rewrite says of an address."""

    FINAL = 1 << 0
    ROUTED = 1 << 1
    ERROR = 1 << 2
    FAIL = 1 << 3
    LOCAL = 1 << 8
    ALIAS = 1 << 9
    VIRTUAL = 1 << 10
    RELAY = 1 << 11
    DEFAULT = 1 << 12


class Resolution(NamedTuple):
    """The answer to ``resolve``; ``recipient`` is in internal form."""

    transport: str
    nexthop: str
    recipient: str
    flags: Flags


class TrivialRewrite:
    """A connection to one service.

    Args:
        instance: a running private Postfix.
        service: its master.cf name.
        timeout_s: for each answer.
    """

    def __init__(self, instance: MailInstance, service: str = "rewrite", *, timeout_s: float = 10.0) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(timeout_s)
        self._socket.connect(str(instance.queue_directory / "private" / service))
        self._held = b""
        assert self._answer()["protocol"] == "trivial_rewrite_protocol"

    def rewrite(self, address: str, rule: str = "local") -> str:
        """The canonical form of an address, both in external form."""
        return self._ask(request="rewrite", rule=rule, address=address)["address"]

    def resolve(self, address: str, sender: str = "") -> Resolution:
        """Where an address in internal form leads."""
        answer = self._ask(request="resolve", sender=sender, address=address)
        flags = Flags(int(answer["flags"]))
        return Resolution(answer["transport"], answer["nexthop"], answer["recipient"], flags)

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ask(self, **attributes: str) -> dict[str, str]:
        words = [word.encode("utf-8", "surrogateescape") for pair in attributes.items() for word in pair]
        self._socket.sendall(b"\0".join(words) + b"\0\0")
        return self._answer()

    def _answer(self) -> dict[str, str]:
        """The next list; of attributes that come twice (``flags``: the server's, then the address's) the last."""
        found: dict[str, str] = {}
        while name := self._word():
            found[name] = self._word()
        return found

    def _word(self) -> str:
        while (end := self._held.find(b"\0")) < 0:
            data = self._socket.recv(65536)
            if not data:
                raise ConnectionError("trivial-rewrite hung up")
            self._held += data
        word, self._held = self._held[:end], self._held[end + 1 :]
        return word.decode("utf-8", "surrogateescape")
