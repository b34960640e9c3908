"""The editing half of ``postconf``: -e, -X and -# for main.cf and master.cf. Source: postconf(1)."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from gateway.cli.console import Console, Fatal
from gateway.config.edit_file import replace_lines
from gateway.config.layout import format_command, with_override
from gateway.config.lines import read_lines
from gateway.config.main_cf import check_setting, edit_main_cf, split_setting
from gateway.config.master_cf import FIELDS, Row, parse_row
from gateway.config.master_edit import edit_rows, is_match, set_row


def edit_main(directory: str, mode: str, how: str, operands: Sequence[str], console: Console) -> None:
    """Change main.cf.

    Args:
        mode: unused here. how: ``e`` change, ``X`` remove, ``#`` comment out.
        operands: ``name=value`` or names.
    Raises:
        Fatal, ConfigError: nothing was changed.
    """
    path = os.path.join(directory, "main.cf")
    lines = read_lines(path)
    if how == "e":
        change: dict[str, str] = {}
        for operand in operands:
            if "\n" in operand or "\r" in operand:
                raise Fatal("a setting must be one line")
            name, value = split_setting(operand)
            change[name] = value
        edited = edit_main_cf(lines, change=change, file=path)
    else:
        for operand in operands:
            if "=" in operand:
                raise Fatal(f'"{operand}": with -{how} specify names without values')
        remove, comment_out = (operands, ()) if how == "X" else ((), operands)
        edited = edit_main_cf(lines, remove=remove, comment_out=comment_out, file=path)
    if edited != lines:
        replace_lines(path, edited)


def edit_master(directory: str, mode: str, how: str, operands: Sequence[str], console: Console) -> None:
    """Change master.cf.

    Args:
        mode: ``M`` rows, ``F`` fields, ``P`` ``-o`` settings. how: ``e`` change, ``X`` remove, ``#`` comment out.
        operands: ``service/type[/name][=value]``.
    Raises:
        Fatal, ConfigError: nothing was changed.
    """
    if (mode, how) in {("F", "X"), ("F", "#"), ("P", "#")}:
        raise Fatal(f"with option -{mode}, do not specify -{how}")
    path = os.path.join(directory, "master.cf")
    before = lines = read_lines(path)
    for operand in operands:
        if "\n" in operand or "\r" in operand:
            raise Fatal("a service must be one line")
        key, value = split_setting(operand) if how == "e" else (operand, "")
        parts = key.split("/", 2)
        if len(parts) != (2 if mode == "M" else 3):
            raise Fatal(f'"{operand}": expected ' + ("service/type" if mode == "M" else "service/type/name"))
        service, kind = parts[0], parts[1]
        if mode == "M" and how == "e":
            lines = set_row(lines, service, kind, value)
            continue
        change = _field_change(parts[2], value) if mode == "F" else _override_change(mode, how, parts[-1], value)
        lines, count = _edit(lines, service, kind, change, comment_out=how == "#", path=path)
        if not count:
            console.warning(f'unmatched request: "{operand}"')
    if lines != before:
        replace_lines(path, lines)


def _edit(
    lines: list[str], service: str, kind: str, change: Callable[[Row], Row | None], *, comment_out: bool, path: str
) -> tuple[list[str], int]:
    """Edit the rows that match; also how many there were."""
    count = 0

    def decide(row: Row) -> Row | None:
        nonlocal count
        if not is_match(row, service, kind):
            return row
        count += 1
        return change(row)

    return edit_rows(lines, decide, comment_out=comment_out, file=path), count


def _field_change(name: str, value: str) -> Callable[[Row], Row]:
    if name not in FIELDS:
        raise Fatal(f'"{name}": expected one of {", ".join(FIELDS)}')

    def change(row: Row) -> Row:
        columns = [*row.fields, format_command(row)]
        columns[FIELDS.index(name)] = value
        return parse_row(" ".join(columns), file=row.file, line=row.line, last=row.last)

    return change


def _override_change(mode: str, how: str, name: str, value: str) -> Callable[[Row], Row | None]:
    if mode == "M":
        return lambda row: None
    if how == "e":
        check_setting(name, value)
    return lambda row: with_override(row, name, value if how == "e" else None)
