"""DSN parameters of MAIL and RCPT: xtext, RET, ENVID, NOTIFY, ORCPT.

Pure functions over bytes; the SMTP session turns :class:`BadParameter` into its 501. Source: RFC 3461 §4, RFC 6533 §3
(utf-8 address type).
"""

from __future__ import annotations

import re

from gateway.model.errors import RemoteProtocolError

_XTEXT_HEX = re.compile(rb"\+([0-9A-F]{2})")
_ESCAPED = re.compile(r"[^!-~]|[+=]")
_XTEXT = re.compile(rb"(?>(?:[!-*,-<>-~\x80-\xff]++|\+[0-9A-F]{2})*)")
_ADDRESS_TYPE = re.compile(rb"[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~.]+")
_NOTIFY = {b"SUCCESS": "SUCCESS", b"FAILURE": "FAILURE", b"DELAY": "DELAY"}
_MAX_ENVID = 100  # RFC 3461 §4.4: decoded length
_MAX_ORCPT = 500  # RFC 3461 §4.2


class BadParameter(RemoteProtocolError):
    """A parameter's value is not what its RFC allows. ``name`` is the keyword, upper-case."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"Bad {name} parameter syntax")


def decode_xtext(raw: bytes) -> bytes | None:
    """Decode xtext; None when ``raw`` is none (a stray ``+`` or ``=``, a space, a control). RFC 3461 §4.

    Octets above 127 pass, as the unitext of RFC 6533 needs. Decoded controls are refused: they would reach logs,
    headers and records, where a newline or NUL means something else.
    """
    if not _XTEXT.fullmatch(raw):
        return None
    if b"+" not in raw:
        return raw
    decoded = _XTEXT_HEX.sub(lambda match: bytes((int(match[1], 16),)), raw)
    return None if any(octet < 32 or octet == 127 for octet in decoded) else decoded


def encode_xtext(text: str) -> bytes:
    """Encode text as xtext, octet by octet of its UTF-8 form. RFC 3461 §4."""
    if text.isascii() and not _ESCAPED.search(text):
        return text.encode("ascii")
    octets = text.encode("utf-8", "surrogateescape")
    return b"".join(
        b"+%02X" % octet if octet < 33 or octet > 126 or octet in b"+=" else bytes((octet,)) for octet in octets
    )


def parse_ret(raw: bytes) -> str:
    """RET: ``FULL`` or ``HDRS``. Raises BadParameter. RFC 3461 §4.3."""
    word = raw.upper()
    if word == b"FULL":
        return "FULL"
    if word == b"HDRS":
        return "HDRS"
    raise BadParameter("RET")


def parse_envid(raw: bytes) -> str:
    """ENVID: xtext, decoded at most 100 octets as the RFC bounds it. Raises BadParameter. RFC 3461 §4.4."""
    decoded = decode_xtext(raw)
    if not decoded or len(decoded) > _MAX_ENVID:
        raise BadParameter("ENVID")
    return decoded.decode("utf-8", "surrogateescape")


def parse_notify(raw: bytes) -> tuple[str, ...]:
    """NOTIFY: ``("NEVER",)`` or words of SUCCESS, FAILURE, DELAY in the client's order. RFC 3461 §4.1.

    Raises: BadParameter, for NEVER in company too.
    """
    words = raw.upper().split(b",")
    if words == [b"NEVER"]:
        return ("NEVER",)
    try:
        return tuple(dict.fromkeys(_NOTIFY[word] for word in words))
    except KeyError:
        raise BadParameter("NOTIFY") from None


def parse_orcpt(raw: bytes) -> str:
    """ORCPT: ``type;address``, the address xtext-decoded. Raises BadParameter. RFC 3461 §4.2."""
    kind, semicolon, encoded = raw.partition(b";")
    decoded = decode_xtext(encoded)
    if not semicolon or not _ADDRESS_TYPE.fullmatch(kind) or decoded is None or len(raw) > _MAX_ORCPT:
        raise BadParameter("ORCPT")
    return f"{kind.decode('ascii')};{decoded.decode('utf-8', 'surrogateescape')}"
