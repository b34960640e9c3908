"""What is between the braces of a table made of others: ``{type:name, type:name}``. Source: DATABASE_README."""

from __future__ import annotations

from gateway.config.lines import BLANKS, split_outside_braces
from gateway.maps.source import Surroundings
from gateway.maps.table import MemoryTable, Table
from gateway.model.errors import ConfigError


def braced_words(spec: str, name: str, wanted: str) -> tuple[str, ...]:
    """The words in ``{word, {a group}, ...}``; groups keep their braces, as in Postfix.

    Args:
        spec: the table, for messages.
        name: its name, from ``{`` to the ``}`` that belongs to it.
        wanted: what a word is.

    Raises:
        ConfigError: no braces around all of it, or none inside that match, or nothing in them.
    """
    words, unclosed = split_outside_braces(name[1:-1], "," + BLANKS)
    if not (name.startswith("{") and name.endswith("}")) or unclosed >= 0 or not words or _closes_early(name):
        raise ConfigError(f"table {spec}: expected {spec.partition(':')[0]}:{{{wanted}, ...}}")
    return tuple(words)


def members(spec: str, name: str, around: Surroundings) -> tuple[Table, ...]:
    """The tables in ``{type:name, ...}``, at least one.

    Raises:
        ConfigError: the braces, or a member, are wrong.
    """
    return tuple(around.open(word) for word in braced_words(spec, name, "type:name"))


def in_memory(tables: tuple[Table, ...]) -> tuple[MemoryTable, ...]:
    """The tables when all of them answer without waiting, else none."""
    kept = tuple(table for table in tables if isinstance(table, MemoryTable))
    return kept if len(kept) == len(tables) else ()


def _closes_early(name: str) -> bool:
    level = 0
    for at, character in enumerate(name):
        level += (character == "{") - (character == "}")
        if level <= 0:
            return at != len(name) - 1
    return True
