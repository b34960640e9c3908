"""Local routing undone: which address ``user%host@here``, ``host!user@here`` and ``user@host@here`` stand for.

Domains of ours are taken off an address from the right for as long as what is left says where to go on. Quotes hide
nothing, unless resolve_dequoted_address says so: what the next server makes of ``"user%host"`` nobody here can know.
Source: trivial-rewrite(8); postconf(5) resolve_dequoted_address, resolve_null_domain, resolve_numeric_domain,
empty_address_recipient, allow_min_user.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from gateway.maps.network import parse_address
from gateway.maps.rewriting import Rewriting, find_last, strip_dot
from gateway.model.address import Address
from gateway.net.names import ascii_name
from gateway.rfc.address.quoting import quoted
from gateway.rfc.address.tokens import QUOTED, Token, internal, scan

if TYPE_CHECKING:
    from gateway.config import Config

ROUNDS_LIMIT = 50
"""Domains of ours that one address may name; each costs a look at the whole of it."""
_AT, _EMPTY = Token("@", "@"), Token(QUOTED, "")
_LABEL = r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)"
_HOST = re.compile(rf"(?![0-9.]+\Z)(?=.{{1,255}}\Z){_LABEL}(?>(?:\.{_LABEL})*)")


class LocalRouting:
    """Undoes local routing under one configuration.

    Args:
        config: checked configuration.
        rewriting: the local rules.
    """

    def __init__(self, config: Config, rewriting: Rewriting) -> None:
        self._rewriting = rewriting
        self._hostname = [_AT, *scan(config.text("myhostname").lower())]
        self._nobody = config.text("empty_address_recipient")
        self._looks_into_quotes = config.boolean("resolve_dequoted_address")
        self._takes_null = config.boolean("resolve_null_domain")
        self._takes_number = config.boolean("resolve_numeric_domain")
        self._takes_minus = config.boolean("allow_min_user")
        self._takes_utf8 = config.boolean("smtputf8_enable")

    async def undone(self, text: str, is_local: Callable[[str], Awaitable[bool]]) -> Address:
        """The address that an address stands for; always with a domain, which may be no valid one.

        Args:
            text: internal form.
            is_local: true for a domain of ours.

        Raises:
            TableError: ``is_local`` has no answer now.
        """
        tokens = scan(quoted(text))
        here: list[Token] = []
        for _ in range(ROUNDS_LIMIT):
            at = self._domain_at(tokens)
            if at >= 0:
                domain = internal(tokens[at + 1 :]).lower()
                if at < len(tokens) - 1 and not await is_local(domain):
                    return self._made(tokens)
                here = tokens[at:]
                del tokens[at:]
            if not self._names_host(tokens):
                break
        if not tokens or tokens == [_EMPTY]:
            tokens = scan(self._nobody)
        return self._made([*tokens, *(here or self._hostname)])

    def is_valid(self, address: Address) -> bool:
        """True when mail can be sent to the address.

        Its domain is a host name or a literal, its local part begins with no minus (allow_min_user) and is UTF-8 where
        addresses are (smtputf8_enable).
        """
        local, domain = address.local, address.domain
        if local.startswith("-") and not self._takes_minus:
            return False
        if self._takes_utf8 and not local.isascii() and not _is_utf8(local):
            return False
        if _HOST.fullmatch(domain):
            return True
        if domain.startswith("["):
            return domain.endswith("]") and literal(domain) is not None
        if not self._takes_utf8 or domain.isascii() or not _is_utf8(domain):
            return False
        # What an A-label hides: a minus at the end of a label, and an empty last label.
        labels = domain.split(".")
        is_odd = any(not label or label.startswith("-") or label.endswith("-") for label in labels)
        return not is_odd and _HOST.fullmatch(ascii_name(domain)) is not None

    def _domain_at(self, tokens: list[Token]) -> int:
        """Position of the ``@`` before the domain, the dot behind it and an empty domain taken off; or -1."""
        at = find_last(tokens, "@")
        if at >= 0:
            strip_dot(tokens)
            if self._takes_null and at == len(tokens) - 1:
                tokens.pop()
                return find_last(tokens, "@")
        return at

    def _names_host(self, tokens: list[Token]) -> bool:
        """Rewrite what is left of an address; False when it names no further host."""
        operators = self._rewriting.operators
        if not any(token.kind in operators for token in tokens):
            if not (self._looks_into_quotes and len(tokens) == 1 and tokens[0].kind == QUOTED):
                return False
            text = tokens[0].text
            operator = next((each for each in operators if each in text), "")
            if not operator:
                return False
            if operator != "!":
                user, _, host = text.rpartition(operator)
                text = quoted(f"{user}@{host}")
            tokens[:] = scan(text)
        self._rewriting.rewrite(tokens)
        return True

    def _made(self, tokens: list[Token]) -> Address:
        local, _, domain = internal(tokens).rpartition("@")
        domain = domain.lower()
        if self._takes_number and parse_address(domain) is not None:
            domain = f"[ipv6:{domain}]" if ":" in domain else f"[{domain}]"
        return Address(local, domain)


def literal(domain: str) -> tuple[int, int] | None:
    """The address in ``[192.0.2.1]`` or ``[ipv6:2001:db8::1]``, lower-case; None: it is neither (RFC 5321 §4.1.3)."""
    text = domain[1:-1]
    is_v6 = text.startswith("ipv6:")
    address = parse_address(text[5:] if is_v6 else text)
    return address if address is not None and is_v6 == (address[0] == 6) else None


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
