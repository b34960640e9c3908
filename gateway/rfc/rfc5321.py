"""SMTP paths and parameters: what stands after ``MAIL FROM:`` and ``RCPT TO:``.

Pure parsers over the octets of one command line. Lenient where Postfix is (missing brackets, source routes, dots
anywhere in a local part, mailboxes without a domain), strict where leniency forges addresses: one ``@`` outside quotes,
no comments, no groups, no controls. Source: RFC 5321 §4.1.2, §4.1.3; RFC 6531 §3.3.
"""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache

from gateway.model.address import Address
from gateway.model.errors import RemoteProtocolError

MAX_LOCAL = 512  # octets; RFC 5321 §4.5.3.1.1 wants 64 supported, VERP and SRS senders need more
MAX_DOMAIN = 255  # RFC 5321 §4.5.3.1.2
_ATEXT = rb"A-Za-z0-9!#$%&'*+/=?^_`{|}~\-\x80-\xff"
_QUOTED = rb'"(?>(?:[^"\\\x00-\x1f\x7f]++|\\[^\x00-\x1f\x7f])*)"'
_MAILBOX = re.compile(
    rb"(?P<local>[" + _ATEXT + rb".]++|(?>(?:[" + _ATEXT + rb".]++|" + _QUOTED + rb")+))"
    rb"(?:@(?P<domain>\[[^\[\]\\\x00-\x20\x7f-\xff]++\]|[A-Za-z0-9_.\-\x80-\xff]++))?"
)
_ROUTE = re.compile(rb"(?>(?:@[A-Za-z0-9_.\-\[\]]++[,:])+)")
_LABEL = r"(?!-)[A-Za-z0-9_\-\u0080-\U0010ffff]{1,63}(?<!-)"
_DOMAIN = re.compile(rf"(?![0-9.]+$){_LABEL}(?:\.{_LABEL})*\.?")
_PATH_TOKEN = re.compile(
    rb"[ \t]*+("
    rb'<(?>(?:[^<>"\\]++|' + _QUOTED + rb"|\\.)*)>"
    rb'|(?>(?:[^<> \t"\\]++|' + _QUOTED + rb"|\\.)+)"
    rb")(?:[ \t]++(.*+))?",
    re.DOTALL,
)
_WORD = re.compile(rb'"((?>(?:[^"\\]++|\\.)*))"|([^"]++)')
_QUOTED_PAIR = re.compile(rb"\\(.)")


class BadPath(RemoteProtocolError):
    """Not a mailbox: the session answers 501 5.1.7 or 5.1.3."""


class NeedsSmtputf8(BadPath):
    """The path is not ASCII and the client did not ask for SMTPUTF8 (RFC 6531 §3.5)."""


def split_path(raw: bytes) -> tuple[bytes, bytes]:
    """Divide what follows ``FROM:`` or ``TO:`` into the path and its parameters.

    Returns: the path with its brackets, if any; the parameters, blanks stripped at their start.
    Raises: BadPath when a quote or bracket is not closed or text touches the bracket.
    """
    match = _PATH_TOKEN.fullmatch(raw)
    if match is None:
        raise BadPath("unbalanced path")
    return match[1], match[2] or b""


@lru_cache(maxsize=4096)
def parse_path(raw: bytes, smtputf8: bool = True, is_strict: bool = False, allow_min_user: bool = False) -> Address:
    """Parse a reverse- or forward-path such as ``b"<a@b.example>"``.

    Args:
        raw: one path as :func:`split_path` gives it.
        smtputf8: allow octets above 127 (UTF-8) in the domain, which needs the SMTPUTF8 parameter.
        is_strict: brackets are required (strict_rfc821_envelopes).
        allow_min_user: a local part may start with ``-`` (allow_min_user).

    Returns: the address in internal form, domain lower-case; ``Address.NULL`` for ``<>``. Source routes are dropped
        (RFC 5321 §3.3, appendix C).
    Raises: BadPath. Cost: O(len(raw)); the latest 4096 are remembered.
    """
    text = raw
    if text[:1] == b"<" and text[-1:] == b">":
        text = text[1:-1].strip(b" \t")
        if not text:
            return Address.NULL
    elif is_strict:
        raise BadPath("no brackets")
    if text[:1] == b"@":
        text = _after_route(text)
    match = _MAILBOX.fullmatch(text)
    if match is None:
        raise BadPath("not a mailbox")
    domain = match["domain"]
    address = Address(_local(match["local"]), _domain(domain, smtputf8) if domain else "")
    if not allow_min_user and address.local.startswith("-"):
        raise BadPath("local part starts with a minus")
    return address


def _after_route(text: bytes) -> bytes:
    route = _ROUTE.match(text)
    if route is None:
        raise BadPath("bad source route")
    return text[route.end() :]


def _local(raw: bytes) -> str:
    """Internal form of a local part: quotes and backslashes removed."""
    if b'"' in raw:
        raw = b"".join(
            _QUOTED_PAIR.sub(rb"\1", word[1]) if word[2] is None else word[2] for word in _WORD.finditer(raw)
        )
    if not raw or len(raw) > MAX_LOCAL:
        raise BadPath("local part empty or too long")
    return raw.decode("utf-8", "surrogateescape")


def _domain(raw: bytes, smtputf8: bool) -> str:
    """Lower-case domain or address literal, checked as Postfix's valid_hostname and RFC 5321 §4.1.3 do."""
    if len(raw) > MAX_DOMAIN:
        raise BadPath("domain too long")
    if raw[:1] == b"[":
        return _literal(raw[1:-1].decode("ascii"))
    if not raw.isascii() and not smtputf8:
        raise NeedsSmtputf8("domain needs SMTPUTF8")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise BadPath("domain is not UTF-8") from None
    if not _DOMAIN.fullmatch(text):
        raise BadPath("not a domain")
    return text.lower().rstrip(".")


def _literal(text: str) -> str:
    """``1.2.3.4`` or ``IPv6:...`` without its brackets, checked and given back with them, lower-case."""
    try:
        if text[:5].lower() == "ipv6:":
            ipaddress.IPv6Address(text[5:])
        else:
            ipaddress.IPv4Address(text)
    except ValueError:
        raise BadPath("not an address literal") from None
    return f"[{text.lower()}]"
