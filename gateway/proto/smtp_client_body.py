"""Message content as it goes over the wire after DATA: whole lines, dots doubled, lines of a bounded length.

Owns the last octets before a message leaves: nothing that passes here can end the message early, whatever the content
is. Bare LF becomes CRLF (RFC 5321 §2.3.8 forbids it), so that ``LF.LF`` and ``LF.CRLF`` from a lenient entrance never
reach a server that would take them for the end. Source: RFC 5321 §4.5.2, ``smtp_line_length_limit``.
"""

from __future__ import annotations

import re

_BARE_LF = re.compile(rb"(?<!\r)\n")


class ContentWriter:
    """Turns pieces of content, cut anywhere, into wire octets.

    Args:
        line_limit: octets of a line without CRLF; longer lines are broken with CRLF and a space, as Postfix does.
            0: lines are left alone; only for content known to have none that long.
    """

    __slots__ = ("_held", "_is_line_start", "_line_limit")

    def __init__(self, line_limit: int = 0) -> None:
        self._line_limit = line_limit
        self._held = b""  # a CR at the end of a piece, or with a limit, the last unfinished line
        self._is_line_start = True

    def feed(self, data: bytes) -> bytes:
        """Wire octets of the next piece."""
        if self._held:
            data = self._held + data
            self._held = b""
        if not data:
            return b""
        if data[-1:] == b"\r":
            data, self._held = data[:-1], b"\r"
        # Two scans at memory speed are cheaper than one regular expression that nearly never matches.
        if data.count(b"\n") != data.count(b"\r\n"):
            data = _BARE_LF.sub(b"\r\n", data)
        if self._line_limit:
            data = self._break_lines(data)
        return self._stuff(data)

    def finish(self) -> bytes:
        """Wire octets of what was held back, and the CRLF that a last line without one needs."""
        data, self._held = self._held, b""
        wire = self._stuff(data.removesuffix(b"\r"))  # a CR is the first half of a line end that never came
        return wire if self._is_line_start and not data else wire + b"\r\n"

    def _stuff(self, data: bytes) -> bytes:
        if not data:
            return b""
        data = data.replace(b"\r\n.", b"\r\n..")
        if self._is_line_start and data[:1] == b".":
            data = b"." + data
        self._is_line_start = data[-1:] == b"\n"
        return data

    def _break_lines(self, data: bytes) -> bytes:
        """Whole lines of ``data``, broken; the unfinished rest is held back, so that breaks fall where they would."""
        limit = self._line_limit
        lines = data.split(b"\r\n")
        rest = lines.pop()
        wire = [broken for line in lines for broken in (_break(line, limit) if len(line) > limit else (line,))]
        if len(rest) > limit:
            *full, rest = _break(rest, limit)
            wire += full
        self._held = rest + self._held
        return b"\r\n".join(wire) + b"\r\n" if wire else b""


def _break(line: bytes, limit: int) -> list[bytes]:
    """A line in pieces of at most ``limit`` octets; all but the first start with a space."""
    step = limit - 1
    return [line[:limit], *(b" " + line[at : at + step] for at in range(limit, len(line), step))]
