"""The system's ``postmap`` and ``postalias``, and sources of tables made up for them.

Needs no running Postfix: the tools read a main.cf of their own.
"""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Iterable
from pathlib import Path

from gateway.config import Config
from gateway.maps import MemoryTable, Tables

SETTINGS = {"compatibility_level": "3.6"}
LONG_AGO = 1_000_000_000
DIALECTS = ("words", "quotes", "spaces", "letters")


class Postmap:
    """The tools, in a directory.

    Args:
        directory: where main.cf is and the tables are.
        settings: of main.cf, beside the compatibility level.
    """

    def __init__(self, directory: Path, settings: dict[str, str] | None = None) -> None:
        self.directory = directory
        self.settings = SETTINGS | (settings or {})
        text = "".join(f"{name} = {value}\n" for name, value in self.settings.items())
        self.write("main.cf", text.encode())

    def run(self, *arguments: str, stdin: bytes = b"", tool: str = "postmap") -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [f"/usr/sbin/{tool}", "-c", os.fspath(self.directory), *arguments],
            input=stdin, capture_output=True, cwd=self.directory, timeout=60, check=False,
        )  # fmt: skip

    def write(self, name: str, content: bytes) -> None:
        """A source file or main.cf; old, for Postfix reads a fresh one again until it is a second old."""
        path = self.directory / name
        path.write_bytes(content)
        os.utime(path, (LONG_AGO, LONG_AGO))

    def build(self, spec: str, *options: str, tool: str = "postmap") -> None:
        done = self.run(*options, spec, tool=tool)
        assert done.returncode == 0, done.stderr.decode("utf-8", "replace")

    def answers(self, spec: str, keys: list[bytes], *options: str) -> list[bytes]:
        """The lines ``key<TAB>value`` of the keys that are found."""
        done = self.run(*options, "-q", "-", spec, stdin=b"".join(key + b"\n" for key in keys))
        assert b"fatal" not in done.stderr, done.stderr
        return done.stdout.split(b"\n")[:-1]

    def table(self, spec: str) -> MemoryTable:
        """The same table, opened by us."""
        table = Tables(Config.from_settings(self.settings, directory=os.fspath(self.directory))).open(spec)
        assert isinstance(table, MemoryTable)
        return table


def our_answers(table: MemoryTable, keys: Iterable[bytes]) -> list[bytes]:
    """As :meth:`Postmap.answers`."""
    found = ((key, table.get(key.decode("utf-8", "surrogateescape"))) for key in keys)
    return [key + b"\t" + value.encode("utf-8", "surrogateescape") for key, value in found if value is not None]


# -- made-up sources ---------------------------------------------------------------------------------------------------

_PIECES = {
    "words": [b"joe", b"Ann", b"example.com", b"@", b".", b"+", b"ext", b"192.0.2", b"x", b"POSTMASTER", b"-"],
    "quotes": [b'"', b"\\", b'"a b"', b"\\\\", b'\\"', b"'", b"a", b"B", b"@x.example", b"#", b":"],
    "spaces": [b"a", b"b", b"\\ ", b"\\\t", b"c\v", b"\f", b"d", b"\r"],
    "letters": [
        "é", "É", "ß", "İ", "ſ", "Σ", "ς", "Ⅷ", "ﬁ", "用户", "Ж", "ÅNGSTRÖM", "\N{ZERO WIDTH JOINER}", "🎉",
    ],
}  # fmt: skip
_BAD_OCTETS = (b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", b"\xc0\xaf")


def word(chance: random.Random, dialect: str, length: int = 4) -> bytes:
    """A key, or a part of a value."""
    pieces = [piece if isinstance(piece, bytes) else piece.encode() for piece in _PIECES[dialect]]
    text = b"".join(chance.choice(pieces) for _ in range(chance.randint(1, length)))
    if chance.random() < 0.03:
        text += chance.choice(_BAD_OCTETS)
    if chance.random() < 0.02:
        text *= 30
    return text


def source(chance: random.Random, dialect: str, lines: int) -> tuple[bytes, list[bytes]]:
    """A source file, and keys to ask for."""
    made: list[bytes] = []
    keys: list[bytes] = [b"", b" ", b"#", b"absent", b"\xff", b"k" * 600]
    for _ in range(lines):
        key, value = word(chance, dialect), word(chance, dialect, 6)
        keys.append(key)
        kind = chance.random()
        if kind < 0.7:
            made.append(key + chance.choice((b" ", b"\t", b"  \t")) + value + chance.choice((b"", b" ", b"\t", b"\r")))
        elif kind < 0.78:
            made += [key + b" " + value, chance.choice((b" ", b"\t")) + word(chance, dialect)]
        elif kind < 0.84:
            made += [key + b" " + value, b"# comment", b"   ", b"  more"]
        elif kind < 0.90:
            made.append(chance.choice((b"#", b" # x", b"", b"  ", b"\t#")) + value)
        elif kind < 0.95:
            made.append(key)
        else:
            made.append(chance.choice((b" ", b"\v", b"\f")) + key + b" " + value)
    keys += [key.upper() for key in keys[:60]] + [key.lower() for key in keys[:60]] + [b" " + keys[6], keys[6] + b" "]
    keys += [chance.choice(keys) + b"x" for _ in range(20)]
    return b"\n".join(made) + chance.choice((b"\n", b"")), [key for key in keys if b"\n" not in key]
