"""Rules that are never reached."""

from __future__ import annotations

import re

import pytest

from gateway.maps.lint.findings import Report
from gateway.maps.lint.rules import lint_expressions, lint_networks
from gateway.maps.pattern.table import Flagged
from gateway.maps.source import rule_lines


def matches_empty(pattern: Flagged) -> bool:
    return re.search(pattern.expression, "") is not None


def expressions(*lines: str) -> list[str]:
    report = Report()
    lint_expressions(rule_lines(lines, "f"), "f", matches_empty, report)
    return [str(finding).removeprefix("f, line ") for finding in report.findings]


def networks(*lines: str) -> list[str]:
    report = Report()
    lint_networks(rule_lines(lines, "f"), "f", report)
    return [str(finding).removeprefix("f, line ") for finding in report.findings]


def test_the_same_expression_again() -> None:
    again = "is never reached: line 1 has the same pattern"
    assert expressions("/^a/ x", "/b/ y", "/^a/ z") == [f"3: {again}"]
    assert expressions("/^a/ x", "/^A/ y", "/^a/i z", "!/^a/ u", "/^a/m v", "/^a/ii w") == [
        f"2: {again}",
        f"6: {again}",
    ]
    assert expressions(r"/\S/ x", r"/\s/ y") == []
    assert expressions("/A/i x", "/a/i y") == []


def test_blocks_are_scopes() -> None:
    assert expressions("/a/ x", "if /b/", "/a/ y", "endif", "/a/ z") == [
        "3: is never reached: line 1 has the same pattern",
        "5: is never reached: line 1 has the same pattern",
    ]
    assert expressions("if /b/", "/a/ y", "endif", "/a/ z") == []
    assert expressions("if /b/", "/a/ y", "endif", "if /b/", "/a/ y", "endif") == []
    assert expressions("if /b/", "endif", "if /b/", "/a/ y", "endif") == []


@pytest.mark.parametrize("expression", ["^", "", ".*", "^.*$", "$", "^(.*)$"])
def test_nothing_is_behind_a_rule_that_matches_everything(expression: str) -> None:
    told = expressions("/a/ x", f"/{expression}/ y", "/b/ z", "if /c/", "/d/ u", "endif", "!/e/ v")
    assert told == [f"{line}: is never reached: line 2 matches everything" for line in (3, 4, 5, 7)]


@pytest.mark.parametrize("expression", [".", "^.", ".+", "^(.+)$"])
def test_only_the_empty_key_is_behind_a_rule_for_all_others(expression: str) -> None:
    told = expressions(f"/{expression}/ y", "/b/ z", "/^$/ v", "!/./ w", "!/^$/ u")
    assert told == [f"{line}: is never reached: line 1 matches everything" for line in (2, 5)]


def test_what_may_not_match_everything_covers_nothing() -> None:
    assert expressions("/.*/x y", "!/.*/ y", "/^.*@/ y", "/b/ z") == []
    assert expressions("if /x/", "/./ y", "endif", "/b/ z") == []


def test_a_network_inside_an_earlier_one() -> None:
    assert networks("10.0.0.0/8 x", "10.1.0.0/16 y", "11.0.0.0/8 z", "10.0.0.0/8 u") == [
        "2: is never reached: line 1 has the whole network",
        "4: is never reached: line 1 has the whole network",
    ]
    assert networks("10.1.0.0/16 y", "10.0.0.0/8 x", "0.0.0.0/0 y", "::/0 z") == []
    assert networks("0.0.0.0/0 x", "::1 y", "1.2.3.4 z") == ["3: is never reached: line 1 has the whole network"]


def test_networks_in_blocks() -> None:
    assert networks("10.0.0.0/8 x", "if 192.168.0.0/16", "10.1.0.0/16 y", "192.168.1.0/24 z", "endif") == [
        "3: is never reached: line 1 has the whole network"
    ]
    assert networks("if 10.0.0.0/8", "10.1.0.0/16 y", "endif", "10.1.0.0/16 z", "!10.1.0.0/16 u", "10.1.2.3 v") == [
        "6: is never reached: line 4 has the whole network"
    ]
