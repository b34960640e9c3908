"""Tables of any size for the part ``maps``: what they have, and keys to ask them for.

Addresses are ``user123@d23.example``, networks are blocks of sixteen addresses; each text says which entry it is of.
Keys are asked for in random order, every other one of them is in no table.
"""

from __future__ import annotations

import ipaddress
import os
import random
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path

_DOMAINS = 1000
_FIRST_NETWORK = int(ipaddress.IPv4Address("16.0.0.0"))
_BLOCK_BITS = 4
_FIRST_UID = 1_000_000
_HAS_ANY_KEY = frozenset({"static", "unionmap", "randmap"})
_LONG_AGO = 1_000_000_000


def address(number: int) -> str:
    """The address of an entry."""
    return f"user{number}@d{number % _DOMAINS}.example"


def _network(number: int) -> str:
    return f"{ipaddress.IPv4Address(_FIRST_NETWORK + (number << _BLOCK_BITS))}/{32 - _BLOCK_BITS}"


def rows(entries: int) -> Iterator[tuple[str, str]]:
    """Key and text of each entry, of tables with fixed strings."""
    return ((address(number), f"entry {number}") for number in range(entries))


def _lines(kind: str, entries: int) -> Iterable[str]:
    match kind:
        case "cidr":
            return (f"{_network(number)} entry {number}\n" for number in range(entries))
        case "unix":
            return (f"{name}:x:{_FIRST_UID + number}:{_FIRST_UID}:entry {number}:/:/bin/sh\n"
                    for number, name in enumerate(map(address, range(entries))))  # fmt: skip
        case "regexp" | "pcre":
            return (f"/^user{number}@d{number % _DOMAINS}\\.example$/ entry {number}\n" for number in range(entries))
        case _:
            return (f"{key} {text}\n" for key, text in rows(entries))


def write_source(path: Path, kind: str, entries: int) -> None:
    """A table's source file; old, for Postfix reads a fresh one again until it is a second old."""
    with path.open("w", encoding="ascii") as file:
        file.writelines(_lines(kind, entries))
    make_old(path)


def write_text(path: Path, text: str) -> None:
    """A file with a text, as old."""
    path.write_text(text, encoding="ascii")
    make_old(path)


def make_old(path: Path) -> None:
    """Let a file look as if nobody had touched it for years."""
    os.utime(path, (_LONG_AGO, _LONG_AGO))


def write_sqlite(path: Path, entries: int) -> None:
    """An SQLite database with an index, and ``PATH.cf`` that asks it."""
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE mail (address TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID")
        database.executemany("INSERT INTO mail VALUES (?, ?)", rows(entries))
    database.close()
    query = f"dbpath = {path}\nquery = SELECT value FROM mail WHERE address = '%s'\n"
    write_text(Path(f"{path}.cf"), query)


def keys(kind: str, entries: int, count: int) -> list[str]:
    """``count`` keys to ask for, the same in each run."""
    chance = random.Random(entries)
    numbers = [chance.randrange(entries) for _ in range(count)]
    if kind == "cidr":
        hosts = (_FIRST_NETWORK + (number << _BLOCK_BITS) + 5 for number in numbers)
        found = [str(ipaddress.IPv4Address(host)) for host in hosts]
        return [key if number % 2 else f"11{key[2:]}" for number, key in enumerate(found)]
    return [address(each) if number % 2 else f"no{address(each)}" for number, each in enumerate(numbers)]


def known(kind: str, count: int) -> int:
    """How many of ``count`` such keys the table has a text for."""
    return count if kind in _HAS_ANY_KEY else count // 2
