"""Addresses in message headers, in canonical form, and mapped as those of the envelope are.

Only headers of mail from local clients are rewritten, or of everybody under ``remote_header_rewrite_domain``. A header
in which no address changes keeps its octets; one in which an address does is printed anew, folded as Postfix folds it.
Source: cleanup(8), trivial-rewrite(8); postconf(5) local_header_rewrite_clients, remote_header_rewrite_domain,
header_address_token_limit, canonical_classes, masquerade_classes; RFC 5322 §3.6.2, §3.6.3, §3.6.6.
"""

from __future__ import annotations

import re

from gateway.cleanup.address_use import AddressUse
from gateway.cleanup.mappings import Mappings
from gateway.config import Config
from gateway.maps.rewriting import Rewriting
from gateway.rfc.address.fields import FIELD, NAMES, field, fold, parsed
from gateway.rfc.address.header import Mailbox, lines, parse
from gateway.rfc.address.tokens import scan

# A list of addresses none of which can change: atoms, a domain with a dot, phrases and comments without surprises.
_BLANK = rb"(?>(?:[ \t]++|\r\n(?=[ \t]))*)"
_ATOM = rb"[A-Za-z0-9#$&'*+/=?^_`{|}~\-\x80-\xff]++"
_SIMPLE = rb"%s(?>(?:\.%s)*)@[A-Za-z0-9_\-]++(?>(?:\.[A-Za-z0-9_\-]++)+)" % (_ATOM, _ATOM)
_PHRASE = rb'(?>(?:[^"(),:;<>@\\\[\]\r\n]++|\r\n(?=[ \t])|"[^"\\\r\n]*+")*)'
_COMMENT = rb"(?>(?:\([^()\\\r\n]*+\)" + _BLANK + rb")?)"
_ITEM = rb"%s(?:%s|%s<%s>)%s%s" % (_BLANK, _SIMPLE, _PHRASE, _SIMPLE, _BLANK, _COMMENT)
_HEADER = re.compile(
    rb"\n(%s)[ \t]*+:(?!%s(?>(?:,%s)*)\r\n(?![ \t]))((?>(?:[^\n]++|\n[ \t])*))(?=\n)"
    % (b"|".join(NAMES), _ITEM, _ITEM),
    re.IGNORECASE,
)
_RECIPIENTS = frozenset(b"to cc bcc resent-reply-to resent-to resent-cc resent-bcc apparently-to".split())
"""Headers whose addresses count as recipients, as observed with cleanup(8); the others of NAMES have senders."""


class HeaderAddresses:
    """Rewrites header blocks by the rules of one context.

    Args:
        rewriting: the rules.
        token_limit: a header with more words than this is left alone (header_address_token_limit).
        mappings: for :meth:`map`; None when they do not touch headers.
    """

    def __init__(self, rewriting: Rewriting, token_limit: int, mappings: Mappings | None = None) -> None:
        self._rewriting, self._token_limit, self.mappings = rewriting, token_limit, mappings

    async def map(self, head: bytes) -> bytes:
        """As :meth:`rewrite`, and canonical addresses mapped.

        Raises:
            TableError: a table has no answer now, or one without any address.
        """
        if self.mappings is None:
            return self.rewrite(head)
        parts: list[bytes] = []
        at = 0
        for match in FIELD.finditer(head):
            changed = await self._mapped(self.mappings, match[1], match[2])
            if changed is not None:
                parts += (head[at : match.start()], changed)
                at = match.end()
        return b"".join((*parts, head[at:])) if parts else head

    async def _mapped(self, mappings: Mappings, name: bytes, value: bytes) -> bytes | None:
        """The field with its addresses mapped; None when none changes."""
        use = AddressUse.HEADER_RECIPIENT if name.lower() in _RECIPIENTS else AddressUse.HEADER_SENDER
        nodes = parsed(value, self._token_limit)
        is_changed = False
        for at, node in enumerate(nodes):
            if isinstance(node, Mailbox):
                before = node.text
                address = await mappings.header(self._rewriting.external(before), use)
                is_changed = is_changed or address != before
                nodes[at] = Mailbox(scan(address))
        return field(name, nodes) if is_changed else None

    def rewrite(self, head: bytes) -> bytes:
        """The header block with canonical addresses; the block itself when nothing changes.

        Args:
            head: header lines, each with CRLF.
        """
        if _HEADER.search(b"\n" + head) is None:
            return head
        return _HEADER.sub(self._header, b"\n" + head)[1:]

    def _header(self, match: re.Match[bytes]) -> bytes:
        text = self.value(match[2].removesuffix(b"\r").decode("utf-8", "surrogateescape"), len(match[1]) + 2)
        if text is None:
            return match[0]
        return b"\n%s: %s\r" % (match[1], text.encode("utf-8", "surrogateescape"))

    def value(self, text: str, width: int = 0) -> str | None:
        """The value of a header with canonical addresses, folded; None when none changes.

        Args:
            text: the value as it stands.
            width: what goes before it on its first line.
        """
        tokens = scan(text.replace("\r\n", "\n"), self._token_limit)
        if len(tokens) > self._token_limit:
            return None
        nodes = parse(tokens)
        is_changed = False
        for at, node in enumerate(nodes):
            if isinstance(node, Mailbox):
                canonical = self._rewriting.external(node.text)
                is_changed = is_changed or canonical != node.text
                nodes[at] = Mailbox(scan(canonical))
        return fold(lines(nodes), width) if is_changed else None


def header_rewriters(
    config: Config, rewriting: Rewriting, mappings: Mappings | None = None
) -> tuple[HeaderAddresses, HeaderAddresses | None]:
    """What rewrites the headers of local clients, and those of others: None leaves them alone.

    Args:
        config: checked configuration.
        rewriting: the local rules.
        mappings: of the same service, if it has any.
    """
    limit = config.integer("header_address_token_limit")
    mapped = mappings if mappings is not None and mappings.has_headers else None
    local = HeaderAddresses(rewriting, limit, mapped)
    if not config.text("remote_header_rewrite_domain"):
        return local, None
    return local, HeaderAddresses(Rewriting(config, is_remote=True), limit, mapped)
