"""Attributes of XCLIENT and XFORWARD: ``NAME=spike.example ADDR=IPV6:::1 PORT=[UNAVAILABLE]``.

Owns their names, decoding and bounds; who may use the commands is the shell's to decide. Source: XCLIENT_README,
XFORWARD_README, RFC 3461 §4 (xtext).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable

from gateway.model.errors import RemoteProtocolError

NAMES = {
    "XCLIENT": frozenset({"NAME", "REVERSE_NAME", "ADDR", "PORT", "PROTO", "HELO", "LOGIN", "DESTADDR", "DESTPORT"}),
    "XFORWARD": frozenset({"NAME", "ADDR", "PORT", "PROTO", "HELO", "IDENT", "SOURCE"}),
}
TEMPUNAVAIL = "[TEMPUNAVAIL]"
"""Value of NAME or REVERSE_NAME after a temporary lookup error; permanent absence is None."""

_MAX_VALUE = 255
_HOSTNAME = re.compile(r"(?=.{1,255}$)(?!-)[A-Za-z0-9_\-]{1,63}(?<!-)(?:\.(?!-)[A-Za-z0-9_\-]{1,63}(?<!-))*")
_ESCAPE = re.compile(rb"\+([0-9A-Fa-f]{2})")
_STRAY_PLUS = re.compile(rb"\+(?![0-9A-Fa-f]{2})")
_UNSAFE = re.compile(r"[^!-~\u0080-\U0010ffff]|[\"(),;<>\\]")


class BadAttribute(RemoteProtocolError):
    """A name that the command does not have, or a value that its attribute cannot have: 501 5.5.4."""


def parse_attributes(raw: bytes, command: str) -> dict[str, str | None]:
    """Read the attributes of one command.

    Args:
        raw: what follows the verb.
        command: ``XCLIENT`` or ``XFORWARD``.

    Returns: upper-case name to value. None: ``[UNAVAILABLE]``. ``[TEMPUNAVAIL]`` stays as it is. Addresses are without
        their ``IPV6:`` prefix, PROTO and SOURCE upper-case, ports decimal; in HELO, LOGIN and IDENT, blanks, controls
        and what is special in headers have become ``?``.
    Raises: BadAttribute, with the text Postfix answers.
    """
    words = raw.split()
    if not words:
        raise BadAttribute(f"Syntax: {command} attribute=value...")
    attributes: dict[str, str | None] = {}
    for word in words:
        raw_name, _, raw_value = word.partition(b"=")
        if not raw_value:
            raise BadAttribute("Error: attribute=value expected")
        if len(raw_value) > _MAX_VALUE:
            raise BadAttribute("Error: attribute value too long")
        name = raw_name.upper().decode("ascii", "replace")
        if name not in NAMES[command]:
            raise BadAttribute(f"Bad {command} attribute name: {name}")
        attributes[name] = _value(name, raw_value, command)
    return attributes


def _value(name: str, raw: bytes, command: str) -> str | None:
    # Postfix before 2.3 did not encode; what is no xtext is taken as it stands (XCLIENT_README, note 3). Its client
    # lets "=" stand, and controls are not harmful here: every value is checked, or has its odd characters replaced.
    octets = raw if _STRAY_PLUS.search(raw) else _ESCAPE.sub(lambda match: bytes((int(match[1], 16),)), raw)
    text = octets.decode("utf-8", "replace").replace("\ufffd", "?")
    word = text.upper()
    if word == "[UNAVAILABLE]":
        return None
    if command == "XCLIENT":
        if word == TEMPUNAVAIL and name in {"NAME", "REVERSE_NAME"}:
            return TEMPUNAVAIL
        if name == "PROTO" and word not in {"SMTP", "ESMTP"}:
            raise BadAttribute(f"Bad PROTO syntax: {_neuter(text)}")
    checked = _CHECKS[name](text)
    if checked is None:
        raise BadAttribute(f"Bad {name} syntax: {_neuter(text)}")
    return checked


def _neuter(text: str) -> str:
    return _UNSAFE.sub("?", text)


def _hostname(text: str) -> str | None:
    return text if _HOSTNAME.fullmatch(text) else None


def _address(text: str) -> str | None:
    try:
        if text[:5].upper() == "IPV6:":
            return str(ipaddress.IPv6Address(text[5:]))
        return str(ipaddress.IPv4Address(text))
    except ValueError:
        return None


def _port(text: str) -> str | None:
    return text if text.isascii() and text.isdigit() and len(text) <= 5 and int(text) <= 65535 else None


def _protocol(text: str) -> str | None:
    return _neuter(text).upper() if len(text) <= 64 else None


def _source(text: str) -> str | None:
    return text.upper() if text.upper() in {"LOCAL", "REMOTE"} else None


_CHECKS: dict[str, Callable[[str], str | None]] = {
    "NAME": _hostname,
    "REVERSE_NAME": _hostname,
    "ADDR": _address,
    "DESTADDR": _address,
    "PORT": _port,
    "DESTPORT": _port,
    "PROTO": _protocol,
    "HELO": _neuter,
    "LOGIN": _neuter,
    "IDENT": _neuter,
    "SOURCE": _source,
}
