"""Tables of expressions, first match wins: what ``regexp:`` and ``pcre:`` share.

Owns the line ``/expression/flags result``, ``$1`` in results, and the search; a table type says which flags there are
and what compiles an expression. From :data:`PREFILTER_RULES` rules on, only the rules that may match by
:mod:`gateway.maps.pattern.prefilter` are tried; the result is the same.

Source: regexp_table(5), pcre_table(5).
"""

from __future__ import annotations

import re
import time
from abc import abstractmethod
from collections.abc import Callable
from functools import cache, partial

import msgspec

from gateway.config.lines import BLANKS, LogicalLine
from gateway.maps.pattern.expression import MatchFailed, Pattern
from gateway.maps.pattern.literals import Literals, Syntax, literals_of
from gateway.maps.pattern.prefilter import Prefilter
from gateway.maps.rules import Rule, enclosing, parse_rules
from gateway.maps.source import RuleSource, Surroundings
from gateway.maps.table import MemoryTable
from gateway.model.errors import ConfigError, TableError

PREFILTER_RULES = 8
"""Rules from which the prefilter is cheaper than trying all of them."""
INLINE_PARSE_LIMIT = 1 << 13
"""Octets of a file up to which a reload is parsed at once: about 10 ms; compiling is dear."""
WARNINGS_LIMIT = 50
_YIELD_RULES = 16

_VARIABLE = re.compile(r"\$(?:(\$)|\{([^{}]*)\}|\(([^()]*)\)|([A-Za-z0-9_]+)|)")
_FLAGS = re.compile(f"[^{BLANKS}]*")


class Flagged(msgspec.Struct, frozen=True, gc=False):
    """A pattern as written: the expression between its delimiters, and the letters behind them."""

    expression: str
    flags: str

    def is_on(self, flag: str, *, default: bool = False) -> bool:
        """True when a flag is on; each time it is named it toggles."""
        return (self.flags.count(flag) % 2 == 1) is not default

    @property
    def octets(self) -> bytes:
        """The expression as the file has it."""
        return self.expression.encode("utf-8", "surrogateescape")


class Line(msgspec.Struct, frozen=True, gc=False):
    """A compiled rule.

    Args:
        pattern, is_negated: when it matches.
        result: the text, unless it has groups.
        parts: the result, text and group numbers in turn; None for ``if``.
        end: the rule behind the block, for ``if``.
        around: indexes of the ``if`` lines around it, the outermost first.
        number: line in the file.
    """

    pattern: Pattern
    is_negated: bool
    result: str
    parts: tuple[str | int, ...] | None
    end: int
    around: tuple[int, ...]
    number: int


class _Content(msgspec.Struct, frozen=True):
    """All rules; with many of them, what the search needs: rules to try for every key, in their order."""

    lines: list[Line]
    prefilter: Prefilter | None = None
    always: tuple[int, ...] = ()


class PatternTable(MemoryTable):
    """Every key is matched whole, as it came, octet by octet.

    Attributes:
        known_flags: letters that may stand behind an expression.
        prefilter_rules: rules from which the prefilter is used.
    """

    is_pattern = True
    known_flags = ""
    prefilter_rules = PREFILTER_RULES

    def __init__(self, spec: str, name: str, around: Surroundings) -> None:
        super().__init__(spec)
        self._warn = around.warn
        self._source = RuleSource(spec, name, self._parse, around, inline_limit=INLINE_PARSE_LIMIT)

    @abstractmethod
    def compile(self, pattern: Flagged, *, needs_groups: bool) -> Pattern:
        """The compiled expression.

        Raises:
            ValueError: says what is wrong with it.
        """

    @abstractmethod
    def syntax(self, pattern: Flagged) -> Syntax | None:
        """How the expression is written; None when that syntax is not known to the prefilter."""

    def oddity(self, pattern: Flagged) -> str:
        """What the log should say about an expression, if anything."""
        return ""

    def get(self, key: str) -> str | None:
        """The result of the first rule that matches, ``$1`` replaced.

        Raises:
            TableError: an expression needs more time or memory for this key than it may have.
        """
        content = self._source.fresh()
        text = key.encode("utf-8", "surrogateescape")
        return self._first(content.lines, text) if content.prefilter is None else self._sifted(content, text)

    def _first(self, lines: list[Line], text: bytes) -> str | None:
        """Try rule after rule."""
        at, end = 0, len(lines)
        while at < end:
            line = lines[at]
            if line.parts is None:
                at = at + 1 if self._holds(line, text) else line.end
            elif (found := self._result(line, text)) is not None:
                return found
            else:
                at += 1
        return None

    def _sifted(self, content: _Content, text: bytes) -> str | None:
        """As :meth:`_first`, without the rules that cannot match; ``if`` lines are asked when a rule inside may."""
        assert content.prefilter
        lines, unknown = content.lines, content.prefilter.unknown
        plausible = content.prefilter.plausible(text)
        held: dict[int, bool] = {}
        for at in sorted(plausible.union(content.always)) if plausible else content.always:
            line = lines[at]
            if line.parts is None:
                continue
            for block in line.around:
                holds = held.get(block)
                if holds is None:
                    may = block in plausible or block in unknown
                    holds = held[block] = self._holds(lines[block], text) if may else lines[block].is_negated
                if not holds:
                    break
            else:
                if line.is_negated and at not in plausible and at not in unknown:
                    return line.result
                if (found := self._result(line, text)) is not None:
                    return found
        return None

    def _holds(self, line: Line, text: bytes) -> bool:
        try:
            return line.pattern.matches(text) is not line.is_negated
        except MatchFailed as error:
            raise self._failed(line, error) from error

    def _result(self, line: Line, text: bytes) -> str | None:
        parts = line.parts
        assert parts is not None
        try:
            if len(parts) == 1:
                return line.result if line.pattern.matches(text) is not line.is_negated else None
            groups = line.pattern.groups(text)
        except MatchFailed as error:
            raise self._failed(line, error) from error
        if groups is None:
            return None
        return "".join(
            part if isinstance(part, str) else groups[part].decode("utf-8", "surrogateescape") for part in parts
        )

    def _failed(self, line: Line, error: MatchFailed) -> TableError:
        return TableError(self.spec, f"line {line.number}: {error}")

    def _parse(self, lines: list[LogicalLine], file: str) -> _Content:
        warnings = 0

        def warn(line: int, text: str) -> None:
            nonlocal warnings
            warnings += 1
            if warnings <= WARNINGS_LIMIT:
                self._warn(f"table {self.spec}: {file}, line {line}: {text}")

        rules = parse_rules(lines, file, self._split, warn)
        is_sifted = len(rules) >= self.prefilter_rules
        compiled: list[Line] = []
        needs: list[tuple[Literals, ...]] = []
        for at, (rule, around) in enumerate(zip(rules, enclosing(rules), strict=True)):
            if text := self.oddity(rule.pattern):
                warn(rule.line, text)
            syntax = self.syntax(rule.pattern) if is_sifted else None
            needs.append(literals_of(rule.pattern.octets, syntax) if syntax else ())
            try:
                compiled.append(self._line(rule, around, is_seldom=bool(needs[-1])))
            except ValueError as error:
                raise ConfigError(str(error), file=file, line=rule.line) from error
            if at % _YIELD_RULES == 0:
                time.sleep(0)  # in a thread: let go of the interpreter lock, for the mail
        if warnings > WARNINGS_LIMIT:
            self._warn(f"table {self.spec}: {warnings - WARNINGS_LIMIT} more lines like that")
        return _sifting(compiled, needs) if is_sifted else _Content(compiled)

    def _split(self, text: str) -> tuple[Flagged, str]:
        return split_pattern(text, self.known_flags)

    def _line(self, rule: Rule[Flagged], around: tuple[int, ...], *, is_seldom: bool) -> Line:
        parts = None if rule.result is None else result_parts(rule.result, is_negated=rule.is_negated)
        wanted = max((part for part in parts or () if isinstance(part, int)), default=0)
        compile_it = partial(self.compile, rule.pattern, needs_groups=wanted > 0)
        pattern = compile_it()
        if wanted > pattern.group_count:
            raise ValueError(f"${wanted}: the expression has {pattern.group_count} group(s)")
        if is_seldom:
            pattern = _Seldom(compile_it, pattern.group_count)
        result = parts[0] if parts is not None and len(parts) == 1 else ""
        return Line(pattern, rule.is_negated, str(result), parts, rule.end, around, rule.line)


class _Seldom:
    """An expression that is compiled when first asked: most in a large table never are, and one may take 8 KiB."""

    __slots__ = ("_compile", "_pattern", "group_count")

    def __init__(self, compile_it: Callable[[], Pattern], group_count: int) -> None:
        self._compile, self.group_count = compile_it, group_count
        self._pattern: Pattern | None = None

    def matches(self, text: bytes) -> bool:
        return (self._pattern or self._compiled()).matches(text)

    def groups(self, text: bytes) -> list[bytes] | None:
        return (self._pattern or self._compiled()).groups(text)

    def _compiled(self) -> Pattern:
        try:
            pattern = self._pattern = self._compile()
        except ValueError as error:  # it was compiled before, so memory is short
            raise MatchFailed(str(error)) from error
        return pattern


def _sifting(lines: list[Line], needs: list[tuple[Literals, ...]]) -> _Content:
    prefilter = Prefilter(needs)
    always = tuple(
        at for at, line in enumerate(lines) if line.parts is not None and (line.is_negated or at in prefilter.unknown)
    )
    return _Content(lines, prefilter, always)


@cache
def _expression(delimiter: str) -> re.Pattern[str]:
    return re.compile(rf"(?:[^\\{re.escape(delimiter)}]|\\.)*", re.DOTALL)


def split_pattern(text: str, known_flags: str) -> tuple[Flagged, str]:
    """``/expression/flags rest`` with any delimiter; a backslash keeps the delimiter from ending the expression.

    Raises:
        ValueError: no delimiters, or a flag that is not known.
    """
    delimiter = text[:1]
    if not delimiter or delimiter.isalnum() or delimiter == "\\" or not delimiter.isascii():
        raise ValueError(f'expected a regular expression between delimiters, such as /^a/, not "{text}"')
    end = _expression(delimiter).match(text, 1)
    assert end
    if end.end() == len(text) or text[end.end()] != delimiter:
        raise ValueError(f'no closing delimiter "{delimiter}"')
    flags = _FLAGS.match(text, end.end() + 1)
    assert flags
    if bad := set(flags[0]) - set(known_flags):
        raise ValueError(f'unknown flag "{min(bad)}"; known: {", ".join(known_flags)}')
    return Flagged(end[0], flags[0]), text[flags.end() :].strip(BLANKS)


def result_parts(result: str, *, is_negated: bool) -> tuple[str | int, ...]:
    """Cut a result at ``$1`` ``${1}`` ``$(1)``; ``$$`` is a dollar sign.

    Returns:
        Text and group numbers in turn, text first and last.

    Raises:
        ValueError: a dollar sign and something else, or a group behind a negated pattern.
    """
    parts: list[str | int] = []
    text, last = "", 0
    for match in _VARIABLE.finditer(result):
        text += result[last : match.start()]
        last = match.end()
        if match[1]:
            text += "$"
            continue
        index = match[2] or match[3] or match[4] or ""
        if not (index.isascii() and index.isdigit()) or len(index) > 9 or int(index) == 0:
            raise ValueError(f'"{match[0]}": expected a number from 1 as in $1, ${{1}} or $(1), or $$')
        if is_negated:
            raise ValueError(f'"{match[0]}" behind a pattern with "!": nothing was matched')
        parts += [text, int(index)]
        text = ""
    return (*parts, text + result[last:])
