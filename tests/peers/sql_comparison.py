"""What SQL tables are compared with Debian's postmap on: rows, configurations, keys; and asking both.

Source: mysql_table(5), pgsql_table(5), sqlite_table(5).
"""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from gateway.config import Config
from gateway.maps import Tables
from gateway.model.errors import TableError

COLUMNS = ("address", "local", "domain", "goto", "extra")
_DOMAINS = (
    "example.com",
    "mail.example.com",
    "example.org",
    "a.b.c.d.e.f.g.h.i",
    "com",
    "it's.example",
    "münchen.example",
)
_LOCALS = ("user", "o'brien", "a\\b", 'quo"ted', "100%", "x--y", "user+ext", "grün", "straße", "a@b", "semi;colon", "")
_GOTO = ("box@store.example", "two@x.example", "@empty.local", "empty.domain@", "no-domain", "", None, "it's", "100%s")
_HOSTILE = (
    "' OR '1'='1", "'; DROP TABLE aliases; --", "\\", "\\'", "\\' OR 1=1 -- ", '" OR ""="', "x' UNION SELECT extra FROM aliases --",
    "%s%u%d%1", "%%", "$$", "$1", "`", "/*", "*/", "''", "'", '"', "\\\\'", "é'", "\u0135'", "\xbf'", "\u201d'", "\u02bc", "\x1a'", "€\\'",
    "a'||'b", "?", ":key", "@'", "'@'", "\\@\\", "'@\\'", "x@' OR '1'='1", "x@ex'ample.com", "' OR 1=1@' OR 1=1", "0x27", "\U0001f600'",
)  # fmt: skip


def rows() -> list[tuple[str | None, ...]]:
    """One row for each local part and domain, some addresses twice; values in turn."""
    found: list[tuple[str | None, ...]] = []
    for number, (local, domain) in enumerate((local, domain) for local in _LOCALS for domain in _DOMAINS):
        address = f"{local}@{domain}".casefold()
        row = (
            address,
            local.casefold(),
            domain.casefold(),
            _GOTO[number % len(_GOTO)],
            f"extra {number % 4}" if number % 5 else None,
        )
        found += [row, (*row[:3], "second@x.example", "x")] if number % 7 == 0 else [row]
    return found  # fmt: skip


def keys(count: int = 300) -> list[str]:
    """Keys that are there, in other case too; parts of addresses; what attacks are made of; and the same mixed."""
    draw = random.Random("keys")
    there = [str(row[0]) for row in rows()]
    found = {
        *_HOSTILE,
        *_DOMAINS,
        *_LOCALS,
        *(f"@{domain}" for domain in _DOMAINS),
        *(f"{part}@example.com" for part in _HOSTILE),
    }
    found |= {
        "@",
        "a@",
        "a@.com",
        "a@com.",
        "a@b..com",
        "a@..com",
        "A@X@Y.Example",
        "ÜBER@EXAMPLE.COM",
        "GRÜN@MÜNCHEN.EXAMPLE",
        "ΣΑΣ@x.y",
    }
    while len(found) < count:
        key = draw.choice(there)
        match draw.randrange(4):
            case 0:
                key = key.upper() if key.upper().casefold() == key else key
            case 1:
                key = f"{draw.choice(_HOSTILE)}{key}"
            case 2:
                key = f"{key.replace('@', draw.choice(_HOSTILE) + '@')}"
        found.add(key)
    return sorted(key for key in found if key and key == key.strip())


CASES: dict[str, str] = {
    "whole key": "query = SELECT goto FROM aliases WHERE address = '%s'",
    "parts": "query = SELECT goto FROM aliases WHERE local = '%u' AND domain = '%d' ORDER BY goto",
    "labels": "query = SELECT goto FROM aliases WHERE domain = '%2.%1'\n  AND local = '%U' ORDER BY goto",
    "many labels": "query = SELECT '%9 %8 %7 %6 %5 %4 %3 %2 %1'",
    "key itself": "query = SELECT '%s'",
    "capitals": "query = SELECT '%S|%U|%D|%%'",
    "columns": "query = SELECT goto, extra, address FROM aliases WHERE address = '%s' ORDER BY goto",
    "like": "query = SELECT goto FROM aliases WHERE '%u' = local AND address LIKE '%%@example%%' ORDER BY goto LIMIT 5",
    "format of values": "query = SELECT goto FROM aliases WHERE domain = '%d' ORDER BY goto\nresult_format = <%u> at [%d]",
    "format of keys": "query = SELECT goto FROM aliases WHERE address = '%s' ORDER BY goto\nresult_format = %%%S:%U:%D:%1:%s",
    "labels of keys": "query = SELECT goto FROM aliases WHERE local = '%u' ORDER BY goto\nresult_format = %2/%s",
    "domains": "query = SELECT '%u'\ndomain = example.com, !com,\n  it's.example münchen.example",
    "limit": "query = SELECT goto FROM aliases WHERE domain = '%d' ORDER BY goto\nexpansion_limit = 40\nresult_format = %s",
    "old": "select_field = goto\ntable = aliases\nwhere_field = address\nadditional_conditions = AND domain <> 'com'\n ORDER BY goto",
}  # fmt: skip


def write_old(path: Path, text: str) -> None:
    """Write a file that looks like one from yesterday: Postfix waits for a second before it reads a younger one."""
    path.write_text(text)
    yesterday = time.time() - 86400
    os.utime(path, (yesterday, yesterday))


class Oracle:
    """Debian's postmap with a main.cf of its own.

    Args:
        directory: for main.cf.
    """

    def __init__(self, directory: Path) -> None:
        write_old(directory / "main.cf", "compatibility_level = 3.6\n")
        self._command = ["/usr/sbin/postmap", "-c", str(directory), "-q"]

    def answers(self, spec: str, wanted: Iterable[str]) -> dict[str, str]:
        """What it finds.

        Raises:
            AssertionError: it gave up before the last key.
        """
        text = "".join(f"{key}\n" for key in wanted)
        done = subprocess.run([*self._command, "-", spec], input=text.encode(), capture_output=True, check=False)
        assert b"fatal" not in done.stderr, done.stderr.decode(errors="replace")
        return dict(line.split("\t", 1) for line in done.stdout.decode().splitlines())

    def says(self, specs: Sequence[str], key: str) -> list[str]:
        """Its answer for one key, or its complaint, from each table; asked at once, for it sleeps before it gives up."""
        with ThreadPoolExecutor(len(specs)) as threads:
            return list(threads.map(lambda spec: self._says(spec, key), specs))

    def _says(self, spec: str, key: str) -> str:
        done = subprocess.run([*self._command, key, spec], capture_output=True, check=False)
        return (done.stdout or done.stderr).decode(errors="replace").rstrip("\n")


def ask(spec: str, wanted: Sequence[str], warnings: list[str] | None = None) -> dict[str, str | TableError]:
    """What our table finds, or why it has no answer; keys it does not know are missing."""

    async def look_up() -> dict[str, str | TableError]:
        tables = Tables(Config.from_settings({}))
        table = tables.open(spec)
        found = await asyncio.gather(*(table.find(key) for key in wanted), return_exceptions=True)
        await tables.close()
        if warnings is not None:
            warnings.extend(tables.warnings)
        answers: dict[str, str | TableError] = {}
        for key, value in zip(wanted, found, strict=True):
            if isinstance(value, BaseException) and not isinstance(value, TableError):
                raise value
            if value is not None:
                answers[key] = value
        return answers

    return asyncio.run(look_up())
