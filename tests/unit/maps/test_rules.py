"""The block structure of pattern tables."""

from __future__ import annotations

import pytest

from gateway.config.lines import logical_lines
from gateway.maps.rules import enclosing, parse_rules
from gateway.model.errors import ConfigError


def split(text: str) -> tuple[str, str]:
    pattern, _, rest = text.partition(" ")
    if not pattern.startswith("/"):
        raise ValueError(f'bad "{pattern}"')
    return pattern, rest.strip()


def test_ends_of_blocks() -> None:
    lines = list(logical_lines(["IF !/a/", "/b/ 1", "if/c/", "/d/ 2", "Endif", "endif", "! /e/ 3"]))
    rules = parse_rules(lines, "f", split)
    assert [(rule.pattern, rule.is_negated, rule.result, rule.end) for rule in rules] == [
        ("/a/", True, None, 4),
        ("/b/", False, "1", 0),
        ("/c/", False, None, 4),
        ("/d/", False, "2", 0),
        ("/e/", True, "3", 0),
    ]
    assert enclosing(rules) == [(), (0,), (0,), (0, 2), ()]


def test_each_exclamation_mark_turns_the_pattern_round() -> None:
    rules = parse_rules(list(logical_lines(["!!/a/ 1", "! ! !/b/ 2", "if ! !/c/", "endif"])), "f", split)
    assert [rule.is_negated for rule in rules] == [False, True, False]


ODD = ["if /a/ junk", "/b/", "endif junk", "/c/ x"]


def test_oddities_are_errors_or_warnings() -> None:
    lines = list(logical_lines(ODD))
    with pytest.raises(ConfigError, match="text behind the pattern"):
        parse_rules(lines, "f", split)
    warned: list[tuple[int, str]] = []
    rules = parse_rules(lines, "f", split, lambda line, text: warned.append((line, text)))
    assert [(rule.pattern, rule.result, rule.end) for rule in rules] == [
        ("/a/", None, 2),
        ("/b/", "", 0),
        ("/c/", "x", 0),
    ]
    assert [line for line, _ in warned] == [1, 2, 3]


@pytest.mark.parametrize("text", ["if", "ifx/a/ 1", "if1/a/ 1", "endifx", "word 1"])
def test_words_that_are_no_keyword(text: str) -> None:
    with pytest.raises(ConfigError, match="bad"):
        parse_rules(list(logical_lines([text])), "f", split)
