"""The pen a plugin gets: it collects Edits; the chain takes them over only when the plugin returns normally.

A plugin that fails half-way leaves no half an edit: its list is dropped with it.
"""

from __future__ import annotations

from gateway.model.address import Address
from gateway.model.edits import (
    AddHeader,
    AddRecipient,
    ChangeHeader,
    ChangeSender,
    DeleteHeader,
    DeleteRecipient,
    Edit,
    InsertHeader,
    ReplaceBody,
)

_NAME_OCTETS = frozenset(range(33, 127)) - {ord(":")}


class EditList:
    """Edits asked for in one call of one plugin, in order.

    Raises:
        ValueError: a header name or value, or an address, that could break the message (CR, LF without a following
            space or tab, NUL, a name outside RFC 5322 §2.2). It reaches the plugin at the line that asks.
    """

    __slots__ = ("_edits", "_may_change_envelope")

    def __init__(self, *, may_change_envelope: bool = True) -> None:
        self._edits: list[Edit] = []
        self._may_change_envelope = may_change_envelope

    def __bool__(self) -> bool:
        return bool(self._edits)

    def collected(self) -> tuple[Edit, ...]:
        """The edits so far."""
        return tuple(self._edits)

    def add_header(self, name: str, value: str) -> None:
        """Append a header after the last one."""
        self._edits.append(AddHeader(_name(name), _value(value)))

    def insert_header(self, position: int, name: str, value: str) -> None:
        """Insert a header so that ``position`` headers come before it; 0 is the top."""
        if position < 0:
            raise ValueError("header position is negative")
        self._edits.append(InsertHeader(position, _name(name), _value(value)))

    def change_header(self, name: str, value: str, index: int = 1) -> None:
        """Replace the value of the ``index``-th header of that name (from 1), or append it when missing."""
        self._edits.append(ChangeHeader(_name(name), _value(value), _index(index)))

    def delete_header(self, name: str, index: int = 1) -> None:
        """Delete the ``index``-th header of that name (from 1)."""
        self._edits.append(DeleteHeader(_name(name), _index(index)))

    def replace_body(self, body: bytes) -> None:
        """Replace everything after the empty line."""
        self._edits.append(ReplaceBody(bytes(body)))

    def change_sender(self, address: Address) -> None:
        """Replace the envelope sender."""
        self._edits.append(ChangeSender(self._envelope(address)))

    def add_recipient(self, address: Address) -> None:
        """Add an envelope recipient."""
        self._edits.append(AddRecipient(self._envelope(address)))

    def delete_recipient(self, address: Address) -> None:
        """Take an envelope recipient away."""
        self._edits.append(DeleteRecipient(self._envelope(address)))

    def _envelope(self, address: Address) -> Address:
        if not self._may_change_envelope:
            raise ValueError("the envelope cannot be changed at this stage: return a Verdict instead")
        if not isinstance(address, Address):
            raise TypeError(f"an Address is wanted, not {type(address).__name__}")
        if any(ord(c) < 32 or c == "\x7f" for c in str(address)):
            raise ValueError("control character in an address")
        return address


def check_header_line(line: str) -> None:
    """Refuse text that is not one whole header line, ``Name: value``, folded perhaps.

    Raises:
        ValueError: see :class:`EditList`.
    """
    name, colon, value = line.rstrip("\r\n").partition(":")
    if not colon:
        raise ValueError(f"not a header line: {line[:100]!r}")
    _name(name.rstrip(" \t"))
    _value(value)


def _name(name: str) -> str:
    raw = name.encode("utf-8", "surrogateescape")
    if not raw or not _NAME_OCTETS.issuperset(raw):
        raise ValueError(f"not a header name: {name!r}")
    return name


def _value(value: str) -> str:
    if "\0" in value:
        raise ValueError("NUL in a header value")
    folded = value.replace("\r\n", "\n")
    if "\r" in folded:
        raise ValueError("bare CR in a header value")
    if any(not line.startswith((" ", "\t")) for line in folded.split("\n")[1:]):
        raise ValueError("a continuation line of a header value must start with a space or tab")
    return value


def _index(index: int) -> int:
    if index < 1:
        raise ValueError("header index counts from 1")
    return index
