"""The text forms of LDAP: quoting of what comes from a lookup key, LDAP URLs, names of attributes with options.

Source: RFC 4515 (filters), RFC 4514 (distinguished names), RFC 4516 (URLs), RFC 4512 section 2.5 (attribute
descriptions). URLs are read as OpenLDAP's ``ldap_url_parse`` reads them, except that a broken ``%`` is an error.
"""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

import msgspec

BASE, ONE, SUBTREE, CHILDREN = range(4)
"""Scopes of a search, with the numbers of RFC 4511 section 4.5.1.2."""
SCOPES = {"base": BASE, "one": ONE, "onelevel": ONE, "sub": SUBTREE, "subtree": SUBTREE}
_URL_SCOPES = {**SCOPES, "subordinate": CHILDREN, "children": CHILDREN}
_PORTS = {"ldap": 389, "ldaps": 636, "ldapi": 0}
ANY_OBJECT = "(objectClass=*)"

# RFC 4514 wants leading and trailing blanks and a leading # escaped; the others may be, and so need no second look.
_SPECIAL_IN_DN = re.compile(r'[ \t"#+,;<>\\\0]')
_SPECIAL_IN_FILTER = re.compile(r"[*()\\\0]")
_URL = re.compile(r"(?:URL:)?(ldap[si]?)://", re.IGNORECASE)
_AUTHORITY = re.compile(r"(\[[^\]]*\]|[^:]*)(?::([0-9]{1,5}))?")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")


def _escaped(match: re.Match[str]) -> str:
    return f"\\{ord(match[0]):02X}"


def quoted_in_dn(text: str) -> str:
    """Text as a part of a value in a distinguished name: it cannot end the value, nor start another one."""
    return _SPECIAL_IN_DN.sub(_escaped, text)


def quoted_in_filter(text: str) -> str:
    """Text as a part of an assertion value in a search filter: no wildcard, no parenthesis."""
    return _SPECIAL_IN_FILTER.sub(_escaped, text)


class LdapUrl(msgspec.Struct, frozen=True, gc=False):
    """The parts of an LDAP URL, percent-decoded.

    Args:
        scheme: ``ldap``, ``ldaps``, ``ldapi``.
        host: name or address without brackets, or the path of a socket; empty when the URL has none.
        port: TCP port; 0 for ``ldapi``.
        base: distinguished name.
        attributes: empty when the URL names none.
        scope: None when the URL has none.
        filter: empty when the URL has none.
    """

    scheme: str
    host: str
    port: int
    base: str = ""
    attributes: tuple[str, ...] = ()
    scope: int | None = None
    filter: str = ""

    @property
    def server(self) -> str:
        """Scheme, host and port, for messages."""
        if self.scheme == "ldapi":
            return f"ldapi://{self.host}"
        return f"{self.scheme}://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


def is_ldap_url(text: str) -> bool:
    """True when the text starts as an LDAP URL does, be it well-formed or not."""
    return _URL.match(text.removeprefix("<")) is not None


def _decoded(text: str) -> str:
    if "%" not in text:
        return text
    if _BAD_ESCAPE.search(text):
        raise ValueError(f'"{text}": % without two hexadecimal digits')
    return unquote_to_bytes(text.encode("utf-8", "surrogateescape")).decode("utf-8", "surrogateescape")


def parse_ldap_url(text: str) -> LdapUrl:
    """An LDAP URL, with or without ``URL:`` before and ``<`` ``>`` around it. Extensions are read over.

    Raises:
        ValueError: says what is wrong.
    """
    if text.startswith("<"):
        if not text.endswith(">"):
            raise ValueError('"<" without ">"')
        text = text[1:-1]
    start = _URL.match(text)
    if start is None:
        raise ValueError("expected ldap://, ldaps:// or ldapi://")
    scheme = start[1].lower()
    rest = text[start.end() :]
    before, slash, path = rest.partition("/")
    authority, query, after = before.partition("?")
    if query:  # no slash before the first "?": OpenLDAP ignores what follows, most of the time
        if scheme == "ldapi" and after.startswith("?"):
            raise ValueError('expected "/" before "?"')
        slash = path = ""
    host, port = _host_and_port(scheme, authority)
    base, attributes, scope, query_filter = _path(path) if slash else ("", (), None, "")
    return LdapUrl(scheme, host, port, base, attributes, scope, query_filter)


def _host_and_port(scheme: str, authority: str) -> tuple[str, int]:
    if scheme == "ldapi":
        return _decoded(authority), 0
    parts = _AUTHORITY.fullmatch(authority)
    if parts is None or int(parts[2] or 0) > 0xFFFF:
        raise ValueError(f'"{authority}": expected host or host:port')
    host = parts[1].strip("[]") if parts[1].startswith("[") else _decoded(parts[1])
    return host, int(parts[2] or 0) or _PORTS[scheme]


def _path(path: str) -> tuple[str, tuple[str, ...], int | None, str]:
    base, *more = path.split("?")
    if len(more) > 4 or (len(more) == 4 and not more[3]):
        raise ValueError("expected no more than base?attributes?scope?filter?extensions")
    attributes, scope, query_filter = (*more[:3], "", "", "")[:3]
    scope = _decoded(scope).lower()
    if scope and scope not in _URL_SCOPES:
        raise ValueError(f'"{scope}" is no scope')
    names = tuple(_decoded(name) for name in attributes.split(",") if name)
    return _decoded(base), names, _URL_SCOPES.get(scope), _decoded(query_filter)


def covers(general: str, special: str) -> int:
    """How two attribute descriptions relate, letter case aside.

    Returns:
        1 when ``special`` is ``general``, with or without options (``mail`` covers ``mail;lang-en``); -1 when it is
        the other way round; 0 when neither.
    """
    general, special = general.lower(), special.lower()
    if special == general or special.startswith(f"{general};"):
        return 1
    return -1 if general.startswith(f"{special};") else 0
