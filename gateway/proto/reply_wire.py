"""How an SMTP reply looks on the wire. Source: RFC 5321 §4.2, RFC 2034."""

from __future__ import annotations

from functools import lru_cache

from gateway.model.reply import Reply


def wire(reply: Reply) -> bytes:
    """The reply as octets: one line a text line, none of them able to start another reply.

    CR and NUL in a text (plugins and tables may have got it from the client) become ``?``.
    """
    text, head = reply.text, f"{reply.enhanced} " if reply.enhanced else ""
    if "\r" in text or "\0" in text:
        text = text.replace("\r", "?").replace("\0", "?")
    code = reply.code
    if "\n" not in text:
        return f"{code} {head}{text}\r\n".encode("utf-8", "surrogateescape")
    *more, last = text.split("\n")
    lines = [f"{code}-{head}{line}\r\n" for line in more]
    return ("".join(lines) + f"{code} {head}{last}\r\n").encode("utf-8", "surrogateescape")


kept_wire = lru_cache(maxsize=512)(wire)
"""The same, remembered: for replies that are given again and again. Memory: the latest 512."""
