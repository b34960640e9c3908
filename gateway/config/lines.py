"""Logical lines of main.cf and master.cf: comments, blank lines, continuation.

Owns the line rules the two files share; knows nothing of parameters or services. A line whose first non-blank character
is ``#`` is a comment, also between a line and its continuation; a line that starts with white space continues the
logical line before it. Source: postconf(5) and master(5), "general format".
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator

import msgspec

from gateway.model.errors import ConfigError

MAX_LINE = 1 << 20
"""Characters in one logical line: a file that has more is no configuration."""

BLANKS = " \t\n\r\f\v"
"""White space of the two files: ASCII only, whatever Unicode says."""


class LogicalLine(msgspec.Struct, frozen=True, gc=False):
    """One logical line.

    Args:
        text: the physical lines joined, inner white space as it was, blanks at both ends removed.
        first: 1-based number of the first physical line.
        last: of the last one that belongs to it (comments after it do not).
        is_indented: nothing came before it that it could continue.
    """

    text: str
    first: int
    last: int
    is_indented: bool = False


def is_comment(line: str) -> bool:
    """True for a comment, an empty line or one of white space only."""
    stripped = line.lstrip(BLANKS)
    return not stripped or stripped[0] == "#"


def logical_lines(lines: Iterable[str], file: str = "") -> Iterator[LogicalLine]:
    """Join physical lines to logical ones.

    Args:
        lines: physical lines, with or without their line end.
        file: for error messages.
    Raises:
        ConfigError: a logical line longer than :data:`MAX_LINE`, or one with a NUL.
    """
    parts: list[str] = []
    first = last = size = 0
    is_indented = False
    for number, raw in enumerate(lines, 1):
        if is_comment(raw):
            continue
        if "\0" in raw:
            raise ConfigError("NUL character", file=file, line=number)
        if parts and raw[0] in " \t":
            size += len(raw)
            if size > MAX_LINE:
                raise ConfigError(f"logical line longer than {MAX_LINE} characters", file=file, line=first)
        else:
            if parts:
                yield LogicalLine("".join(parts).strip(BLANKS), first, last, is_indented)
            parts, first, size, is_indented = [], number, len(raw), raw[0] in " \t"
        parts.append(raw.rstrip("\n"))
        last = number
    if parts:
        yield LogicalLine("".join(parts).strip(BLANKS), first, last, is_indented)


def read_lines(path: str) -> list[str]:
    """The physical lines of a configuration file, without line ends; octets that are no UTF-8 survive as surrogates.

    Raises:
        ConfigError: the file cannot be read.
    """
    try:
        with open(path, encoding="utf-8", errors="surrogateescape", newline="\n") as stream:
            return stream.read().split("\n")
    except OSError as error:
        raise ConfigError(f"cannot read: {error.strerror}", file=path) from error


def split_outside_braces(text: str, separators: Container[str]) -> tuple[list[str], int]:
    """Split at separators that are in no ``{group}``; groups keep their braces and what is inside.

    Returns:
        The parts, and -1; or where the part begins whose ``{`` is never closed.
    """
    found: list[str] = []
    start, level = -1, 0
    for at, character in enumerate(text):
        if character == "{":
            level += 1
        elif character == "}" and level:
            level -= 1
        if level == 0 and character in separators:
            if start >= 0:
                found.append(text[start:at])
            start = -1
        elif start < 0:
            start = at
    if level:
        return found, start
    if start >= 0:
        found.append(text[start:])
    return found, -1
