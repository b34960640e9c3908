"""Changing rows of master.cf and keeping the rest of the file. Source: postconf(1) -M, -F, -P with -e, -X, -#."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from gateway.config.layout import format_row
from gateway.config.lines import is_comment, logical_lines
from gateway.config.master_cf import Row, parse_row
from gateway.model.errors import ConfigError


def is_match(row: Row, service: str, kind: str) -> bool:
    """True when name and type fit; ``*`` fits any."""
    return service in ("*", row.fields[0]) and kind in ("*", row.fields[1])


def edit_rows(
    lines: Iterable[str], decide: Callable[[Row], Row | None], *, comment_out: bool = False, file: str = "master.cf"
) -> list[str]:
    """Replace rows; comments and all other rows stay as they are, octet by octet.

    Args:
        lines: physical lines without line ends.
        decide: gets each row and returns it, a changed one, or None to take it away.
        comment_out: rows that are taken away stay as comments.
    Returns:
        The new physical lines.
    Raises:
        ConfigError: the text is no master.cf.
    """
    source = list(lines)
    result: list[str] = []
    done = 0
    for logical in logical_lines(source, file):
        if logical.is_indented:
            continue
        row = parse_row(logical.text, file=file, line=logical.first, last=logical.last)
        result += source[done : logical.first - 1]
        body = source[logical.first - 1 : logical.last]
        done = logical.last
        after = decide(row)
        if after is row:
            result += body
        elif after is not None:
            result += format_row(after, fold=True).split("\n")
            result += [line for line in body if is_comment(line)]
        elif comment_out:
            result += [line if is_comment(line) else f"#{line}" for line in body]
        else:
            result += [line for line in body if is_comment(line)]
    return [*result, *source[done:]]


def add_row(lines: Iterable[str], row: Row) -> list[str]:
    """Append a row to the physical lines of a master.cf."""
    kept = list(lines)
    if kept and kept[-1] == "":
        kept.pop()
    return [*kept, *format_row(row, fold=True).split("\n"), ""]


def set_row(lines: Iterable[str], service: str, kind: str, text: str) -> list[str]:
    """Replace the row of a service, or add it.

    Args:
        text: the eight columns.
    Raises:
        ConfigError: they are no row.
    """
    if "\n" in text or "\r" in text:
        raise ConfigError("a service must be one line", file="master.cf")
    row = parse_row(text)
    source = list(lines)
    found = False

    def decide(before: Row) -> Row:
        nonlocal found
        if not is_match(before, service, kind):
            return before
        found = True
        return row

    result = edit_rows(source, decide)
    return result if found else add_row(source, row)
