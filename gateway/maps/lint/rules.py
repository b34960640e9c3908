"""Rules of pattern tables that are never reached, because an earlier one leaves nothing to them.

Told are: the same expression or network again, a network inside an earlier one, and anything behind a rule that matches
everything; inside ``if`` blocks too. Source: "first match wins" of cidr_table(5), regexp_table(5), pcre_table(5).
"""

from __future__ import annotations

import re
from collections.abc import Callable

from gateway.config.lines import BLANKS, LogicalLine
from gateway.maps.lint.findings import Report
from gateway.maps.network import BITS, Network, parse_network
from gateway.maps.pattern.table import Flagged, split_pattern
from gateway.maps.rules import Rule, enclosing, parse_rules

_ALL = re.compile(r"\^?(?:\.\*|\(\.\*\))?\$?")
_NOT_EMPTY = re.compile(r"\^?(?:\.|\.\+|\(\.\+\))\$?")
_ANY_FLAGS = "".join(chr(code) for code in range(ord("A"), ord("z") + 1) if chr(code).isalpha())
_WORD = re.compile(f"[^{BLANKS}]*")

MatchesEmpty = Callable[[Flagged], bool]
"""Whether an expression matches the empty key."""


def _spelt(expression: str, flags: frozenset[str]) -> str:
    """An expression in the form that its equals share: lower case, where case counts neither in keys nor in escapes."""
    return expression if "i" in flags or "\\" in expression else expression.lower()


def _ignored(_line: int, _text: str) -> None:
    """Opening the table has told it."""


def lint_expressions(lines: list[LogicalLine], file: str, matches_empty: MatchesEmpty, report: Report) -> None:
    """Compare the rules of a regexp or pcre table that could be opened."""
    rules = parse_rules(lines, file, lambda text: split_pattern(text, _ANY_FLAGS), _ignored)
    seen: dict[tuple[tuple[int, ...], str, frozenset[str], bool], int] = {}
    covers: dict[tuple[int, ...], tuple[Rule[Flagged], bool]] = {}
    for rule, around in zip(rules, enclosing(rules), strict=True):
        scopes = [around[:depth] for depth in range(len(around) + 1)]
        cover = next((covers[scope] for scope in scopes if scope in covers), None)
        if cover is not None:
            first, has_empty = cover
            if has_empty or matches_empty(rule.pattern) is rule.is_negated:
                report.warn(f"is never reached: line {first.line} matches everything", file, rule.line)
            continue
        if rule.result is None:
            continue
        flags = frozenset(letter for letter in rule.pattern.flags if rule.pattern.flags.count(letter) % 2)
        name = _spelt(rule.pattern.expression, flags), flags, rule.is_negated
        earlier = next((seen[scope, *name] for scope in scopes if (scope, *name) in seen), 0)
        if earlier:
            report.warn(f"is never reached: line {earlier} has the same pattern", file, rule.line)
        seen.setdefault((around, *name), rule.line)
        if not rule.is_negated and "x" not in flags:
            if _ALL.fullmatch(rule.pattern.expression):
                covers[around] = rule, True
            elif _NOT_EMPTY.fullmatch(rule.pattern.expression):
                covers[around] = rule, False


def _split_network(text: str) -> tuple[Network, str]:
    pattern = _WORD.match(text)
    assert pattern
    return parse_network(pattern[0]), text[pattern.end() :].strip(BLANKS)


class _Networks:
    """The networks of one block, by prefix length: is one of them around another?"""

    def __init__(self) -> None:
        self._lines: dict[tuple[int, int], dict[int, int]] = {}

    def around(self, network: Network) -> int:
        """The line of the first network that has all of ``network``; 0 for none."""
        bits = BITS[network.version]
        number = network.value << (bits - network.prefix)
        found = [
            line
            for (version, prefix), lines in self._lines.items()
            if version == network.version
            and prefix <= network.prefix
            and (line := lines.get(number >> (bits - prefix)))
        ]
        return min(found, default=0)

    def add(self, network: Network, line: int) -> None:
        """Take a network."""
        self._lines.setdefault((network.version, network.prefix), {}).setdefault(network.value, line)


def lint_networks(lines: list[LogicalLine], file: str, report: Report) -> None:
    """Compare the rules of a cidr table that could be opened."""
    rules = parse_rules(lines, file, _split_network, _ignored)
    blocks: dict[tuple[int, ...], _Networks] = {}
    for rule, around in zip(rules, enclosing(rules), strict=True):
        if rule.result is None or rule.is_negated:
            continue
        scopes = [around[:depth] for depth in range(len(around) + 1)]
        earlier = next(
            (line for scope in scopes if scope in blocks and (line := blocks[scope].around(rule.pattern))), 0
        )
        if earlier:
            report.warn(f"is never reached: line {earlier} has the whole network", file, rule.line)
        else:
            blocks.setdefault(around, _Networks()).add(rule.pattern, rule.line)
