"""What an expression needs: never more than is true."""

from __future__ import annotations

import random

import pytest

from gateway.maps.pattern.expression import MatchFailed, Pattern
from gateway.maps.pattern.literals import Syntax, literals_of
from gateway.maps.pattern.pcre2 import CASELESS, DOTALL, MULTILINE, PcrePattern
from gateway.maps.pattern.posix_regex import PosixPattern


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        (rb"^[^@]+@(mail|smtp)[0-9]*\.Example\.com$", [{b"@mail", b"@smtp"}, {b".example.com"}]),
        (rb"@spam\.(com|net)$", [{b"@spam.com", b"@spam.net"}]),
        (rb"^https?:", [{b"http:", b"https:"}]),
        (rb"ab+c", [{b"ab"}, {b"bc"}]),
        (rb"ab{2}c", [{b"ab"}, {b"bc"}]),
        (rb"ab*c", [{b"a"}, {b"c"}]),
        (rb"a\.*b", [{b"a"}, {b"b"}]),
        (rb"(ab|c.)d", [{b"ab", b"c"}, {b"d"}]),
        (rb"[!%@].*x", [{b"!", b"%", b"@"}, {b"x"}]),
        (rb"[abcde]x[]y]z", [{b"x"}, {b"z"}]),
        (rb"^a$", [{b"a"}]),
        (rb"()a", [{b"a"}]),
    ],
)
def test_both_syntaxes(expression: bytes, expected: list[set[bytes]]) -> None:
    for syntax in Syntax:
        assert [set(literals) for literals in literals_of(expression, syntax)] == expected


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        (rb"x(?#c)y(?i)z", [{b"xyz"}]),
        (rb"a(?=bc)d(?!e)", [{b"ad"}]),
        (rb"(?<name>a)(?:b)(?>c)", [{b"abc"}]),
        (rb"a+?b++c", [{b"a"}, {b"ab"}, {b"bc"}]),
        (rb"a\d\w\bb(c)\1", [{b"a"}, {b"bc"}]),
        (rb"[\.\-]x", [{b".x", b"-x"}]),
        (rb"[a\]]x[[:alpha:]\]]y", [{b"ax", b"]x"}, {b"y"}]),
    ],
)
def test_pcre(expression: bytes, expected: list[set[bytes]]) -> None:
    assert [set(literals) for literals in literals_of(expression, Syntax.PCRE)] == expected


@pytest.mark.parametrize(
    "expression",
    [
        rb"a|", rb"", rb".*", rb"(a|b?)", rb"(*UTF)a", rb"\Qa+\E", rb"(?x) a b", rb"(a)(?1)", rb"\x41b", rb"a{,3}",
        rb"(?(1)a|b)", rb"a{2}{3}", rb"[\Q]\E]a", rb"a" * 5000, b"(" * 50 + b"a" + b")" * 50, rb"^*a", rb"a)",
    ],
)  # fmt: skip
def test_what_is_not_understood_needs_nothing(expression: bytes) -> None:
    assert literals_of(expression, Syntax.PCRE) == ()


@pytest.mark.parametrize("expression", [rb"(a)\1", rb"\da", rb"a+?", rb"a{,3}", rb"[[.a.]]b", rb"[[=a=]]b", rb"a}"])
def test_posix_oddities_need_nothing(expression: bytes) -> None:
    assert literals_of(expression, Syntax.POSIX_EXTENDED) == ()


PIECES = (
    *"abcA12.,:-<>=!@()|*+?[]^$\\{}",
    *("ab", "abc", "{1,2}", "{2}", "{0,1}", "{0}", "(?:", "(?=", "(?!", "(?<=", "(?>", "(?i)", "(?<n>", "(?#b)", "(?|"),
    *(r"\b", r"\d", r"\w", r"\.", r"\(", r"\[", r"\]", r"\\", r"\Q", r"\E", r"\K", r"\1", r"\x41", r"\<", r"\>", r"\A"),
    *("[ab]", "[^a]", "[]a]", "[a-c]", "[[:alpha:]]", r"[a\]b]", r"[\Qa]\E]", "*?", "++", "(?1)", "(*F)", r"\c[", "é"),
)


def compiled(expression: bytes, syntax: Syntax, chance: random.Random) -> Pattern | None:
    try:
        if syntax is Syntax.PCRE:
            return PcrePattern(expression, CASELESS | DOTALL | chance.choice((0, MULTILINE)))
        return PosixPattern(expression, is_multiline=chance.random() < 0.5)
    except ValueError:
        return None


def random_key(expression: str, chance: random.Random) -> bytes:
    """Bits of the expression itself, and others."""
    bits = []
    for _ in range(chance.randrange(6)):
        start = chance.randrange(len(expression))
        bits.append(
            expression[start : start + chance.randrange(1, 5)] if chance.random() < 0.6 else chance.choice("aB1.@")
        )
    return "".join(bits).encode()


@pytest.mark.parametrize("syntax", Syntax)
def test_whatever_matches_has_what_is_needed(syntax: Syntax) -> None:
    chance, seen = random.Random(4), 0
    for _ in range(15_000):
        text = "".join(chance.choices(PIECES, k=chance.randrange(1, 7)))
        pattern = compiled(text.encode(), syntax, chance)
        needs = literals_of(text.encode(), syntax)
        if pattern is None or not needs:
            continue
        for key in [random_key(text, chance) for _ in range(6)]:
            try:
                matches = pattern.matches(key)
            except MatchFailed:
                continue
            if matches:
                seen += 1
                assert all(any(literal in key.lower() for literal in literals) for literals in needs), (text, key)
    assert seen > 3000
