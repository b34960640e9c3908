"""The frame that pattern tables share: ``pattern result``, ``!pattern result``, ``if pattern`` … ``endif``, nested.

Owns the block structure; a table type says what a pattern is. Source: cidr_table(5), regexp_table(5).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Generic, TypeVar

import msgspec

from gateway.config.lines import LogicalLine
from gateway.model.errors import ConfigError

P = TypeVar("P")

_ENDIF = re.compile(r"endif(\s.*)?", re.IGNORECASE | re.DOTALL)


class Rule(msgspec.Struct, Generic[P]):
    """One line: the pattern, whether ``!`` stands before it, and the result; None when the line opens a block.

    ``end`` is the index of the rule behind the block that this line opens.
    """

    pattern: P
    is_negated: bool
    result: str | None
    line: int
    end: int = 0


def parse_rules(lines: list[LogicalLine], file: str, split: Callable[[str, bool], tuple[P, str]]) -> list[Rule[P]]:
    """Parse a table's lines.

    Args:
        lines: logical lines.
        file: for messages.
        split: takes the text of a rule behind any ``!`` and whether it is negated; returns the pattern and the text
            behind it; raises ValueError.

    Raises:
        ConfigError: a bad pattern, no result, text behind ``if pattern``, ``if`` without ``endif`` or the reverse.
    """
    rules: list[Rule[P]] = []
    open_blocks: list[Rule[P]] = []
    for line in lines:
        if _ENDIF.fullmatch(line.text):
            if not open_blocks:
                raise ConfigError("endif without if", file=file, line=line.first)
            open_blocks.pop().end = len(rules)
            continue
        is_if = line.text[:2].lower() == "if" and len(line.text) > 2 and not line.text[2].isalnum()
        text = line.text[2:].lstrip() if is_if else line.text
        is_negated = text.startswith("!")
        try:
            pattern, rest = split(text.lstrip("!").lstrip() if is_negated else text, is_negated)
        except ValueError as error:
            raise ConfigError(str(error), file=file, line=line.first) from error
        if is_if and rest:
            raise ConfigError(f'text behind the pattern of "if": "{rest}"', file=file, line=line.first)
        if not is_if and not rest:
            raise ConfigError("no result behind the pattern", file=file, line=line.first)
        rule = Rule(pattern, is_negated, None if is_if else rest, line.first)
        rules.append(rule)
        if is_if:
            open_blocks.append(rule)
    if open_blocks:
        raise ConfigError("if without endif", file=file, line=open_blocks[-1].line)
    return rules
