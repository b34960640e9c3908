"""Header blocks as octets: find headers where they stand, without taking the block apart.

Works on the block as it is (lines end in CRLF; bare LF is tolerated), gives positions in it, and never decodes: what
is not touched keeps its octets. Source: RFC 5322 §2.2 (fields, folding), §3.3 (date-time).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import NamedTuple

# A name is printable ASCII without colon; white space before the colon is the obsolete form (§4.5) and still accepted.
# A line that begins with white space continues the one before. No part can match another's text: linear in the input.
_FIELD = re.compile(rb"^([!-9;-~]+)[ \t]*:([^\n]*(?:\n[ \t][^\n]*)*)(?:\n|\Z)", re.MULTILINE)
_FOLD = re.compile(rb"\r?\n(?=[ \t])")
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class Header(NamedTuple):
    """One header field and where it stands.

    ``raw_name`` as written; ``raw_value`` everything behind the colon, folding and leading white space kept, without
    the last line end; ``block[start:end]`` is the field with its line end.
    """

    raw_name: bytes
    raw_value: bytes
    start: int
    end: int

    @property
    def name(self) -> str:
        """The name as written."""
        return self.raw_name.decode("ascii")

    @property
    def text(self) -> str:
        """The value unfolded and stripped; octets that are not UTF-8 as ``surrogateescape``."""
        return unfold(self.raw_value).decode("utf-8", "surrogateescape")


def iter_headers(block: bytes, start: int = 0) -> Iterator[Header]:
    """All header fields of a block, in order. Lines that are no field (an mbox ``From `` line) are passed over.

    Args:
        block: header lines; whatever follows an empty line must not be in it.
        start: where to begin: 0, or the ``end`` of a field.
    """
    for match in _FIELD.finditer(block, start):
        yield Header(match[1], match[2].removesuffix(b"\r"), match.start(), match.end())


def find_all(block: bytes, name: str) -> Iterator[Header]:
    """All fields of that name, letter case ignored, in order."""
    wanted = name.lower().encode("utf-8", "surrogateescape")
    for header in iter_headers(block):
        if header.raw_name.lower() == wanted:
            yield header


def find(block: bytes, name: str, index: int = 1) -> Header | None:
    """The ``index``-th field (from 1) of that name, letter case ignored; None when there is none."""
    for header in find_all(block, name):
        index -= 1
        if not index:
            return header
    return None


def unfold(value: bytes) -> bytes:
    """The value on one line, as §2.2.3 has it: line ends before white space removed; outer white space too."""
    return _FOLD.sub(b"", value).strip(b" \t\r\n")


def fold(name: bytes, words: list[bytes], *, limit: int = 78) -> bytes:
    """A header line with CRLF, broken between words so that lines keep to ``limit`` octets where they can (§2.1.1)."""
    lines = [name + b":"]
    for word in words:
        if len(lines[-1]) + 1 + len(word) > limit and lines[-1] not in (name + b":", b""):
            lines.append(b"")
        lines[-1] += b" " + word
    return b"\r\n".join(lines) + b"\r\n"


def date_time(timestamp: float, offset_s: int = 0, zone: str = "") -> str:
    """``Sun, 22 Nov 2026 13:29:36 +0000 (UTC)``: a date-time with the zone's name as a comment.

    Args:
        timestamp: seconds since the epoch.
        offset_s: seconds east of Greenwich.
        zone: abbreviation for the comment; empty: none.
    """
    when = datetime.fromtimestamp(timestamp, UTC if not offset_s else timezone(timedelta(seconds=offset_s)))
    sign, minutes = ("-", -offset_s // 60) if offset_s < 0 else ("+", offset_s // 60)
    text = (
        f"{_DAYS[when.weekday()]}, {when.day} {_MONTHS[when.month - 1]} {when.year:04d} "
        f"{when:%H:%M:%S} {sign}{minutes // 60:02d}{minutes % 60:02d}"
    )
    return f"{text} ({zone})" if zone else text
