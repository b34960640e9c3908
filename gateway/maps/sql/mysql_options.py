"""Option files of MySQL and MariaDB clients (``my.cnf``): the options of some groups.

Source: MariaDB's manual, "Configuring MariaDB with Option Files"; ``option_file`` and ``option_group`` of
mysql_table(5).
"""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterator

DEFAULT_FILES = ("/etc/my.cnf", "/etc/mysql/my.cnf", "~/.my.cnf")
GROUPS = ("client", "client-server", "client-mariadb")
INCLUDE_DEPTH = 10
SIZE_LIMIT = 1 << 20

_ESCAPES = {"b": "\b", "t": "\t", "n": "\n", "r": "\r", "\\": "\\", "s": " "}


def read_options(file: str, group: str, warn: Callable[[str], None]) -> dict[str, str]:
    """The options of the client groups and of ``group``, later ones over earlier ones.

    Args:
        file: read instead of the usual files; empty for these.
        group: another group to read; empty with ``file`` empty: nothing is read.
        warn: takes a warning's text: a named file that cannot be read.

    Returns:
        Values by name, with hyphens for underscores and in lower case; empty for an option without value.
    """
    if not file and not group:
        return {}
    if file and not os.access(file, os.R_OK):
        warn(f"{file}: option_file cannot be read; going on without it")
    options: dict[str, str] = {}
    for path in (file,) if file else DEFAULT_FILES:
        settings = _settings(os.path.expanduser(path), 0)
        options |= {name: value for found, name, value in settings if found and found in (*GROUPS, group)}
    return options


def _settings(path: str, depth: int) -> Iterator[tuple[str, str, str]]:
    """Group, name, value of each line, included files in their place; a file that cannot be read has none."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as stream:
            lines = stream.read(SIZE_LIMIT).splitlines()
    except OSError:
        return
    group = ""
    for line in map(str.strip, lines):
        if line.startswith("!"):
            for included in _included(line) if depth < INCLUDE_DEPTH else ():
                yield from _settings(included, depth + 1)
        elif line.startswith("[") and "]" in line:
            group = line[1 : line.index("]")].strip()
        elif line and line[0] not in "#;":
            name, _, value = line.partition("=")
            yield group, name.strip().lower().replace("_", "-"), _unquoted(value.strip())


def _included(line: str) -> list[str]:
    directive, _, target = line.partition(" ")
    target = target.strip()
    if directive == "!includedir":
        return sorted(glob.glob(os.path.join(glob.escape(target), "*.cnf")))
    return [target] if directive == "!include" else []


def _unquoted(value: str) -> str:
    if len(value) >= 2 and value[0] == value[-1] and value[0] in "'\"":
        value = value[1:-1]
    text, at = "", 0
    while (backslash := value.find("\\", at)) >= 0:
        following = value[backslash + 1 : backslash + 2]
        text += value[at:backslash] + _ESCAPES.get(following, "\\" + following)
        at = backslash + 2
    return text + value[at:]
