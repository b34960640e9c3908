"""Changes to a message, as values.

A plugin asks for edits; cleanup applies them once (``data`` and ``queue`` stages, stored) or for one attempt
(``deliver`` stage). Header values are given without the name and colon, as text with ``surrogateescape`` for raw
octets; a value that does not start with white space gets one space after the colon. Positions: ``index`` counts from 1
among headers of that name, in the message as the edits before this one left it (milter semantics of Postfix).
"""

from __future__ import annotations

import msgspec

from gateway.model.address import Address


class AddHeader(msgspec.Struct, frozen=True, gc=False, tag=True):
    """Append a header at the end of the header block."""

    name: str
    value: str


class InsertHeader(msgspec.Struct, frozen=True, gc=False, tag=True):
    """Insert a header so that ``position`` headers (0: none) come before it."""

    position: int
    name: str
    value: str


class ChangeHeader(msgspec.Struct, frozen=True, gc=False, tag=True):
    """Replace the value of the ``index``-th header of that name; one that is missing is appended."""

    name: str
    value: str
    index: int = 1


class DeleteHeader(msgspec.Struct, frozen=True, gc=False, tag=True):
    """Delete the ``index``-th header of that name; one that is missing is no error."""

    name: str
    index: int = 1


class ReplaceBody(msgspec.Struct, frozen=True, gc=False, tag=True):
    """Replace everything after the empty line. Lines end in CRLF; bare LF is turned into CRLF when applied."""

    body: bytes


class ChangeSender(msgspec.Struct, frozen=True, gc=False, tag=True):
    """Replace the envelope sender."""

    address: Address


class AddRecipient(msgspec.Struct, frozen=True, gc=False, tag=True):
    """Add an envelope recipient (no DSN to the sender for it)."""

    address: Address


class DeleteRecipient(msgspec.Struct, frozen=True, gc=False, tag=True):
    """Take an envelope recipient away; compared by internal form, domain case ignored."""

    address: Address


Edit = (
    AddHeader | InsertHeader | ChangeHeader | DeleteHeader | ReplaceBody | ChangeSender | AddRecipient | DeleteRecipient
)
