"""The frame that pattern tables share: ``pattern result``, ``!pattern result``, ``if pattern`` … ``endif``, nested.

Owns the block structure; a table type says what a pattern is. Source: cidr_table(5), regexp_table(5), pcre_table(5).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Generic, TypeVar

import msgspec

from gateway.config.lines import BLANKS, LogicalLine
from gateway.model.errors import ConfigError

P = TypeVar("P")

Warn = Callable[[int, str], None]
"""Takes the number of a line and what is odd about it."""

_SIGNS = re.compile(f"[!{BLANKS}]*")
_IF = re.compile(r"if(?![A-Za-z0-9])", re.IGNORECASE)
_ENDIF = re.compile(r"endif(?![A-Za-z0-9])", re.IGNORECASE)


class Rule(msgspec.Struct, Generic[P]):
    """One line: the pattern, whether ``!`` stands before it, and the result; None when the line opens a block.

    ``end`` is the index of the rule behind the block that this line opens.
    """

    pattern: P
    is_negated: bool
    result: str | None
    line: int
    end: int = 0


def parse_rules(
    lines: list[LogicalLine], file: str, split: Callable[[str], tuple[P, str]], warn: Warn | None = None
) -> list[Rule[P]]:
    """Parse a table's lines.

    Args:
        lines: logical lines.
        file: for messages.
        split: takes the text of a rule behind any ``!``; returns the pattern and the text behind it; raises ValueError.
        warn: told of what Postfix only warns of: a rule without result (it is the empty text), text behind ``if
            pattern`` or ``endif`` (it does nothing). None: these are errors.

    Raises:
        ConfigError: a bad pattern, ``if`` without ``endif`` or the reverse; Postfix skips such lines with a warning.
    """
    rules: list[Rule[P]] = []
    open_blocks: list[Rule[P]] = []

    def odd(line: int, text: str) -> None:
        if warn is None:
            raise ConfigError(text, file=file, line=line)
        warn(line, text)

    for line in lines:
        if match := _ENDIF.match(line.text):
            if not open_blocks:
                raise ConfigError("endif without if", file=file, line=line.first)
            if match.end() < len(line.text):
                odd(line.first, f'text behind endif: "{line.text[match.end() :].strip(BLANKS)}"')
            open_blocks.pop().end = len(rules)
            continue
        match = _IF.match(line.text)
        signs = _SIGNS.match(line.text, match.end() if match else 0)
        assert signs
        try:
            pattern, rest = split(line.text[signs.end() :])
        except ValueError as error:
            raise ConfigError(str(error), file=file, line=line.first) from error
        if match and rest:
            odd(line.first, f'text behind the pattern of "if", perhaps an indented line below it: "{rest}"')
        elif not match and not rest:
            odd(line.first, "no result behind the pattern")
        rule = Rule(pattern, signs[0].count("!") % 2 == 1, None if match else rest, line.first)
        rules.append(rule)
        if match:
            open_blocks.append(rule)
    if open_blocks:
        raise ConfigError("if without endif", file=file, line=open_blocks[-1].line)
    return rules


def enclosing(rules: list[Rule[P]]) -> list[tuple[int, ...]]:
    """For each rule the indexes of the ``if`` lines around it, the outermost first."""
    around: list[tuple[int, ...]] = []
    blocks: list[int] = []
    for at, rule in enumerate(rules):
        while blocks and rules[blocks[-1]].end <= at:
            blocks.pop()
        around.append(tuple(blocks))
        if rule.result is None:
            blocks.append(at)
    return around
