"""Words, operators and comments of an address, and their printing.

Every text has tokens: what is not closed is closed at its end, a backslash at the end is dropped, controls are text.
So nothing here raises, and the cost is linear in the text. Postfix reads addresses the same way, which matters wherever
two servers have to agree on where an address leads. Source: RFC 5322 §3.2, §3.4, §4.4; RFC 822 §3.3.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

ATOM, QUOTED, LITERAL, COMMENT = "atom", "quoted", "literal", "comment"
WORDS = frozenset((ATOM, QUOTED, LITERAL))
_TOKEN = re.compile(
    r'[ \t\r\n]++|(?P<quoted>"(?>(?:[^"\\]++|\\.)*)\\?"?)|(?P<literal>\[(?>(?:[^\]\\]++|\\.)*)\\?\]?)|(?P<comment>\()'
    r'|(?P<operator>[),.:;<>@\]%!|])|(?P<atom>(?>(?:[^ \t\r\n"(),.:;<>@\[\]%!|\\]++|\\.)+)\\?|\\)',
    re.DOTALL,
)
_PARENTHESIS = re.compile(r"[^()\\]*+(?>(?:\\.[^()\\]*+)*)(?:[()]|\\?\Z)", re.DOTALL)
_PAIR = re.compile(r"\\(.?)", re.DOTALL)
# Characters that turn an atom into a quoted string when a backslash stood before them.
_SPECIAL = re.compile(r'[\x00-\x20\x7f()<>@,;:\\".\[\]%!|]')
_ESCAPED = re.compile(r'["\\]')
_BREAK = re.compile(r"[\t\r\n]")


class Token(NamedTuple):
    """A token: ``kind`` is ATOM, QUOTED, LITERAL, COMMENT, or the operator itself.

    ``text`` is a word without quotes, brackets and backslashes; a comment as written, parentheses included.
    """

    kind: str
    text: str


def scan(text: str, limit: int = 0) -> list[Token]:
    """The tokens of a text.

    Args:
        text: external form: quotes and backslashes mean something.
        limit: most tokens; 0: any number.

    Returns:
        The tokens; white space between them is gone. One more than ``limit`` when there is more text.
    """
    tokens: list[Token] = []
    at, end = 0, len(text)
    while at < end:
        match = _TOKEN.match(text, at)
        assert match is not None  # one alternative for each character
        kind, at = match.lastgroup, match.end()
        if kind is None:
            continue
        word = match[0]
        if kind == "operator":
            tokens.append(Token(word, word))
        elif kind == ATOM:
            tokens.append(_atom(word))
        elif kind == COMMENT:
            start, at = at - 1, _comment_end(text, at)
            tokens.append(Token(COMMENT, text[start:at]))
        else:
            tokens.append(Token(kind, _inside(word, '"' if kind == QUOTED else "]")))
        if len(tokens) == limit + 1 > 1:
            break
    return tokens


def _atom(word: str) -> Token:
    if "\\" in word:
        word = _PAIR.sub(r"\1", _BREAK.sub(" ", word))
    return Token(QUOTED if _SPECIAL.search(word) else ATOM, word)


def _inside(word: str, closing: str) -> str:
    """What a quoted string or literal says."""
    word = _BREAK.sub(" ", word[1:])
    if "\\" not in word:
        return word.removesuffix(closing)
    # Text and escaped character in turn; a quote at the very end of the last text closes, an escaped one is no text.
    parts = _PAIR.split(word)
    parts[-1] = parts[-1].removesuffix(closing)
    return "".join(parts)


def _comment_end(text: str, at: int) -> int:
    """Where the comment ends whose first parenthesis stands before ``at``; comments nest."""
    depth = 1
    while depth and at < len(text):
        match = _PARENTHESIS.match(text, at)
        assert match is not None
        at = match.end()
        depth += 1 if match[0].endswith("(") else -1 if match[0].endswith(")") else 0
    return at


def internal(tokens: Iterable[Token]) -> str:
    """The text of the tokens without quotes: the internal form of an address."""
    return _joined((kind, f"[{text}]" if kind == LITERAL else text) for kind, text in tokens)


def printed(tokens: Iterable[Token]) -> str:
    """The text of the tokens with quotes where they stood."""
    return _joined((token.kind, spelled(token)) for token in tokens)


def external(tokens: Iterable[Token]) -> str:
    """The text of the tokens with quotes; words beside each other, which make no sense in an address, run together."""
    return "".join(", " if token.kind == "," else spelled(token) for token in tokens)


def spelled(token: Token) -> str:
    """One token as it is written."""
    kind, text = token
    if kind == QUOTED:
        return f'"{_ESCAPED.sub(_escape, text)}"'
    if kind == LITERAL:
        return "[" + text.replace("\\", "\\\\") + "]"
    return text


def is_operator(kind: str) -> bool:
    """True for a token that needs no blank between it and a word."""
    return len(kind) == 1


def _escape(match: re.Match[str]) -> str:
    return "\\" + match[0]


def _joined(words: Iterable[tuple[str, str]]) -> str:
    """Join words of a kind, with a blank where two would run together."""
    parts: list[str] = []
    last = ""
    for kind, word in words:
        if len(kind) > 1 < len(last) or last == "," or (kind == "<" and parts):
            parts.append(" ")
        parts.append(word)
        last = kind
    return "".join(parts)
