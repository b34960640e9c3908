"""The index: a superset of the rules that match, and a small one."""

from __future__ import annotations

import random

from gateway.maps.pattern.literals import Syntax, literals_of
from gateway.maps.pattern.prefilter import Prefilter


def of(*expressions: str) -> Prefilter:
    return Prefilter([literals_of(expression.encode(), Syntax.PCRE) for expression in expressions])


def test_plausible_and_unknown() -> None:
    index = of("foo.*bar", "^a$", ".*", r"@(x|yyyyy)\.example", "fo", "[!%]")
    assert index.unknown == {2}
    assert index.plausible(b"FOObbr") == {4}
    assert index.plausible(b"FOObar") == {0, 1, 4}
    assert index.plausible(b"a") == {1}
    assert index.plausible(b"u@x.example") == {1, 3}
    assert index.plausible(b"50%") == {5}
    assert index.plausible(b"") == set()


def test_the_rarest_gram_is_the_one_filed_under() -> None:
    # All share ".example.com"; only the numbers tell them apart.
    index = of(*(rf"@host{number}\.example\.com$" for number in range(1000, 3000)))
    assert index.plausible(b"someone@host1234.example.com") == {234}
    assert index.plausible(b"someone@host.example.com") == set()


def test_nothing_that_contains_its_literal_is_left_out() -> None:
    chance = random.Random(11)
    words = ["".join(chance.choices("abc", k=chance.randrange(1, 9))) for _ in range(500)]
    index = of(*words)
    for _ in range(300):
        text = "".join(chance.choices("abcAd", k=chance.randrange(30)))
        expected = {number for number, word in enumerate(words) if word in text.lower()}
        assert index.plausible(text.encode()) == expected
