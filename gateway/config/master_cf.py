"""The master.cf reader: rows of eight columns and what they mean.

Source: master(5). Unlike Postfix, which warns and uses the last one, a second row of the same name and type is an
error: which of two listeners counts should never be a guess.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from gateway.config.lines import BLANKS, logical_lines, read_lines, split_outside_braces
from gateway.config.main_cf import indented, split_setting
from gateway.model.errors import ConfigError

TYPES = ("inet", "unix", "fifo", "pass", "unix-dgram")
FIELDS = ("service", "type", "private", "unprivileged", "chroot", "wakeup", "process_limit", "command")
"""Column names, as ``postconf -F`` has them."""


class Row(msgspec.Struct, frozen=True, gc=False):
    """One row as written.

    Args:
        fields: the first seven columns.
        command: program name.
        arguments: the rest, each ``{group}`` one argument, in braces only where blanks need them.
        file, line: where it starts.
        last: its last physical line.
    """

    fields: tuple[str, ...]
    command: str
    arguments: tuple[str, ...]
    file: str = ""
    line: int = 0
    last: int = 0

    @property
    def key(self) -> tuple[str, str]:
        """Service name and type: what identifies a row."""
        return self.fields[0], self.fields[1]


class Service(msgspec.Struct, frozen=True, gc=False):
    """One service, defaults filled in.

    Args:
        name: ``smtp``, ``127.0.0.1:10025``, ``relay`` …
        type: ``inet unix fifo pass unix-dgram``.
        private: reached by the system itself only (socket under ``private/``).
        unprivileged: runs as ``mail_owner``.
        chroot: runs in the queue directory.
        wakeup: seconds between wake-ups, 0 for never.
        wakeup_is_lazy: no wake-up before the first use (the ``?`` after the number).
        maxproc: process limit, 0 for none; None where the row leaves it to ``default_process_limit``.
        command: program name, e.g. ``smtpd``.
        args: its arguments without ``-o``, groups without their braces.
        overrides: parameters from ``-o``, not expanded.
        line: line number in master.cf.
    """

    name: str
    type: str
    private: bool
    unprivileged: bool
    chroot: bool
    wakeup: int
    wakeup_is_lazy: bool
    maxproc: int | None
    command: str
    args: tuple[str, ...]
    overrides: dict[str, str]
    line: int = 0


def split_arguments(text: str, *, file: str = "", line: int = 0) -> list[str]:
    """Split at white space; a ``{`` keeps everything to its ``}`` in one argument.

    Raises:
        ConfigError: braces that do not match.
    """
    found, unclosed = split_outside_braces(text, BLANKS)
    if unclosed >= 0:
        raise ConfigError(f'"{{" is never closed in "{text[unclosed : unclosed + 60]}"', file=file, line=line)
    return found


def unbrace(argument: str) -> str:
    """The text of a ``{ group }``, blanks at its ends removed; any other argument as it is."""
    if argument.startswith("{") and argument.endswith("}"):
        return argument[1:-1].strip(BLANKS)
    return argument


def parse_row(text: str, *, file: str = "", line: int = 0, last: int = 0) -> Row:
    """One logical line.

    Raises:
        ConfigError: too few columns, or a column that cannot be what it is.
    """
    columns = text.split(None, 7)
    if len(columns) < 8:
        wanted = "service type private unprivileged chroot wakeup maxproc command"
        raise ConfigError(f"{len(columns)} columns, expected at least 8: {wanted}", file=file, line=line)
    kind, private, unprivileged, chroot, wakeup, limit = columns[1:7]

    def bad(name: str, value: str, expected: str) -> ConfigError:
        return ConfigError(f'{name} "{value}": expected {expected}', file=file, line=line)

    if kind not in TYPES:
        raise bad("service type", kind, "one of " + ", ".join(TYPES))
    for name, value in (("private", private), ("unprivileged", unprivileged), ("chroot", chroot)):
        if value not in ("y", "n", "-"):
            raise bad(name, value, "y, n or -")
    if kind == "inet" and private != "n":
        raise bad("private", private, "n, because an inet service cannot be private")
    seconds = wakeup.removesuffix("?")
    if wakeup != "-" and not _is_number(seconds):
        raise bad("wakeup", wakeup, "seconds, seconds with ? or -")
    if limit != "-" and not _is_number(limit):
        raise bad("maxproc", limit, "a number or -")
    command, *arguments = split_arguments(columns[7], file=file, line=line)
    normal = [_braced(unbrace(item)) for item in arguments]
    return Row(tuple(columns[:7]), command, _normal_overrides(normal, file, line), file, line, last or line)


def _braced(argument: str) -> str:
    """An argument in the shortest form that stays one argument."""
    return argument if argument and not any(blank in argument for blank in BLANKS) else f"{{{argument}}}"


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10


def _normal_overrides(arguments: list[str], file: str, line: int) -> tuple[str, ...]:
    """``-o {name = value}`` in the shortest form that means the same."""
    normal = list(arguments)
    for at in override_places(arguments):
        name, value = split_setting(unbrace(arguments[at]), file=file, line=line)
        normal[at] = _braced(f"{name}={value}")
    return tuple(normal)


def override_places(arguments: Sequence[str]) -> list[int]:
    """Indexes of the settings that follow ``-o``.

    Options end at the first argument without ``-``: what comes after is the program's own, such as ``argv=`` of pipe.
    """
    places: list[int] = []
    at = 0
    while at < len(arguments) and arguments[at].startswith("-"):
        if arguments[at] == "-o":
            at += 1
            if at < len(arguments):
                places.append(at)
        at += 1
    return places


def parse_master_cf(lines: Iterable[str], file: str = "master.cf", warnings: list[str] | None = None) -> list[Row]:
    """Read master.cf.

    Args:
        warnings: takes what is odd: a first line that starts with white space continues nothing and is left out.

    Raises:
        ConfigError: a bad row, or a second one of the same name and type.
    """
    rows: list[Row] = []
    known: dict[tuple[str, str], int] = {}
    for logical in logical_lines(lines, file):
        if logical.is_indented:
            if warnings is not None:
                warnings.append(indented(logical, file))
            continue
        row = parse_row(logical.text, file=file, line=logical.first, last=logical.last)
        earlier = known.setdefault(row.key, logical.first)
        if earlier != logical.first:
            name, kind = row.key
            raise ConfigError(f"service {name}/{kind} is already defined in line {earlier}", file=file, line=row.line)
        rows.append(row)
    return rows


def read_master_cf(path: str, warnings: list[str] | None = None) -> list[Row]:
    """:func:`parse_master_cf` of a file.

    Raises:
        ConfigError: unreadable, a bad row, or a second one of the same name and type.
    """
    return parse_master_cf(read_lines(path), path, warnings)


def split_options(row: Row) -> tuple[dict[str, str], tuple[str, ...]]:
    """``-o`` settings and the other arguments of a row.

    Raises:
        ConfigError: a ``-o`` without ``name=value``.
    """
    places = override_places(row.arguments)
    overrides: dict[str, str] = {}
    others: list[str] = []
    is_own = False
    for at, argument in enumerate(row.arguments):
        is_own = is_own or (at not in places and not argument.startswith("-"))
        if at in places or (not is_own and argument.startswith("-o") and argument != "-o"):
            setting = argument if at in places else argument[2:]
            name, value = split_setting(unbrace(setting), file=row.file, line=row.line)
            overrides[name] = value
        elif at + 1 not in places:
            others.append(unbrace(argument))
    if "-o" in others and not is_own:
        raise ConfigError('"-o" without name=value', file=row.file, line=row.line)
    return overrides, tuple(others)


def service_of(row: Row, *, default_chroot: bool) -> Service:
    """Fill in the defaults of a row.

    Args:
        default_chroot: what ``-`` means in the chroot column (no, since compatibility level 1).
    Raises:
        ConfigError: a ``-o`` without ``name=value``.
    """
    name, kind, private, unprivileged, chroot, wakeup, limit = row.fields
    overrides, others = split_options(row)
    return Service(
        name=name,
        type=kind,
        private=private in ("y", "-"),
        unprivileged=unprivileged in ("y", "-"),
        chroot=default_chroot if chroot == "-" else chroot == "y",
        wakeup=0 if wakeup == "-" else int(wakeup.removesuffix("?")),
        wakeup_is_lazy=wakeup.endswith("?"),
        maxproc=None if limit == "-" else int(limit),
        command=row.command,
        args=others,
        overrides=overrides,
        line=row.line,
    )
