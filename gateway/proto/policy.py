"""SMTP access policy delegation, the client's side: requests printed, replies parsed, no I/O.

Owns the wire format and its bounds; what an action means is ``gateway.restrictions.access_action``'s. A reply is
hostile until it was parsed: it has an end, an ``action`` and no NUL, or it is none. Source: SMTPD_POLICY_README,
"Protocol description"; the order of the attributes is that of Postfix 3.7.
"""

from __future__ import annotations

import re

import msgspec

REPLY_LIMIT = 8192
"""Octets of a reply, with its empty line. Postfix has no limit."""

_FORBIDDEN = re.compile("[\0\n\r]")
_SHOWN = 100


class BadPolicyReply(ValueError):
    """What the server sent is no reply; the text says why."""


class PolicyRequest(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One question; the attributes are those of SMTPD_POLICY_README, in the order in which they are sent.

    Text is str, with surrogates for octets that are not UTF-8; what is not known is empty, or 0.

    Args:
        protocol_state: CONNECT, XCLIENT, HELO, EHLO, MAIL, RCPT, DATA, END-OF-MESSAGE, VRFY.
        recipient_count: recipients accepted, at DATA and END-OF-MESSAGE only.
        instance: the same for all questions about one message.
        size: octets; what MAIL announced, at the end of the message what came.
        ccert_subject, ccert_issuer: in xtext.
    """

    protocol_state: str
    protocol_name: str
    client_address: str
    client_name: str
    client_port: str
    reverse_client_name: str
    server_address: str
    server_port: str
    helo_name: str = ""
    sender: str = ""
    recipient: str = ""
    recipient_count: int = 0
    queue_id: str = ""
    instance: str = ""
    size: int = 0
    etrn_domain: str = ""
    stress: str = ""
    sasl_method: str = ""
    sasl_username: str = ""
    sasl_sender: str = ""
    ccert_subject: str = ""
    ccert_issuer: str = ""
    ccert_fingerprint: str = ""
    ccert_pubkey_fingerprint: str = ""
    encryption_protocol: str = ""
    encryption_cipher: str = ""
    encryption_keysize: int = 0
    policy_context: str = ""

    def to_wire(self) -> bytes:
        """The request with its empty line; a NUL, CR or LF in a value, which could pass for more, becomes ``?``."""
        values = msgspec.structs.astuple(self)
        text = _FORM % values
        if text.count("\n") != _LINES or "\0" in text or "\r" in text:
            text = _FORM % tuple(_FORBIDDEN.sub("?", str(value)) for value in values)
        return text.encode("utf-8", "surrogateescape")


_FORM = "request=smtpd_access_policy\n" + "".join(f"{name}=%s\n" for name in PolicyRequest.__struct_fields__) + "\n"
_LINES = _FORM.count("\n")


def reply_end(buffer: bytearray) -> int:
    """Where the reply ends that ``buffer`` begins with: behind its empty line; 0 while that has not come.

    Raises:
        BadPolicyReply: it begins with an empty line, is too long, or has lines that end in CRLF, which would never end.
    """
    if buffer.startswith(b"\n"):
        raise BadPolicyReply("no attribute")
    end = buffer.find(b"\n\n", 0, REPLY_LIMIT) + 2
    if end > 1:
        return end
    if b"\n\r\n" in buffer or buffer.startswith(b"\r\n"):
        raise BadPolicyReply("lines end in CR LF; expected LF")
    if len(buffer) >= REPLY_LIMIT:
        raise BadPolicyReply(f"longer than {REPLY_LIMIT} octets")
    return 0


def parse_reply(reply: bytes) -> str:
    """The action in a whole reply: the first attribute of that name; others are ignored, as Postfix does.

    Raises:
        BadPolicyReply: there is none, it has no value, or it is not text: not UTF-8, or with a NUL.
    """
    for line in reply.split(b"\n"):
        name, equals, value = line.partition(b"=")
        if name != b"action":
            continue
        if not equals:
            raise BadPolicyReply("action without a value")
        if b"\0" in value:
            raise BadPolicyReply(f"a NUL in {_shown(value)}")
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            raise BadPolicyReply(f"malformed UTF-8 in {_shown(value)}") from None
    raise BadPolicyReply(f"no action in {_shown(reply)}")


def _shown(octets: bytes) -> str:
    text = octets[:_SHOWN].decode("ascii", "replace")
    return '"' + "".join(char if char.isprintable() and char.isascii() else "?" for char in text) + '"'
