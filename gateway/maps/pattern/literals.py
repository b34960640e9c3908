"""What a text must contain for a regular expression to match it: ``@spam[0-9]+\\.example$`` needs ``@spam`` and
``.example``.

The answer may always be "nothing known", and is, for whatever in an expression is not understood beyond doubt: then the
library that decides is asked every time. What is said is meant for texts folded to lower case (ASCII), and holds
whether the expression folds case or not.

Source: pcre2pattern(3), regex(7); the idea is that of RE2's ``FilteredRE2``.
"""

from __future__ import annotations

import re
from enum import Enum, auto

import msgspec

Literals = frozenset[bytes]
"""Octets of which one must be there."""

EXACT_LIMIT = 16
"""Different texts that a part of an expression may stand for until they are no longer listed."""
BRANCH_LIMIT = 32
"""Literals that the branches of an alternative may ask for together."""
LENGTH_LIMIT = 64
CLASS_LIMIT = 4
DEPTH_LIMIT = 30
EXPRESSION_LIMIT = 4096


class Syntax(Enum):
    """How the expression is written."""

    PCRE = auto()
    POSIX_EXTENDED = auto()


class _Unclear(Exception):
    """Something in the expression is not understood."""


class _Piece(msgspec.Struct, frozen=True, gc=False):
    """What is known of a part: all texts that it can stand for, else what each of them contains."""

    exact: Literals | None = None
    needs: tuple[Literals, ...] = ()


_ANYTHING = _Piece()
_NOTHING = _Piece(frozenset({b""}))
_ASSERTION = _Piece(frozenset({b""}))

# Octets that stand for themselves, or behind a backslash; what else might is left to the library.
_PLAIN = rb"[A-Za-z0-9@_,:;%&=!~'\"<>/ #\x80-\xff-]"
_TEXT = {
    Syntax.PCRE: re.compile(rb"(?:%s|\\[!-/:-@\[-`{-~])+" % _PLAIN),
    Syntax.POSIX_EXTENDED: re.compile(rb"(?:%s|\\[!-&(-/:;=?@\[-_{-~])+" % _PLAIN),
}
_PLAIN_OR_ESCAPED = re.compile(rb"\\.|[^\\]", re.DOTALL)
_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)
_CLASS = {
    Syntax.PCRE: re.compile(rb"\[\^?\]?(?:[^\]\[\\]|\\[^QEc]|\[:\^?[a-z]+:\]|\[(?![:.=]))*\]", re.DOTALL),
    Syntax.POSIX_EXTENDED: re.compile(rb"\[\^?\]?(?:[^\]\[]|\[:[a-z]+:\]|\[(?![:.=]))*\]", re.DOTALL),
}
_SIMPLE_CLASS = re.compile(rb"\[((?:[^\]\[\\^-]|\\[!-/:-@\[-`{-~])+)\]")
_QUANTIFIERS = frozenset({b"*", b"+", b"?", b"{"})
_QUANTIFIER = re.compile(rb"[*+?]|\{(\d{1,5})(,(\d{0,5}))?\}")
_ASSERTIONS = {Syntax.PCRE: b"bBAzZG", Syntax.POSIX_EXTENDED: b"bB<>`'"}
_CLASSES = {Syntax.PCRE: b"dDwWsShHvVNR", Syntax.POSIX_EXTENDED: b"wWsS"}
_GROUP = re.compile(rb"\?(?:[:>|]|P?<[A-Za-z_]\w*>|'[A-Za-z_]\w*'|[imsU-]+:)")
_LOOK = re.compile(rb"\?<?[=!]")
_INLINE = re.compile(rb"\?(?:[imsU-]+|#[^)]*)\)")


def literals_of(expression: bytes, syntax: Syntax) -> tuple[Literals, ...]:
    """What every text that ``expression`` matches contains, in lower case: of each set, at least one member.

    Args:
        expression: one that its library accepts.
        syntax: how it is written.
    """
    if len(expression) > EXPRESSION_LIMIT:
        return ()
    reader = _Reader(expression, syntax)
    try:
        piece = reader.alternatives(0)
        if reader.at != len(expression):
            return ()
    except _Unclear:
        return ()
    if piece.exact is None:
        return piece.needs
    return () if b"" in piece.exact else (piece.exact,)


class _Run:
    """Parts one behind the other: texts that stand side by side are joined."""

    def __init__(self) -> None:
        self.exact: Literals = _NOTHING.exact or frozenset()
        self.needs: list[Literals] = []
        self.is_whole = True

    def add(self, piece: _Piece) -> None:
        """Put a part behind the others."""
        if piece.exact is None:
            self._cut()
            self.needs += piece.needs
        elif len(self.exact) * len(piece.exact) <= EXACT_LIMIT and max(map(len, self.exact)) <= LENGTH_LIMIT:
            self.exact = frozenset([head + tail for head in self.exact for tail in piece.exact])
        else:
            self._cut()
            self.exact = piece.exact

    def _cut(self) -> None:
        self.is_whole = False
        if b"" not in self.exact:
            self.needs.append(self.exact)
        self.exact = _NOTHING.exact or frozenset()

    def piece(self) -> _Piece:
        """What is known of all parts together."""
        if self.is_whole:
            return _Piece(self.exact)
        self._cut()
        return _Piece(None, tuple(self.needs))


class _Reader:
    """Recursive descent over one expression; ``at`` is where it stands."""

    def __init__(self, source: bytes, syntax: Syntax) -> None:
        self.source, self.at, self._syntax = source, 0, syntax
        self._text, self._class = _TEXT[syntax], _CLASS[syntax]

    def alternatives(self, depth: int) -> _Piece:
        """Branches up to the end of the group or expression."""
        if depth > DEPTH_LIMIT:
            raise _Unclear
        branches = [self._sequence(depth)]
        while self.source[self.at : self.at + 1] == b"|":
            self.at += 1
            branches.append(self._sequence(depth))
        return branches[0] if len(branches) == 1 else _either(branches)

    def _sequence(self, depth: int) -> _Piece:
        run = _Run()
        while self.at < len(self.source) and self.source[self.at] not in b"|)":
            match = self._text.match(self.source, self.at)
            if match:
                self._add_text(run, match)
            else:
                self._add_quantified(run, self._atom(depth))
        return run.piece()

    def _add_text(self, run: _Run, match: re.Match[bytes]) -> None:
        text, self.at = match[0], match.end()
        if self.source[self.at : self.at + 1] not in _QUANTIFIERS:
            run.add(_Piece(frozenset({_unescaped(text)})))
            return
        last = _PLAIN_OR_ESCAPED.findall(text)[-1]  # all that the quantifier is about
        if len(last) < len(text):
            run.add(_Piece(frozenset({_unescaped(text[: -len(last)])})))
        self._add_quantified(run, _Piece(frozenset({_unescaped(last)})))

    def _atom(self, depth: int) -> _Piece:
        head = self.source[self.at : self.at + 1]
        self.at += 1
        if head == b"(":
            return self._group(depth)
        if head == b"[":
            return self._bracket()
        if head == b"\\":
            return self._escape()
        if head == b".":
            return _ANYTHING
        if head in {b"^", b"$"}:
            return _ASSERTION
        raise _Unclear

    def _group(self, depth: int) -> _Piece:
        result: _Piece | None = None
        if self.source[self.at : self.at + 1] == b"*":
            raise _Unclear
        if self.source[self.at : self.at + 1] == b"?":
            if self._syntax is not Syntax.PCRE:
                raise _Unclear
            if inline := _INLINE.match(self.source, self.at):
                self.at = inline.end()
                return _ASSERTION
            start = _GROUP.match(self.source, self.at)
            if not start:
                start, result = _LOOK.match(self.source, self.at), _ASSERTION
            if not start:
                raise _Unclear
            self.at = start.end()
        inner = self.alternatives(depth + 1)
        if self.source[self.at : self.at + 1] != b")":
            raise _Unclear
        self.at += 1
        return inner if result is None else result

    def _bracket(self) -> _Piece:
        match = self._class.match(self.source, self.at - 1)
        if not match:
            raise _Unclear
        self.at = match.end()
        simple = _SIMPLE_CLASS.fullmatch(match[0])
        if simple and (self._syntax is Syntax.PCRE or b"\\" not in match[0]):
            members = frozenset(bytes([octet]) for octet in _unescaped(simple[1]))
            if len(members) <= CLASS_LIMIT:
                return _Piece(members)
        return _ANYTHING

    def _escape(self) -> _Piece:
        kind = self.source[self.at : self.at + 1]
        self.at += 1
        if not kind:
            raise _Unclear
        if kind in _ASSERTIONS[self._syntax]:
            return _ASSERTION
        if kind in _CLASSES[self._syntax]:
            return _ANYTHING
        if kind in b"123456789" and self._syntax is Syntax.PCRE:
            while self.source[self.at : self.at + 1].isdigit():
                self.at += 1
            return _ANYTHING
        raise _Unclear

    def _add_quantified(self, run: _Run, piece: _Piece) -> None:
        head = self.source[self.at : self.at + 1]
        if head not in _QUANTIFIERS:
            run.add(piece)
            return
        match = _QUANTIFIER.match(self.source, self.at)
        if not match or piece is _ASSERTION:
            raise _Unclear
        self.at = match.end()
        low, high = _bounds(match)
        if self._syntax is Syntax.PCRE and self.source[self.at : self.at + 1] in {b"?", b"+"}:
            self.at += 1
        if self.source[self.at : self.at + 1] in _QUANTIFIERS:
            raise _Unclear
        if low == high == 1:
            run.add(piece)
        elif low == 0:
            exact = piece.exact
            run.add(_Piece(exact | {b""}) if exact is not None and high == 1 else _ANYTHING)
        elif piece.exact is None:
            run.add(piece)
        else:  # x{2,} is x, something, x
            run.add(piece)
            run.add(_ANYTHING)
            run.add(piece)


def _bounds(match: re.Match[bytes]) -> tuple[int, int | None]:
    if match[0] == b"?":
        return 0, 1
    if match[1] is None:
        return (0 if match[0] == b"*" else 1), None
    low = int(match[1])
    return low, (low if match[2] is None else int(match[3]) if match[3] else None)


def _unescaped(text: bytes) -> bytes:
    return _ESCAPED.sub(rb"\1", text).lower()


def _either(branches: list[_Piece]) -> _Piece:
    exact: set[bytes] = set()
    for branch in branches:
        if branch.exact is None or len(exact := exact | branch.exact) > EXACT_LIMIT:
            break
    else:
        return _Piece(frozenset(exact))
    wanted: set[bytes] = set()
    for branch in branches:
        best = _best(branch)
        if best is None:
            return _ANYTHING
        wanted |= best
    return _Piece(None, (frozenset(wanted),)) if len(wanted) <= BRANCH_LIMIT else _ANYTHING


def _best(branch: _Piece) -> Literals | None:
    """The set that says most: the one whose shortest member is longest."""
    if branch.exact is not None:
        return None if b"" in branch.exact else branch.exact
    return max(branch.needs, key=lambda literals: (min(map(len, literals)), -len(literals)), default=None)
