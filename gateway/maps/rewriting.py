"""Addresses in canonical form: ``user@domain``, whatever was written.

The rules of trivial-rewrite(8) for one context, local or remote: source routes go, ``host!user`` and ``user%host``
become ``user@host``, addresses and domains are completed, the dot at the end of a domain goes. What makes no sense is
left for whoever resolves the address to refuse. Source: postconf(5) swap_bangpath, allow_percent_hack,
append_at_myorigin, append_dot_mydomain, remote_header_rewrite_domain; RFC 5321 appendix C.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gateway.model.address import Address
from gateway.rfc.address.quoting import address_of, quoted
from gateway.rfc.address.tokens import LITERAL, QUOTED, Token, internal, scan

if TYPE_CHECKING:
    from gateway.config import Config

_AT, _DOT, _EMPTY = Token("@", "@"), Token(".", "."), Token(QUOTED, "")
_PLAIN = re.compile(r"[A-Za-z0-9_+=\-]++(?>(?:\.[A-Za-z0-9_+=\-]++)*)")
"""A local part that can hold no operator."""
_PLAIN_ADDRESS = re.compile(rf"{_PLAIN.pattern}(?>(?:@[A-Za-z0-9_\-]++(?:(?>(\.[A-Za-z0-9_\-]++)+)|()))?)")
"""The same with a domain, if any, of two labels or more (group 1) or of one (group 2)."""


class Rewriting:
    """The rules of one context.

    Args:
        config: checked configuration.
        is_remote: complete with ``remote_header_rewrite_domain``, not with ``myorigin`` and ``mydomain``.

    Attributes:
        operators: the characters that say where an address goes on to, ``@`` first.
    """

    def __init__(self, config: Config, *, is_remote: bool = False) -> None:
        invalid = config.text("remote_header_rewrite_domain")
        origin, parent = (invalid, invalid) if is_remote else (config.text("myorigin"), config.text("mydomain"))
        self._has_bang, self._has_percent = config.boolean("swap_bangpath"), config.boolean("allow_percent_hack")
        self.operators = f"@{'%' if self._has_percent else ''}{'!' if self._has_bang else ''}"
        self.origin = origin.lower() if config.boolean("append_at_myorigin") else ""
        self.parent = parent.lower() if config.boolean("append_dot_mydomain") else ""
        self._origin_text = f"@{origin}"
        self._at_origin = [_AT, *scan(origin)] if self.origin else []
        self._dot_parent = [_DOT, *scan(parent)] if self.parent else []

    def address(self, address: Address) -> Address:
        """The canonical form of an envelope address; the address itself when it has it already."""
        local, domain = address.local, address.domain
        if domain and local:
            # What begins with "@" may be a source route, quoted or not.
            if (not self.parent or ("." in domain and domain[-1] != ".")) and local[0] != "@":
                return address
        elif not local and not domain:
            return address
        elif self.origin and _PLAIN.fullmatch(local):
            return Address(local, self.origin)
        tokens = scan(quoted(str(address)))
        self.rewrite(tokens)
        found = address_of(internal(tokens))
        return address if found == address else found

    def external(self, text: str) -> str:
        """The canonical form of an address in external form."""
        plain = _PLAIN_ADDRESS.fullmatch(text)
        if plain is not None:
            if plain[1]:
                return text
            if self.origin and plain[2] is None:
                return text + self._origin_text
        tokens = scan(text)
        if not tokens:
            return text
        self.rewrite(tokens)
        return quoted(internal(tokens))

    def rewrite(self, tokens: list[Token]) -> None:
        """Rewrite an address in place."""
        if not tokens or tokens == [_EMPTY]:
            return
        if tokens == [_AT]:
            tokens[:] = [_EMPTY]
            return
        if tokens[0] == _AT:
            colon = find(tokens, ":")
            if 0 < colon < len(tokens) - 1:
                del tokens[: colon + 1]
        at = find_last(tokens, "@")
        if at < 0:
            at = self._name_host(tokens)
        domain = tokens[at + 1 :] if at >= 0 else []
        if domain and self.parent and not any(token.kind in (".", LITERAL) for token in domain):
            tokens += self._dot_parent
        strip_dot(tokens)

    def _name_host(self, tokens: list[Token]) -> int:
        """Give an address without ``@`` one; returns its position, or -1."""
        if self._has_bang and (bang := find(tokens, "!")) >= 0:
            user = tokens[bang + 1 :] or [_EMPTY]
            tokens[:] = [*user, _AT, *tokens[:bang]]
            return len(user)
        if self._has_percent and (percent := find_last(tokens, "%")) >= 0:
            tokens[percent] = _AT
            return percent
        if self._at_origin:
            tokens += self._at_origin
            return len(tokens) - len(self._at_origin)
        return -1


def find(tokens: list[Token], kind: str) -> int:
    """Position of the first token of that kind, or -1."""
    for at, token in enumerate(tokens):
        if token.kind == kind:
            return at
    return -1


def find_last(tokens: list[Token], kind: str) -> int:
    """Position of the last token of that kind, or -1."""
    for at in range(len(tokens) - 1, -1, -1):
        if tokens[at].kind == kind:
            return at
    return -1


def strip_dot(tokens: list[Token]) -> None:
    """Take off the dot at the end; two dots, or a dot alone behind ``@``, stay: they are no mistake of ours to mend."""
    if len(tokens) > 1 and tokens[-1].kind == "." and tokens[-2].kind not in ".@":
        tokens.pop()
