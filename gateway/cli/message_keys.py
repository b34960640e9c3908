"""The lookup keys in a message: its header fields, and the lines of its body (postmap -h -b -m).

The message is taken apart as Postfix's own parser does it, because that decides what header_checks and body_checks see:
where headers end, which lines belong to attached messages, what a boundary is. Source: postmap(1), header_checks(5),
mime_nesting_limit, mime_boundary_length_limit and header_size_limit of postconf(5); RFC 2045, RFC 2046 §5.1, RFC 6532.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from enum import Enum, auto
from typing import NamedTuple

import msgspec

HEADER, BODY = "header", "body"

# A field name, perhaps blanks behind it as in old mail, a colon; printable ASCII only.
_FIELD = re.compile(rb"([!-9;-~]+)[ \t]*:")
_CONTENT_TYPE = re.compile(rb"content-type:", re.IGNORECASE)
_TOKEN = re.compile(
    rb'[\s\x00-\x1f]+|(?P<comment>\()|"(?P<quoted>(?:[^"\\]|\\.)*)"?'
    rb'|(?P<special>[)<>@,;:\\/\[\]?=])|(?P<atom>[^\s"()<>@,;:\\/\[\]?=]+)',
    re.DOTALL,
)
_PAIR = re.compile(rb"\\(.)", re.DOTALL)
_COMMENT_PART = re.compile(rb"[^()\\]+|\\.?|[()]", re.DOTALL)
_WORDS_LOOKED_AT = 3


class Limits(msgspec.Struct, frozen=True):
    """How far messages are looked into; the parameters of the same names."""

    header_bytes: int = 102400
    nesting: int = 100
    boundary_bytes: int = 2048


class _In(Enum):
    """Which lines these are: those of the message's header block, a part's, an attached message's, or none of them."""

    PRIMARY = auto()
    PART = auto()
    ATTACHED = auto()
    BODY = auto()


class _Type(Enum):
    """What decides about the lines behind a header block."""

    ATTACHED_MESSAGE = auto()
    OTHER = auto()


class _Level(NamedTuple):
    """A multipart that has begun: its boundary, and what its parts are when they do not say."""

    boundary: bytes
    default: _Type


class Word(NamedTuple):
    """A word of a header field, without quotes, or a special character."""

    text: bytes
    is_quoted: bool = False

    @property
    def name(self) -> bytes:
        """In lower case, for comparing; a quoted word is no name."""
        return b"" if self.is_quoted else self.text.lower()


class MessageKeys:
    """Takes lines of a message, and says which keys they make.

    Args:
        limits: how far messages are looked into.
        follows_mime: header fields of parts and attached messages are header fields, not body lines.
    """

    def __init__(self, limits: Limits, *, follows_mime: bool) -> None:
        self._limits, self._follows_mime = limits, follows_mime
        self._state, self._type = _In.PRIMARY, _Type.OTHER
        self._levels: list[_Level] = []
        self._field = b""

    def line(self, line: bytes) -> Iterator[tuple[str, bytes]]:
        """Keys that are complete with this line, which has no line end."""
        if self._state is not _In.BODY:
            if self._field and line[:1] in (b" ", b"\t"):
                if len(self._field) < self._limits.header_bytes:
                    self._field += b"\n" + line
                return
            yield from self.end()
            if match := _FIELD.match(line):
                self._field = match[1] + b":" + line[match.end() :]
                return
            if not line:
                self._state = _In.ATTACHED if self._type is _Type.ATTACHED_MESSAGE else _In.BODY
                self._type = _Type.OTHER
                yield BODY, line
                return
            if self._state is _In.PRIMARY:
                yield BODY, b""
            self._state = _In.BODY
        if self._levels and len(line) > 2 and line.startswith(b"--"):
            self._boundary(line)
        yield BODY, line

    def end(self) -> Iterator[tuple[str, bytes]]:
        """The header field that is complete when no line continues it."""
        if self._field:
            field, self._field = self._field, b""
            if self._follows_mime and _CONTENT_TYPE.match(field):
                self._content_type(field.partition(b":")[2])
            yield HEADER, field

    def _boundary(self, line: bytes) -> None:
        """A line that begins with a boundary ends all parts inside that one."""
        for depth in range(len(self._levels) - 1, -1, -1):
            level = self._levels[depth]
            if line.startswith(level.boundary, 2):
                del self._levels[depth + 1 :]
                if line.startswith(b"--", 2 + len(level.boundary)):
                    self._levels.pop()
                else:
                    self._state, self._type = _In.PART, level.default
                return

    def _content_type(self, text: bytes) -> None:
        self._type = _Type.OTHER
        parts = parameters(text)
        kind, slash, subtype = [*(word.name for word in next(parts)), b"", b"", b""][:_WORDS_LOOKED_AT]
        if slash != b"/":
            subtype = b""
        if kind == b"message" and subtype in (b"rfc822", b"global"):
            self._type = _Type.ATTACHED_MESSAGE
        if kind != b"multipart":
            return
        default = _Type.ATTACHED_MESSAGE if subtype == b"digest" else _Type.OTHER
        for words in parts:
            is_boundary = [word.name for word in words[:2]] == [b"boundary", b"="] and len(words) == _WORDS_LOOKED_AT
            if is_boundary and len(self._levels) <= self._limits.nesting:
                self._levels.append(_Level(words[2].text[: self._limits.boundary_bytes], default))


def parameters(text: bytes) -> Iterator[list[Word]]:
    """The words of a header field, comments dropped, in lists of up to three, one for each part between semicolons."""
    words: list[Word] = []
    at = 0
    while match := _TOKEN.match(text, at):
        at = match.end()
        if match["comment"]:
            at = _comment_end(text, at)
        elif match["special"] == b";":
            yield words
            words = []
        elif match.lastgroup and len(words) < _WORDS_LOOKED_AT:
            is_quoted = match.lastgroup == "quoted"
            word = match[match.lastgroup]
            words.append(Word(_PAIR.sub(rb"\1", word) if is_quoted else word, is_quoted))
    yield words


def _comment_end(text: bytes, at: int) -> int:
    depth = 1
    while depth and (match := _COMMENT_PART.match(text, at)):
        at = match.end()
        depth += {b"(": 1, b")": -1}.get(match[0], 0)
    return at


def message_keys(lines: Iterable[bytes], limits: Limits, *, follows_mime: bool) -> Iterator[tuple[str, bytes]]:
    """All keys of a message.

    Args:
        lines: of the message.
        limits: how far it is looked into.
        follows_mime: see :class:`MessageKeys`.

    Yields:
        ``header`` or ``body``, and the key.
    """
    message = MessageKeys(limits, follows_mime=follows_mime)
    for line in lines:
        yield from message.line(line.removesuffix(b"\n"))
    yield from message.end()
