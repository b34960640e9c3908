"""How settings and rows are laid out as text, by ``postconf`` and when master.cf is edited. Source: postconf(1) -f."""

from __future__ import annotations

from gateway.config.lines import BLANKS
from gateway.config.main_cf import split_setting
from gateway.config.master_cf import Row, override_places, unbrace

WIDTH = 80
INDENT = "    "
_COLUMNS = (11, 17, 25, 33, 41, 49, 57)  # where the columns after the first begin, if the ones before are short


def split_blanks(text: str) -> list[str]:
    """Words between white space."""
    for blank in BLANKS[1:]:
        text = text.replace(blank, " ")
    return [word for word in text.split(" ") if word]


def _width(text: str) -> int:
    return len(text.encode("utf-8", "surrogateescape"))


def format_value(text: str, *, first: str = "", fold: bool = False) -> str:
    """A value with single blanks between its words, after ``first`` such as ``name =``.

    Args:
        fold: break lines that would be longer than 80 octets.
    """
    words = [*([first] if first else []), *split_blanks(text)]
    if not fold:
        return " ".join(words)
    lines: list[str] = []
    current = ""
    for word in words:
        if current and _width(current) + 1 + _width(word) > WIDTH:
            lines.append(current)
            current = INDENT + word
        else:
            current = f"{current} {word}" if current else word
    return "\n".join([*lines, current])


def format_override(name: str, value: str) -> str:
    """The argument of ``-o``, in braces where blanks need them."""
    has_blanks = any(blank in value for blank in BLANKS)
    return f"{{{name}={value}}}" if has_blanks else f"{name}={value}"


def format_command(row: Row, *, first: str = "", fold: bool = False) -> str:
    """Command and arguments of a row after the other columns in ``first``.

    Args:
        fold: each ``-o`` on a line of its own, the program's own arguments on further ones.
    """
    items = _items(row.arguments)
    if not fold:
        return " ".join([f"{first}{row.command}", *(text for text, _ in items)])
    lines = [f"{first}{row.command}"]
    must_break = False
    for text, is_override in items:
        # Braces do not count when a place is sought; they do once they are there.
        if is_override or must_break or _width(lines[-1]) + 1 + _width(unbrace(text)) >= WIDTH:
            lines.append(INDENT + text)
        else:
            lines[-1] += f" {text}"
        must_break = is_override
    return "\n".join(lines)


def _items(arguments: tuple[str, ...]) -> list[tuple[str, bool]]:
    """Arguments as they are kept on one line, and whether each is an option with its value."""
    places = override_places(arguments)
    return [
        (f"-o {argument}", True) if at in places else (argument, False)
        for at, argument in enumerate(arguments)
        if at + 1 not in places
    ]


def format_row(row: Row, *, fold: bool = False) -> str:
    """A row of master.cf in aligned columns."""
    text = ""
    for field, column in zip(row.fields, _COLUMNS, strict=True):
        text += field
        text += " " * max(column - len(text), 1)
    return format_command(row, first=text, fold=fold)


def with_override(row: Row, name: str, value: str | None) -> Row:
    """The row with one ``-o`` setting changed or added, or with None taken away."""
    places = override_places(row.arguments)
    kept: list[str] = []
    new = [] if value is None else ["-o", format_override(name, value)]
    end = next((at for at, text in enumerate(row.arguments) if at not in places and text[0] != "-"), len(row.arguments))
    for at, argument in enumerate(row.arguments):
        if at == end:
            kept, new = [*kept, *new], []
        if at in places and split_setting(unbrace(argument))[0] == name:
            kept[-1:], new = new, []
        else:
            kept.append(argument)
    return Row(row.fields, row.command, (*kept, *new), row.file, row.line, row.last)
