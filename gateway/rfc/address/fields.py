"""Header fields that hold addresses: which ones, where they stand in a header block, and how a changed one is folded.

Source: RFC 5322 §3.6.2, §3.6.3, §3.6.6; the headers that cleanup(8) and smtp(8) rewrite, as observed.
"""

from __future__ import annotations

import re

from gateway.rfc.address.header import Node, lines, parse
from gateway.rfc.address.tokens import scan

FOLD_AT = 69
"""Most characters of a line on which addresses are joined, the tab at its start not counted."""
NAMES = (
    b"from sender reply-to to cc bcc resent-from resent-sender resent-reply-to resent-to resent-cc resent-bcc "
    b"apparently-to disposition-notification-to errors-to mail-followup-to return-path return-receipt-to"
).split()
FIELD = re.compile(rb"(?<![^\n])(%s)[ \t]*+:((?>(?:[^\n]++|\n[ \t])*))(?=\n)" % b"|".join(NAMES), re.IGNORECASE)
"""A field of a header block up to its last LF, which is not part of it: name, and value with its CR."""


def parsed(value: bytes, token_limit: int = 0) -> list[Node]:
    """The nodes of a field's value; none when it has more words than ``token_limit`` (0: any number).

    Args:
        value: as :data:`FIELD` finds it.
    """
    text = value.removesuffix(b"\r").decode("utf-8", "surrogateescape")
    tokens = scan(text.replace("\r\n", "\n"), token_limit)
    return [] if len(tokens) > token_limit > 0 else parse(tokens)


def field(name: bytes, nodes: list[Node]) -> bytes:
    """A field printed from its nodes, folded, as :data:`FIELD` would find it."""
    text = fold(lines(nodes), len(name) + 2)
    return b"%s: %s\r" % (name, text.encode("utf-8", "surrogateescape"))


def fold(items: list[str], width: int = 0) -> str:
    """Join items with blanks, and begin a new line where one would grow too long; an item itself is never broken.

    Args:
        items: at least one.
        width: characters that the first line has already.
    """
    parts = [items[0]]
    width += _octets(items[0])
    for item in items[1:]:
        width += 1 + _octets(item)
        if width > FOLD_AT:
            width = _octets(item)
            parts.append("\r\n" if item.startswith((" ", "\t")) else "\r\n\t")
        else:
            parts.append(" ")
        parts.append(item)
    return "".join(parts)


def _octets(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogateescape"))
