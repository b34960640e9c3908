"""cidr, regexp and pcre tables give what Debian's postmap gives, for generated tables and keys; and the same lines are
taken, taken with a warning, or refused.
"""

from __future__ import annotations

import ipaddress
import os
import random
import subprocess
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path

import pytest
from peers.tables import surroundings

from gateway.config import Config
from gateway.maps import MemoryTable, Tables
from gateway.maps.pattern.pcre import PcreTable
from gateway.maps.pattern.regexp import RegexpTable
from gateway.maps.pattern.table import Flagged, PatternTable
from gateway.model.errors import ConfigError

pytestmark = pytest.mark.peer("postfix", "postmap")

TABLES, KEYS = 25, 100
"""Of each type: 2,500 pairs."""


def postmap(directory: Path, spec: str, keys: Sequence[str], *, settings: str = "") -> tuple[dict[str, str], str]:
    """What postmap prints for the keys, and its warnings."""
    main_cf = directory / "main.cf"
    main_cf.write_text(f"compatibility_level = 3.6\n{settings}")
    os.utime(main_cf, (0, 0))  # Postfix waits until a file is two seconds old
    done = subprocess.run(
        ["/usr/sbin/postmap", "-c", str(directory), "-q", "-", spec],
        input="".join(f"{key}\n" for key in keys).encode("utf-8", "surrogateescape"),
        capture_output=True,
        check=False,
        timeout=60,
    )
    lines = done.stdout.decode("utf-8", "surrogateescape").split("\n")[:-1]
    return dict(line.split("\t", 1) for line in lines), done.stderr.decode("utf-8", "replace")


def opened(spec: str) -> tuple[MemoryTable, list[str]]:
    tables = Tables(Config.from_settings({}))
    table = tables.open(spec)
    assert isinstance(table, MemoryTable)
    return table, tables.warnings


# --- generated tables ------------------------------------------------------------------------------------------------

Make = Callable[[random.Random], tuple[str, bool]]
"""A pattern, and whether the result may say $1."""


def nested(chance: random.Random, make: Make, count: int, depth: int = 0) -> list[str]:
    """Rules with blocks and negation around whatever the patterns are."""
    rules: list[str] = []
    while len(rules) < count:
        sign = chance.choice(("!", "! ", "!!")) if chance.random() < 0.08 else ""
        text, has_group = make(chance)
        if depth < 3 and chance.random() < 0.15:
            inner = nested(chance, make, chance.randrange(1, 8), depth + 1)
            rules += [f"{chance.choice(('if', 'IF'))} {sign}{text}", *inner, chance.choice(("endif", "ENDIF"))]
        else:
            blank = chance.choice((" ", "\t", "   "))
            group = " <$1> ${1}$$" if has_group and sign in {"", "!!"} and chance.random() < 0.7 else ""
            rules.append(f"{sign}{text}{blank}r{chance.randrange(10**6)}{group}")
    return rules


def network(chance: random.Random) -> tuple[str, bool]:
    if chance.random() < 0.25:
        prefix = chance.choice((8, 32, 48, 64, 128))
        start = int(ipaddress.IPv6Address("2001:db8::")) + (chance.randrange(4) << 64) + chance.randrange(4)
        text = str(ipaddress.IPv6Network((start, prefix), strict=False))
    else:
        prefix = chance.choice((0, 7, 8, 9, 12, 16, 23, 24, 30, 31, 32))
        text = str(ipaddress.IPv4Network((chance.randrange(10 << 24, 12 << 24), prefix), strict=False))
    if chance.random() < 0.5:
        text = text.removesuffix("/32").removesuffix("/128") if ":" not in text or "/128" in text else text
    return chance.choice(("{}", "{}", "[{}]")).format(text), False


def address(chance: random.Random) -> str:
    kind = chance.random()
    if kind < 0.7:
        return str(ipaddress.IPv4Address(chance.randrange(10 << 24, 12 << 24)))
    if kind < 0.9:
        value = int(ipaddress.IPv6Address("2001:db8::")) + (chance.randrange(5) << 64) + chance.randrange(6)
        found = ipaddress.IPv6Address(value)
        return chance.choice((str(found), found.exploded.upper()))
    return chance.choice(("unknown", "::ffff:10.0.0.1", "10.0.0", "[10.0.0.1]", "010.0.0.1", "host.example", "::"))


WORDS = ("alpha", "Beta", "mail", "dsl", "a", "b", "ab", "x1", "@", "-", "_", "example", "com", "net", "é", "12", " ")
PIECES = (
    ".*", ".+", "[0-9]+", "[^@]*", "[a-f]", "(mail|smtp)", "(a|ab)(c|bcd)?", "(x)?", r"\.", r"\.", "@", "^", "$", "[[:alpha:]]",
    "[[:digit:]]{1,3}", r"\<", r"\>", r"\b", "(a*)+", "a{2}", "(ab|a)(bab)?", "[]x]", "[^]x]", r"\w", "?", "()", "(-|_)",
)  # fmt: skip
PCRE_PIECES = (
    *PIECES[:15],
    *(
        r"\d+",
        r"\s",
        r"(?!a)",
        r"(?=.*@)",
        r"(?<=a)",
        r"(?<!b)",
        r"(?:x|y)",
        r"(?i)",
        r"(?-i)",
        r"(\w)\1",
        r"\Qa.b\E",
        "a*+",
    ),
    *(
        "b+?",
        "(?>a+)",
        r"\x41",
        "(?<n>a)",
        "[^[:space:]]",
        r"\K",
        r"\R",
        "(?#c)",
        r"(?(1)a|b)",
        "{1,2}",
        "(a|b(?1)?)",
        r"\C",
        ".",
    ),
)


def expressions(probe: PatternTable, pieces: Sequence[str], flags: Sequence[str]) -> Make:
    """Makes expressions of pieces, those that the library takes."""

    def make(chance: random.Random) -> tuple[str, bool]:
        while True:
            bits = [chance.choice(chance.choice((pieces, WORDS))) for _ in range(chance.randrange(1, 7))]
            pattern = Flagged("".join(bits), chance.choice(flags))
            try:
                compiled = probe.compile(pattern, needs_groups=True)
            except ValueError:
                continue
            delimiter = chance.choice("//~%")  # in none of the pieces
            return f"{delimiter}{pattern.expression}{delimiter}{pattern.flags}", compiled.group_count > 0

    return make


REGEXP = expressions(RegexpTable("regexp:x", "{{/a/ x}}", surroundings()), PIECES, ("", "", "i", "m", "im", "ii", "x"))
PCRE_FLAGS = ("", "", "", "i", "m", "s", "x", "A", "E", "U", "iU", "mm")
PCRE = expressions(PcreTable("pcre:x", "{{/a/ x}}", surroundings()), PCRE_PIECES, PCRE_FLAGS)


def word_key(chance: random.Random) -> str:
    bits = (*WORDS, "ALPHA", "beta", "smtp", "aab", "abcd", "aXbX", "a.b", "x", "7", ".", "123", "yy")
    return "".join(chance.choice(bits) for _ in range(chance.randrange(1, 7))).strip() or "a"


@pytest.mark.parametrize(
    ("kind", "make", "key"), [("cidr", network, address), ("regexp", REGEXP, word_key), ("pcre", PCRE, word_key)]
)
def test_generated_tables(kind: str, make: Make, key: Callable[[random.Random], str], tmp_path: Path) -> None:
    chance, answers = random.Random(f"{kind} 3"), 0
    for number in range(TABLES):
        path = tmp_path / f"{kind}{number}"
        path.write_text("\n".join(nested(chance, make, chance.choice((2, 6, 20, 60)))) + "\n")
        keys = sorted({key(chance) for _ in range(KEYS * 3)})[:KEYS]
        ours, warnings = opened(f"{kind}:{path}")
        expected, complaints = postmap(tmp_path, f"{kind}:{path}", keys)
        assert not complaints
        assert not warnings
        assert {key: value for key in keys if (value := ours.get(key)) is not None} == expected
        answers += len(expected)
    assert answers > TABLES * KEYS / 4


# --- lines that are wrong or odd -------------------------------------------------------------------------------------

REFUSED = {
    "cidr": (
        "10.0.0.1/8 x", "10.0.0.0/33 x", "10.0.0.0/-1 x", "10.0.0.0/8x x", "10.0.0.0/ x", "010.0.0.1 x", "10.1 x", "10.0.0.1. x",
        "10.0.0.256 x", "[10.0.0.1 x", "10.0.0.1] x", "[10.0.0.1]x x", "2001:db8::1/32 x", "fe80::1%lo x", "0/0 x", "host x",
        "10.0.0.0/8", "if10.0.0.0/8 x", "if 10.0.0.0/8 x", "if 10.0.0.1/8", "if", "endif", "endif x", "endifx",
        "10.0.0.1#x y", "10.0.0.1,10.0.0.2 y", "!", "! x",
    ),
    "regexp": (
        "/a( x", "/(/ x", "/[a/ x", "/a{/ x", "/a{2,1}/ x", "/*a/ x", "/[[:x:]]/ x", "/[b-a]/ x", "/[[:<:]]a/ x", "/a/A x", "/a/s x",
        "/a/U x", "/a/X x", "/(?:a)/ x",
    ),
    "pcre": ("/a( x", "/(/ x", "/[a/ x", "/*a/ x", r"/\u0061/ x", r"/\x{100}/ x", "/(?<n/ x", "/(?=a\\K)/ x"),
    "both": (
        "/a/ifoo", "/a/q x", "/a//b/ x", "//a/ x", "a/b x", "{a} x", "(a) x", r"\a\ x", "!a! x", "éaé x", "aab x", "/a/ $", "/a/ a$ b",
        "/(a)/ ${1", "/(a)/ $(1}", "/(a)/ ${1)}", "/(a)/ $1a", "/(a)/ $1_", "/(a)/ ${ 1 }", "/(a)/ $-1", "/(a)/ $0", "/(a)/ $2",
        "/(a)/ $10", "/(a)/ $99999999999", "/(a)/ ${}", "/(a)/ $()", "/(a)/ ${1:x}", "/(a)/ ${1?{x}}", "/(a)/ $é", "!/(a)/ $1",
        "!/(a)/ x $(1)", "ifa/a/", "if1/a/ x", "if", "if a", "if /a(/", "endif", "endif x", "endiffoo", "!", "!!",
    ),
}  # fmt: skip
WARNED = (
    "/a/",
    "/a/i",
    "if /a/ x\nendif",
    "if /a/\nendif x",
    "if /a/\nendif/b/",
    "if /a/i\n /b/ x\nendif",
    "if !/(a)/ $1\nendif",
)
TAKEN = (
    "!!/b/ x", "! ! /b/ x", '"a" x', "'a' x", "*a* x", "$a$ x", "=a= x", "// x", "/a/iii x", "/a/i i x", "/(a)/ $01", "/(a)/ ${01}",
    "/a/ $$1", "/(a)/ $$$1", "/(a)/ $1.b$1", "/a/ x # y", "/a/\n   b", "/a\n b/ x", "/a/ x\n# c\n\ty", "if!/b/\n/a/ x\nendif",
    "if\t! /b/\n/a/ x\nEndIf", "if(b(\n/a/ x\nendif", "/a/ x\r", "/a/\vx\f", "/a/ \u00a0x\u00a0", "/a/m\tx \t y \t",
)  # fmt: skip
SOME_KEYS = ("a", "b", "ab", "abc", "A", "a b", "a/b", "x", "c")


@pytest.mark.parametrize("kind", ["cidr", "regexp", "pcre"])
def test_lines_that_postmap_skips_stop_us(kind: str, tmp_path: Path) -> None:
    wrong = [*REFUSED[kind], *(REFUSED["both"] if kind != "cidr" else ())]
    for line in wrong:
        path = tmp_path / "one"
        path.write_text(line + "\n")
        with pytest.raises(ConfigError) as caught:
            opened(f"{kind}:{path}")
        assert (caught.value.file, caught.value.line) == (str(path), 1), line
    path.write_text("\n".join(wrong) + "\n")
    _, complaints = postmap(tmp_path, f"{kind}:{path}", ["0"])
    # A line that opens a block is no oddity by itself.
    assert [line for at, line in enumerate(wrong, 1) if f", line {at}: " not in complaints] == []


@pytest.mark.parametrize(
    ("kind", "text"), [*product(("regexp", "pcre"), WARNED), ("pcre", "/a/X x"), ("pcre", "/a/iX x")]
)
def test_lines_that_postmap_takes_with_a_warning(kind: str, text: str, tmp_path: Path) -> None:
    path = tmp_path / "one"
    path.write_text(text + "\n")
    ours, warnings = opened(f"{kind}:{path}")
    expected, complaints = postmap(tmp_path, f"{kind}:{path}", SOME_KEYS)
    assert warnings
    assert ", line " in complaints
    assert {key: value for key in SOME_KEYS if (value := ours.get(key)) is not None} == expected


@pytest.mark.parametrize("kind", ["regexp", "pcre"])
@pytest.mark.parametrize("text", TAKEN)
def test_lines_that_look_odd_and_are_not(kind: str, text: str, tmp_path: Path) -> None:
    path = tmp_path / "one"
    path.write_bytes(text.encode() + b"\n")
    ours, warnings = opened(f"{kind}:{path}")
    expected, complaints = postmap(tmp_path, f"{kind}:{path}", SOME_KEYS)
    assert (warnings, complaints) == ([], "")
    assert {key: value for key in SOME_KEYS if (value := ours.get(key)) is not None} == expected
    assert expected


@pytest.mark.parametrize("kind", ["regexp", "pcre"])
def test_octets_that_are_no_utf8(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "one"
    path.write_bytes(b"/^.$/ one\n/\xe9(.)/ <$1>\n")
    keys = ["\udce9", "é", "e", "\udce9\udcff", "xy"]
    ours, _ = opened(f"{kind}:{path}")
    expected, _ = postmap(tmp_path, f"{kind}:{path}", keys, settings="smtputf8_enable = no\n")
    assert {key: value for key in keys if (value := ours.get(key)) is not None} == expected
    assert expected["\udce9\udcff"] == "<\udcff>"
