"""The options of ``postmap`` and ``postalias``. Source: postmap(1), postalias(1)."""

from __future__ import annotations

import getopt
from enum import Enum, auto

import msgspec

from gateway.cli.console import Fatal
from gateway.maps.database.table import Nulls

STDIN = "-"
"""A key that means: keys are on standard input."""


class Action(Enum):
    """What is done."""

    BUILD = auto()
    UPDATE = auto()
    DELETE = auto()
    QUERY = auto()
    LIST = auto()


class Duplicates(Enum):
    """What becomes of a record whose key is there already."""

    WARN = auto()
    IGNORE = auto()
    REPLACE = auto()


class Face(msgspec.Struct, frozen=True):
    """One of the two tools.

    Args:
        name: of the program.
        letters: its options, as for getopt(3).
        usage: one line.
        separator: between key and value in what it prints.
        is_for_aliases: source files are those of aliases(5).
    """

    name: str
    letters: str
    usage: str
    separator: str
    is_for_aliases: bool = False


POSTMAP = Face(
    "postmap",
    "bc:d:fFhimnNopq:rsuUvw",
    "postmap [-bfFhimnNoprsuUvw] [--json] [-c config_dir] [-d key] [-q key] [map_type:]file...",
    "\t",
)
POSTALIAS = Face(
    "postalias",
    "c:d:finNopq:rsuvw",
    "postalias [-finNoprsuvw] [--json] [-c config_dir] [-d key] [-q key] [map_type:]file...",
    ":\t",
    is_for_aliases=True,
)


class Options(msgspec.Struct, frozen=True):
    """What was asked for.

    Args:
        action: what is done.
        tables: ``type:name``, or a name alone.
        config_directory: chosen one, or empty.
        key: for QUERY and DELETE; ``-``: standard input.
        duplicates: for BUILD and UPDATE.
        nulls: whether keys and values end in a null octet.
        keeps_case: keys do not fold to lower case.
        values_are_files: values name files, whose content is stored and shown (``-F``).
        keeps_root: root stays root.
        inherits_mode: a new table is as readable as its source file.
        has_utf8: UTF-8 is asked for where ``smtputf8_enable`` says so.
        reads_headers, reads_body: standard input is a message, and its header fields or body lines are the keys.
        follows_mime: parts of the message count, too.
        is_verbose: tell more.
        is_json: print JSON, an object a line.
    """

    action: Action
    tables: tuple[str, ...]
    config_directory: str = ""
    key: str = ""
    duplicates: Duplicates = Duplicates.WARN
    nulls: Nulls = Nulls.EITHER
    keeps_case: bool = False
    values_are_files: bool = False
    keeps_root: bool = False
    inherits_mode: bool = True
    has_utf8: bool = True
    reads_headers: bool = False
    reads_body: bool = False
    follows_mime: bool = False
    is_verbose: bool = False
    is_json: bool = False

    @property
    def reads_message(self) -> bool:
        """Keys are parts of a message."""
        return self.reads_headers or self.reads_body


def parse(face: Face, arguments: list[str]) -> Options:
    """Read the command line.

    Raises:
        Fatal: bad usage, with status 1 as Postfix has it.
    """
    try:
        pairs, operands = getopt.getopt(arguments, face.letters, ["json"])
    except getopt.GetoptError as error:
        raise Fatal(f"{error}; usage: {face.usage}") from error
    found: dict[str, list[str]] = {}
    for option, value in pairs:
        letter = option.lstrip("-")
        found[letter] = [*found.pop(letter, ()), value]  # the one given last stands last
    if not operands:
        raise Fatal(f"usage: {face.usage}")
    action, key = _action(found)
    reads_message = "b" in found or "h" in found
    if (reads_message or "m" in found) and not (action is Action.QUERY and key == STDIN):
        raise Fatal('specify -b -h or -m only with "-q -"')
    return Options(
        action,
        tuple(operands),
        config_directory=found.get("c", [""])[-1],
        key=key,
        duplicates=_duplicates(list(found)),
        nulls=_nulls(found),
        keeps_case="f" in found,
        values_are_files="F" in found,
        keeps_root="o" in found,
        inherits_mode="p" not in found,
        has_utf8="u" not in found and (not reads_message or "U" in found),
        reads_headers="h" in found,
        reads_body="b" in found,
        follows_mime="m" in found,
        is_verbose="v" in found,
        is_json="json" in found,
    )


def _action(found: dict[str, list[str]]) -> tuple[Action, str]:
    keys = [(letter, value) for letter in "dqs" for value in found.get(letter, ())]
    if len({letter for letter, _ in keys}) > 1 or (len(keys) > 1 and keys[0][0] != "s"):
        raise Fatal("specify only one of -s -q or -d")
    for letter, value in keys:
        return {"d": Action.DELETE, "q": Action.QUERY, "s": Action.LIST}[letter], value
    return (Action.UPDATE if "i" in found else Action.BUILD), ""


def _duplicates(letters: list[str]) -> Duplicates:
    """The later option counts."""
    chosen = [letter for letter in letters if letter in ("r", "w")]
    if not chosen:
        return Duplicates.WARN
    return Duplicates.REPLACE if chosen[-1] == "r" else Duplicates.IGNORE


def _nulls(found: dict[str, list[str]]) -> Nulls:
    """Both options together are what neither is."""
    if ("n" in found) == ("N" in found):
        return Nulls.EITHER
    return Nulls.WITH if "N" in found else Nulls.WITHOUT
