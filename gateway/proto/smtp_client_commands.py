"""Arguments of the commands an SMTP client sends, as octets.

Owns which ESMTP parameters go with which server. Source: RFC 5321 §4.1.1, RFC 1870 (SIZE), RFC 6152 (8BITMIME),
RFC 6531 (SMTPUTF8), RFC 3461 (DSN), Postfix XFORWARD_README.
"""

from __future__ import annotations

import re

from gateway.model.address import Address
from gateway.model.envelope import Envelope, Recipient
from gateway.proto.capabilities import Capabilities
from gateway.rfc.rfc3461 import encode_xtext

XFORWARD_VALUE_LIMIT = 255  # octets, encoded

# In two commands, so that none is too long for a line of SMTP.
_XFORWARD = (("NAME", "ADDR", "PORT"), ("PROTO", "HELO", "IDENT", "SOURCE"))
_CUT_ESCAPE = re.compile(rb"\+.?\Z")


def path(address: Address) -> bytes:
    """The address in angle brackets; ``<>`` for the null address."""
    return b"<%b>" % address.quoted.encode("utf-8", "surrogateescape")


def mail_argument(
    sender: Address, envelope: Envelope, server: Capabilities, *, size_bytes: int, needs_smtputf8: bool
) -> bytes:
    """What follows MAIL: the reverse-path and the parameters that this server knows."""
    parts = [b"FROM:" + path(sender)]
    if server.has_size:
        parts.append(b"SIZE=%d" % size_bytes)
    if server.has_8bitmime and envelope.encoding == "8BITMIME":
        parts.append(b"BODY=8BITMIME")
    if needs_smtputf8 and server.has_smtputf8:
        parts.append(b"SMTPUTF8")
    if server.has_dsn:
        if envelope.envid:
            parts.append(b"ENVID=" + encode_xtext(envelope.envid))
        if envelope.ret:
            parts.append(b"RET=" + envelope.ret.encode("ascii", "replace"))
    return b" ".join(parts)


def rcpt_argument(recipient: Recipient, server: Capabilities) -> bytes:
    """What follows RCPT: the forward-path and the DSN parameters when this server knows them."""
    argument = b"TO:" + path(recipient.address)
    if server.has_dsn:
        if recipient.notify:
            argument += b" NOTIFY=" + ",".join(recipient.notify).encode("ascii", "replace")
        if recipient.orcpt:
            kind, _, address = recipient.orcpt.partition(";")
            argument += b" ORCPT=%b;%b" % (kind.encode("ascii", "replace"), encode_xtext(address))
    return argument


def xforward_arguments(envelope: Envelope, server: Capabilities) -> list[bytes]:
    """What follows XFORWARD, one item a command line; empty when the server does not take it, or nothing is known.

    What a filter told of the client is passed on; what nobody knows is left out, as Postfix does.
    """
    offered = server.keywords.get("XFORWARD", "").upper().split()
    known = {name: value for name, value in _forwarded(envelope).items() if value and name in offered}
    commands = []
    for names in _XFORWARD:
        words = [b"%b=%b" % (name.encode("ascii"), _forward_value(known[name])) for name in names if name in known]
        if words:
            commands.append(b" ".join(words))
    return commands


def _forwarded(envelope: Envelope) -> dict[str, str]:
    client, told = envelope.client, envelope.forward
    if envelope.origin != "smtpd":
        return {"SOURCE": "LOCAL"}  # no client to speak of
    ident, source = (told.ident, told.source) if told is not None else ("", "")
    shown = told if told is not None and told.has_client else client
    name, address, port = ("" if text == "unknown" else text for text in (shown.name, shown.address, shown.port))
    return {
        "NAME": name,
        "ADDR": f"IPv6:{address}" if ":" in address else address,
        "PORT": port,
        "PROTO": shown.protocol,
        "HELO": shown.helo,
        "IDENT": ident or envelope.queue_id,
        "SOURCE": source or client.source,
    }


def _forward_value(text: str) -> bytes:
    """xtext in which ``=`` stands for itself, cut where a server would refuse the whole command."""
    value = encode_xtext(text).replace(b"+3D", b"=")
    if len(value) <= XFORWARD_VALUE_LIMIT:
        return value
    return _CUT_ESCAPE.sub(b"", value[:XFORWARD_VALUE_LIMIT])
