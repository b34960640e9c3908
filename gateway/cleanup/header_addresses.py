"""Addresses in message headers, in canonical form.

Only headers of mail from local clients are rewritten, or of everybody under ``remote_header_rewrite_domain``. A header
in which no address changes keeps its octets; one in which an address does is printed anew, folded as Postfix folds it.
Source: cleanup(8), trivial-rewrite(8); postconf(5) local_header_rewrite_clients, remote_header_rewrite_domain,
header_address_token_limit; RFC 5322 §3.6.2, §3.6.3, §3.6.6.
"""

from __future__ import annotations

import re

from gateway.config import Config
from gateway.maps.rewriting import Rewriting
from gateway.rfc.address.fields import NAMES, fold
from gateway.rfc.address.header import Mailbox, lines, parse
from gateway.rfc.address.tokens import scan

# A list of addresses none of which can change: atoms, a domain with a dot, phrases and comments without surprises.
_BLANK = rb"(?:[ \t]|\r\n(?=[ \t]))*+"
_ATOM = rb"[A-Za-z0-9#$&'*+/=?^_`{|}~\-\x80-\xff]++"
_SIMPLE = rb"%s(?:\.%s)*+@[A-Za-z0-9_\-]++(?:\.[A-Za-z0-9_\-]++)++" % (_ATOM, _ATOM)
_PHRASE = rb'(?:[^"(),:;<>@\\\[\]\r\n]++|\r\n(?=[ \t])|"[^"\\\r\n]*+")*+'
_COMMENT = rb"(?:\([^()\\\r\n]*+\)" + _BLANK + rb")?+"
_ITEM = rb"%s(?:%s|%s<%s>)%s%s" % (_BLANK, _SIMPLE, _PHRASE, _SIMPLE, _BLANK, _COMMENT)
_HEADER = re.compile(
    rb"\n(%s)[ \t]*+:(?!%s(?:,%s)*+\r\n(?![ \t]))((?:[^\n]|\n[ \t])*+)(?=\n)" % (b"|".join(NAMES), _ITEM, _ITEM),
    re.IGNORECASE,
)


class HeaderAddresses:
    """Rewrites header blocks by the rules of one context.

    Args:
        rewriting: the rules.
        token_limit: a header with more words than this is left alone (header_address_token_limit).
    """

    def __init__(self, rewriting: Rewriting, token_limit: int) -> None:
        self._rewriting, self._token_limit = rewriting, token_limit

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


def header_rewriters(config: Config, rewriting: Rewriting) -> tuple[HeaderAddresses, HeaderAddresses | None]:
    """What rewrites the headers of local clients, and those of others: None leaves them alone.

    Args:
        config: checked configuration.
        rewriting: the local rules.
    """
    limit = config.integer("header_address_token_limit")
    has_remote = bool(config.text("remote_header_rewrite_domain"))
    remote = HeaderAddresses(Rewriting(config, is_remote=True), limit) if has_remote else None
    return HeaderAddresses(rewriting, limit), remote
