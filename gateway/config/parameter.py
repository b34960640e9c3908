"""One parameter of main.cf: its type, default, limits and a line of documentation.

The factories (:func:`text`, :func:`integer`, …) keep the tables in ``gateway/config/known`` at one line a parameter.
"""

from __future__ import annotations

from enum import Enum

import msgspec


class Kind(Enum):
    """How a value is written and what it becomes."""

    TEXT = "text"  # str, expanded
    RAW = "raw text"  # str, not expanded: its $names are filled in when it is used
    INTEGER = "integer"  # int
    BOOLEAN = "boolean"  # bool: yes, no
    SECONDS = "time"  # float seconds: integer and one of s m h d w
    SIZE = "size"  # int octets
    WORDS = "list"  # tuple[str, ...]: separated by commas or white space, {groups} kept whole
    CHOICE = "choice"  # str: one of a few words


class Parameter(msgspec.Struct, frozen=True):
    """A known parameter.

    Args:
        name: as in main.cf.
        kind: its type.
        default: value when main.cf has none, in main.cf's own syntax (``$name`` allowed).
        doc: one line in plain words.
        unit: unit of a bare number of Kind.SECONDS: ``s m h d w``.
        minimum, maximum: limits of a number (seconds for Kind.SECONDS), inclusive; None: none. A minimum of 1 for
            text and lists: must not be empty.
        choices: the words of Kind.CHOICE; the empty word must be listed when it is legal.
        origin: who added it: ``postfix``, ``postgate`` or a plugin's name.
        no_effect: why the value changes nothing here, ``known/effects.py``; empty: it does.
    """

    name: str
    kind: Kind = Kind.TEXT
    default: str = ""
    doc: str = ""
    unit: str = "s"
    minimum: int | None = None
    maximum: int | None = None
    choices: tuple[str, ...] = ()
    origin: str = "postfix"
    no_effect: str = ""


def text(name: str, default: str = "", doc: str = "", *, low: int | None = None) -> Parameter:
    """A value that is used as it is, after expansion; ``low=1``: not empty."""
    return Parameter(name, Kind.TEXT, default, doc, minimum=low)


def raw(name: str, default: str = "", doc: str = "", *, low: int | None = None) -> Parameter:
    """A value whose ``$names`` are filled in when it is used, not when it is read; ``low=1``: not empty."""
    return Parameter(name, Kind.RAW, default, doc, minimum=low)


def words(name: str, default: str = "", doc: str = "", *, low: int | None = None) -> Parameter:
    """A list separated by commas or white space; ``low=1``: not empty."""
    return Parameter(name, Kind.WORDS, default, doc, minimum=low)


def boolean(name: str, default: str, doc: str = "") -> Parameter:
    """``yes`` or ``no``."""
    return Parameter(name, Kind.BOOLEAN, default, doc)


def integer(name: str, default: str, doc: str = "", low: int = 0, high: int | None = None) -> Parameter:
    """A whole number from ``low`` to ``high``."""
    return Parameter(name, Kind.INTEGER, default, doc, minimum=low, maximum=high)


def size(name: str, default: str, doc: str = "", low: int = 0) -> Parameter:
    """A number of octets."""
    return Parameter(name, Kind.SIZE, default, doc, minimum=low)


def seconds(
    name: str, default: str, doc: str = "", low: int = 1, unit: str = "s", *, high: int | None = None
) -> Parameter:
    """A time from ``low`` to ``high`` seconds; a bare number counts in ``unit``."""
    return Parameter(name, Kind.SECONDS, default, doc, unit=unit, minimum=low, maximum=high)


def choice(name: str, default: str, choices: str, doc: str = "", *, may_be_empty: bool = False) -> Parameter:
    """One of the space-separated ``choices``."""
    listed = tuple(choices.split())
    return Parameter(name, Kind.CHOICE, default, doc, choices=("", *listed) if may_be_empty else listed)
