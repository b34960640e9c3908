"""Splitting a message into header block and body, and what cleanup has to know of the header block.

One pass over the lines, on octets. Source: RFC 5322 §2.1, §2.2, §3.6.4; postconf(5) header_size_limit, hopcount_limit.
"""

from __future__ import annotations

import re

from gateway.cleanup.head_facts import HeadFacts
from gateway.model.content import Content

# Printable ASCII but ":"; white space before the colon is obsolete, and common (RFC 5322 §4.5.3).
_FIELD = re.compile(rb"[!-9;-~]+[ \t]*:")
_FOLD = (32, 9)
# The usual case in one go; \n ends a line here, for CR without LF cannot be in it.
_GOOD_BLOCK = re.compile(rb"(?:[!-9;-~]+[ \t]*:[^\n]*\n(?:[ \t][^\n]*\n)*)*")
# Of a block in lower case with a line feed before it: a search for an octet is quicker than one for a line's start.
_NAME = re.compile(rb"\n([!-9;-~]++)[ \t]*+:")
_MESSAGE_ID = re.compile(rb"\nmessage-id[ \t]*+:((?:[^\n]++|\n[ \t])*)")


def split_head(data: bytes, *, is_whole: bool = True) -> Content:
    """Split a message, or the beginning of one, into header block and body.

    The block ends at the first empty line, or before the first line that is no header: there an empty line is added,
    as Postfix does, so that what follows cannot be read as header by anyone.

    Args:
        data: octets with CRLF line ends.
        is_whole: False when more body follows: an incomplete last line is then left to the body.
    """
    end = data.find(b"\r\n\r\n")
    if data.startswith(b"\r\n"):
        return Content(b"", data[2:])
    if end >= 0:
        head, body = data[: end + 2], data[end + 4 :]
        bad = _first_bad_line(head)
        return Content(head, body) if bad is None else Content(head[:bad], data[bad:])
    cut = len(data) if is_whole else data.rfind(b"\r\n") + 2
    if cut < 2:
        cut = 0
    bad = _first_bad_line(data[:cut])
    if bad is not None:
        return Content(data[:bad], data[bad:])
    return Content(data[:cut], data[cut:], is_headless=True)


def _first_bad_line(head: bytes) -> int | None:
    """Offset of the first line that is neither a header nor a continuation of one."""
    if _GOOD_BLOCK.fullmatch(head):
        return None
    offset = 0
    match = _FIELD.match
    for line in head.split(b"\r\n"):
        if not line:
            return offset if offset < len(head) else None
        if not match(line) and not (line[0] in _FOLD and offset):
            return offset
        offset += len(line) + 2
    return None


def examine(head: bytes) -> HeadFacts:
    """Read names, Message-ID and the number of hops. Cost: O(len(head))."""
    lowered = b"\n" + head.lower()
    names = _NAME.findall(lowered)
    message_id = ""
    if match := _MESSAGE_ID.search(lowered):
        value = head[match.start(1) - 1 : match.end(1) - 1]
        message_id = b" ".join(value.split()).decode("utf-8", "replace")
    return HeadFacts(message_id, names.count(b"received"), frozenset(names))


def truncate_headers(head: bytes, limit: int) -> bytes:
    """Cut each header longer than ``limit`` octets (``header_size_limit``) at a line end, or hard when it has none.

    Only called when the whole block is longer than the limit.
    """
    headers: list[bytes] = []
    for line in head.split(b"\r\n")[:-1]:
        if headers and line[:1] in (b" ", b"\t"):
            if len(headers[-1]) + len(line) + 2 <= limit:
                headers[-1] += line + b"\r\n"
        else:
            headers.append(line[:limit] + b"\r\n")
    return b"".join(headers)
