"""The octets of a message on their way in: where it ends, what its lines end with, how large it is.

Two readers, for DATA and BDAT, share :class:`Content`, the one place where the gateway decides about line ends. Only
``<CR><LF>.<CR><LF>`` ends DATA, whatever smtpd_forbid_bare_newline says. Work is done on whole buffers, never a line
at a time. Source: RFC 5321 §2.3.8, §4.1.1.4, §4.5.2; RFC 3030; smtpd_forbid_bare_newline of postconf(5).

What is held back between two calls is bounded: at most four octets that could still become an end, and small pieces up
to :data:`SMALL`, because a message that dribbles in octet by octet must not cost its reader an object an octet.
"""

from __future__ import annotations

import re

SMALL = 4096
LONG_LINE = 998  # RFC 5321 §4.5.3.1.6, without CRLF

_BARE_CR = re.compile(rb"\r(?!\n)")
_BARE = re.compile(rb"\r(?!\n)|(?<!\r)\n")
_UNDECIDED = re.compile(rb"(?:\r?\n\.?\r?|\r)\Z")
_END = b"\r\n.\r\n"


class Content:
    """Checks and repairs a message's octets, wherever they were cut.

    Args:
        limit: octets a message may have; 0: any number.
        may_repair: a bare LF is given its CR, a bare CR becomes a space (cleanup_replace_stray_cr_lf), so that neither
            can end a line at the next hop; otherwise either spoils the message.

    Attributes:
        size_bytes: octets of the message so far.
        is_too_big, has_bare_lf, has_bare_cr, has_nul, is_8bit, has_long_lines: what was seen.
        is_void: the message cannot be had any more: nothing is given out, and nothing is looked at.
    """

    __slots__ = (
        "_limit", "_line_bytes", "_may_repair", "_small",
        "has_bare_cr", "has_bare_lf", "has_long_lines", "has_nul", "is_8bit", "is_too_big", "is_void", "size_bytes",
    )  # fmt: skip

    def __init__(self, limit: int, *, may_repair: bool) -> None:
        self._limit, self._may_repair = limit, may_repair
        self._small = b""
        self._line_bytes = 0
        self.size_bytes = 0
        self.is_void = self.is_too_big = self.has_bare_lf = self.has_bare_cr = self.has_nul = False
        self.is_8bit = self.has_long_lines = False

    def repaired(self, region: bytes) -> bytes:
        """Look at the line ends of a region that is not cut between CR and LF; returns it with those it shall have."""
        # Without its line ends a good region has neither: the cheapest way to know, at memory speed.
        lines = region.replace(b"\r\n", b"")
        if b"\n" not in lines and b"\r" not in lines:
            return region
        if not self._may_repair:
            # Only the first counts, so that the refusal does not depend on how the octets were cut.
            bare = _BARE.search(region)
            self.has_bare_lf = bare is not None and bare[0] == b"\n"
            self.has_bare_cr = not self.has_bare_lf
            self.is_void = True
            return region
        self.has_bare_lf |= region.count(b"\n") != region.count(b"\r\n")
        self.has_bare_cr |= _BARE_CR.search(region) is not None
        return _BARE_CR.sub(b" ", region).replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")

    def accept(self, region: bytes, *, is_end: bool) -> bytes:
        """Count and measure a region as it will be kept; returns what to give out now, maybe with earlier octets."""
        if self.is_void:
            self._small = b""
            return b""
        size = len(region)
        self.size_bytes += size
        if 0 < self._limit < self.size_bytes:
            self.is_too_big = self.is_void = True
            self._small = b""
            return b""
        if not region.isascii():
            self.is_8bit = True
        if b"\0" in region:
            self.has_nul = True
        if not self.has_long_lines:
            self._measure_lines(region, size)
        if self._small:
            region = self._small + region
            self._small = b""
            size = len(region)
        if size < SMALL and not is_end:
            self._small = region
            return b""
        return region

    def _measure_lines(self, region: bytes, size: int) -> None:
        """Look for a line of more than LONG_LINE octets by leaping from line end to line end, a leap a kilobyte."""
        start = -self._line_bytes
        while size - start > LONG_LINE + 1:
            stop = start + LONG_LINE + 2
            newline = region.rfind(b"\n", start if start > 0 else 0, stop) if stop > 0 else -1
            if newline < 0:
                self.has_long_lines = True
                return
            start = newline + 1
        newline = region.rfind(b"\n", start if start > 0 else 0)
        self._line_bytes = size - (newline + 1 if newline >= 0 else start)


class DataReader:
    """Content after DATA: finds the end and takes the dots away (RFC 5321 §4.5.2).

    The line before the first is taken as ended by CRLF, so ``.<CR><LF>`` at once is the end of an empty message.
    """

    __slots__ = ("_content", "_skip", "_tail")
    is_at_end = False  # only its octets can tell

    def __init__(self, content: Content) -> None:
        self._content = content
        self._tail = b"\r\n"
        self._skip = 2

    def feed(self, data: bytes, start: int) -> tuple[bytes, int]:
        """Read octets from ``start`` on.

        Returns: what to give out (maybe nothing), and where the rest of ``data`` starts after the end of the message,
            or -1 when the end has not come yet: then all of ``data`` was taken.
        """
        tail = self._tail
        buffer = tail + data[start:] if start else tail + data
        stop = buffer.find(b"\r\n.")
        is_stuffed = stop >= 0 and buffer[stop + 3 : stop + 5] != b"\r\n"
        if is_stuffed:
            stop = buffer.find(_END, stop + 2)
        if stop >= 0:
            region = buffer[: stop + 2]
            rest = start + stop + len(_END) - len(tail)
        else:
            undecided = _UNDECIDED.search(buffer, max(len(buffer) - 4, 0))
            cut = undecided.start() if undecided else len(buffer)
            region, self._tail, rest = buffer[:cut], buffer[cut:], -1
        return self._give(region, is_stuffed, is_end=rest >= 0), rest

    def _give(self, region: bytes, is_stuffed: bool, *, is_end: bool) -> bytes:
        content = self._content
        if region and not content.is_void:
            region = content.repaired(region)
            if is_stuffed or content.has_bare_lf:
                region = region.replace(b"\r\n.", b"\r\n")
            if self._skip:
                region, self._skip = region[self._skip :], 0
        return content.accept(region, is_end=is_end)


class ChunkReader:
    """Content of BDAT chunks: counted octets, no dots (RFC 3030 §2).

    A last line without CRLF is given one, as every message of the gateway ends in CRLF.
    """

    __slots__ = ("_content", "_is_complete", "_left", "_tail", "chunk_bytes", "is_last")

    def __init__(self, content: Content) -> None:
        self._content = content
        self._tail = b""
        self._is_complete = True
        self._left = self.chunk_bytes = 0
        self.is_last = False

    def announce(self, size_bytes: int, *, is_last: bool) -> None:
        """A BDAT command: so many octets follow."""
        self._left = self.chunk_bytes = size_bytes
        self.is_last = is_last

    @property
    def is_at_end(self) -> bool:
        """No octet of the chunk is missing."""
        return not self._left

    def feed(self, data: bytes, start: int) -> tuple[bytes, int]:
        """Read octets of the chunk from ``start`` on; returns as :meth:`DataReader.feed` does, for the chunk's end."""
        stop = start + self._left
        if stop > len(data):
            self._left = stop - len(data)
            return self._take(data[start:] if start else data, is_end=False), -1
        self._left = 0
        return self._take(data[start:stop], is_end=self.is_last), stop

    def _take(self, octets: bytes, *, is_end: bool) -> bytes:
        content = self._content
        region = self._tail + octets if self._tail else octets
        self._tail = b""
        if content.is_void:
            return b""
        if not is_end and region.endswith(b"\r"):
            region, self._tail = region[:-1], b"\r"
        if region:
            region = content.repaired(region)
            self._is_complete = region.endswith(b"\r\n")
        if is_end and not self._is_complete:
            region += b"\r\n"
        return content.accept(region, is_end=is_end)
