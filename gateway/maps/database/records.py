"""Source files of tables: logical lines, and the records ``key value`` in them. Source: postmap(1), INPUT FILE FORMAT.

Everything is octets here, and lines are taken in blocks: where nothing in a block is unusual, a million records take
under a second. A line that is no record is reported and left out, as Postfix does it; it never stops a table.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO

from gateway.maps.folding import folded_octets

Problem = Callable[[int, str], None]
"""Takes the number of a line, 1-based (0: the message says which), and what is wrong with it."""

Record = tuple[bytes, bytes, int]
"""Key, value, number of the line where they begin."""

# First octets that may begin a comment, an empty line or a continuation.
_SPECIAL = frozenset((b"#", b" ", b"\t", b"\n", b"\r", b"\v", b"\f"))
_SPECIAL_CODES = frozenset(start[0] for start in _SPECIAL)
SHOWN_LIMIT = 30
BLOCK = 1 << 18
_UNUSUAL = (b'"', b"\\", b"\0")
_COLONS = (b": ", b":\t", b":\v", b":\f")
"""The end of a key that looks like one of aliases(5)."""

# White space inside double quotes belongs to the key, and a backslash to the character behind it.
_KEY = re.compile(rb'(?>(?:[^\s"\\]++|\\.|"(?>(?:[^"\\]++|\\.)*)")+)\\?', re.DOTALL)
_IGNORED = " -- ignoring this line"


def shown(octets: bytes) -> str:
    """Octets for a message: what cannot be printed is masked."""
    text = octets.decode("utf-8", "replace")
    return text if text.isprintable() else "".join(c if c.isprintable() else "?" for c in text)


def logical_lines(lines: Iterable[bytes], first: int = 1) -> Iterator[tuple[bytes, int]]:
    """Join physical lines: comments and empty ones are dropped, indented ones continue the line before them.

    Args:
        lines: with or without their line end.
        first: number of the first one.

    Yields:
        The line, inner white space as it was, and the number of its first physical line.
    """
    text, begin = b"", 0
    for number, raw in enumerate(lines, first):
        start = raw[:1]
        if start in _SPECIAL or not start:
            stripped = raw.strip()
            if not stripped or stripped[:1] == b"#":
                continue
            if text:
                text += raw.rstrip(b"\n")
                continue
        if text:
            yield text, begin
        text, begin = raw.rstrip(b"\n"), number
    if text:
        yield text, begin


def sound_lines(
    lines: Iterable[bytes], problem: Problem, *, in_utf8: bool, first: int = 1
) -> Iterator[tuple[bytes, int]]:
    """Logical lines that can be records: not indented, without NUL and, if ``in_utf8``, in UTF-8."""
    for line, number in logical_lines(lines, first):
        if line[:1] in _SPECIAL:
            text = shown(line[:SHOWN_LIMIT]) + ("..." if len(line) > SHOWN_LIMIT else "")
            problem(0, f'logical line must not start with whitespace: "{text}"')
        elif b"\0" in line:
            problem(number, "NUL character" + _IGNORED)
        elif in_utf8 and not line.isascii() and not _is_utf8(line):
            problem(number, f'non-UTF-8 input "{_masked(line)}"{_IGNORED}')
        else:
            yield line, number


def records(
    lines: Iterable[bytes], problem: Problem, *, in_utf8: bool, folds: bool = True, first: int = 1
) -> Iterator[Record]:
    """The records of a source file.

    Args:
        lines: physical lines.
        problem: told of lines that are left out.
        in_utf8: keys and values must be UTF-8.
        folds: keys are folded to lower case.
        first: number of the first line.
    """
    for line, number in sound_lines(lines, problem, in_utf8=in_utf8, first=first):
        if b'"' in line or b"\\" in line:
            match = _KEY.match(line)
            end = match.end() if match else 0
            if end < len(line) and not line[end : end + 1].isspace():
                if line[end:] == b"\\":
                    problem(number, "expected format: key whitespace value" + _IGNORED)
                else:
                    problem(number, f"unbalanced '\"' in '{shown(line)}'{_IGNORED}")
                continue
            key, value = line[:end], line[end:].strip()
        else:
            words = line.split(None, 1)
            key, value = words[0], words[1].rstrip() if len(words) == 2 else b""
        if not value:
            problem(number, "expected format: key whitespace value" + _IGNORED)
            continue
        if key[-1:] == b":":
            problem(number, 'record is in "key: value" format; is this an alias file?')
        yield folded_octets(key, in_utf8=in_utf8) if folds else key, value, number


def record_blocks(stream: BinaryIO, problem: Problem, *, in_utf8: bool, folds: bool = True) -> Iterator[list[Record]]:
    """The records of a file, some thousands at a time; arguments as for :func:`records`."""
    first = 1
    for block in _blocks(stream):
        yield (
            _plain_records(block, first, folds=folds)
            or list(records(_lines(block), problem, in_utf8=in_utf8, folds=folds, first=first))
        )
        first += block.count(b"\n")


def _blocks(stream: BinaryIO) -> Iterator[bytes]:
    """The file in pieces that begin where a logical line begins."""
    rest: list[bytes] = []
    while data := stream.read(BLOCK):
        cut = data.rfind(b"\n") + 1
        while cut and (cut == len(data) or data[cut] in _SPECIAL_CODES):
            cut = data.rfind(b"\n", 0, cut - 1) + 1
        rest.append(data[:cut] if cut else data)
        if cut:
            yield b"".join(rest)
            rest = [data[cut:]]
    if rest:
        yield b"".join(rest)


def _lines(block: bytes) -> list[bytes]:
    return block.removesuffix(b"\n").split(b"\n")


def _plain_records(block: bytes, first: int, *, folds: bool) -> list[Record]:
    """The records of a block in which each line is one, in ASCII and without quotes; else nothing."""
    if not block.isascii() or any(odd in block for odd in _UNUSUAL):
        return []
    if b":" in block and any(end in block for end in _COLONS):
        return []
    lines = _lines(block)
    if not all(lines) or not _SPECIAL_CODES.isdisjoint({line[0] for line in lines}):
        return []
    pairs = [line.split(None, 1) for line in lines]
    if min(map(len, pairs)) < 2:
        return []
    if folds:
        return [(key.lower(), value.rstrip(), at) for at, (key, value) in enumerate(pairs, first)]
    return [(key, value.rstrip(), at) for at, (key, value) in enumerate(pairs, first)]


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def _masked(line: bytes) -> str:
    """As :func:`shown`, a question mark for each octet that is no UTF-8."""
    text = line.decode("utf-8", "surrogateescape")
    return "".join(c if c.isprintable() else "?" for c in text)
