"""Address lists of header fields, taken apart without losing anything.

``parse`` finds the addresses in any text; everything around them (phrases, groups, comments, commas) stays in place,
but for two habits of Postfix: words beside each other are addresses with a missing comma, and comments move behind the
address they stand in. A list is read from right to left: what ends in ``>`` has a phrase, what ends in ``;`` a name.
Source: RFC 5322 §3.4 (mailbox, group), §4.4 (obs-addr-list, obs-group-list); RFC 822 §6.1.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from gateway.rfc.address.tokens import COMMENT, WORDS, Token, external, is_operator, printed, spelled

GROUP = "group"
"""Kind of the colon behind the name of a group; other colons are operators."""
MAILBOX = "mailbox"
_COMMA = Token(",", ",")
_AROUND_PHRASE = frozenset(">;,:")


class Mailbox(NamedTuple):
    """One address in a list: what stands between the angle brackets, or alone."""

    tokens: list[Token]

    @property
    def kind(self) -> str:
        """MAILBOX."""
        return MAILBOX

    @property
    def text(self) -> str:
        """External form."""
        return external(self.tokens)


Node = Token | Mailbox


class _Reader:
    """Reads tokens from the last to the first; ``done`` has the finished nodes, last first."""

    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self.done: list[Node] = []
        self._pending: list[Token] = []
        self._may_continue = True  # a word may join the one to its right: something stands between them
        self._is_group = False

    def read(self) -> None:
        """Read all of it."""
        tokens = self._tokens
        while tokens:
            token = tokens.pop()
            kind = token.kind
            if kind == COMMENT:
                self.done.append(token)
            elif kind in WORDS:
                if not self._may_continue:
                    self._close(missing_comma=True)
                self._pending.append(token)
                self._may_continue = False
            elif kind == ">":
                self._route(token)
            elif kind == ":" and self._is_group:
                self._close()
                self.done.append(Token(GROUP, ":"))
                self._skip(frozenset(","))
            elif kind in ",;":
                self._close(missing_comma=kind == ";")
                self.done.append(token)
                self._may_continue = True
                self._is_group = self._is_group or kind == ";"
            else:
                self._pending.append(token)
                self._may_continue = True
        self._close()

    def _close(self, *, missing_comma: bool = False) -> None:
        """What is pending is an address."""
        if self._pending:
            self.done.append(Mailbox(self._pending[::-1]))
            self._pending.clear()
            if missing_comma:
                self.done.append(_COMMA)

    def _route(self, token: Token) -> None:
        """``<address>`` and the phrase before it."""
        self._close(missing_comma=True)
        self.done.append(token)
        tokens = self._tokens
        while tokens and tokens[-1].kind != "<":
            inside = tokens.pop()
            (self.done if inside.kind == COMMENT else self._pending).append(inside)
        self._close()
        self._skip(_AROUND_PHRASE)
        if tokens and tokens[-1].kind == ":" and not self._is_group:
            self.done.append(tokens.pop())
        self._may_continue = True

    def _skip(self, ends: frozenset[str]) -> None:
        while self._tokens and self._tokens[-1].kind not in ends:
            self.done.append(self._tokens.pop())


def parse(tokens: list[Token]) -> list[Node]:
    """Find the addresses of a list.

    Args:
        tokens: of a header's value; the list is consumed.

    Returns:
        All that was there, in order. Cost: linear.
    """
    reader = _Reader(tokens)
    reader.read()
    reader.done.reverse()
    return reader.done


def lines(nodes: Iterable[Node]) -> list[str]:
    """The list as text, divided where it may be folded: behind commas, and where a comment was folded."""
    parts: list[str] = []
    last = ","
    for node in nodes:
        kind = node.kind
        if last == GROUP or (
            last != "," and (kind == "<" or not (is_operator(last) or is_operator(kind) or kind == GROUP))
        ):
            parts.append(" ")
        parts.append(printed(node.tokens) if isinstance(node, Mailbox) else spelled(node))
        if kind == ",":
            parts.append("\n")
        last = kind
    return "".join(parts).split("\n")
