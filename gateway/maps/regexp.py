"""``regexp:`` — POSIX regular expressions to results, first match wins. Source: regexp_table(5).

Keys are not folded: matching ignores case unless the flag ``i`` turns that off.
"""

from __future__ import annotations

import re

import msgspec

from gateway.config.lines import LogicalLine
from gateway.maps.posix_regex import GROUPS_LIMIT, PosixPattern
from gateway.maps.rules import parse_rules
from gateway.maps.source import RuleSource, Surroundings
from gateway.maps.table import MemoryTable
from gateway.model.errors import ConfigError

_VARIABLE = re.compile(r"\$(?:(\$)|(\d+)|\{(\w+)\}|\((\w+)\)|(.?))", re.DOTALL)


class _Source(msgspec.Struct, frozen=True):
    """A pattern as written: the expression between its delimiters, and the flags that are on."""

    expression: str
    is_case_folding: bool = True
    is_multiline: bool = False
    is_extended: bool = True

    def compile(self, *, needs_groups: bool) -> PosixPattern:
        return PosixPattern(
            self.expression.encode("utf-8", "surrogateescape"),
            is_extended=self.is_extended,
            is_case_folding=self.is_case_folding,
            is_multiline=self.is_multiline,
            needs_groups=needs_groups,
        )


class _Line(msgspec.Struct, frozen=True):
    """A compiled rule. ``parts``: the result, text and group numbers in turn; None for ``if``, that ends at ``end``."""

    pattern: PosixPattern
    is_negated: bool
    result: str
    parts: tuple[str | int, ...] | None
    end: int


class RegexpTable(MemoryTable):
    """Every key is matched whole, as it came."""

    is_pattern = True

    def __init__(self, spec: str, name: str, around: Surroundings) -> None:
        super().__init__(spec)
        self._source = RuleSource(spec, name, _parse, around)

    def get(self, key: str) -> str | None:
        """The result of the first rule that matches, ``$1`` replaced."""
        lines = self._source.fresh()
        text = key.encode("utf-8", "surrogateescape")
        if b"\0" in text:  # the C library would see half of it
            return None
        at, end = 0, len(lines)
        while at < end:
            line = lines[at]
            if line.parts is None:
                at = at + 1 if line.pattern.matches(text) is not line.is_negated else line.end
            elif len(line.parts) == 1:
                if line.pattern.matches(text) is not line.is_negated:
                    return line.result
                at += 1
            else:
                groups = line.pattern.groups(text)
                if groups is not None:
                    return _filled(line.parts, groups)
                at += 1
        return None


def _filled(parts: tuple[str | int, ...], groups: list[bytes]) -> str:
    return "".join(part if isinstance(part, str) else groups[part].decode("utf-8", "surrogateescape") for part in parts)


def _split(text: str, _is_negated: bool) -> tuple[_Source, str]:
    """``/expression/flags rest`` with any delimiter; a backslash keeps the delimiter from ending the expression."""
    delimiter = text[:1]
    if not delimiter or delimiter.isalnum() or delimiter == "\\":
        raise ValueError(f'expected a regular expression between delimiters, such as /^a/, not "{text}"')
    at = 1
    while at < len(text) and text[at] != delimiter:
        at += 2 if text[at] == "\\" else 1
    if at >= len(text):
        raise ValueError(f'no closing delimiter "{delimiter}"')
    flags, _, rest = text[at + 1 :].replace("\t", " ", 1).partition(" ")
    bad = set(flags) - set("imx")
    if bad:
        raise ValueError(f'unknown flag "{min(bad)}"; known: i, m, x')
    source = _Source(text[1:at], flags.count("i") % 2 == 0, flags.count("m") % 2 == 1, flags.count("x") % 2 == 0)
    return source, rest.strip()


def _parts(result: str, *, is_negated: bool) -> tuple[str | int, ...]:
    """Cut a result at ``$1`` ``${1}`` ``$(1)``; ``$$`` is a dollar sign."""
    parts: list[str | int] = []
    text, last = "", 0
    for match in _VARIABLE.finditer(result):
        text += result[last : match.start()]
        last = match.end()
        if match[1]:
            text += "$"
            continue
        index = match[2] or match[3] or match[4] or ""
        if not (index.isascii() and index.isdigit()):
            raise ValueError(f'"{match[0]}": expected $1 to $9, ${{1}}, $(1) or $$')
        if is_negated:
            raise ValueError(f'"{match[0]}" behind a pattern with "!": nothing was matched')
        parts += [text, int(index)]
        text = ""
    return (*parts, text + result[last:])


def _parse(lines: list[LogicalLine], file: str) -> list[_Line]:
    compiled: list[_Line] = []
    for rule in parse_rules(lines, file, _split):
        try:
            parts = None if rule.result is None else _parts(rule.result, is_negated=rule.is_negated)
            wanted = max((part for part in parts or () if isinstance(part, int)), default=0)
            pattern = rule.pattern.compile(needs_groups=wanted > 0)
            if wanted and wanted > min(pattern.group_count, GROUPS_LIMIT - 1):
                raise ValueError(f"${wanted}: the expression has {pattern.group_count} group(s)")
        except ValueError as error:
            raise ConfigError(str(error), file=file, line=rule.line) from error
        result = parts[0] if parts is not None and len(parts) == 1 else ""
        compiled.append(_Line(pattern, rule.is_negated, str(result), parts, rule.end))
    return compiled
