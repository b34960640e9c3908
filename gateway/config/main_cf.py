"""The main.cf reader: settings with their lines; and the writer that changes some and keeps the rest.

Knows no parameter. Source: postconf(5), "general format"; postconf(1) -e, -#, -X.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from gateway.config.lines import BLANKS, LogicalLine, is_comment, logical_lines, read_lines
from gateway.model.errors import ConfigError


class Setting(msgspec.Struct, frozen=True, gc=False):
    """One ``name = value`` with the place it came from (line 0: not from a file)."""

    name: str
    value: str
    file: str = ""
    line: int = 0


def split_setting(text: str, *, file: str = "", line: int = 0) -> tuple[str, str]:
    """``name = value`` to its two parts, blanks around them removed; the value may be empty and have more ``=``.

    Raises:
        ConfigError: no ``=``, or no single word before it.
    """
    name, equals, value = text.partition("=")
    name = name.strip(BLANKS)
    if not equals or (name and any(blank in name for blank in BLANKS)):
        raise ConfigError(f'expected "name = value", got "{text[:60]}"', file=file, line=line)
    if not name:
        raise ConfigError(f'no parameter name before "=": "{text[:60]}"', file=file, line=line)
    return name, value.strip(BLANKS)


def indented(line: LogicalLine, file: str) -> str:
    """The warning about a line that is left out."""
    return f'{file}, line {line.first}: logical line must not start with whitespace: "{line.text}"'


def parse_main_cf(lines: Iterable[str], file: str = "main.cf") -> tuple[dict[str, Setting], list[str]]:
    """Read main.cf.

    Args:
        lines: physical lines.
    Returns:
        Settings by name (a later one replaces an earlier one), and warnings. A first line that starts with white space
        continues nothing and is left out, as in Postfix.
    Raises:
        ConfigError: a line that is no setting.
    """
    settings: dict[str, Setting] = {}
    warnings: list[str] = []
    for logical in logical_lines(lines, file):
        if logical.is_indented:
            warnings.append(indented(logical, file))
            continue
        name, value = split_setting(logical.text, file=file, line=logical.first)
        earlier = settings.get(name)
        if earlier is not None:
            warnings.append(f"{file}, line {logical.first}: overriding earlier entry: {name}={earlier.value}")
        settings[name] = Setting(name, value, file, logical.first)
    return settings, warnings


def read_main_cf(path: str) -> tuple[dict[str, Setting], list[str]]:
    """:func:`parse_main_cf` of a file.

    Raises:
        ConfigError: unreadable, or a line that is no setting.
    """
    return parse_main_cf(read_lines(path), path)


def edit_main_cf(
    lines: Iterable[str],
    *,
    change: Mapping[str, str] | None = None,
    comment_out: Iterable[str] = (),
    remove: Iterable[str] = (),
    file: str = "main.cf",
) -> list[str]:
    """Change settings and keep every other line, comments and order included.

    Every occurrence of a changed setting gets the new value, in its place; one that is new goes to the end. Comments
    between a setting's continuation lines stay.

    Args:
        lines: physical lines without line ends; a last empty one stands for the line end of the last line.
        change: new values by name. comment_out, remove: names.
    Returns:
        The new physical lines, with a line end after the last.
    Raises:
        ConfigError: the text is no main.cf, or a name or value would not read back.
    """
    source = list(lines)
    if source and source[-1] == "":
        source.pop()
    changed, commented, removed = dict(change or {}), set(comment_out), set(remove)
    for name, value in changed.items():
        check_setting(name, value)
    result: list[str] = []
    missing = dict(changed)
    done = 0
    for logical in logical_lines(source, file):
        if logical.is_indented:
            continue
        name, _ = split_setting(logical.text, file=file, line=logical.first)
        result += source[done : logical.first - 1]
        body = source[logical.first - 1 : logical.last]
        done = logical.last
        if name in changed:
            missing.pop(name, None)
            result.append(f"{name} = {changed[name]}")
        if name in changed or name in removed:
            result += [line for line in body if is_comment(line)]
        elif name in commented:
            result += [line if is_comment(line) else f"#{line}" for line in body]
        else:
            result += body
    return [*result, *source[done:], *(f"{name} = {value}" for name, value in missing.items()), ""]


def check_setting(name: str, value: str) -> None:
    """See that ``name = value`` on a line of its own reads back as it is.

    Raises:
        ConfigError: line breaks, white space or ``#`` where they cannot stand.
    """
    if any(character in name + value for character in "\r\n\0"):
        raise ConfigError("a name or value must be one line", parameter=name.split("\n", 1)[0][:60])
    if not name or name[0] == "#" or any(character in name for character in BLANKS + "="):
        raise ConfigError(f'"{name}" cannot be a parameter name')
    if value != value.strip(BLANKS):
        raise ConfigError("white space at the ends of a value is lost", parameter=name)
