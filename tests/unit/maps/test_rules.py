"""The block structure of pattern tables."""

from __future__ import annotations

from gateway.config.lines import logical_lines
from gateway.maps.rules import parse_rules


def split(text: str, is_negated: bool) -> tuple[str, str]:
    pattern, _, rest = text.partition(" ")
    return pattern, rest.strip()


def test_ends_of_blocks() -> None:
    lines = list(logical_lines(["IF !/a/", "/b/ 1", "if/c/", "/d/ 2", "Endif", "endif trailing", "! /e/ 3"]))
    rules = parse_rules(lines, "f", split)
    assert [(rule.pattern, rule.is_negated, rule.result, rule.end) for rule in rules] == [
        ("/a/", True, None, 4),
        ("/b/", False, "1", 0),
        ("/c/", False, None, 4),
        ("/d/", False, "2", 0),
        ("/e/", True, "3", 0),
    ]
