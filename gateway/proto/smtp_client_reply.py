"""Replies of an SMTP or LMTP server, from octets to values.

Owns framing and bounds; what a reply means for the conversation is ``smtp_client``'s. Never raises while octets are
good; :class:`RemoteProtocolError` when they are no reply or too many. Source: RFC 5321 §4.2, §4.5.3.1.5.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from gateway.model.errors import RemoteProtocolError
from gateway.proto.server_reply import ServerReply

LINE_LIMIT = 4096  # RFC 5321 says 512; Postfix reads 2048; some servers put URLs and policies into their refusals
REPLY_LIMIT = 32_768  # all lines of one reply

# A bare LF ends a reply line as well: harmless in this direction, and old servers do it.
_LINE = re.compile(rb"([2-5][0-9][0-9])([ -]?)([^\n]*)\n")


class ReplyReader:
    """Cuts octets into replies."""

    __slots__ = ("_lines", "_rest", "_size")

    def __init__(self) -> None:
        self._rest = b""
        self._lines: list[str] = []
        self._size = 0

    @property
    def is_inside(self) -> bool:
        """True when part of a reply has come and part has not."""
        return bool(self._rest or self._lines)

    def feed(self, data: bytes) -> Iterator[ServerReply]:
        """All replies that are complete now; to be exhausted.

        Raises:
            RemoteProtocolError: a line that is no reply, or that is too long; after the replies before it.
        """
        if self._rest:
            data = self._rest + data
        position = 0
        while match := _LINE.match(data, position):
            position = match.end()
            self._size += position - match.start()
            if self._size > REPLY_LIMIT:
                raise RemoteProtocolError("reply too long")
            self._lines.append(_text(match.group()))
            if match.group(2) != b"-":
                text = self._lines[0] if len(self._lines) == 1 else "\n".join(self._lines)
                self._lines.clear()
                self._size = 0
                yield ServerReply(int(match.group(1)), text)
        self._rest = data[position:]
        if self._rest:
            self._check_rest()

    def _check_rest(self) -> None:
        end = self._rest.find(b"\n")
        if end >= 0:
            raise RemoteProtocolError(f"not a reply: {_text(self._rest[: min(end, 200)])}")
        if len(self._rest) > LINE_LIMIT:
            raise RemoteProtocolError("reply line too long")


def _text(raw: bytes) -> str:
    text = raw.rstrip().decode("utf-8", "replace")
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else "?" for char in text)
