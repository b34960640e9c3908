"""Applies header and body Edits to content. Octets nobody asked to change stay as they are, order included (DKIM)."""

from __future__ import annotations

from collections.abc import Iterable

from gateway.model.content import Content
from gateway.model.edits import AddHeader, ChangeHeader, DeleteHeader, Edit, InsertHeader, ReplaceBody

_FOLD = (b" ", b"\t")


def split_headers(head: bytes) -> list[bytes]:
    """The header block as one item a header, continuation lines and CRLF included."""
    headers: list[bytes] = []
    for line in head.split(b"\r\n")[:-1]:
        if headers and line[:1] in _FOLD:
            headers[-1] += line + b"\r\n"
        else:
            headers.append(line + b"\r\n")
    return headers


def edit_content(content: Content, edits: Iterable[Edit]) -> Content:
    """Apply header and body edits in order.

    Args:
        content: left as it is.
        edits: header and body edits; others are ignored.

    Returns:
        New content sharing what did not change.
    """
    headers: list[bytes] | None = None
    body = content.body
    is_headless = content.is_headless
    for edit in edits:
        if isinstance(edit, ReplaceBody):
            body, is_headless = _crlf(edit.body), False
            continue
        if headers is None:
            headers = split_headers(content.head)
        match edit:
            case AddHeader(name, value):
                headers.append(_line(name, value))
            case InsertHeader(position, name, value):
                headers.insert(position, _line(name, value))
            case ChangeHeader(name, value, index):
                at = _find(headers, name, index)
                if at < 0:
                    headers.append(_line(name, value))
                else:
                    headers[at] = _line(name, value)
            case DeleteHeader(name, index):
                at = _find(headers, name, index)
                if at >= 0:
                    del headers[at]
    head = content.head if headers is None else b"".join(headers)
    return Content(head, body, is_headless)


def drop_headers(head: bytes, names: frozenset[bytes]) -> bytes:
    """The header block without all headers of these lower-case names (message_drop_headers)."""
    headers = split_headers(head)
    return b"".join(header for header in headers if header.partition(b":")[0].rstrip().lower() not in names)


def prepend(content: Content, *lines: bytes) -> Content:
    """Put whole header lines (each with CRLF) before the header block."""
    return Content(b"".join(lines) + content.head, content.body, content.is_headless)


def header_line(text: str) -> bytes:
    """``Name: value`` text, possibly folded with LF, as octets with CRLF (access(5) PREPEND)."""
    return _crlf(text.rstrip("\r\n").encode("utf-8", "surrogateescape")) + b"\r\n"


def _line(name: str, value: str) -> bytes:
    gap = "" if value[:1] in (" ", "\t") or value.startswith(("\n", "\r\n")) else " "
    return _crlf(f"{name}:{gap}{value}".encode("utf-8", "surrogateescape")) + b"\r\n"


def _crlf(data: bytes) -> bytes:
    return data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def _find(headers: list[bytes], name: str, index: int) -> int:
    """Position of the ``index``-th header of that name, or -1."""
    wanted = name.lower().encode("utf-8", "surrogateescape")
    for at, header in enumerate(headers):
        if header.partition(b":")[0].rstrip().lower() == wanted:
            index -= 1
            if not index:
                return at
    return -1
