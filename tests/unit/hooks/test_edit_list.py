"""The pen refuses whatever could break a message."""

from __future__ import annotations

import pytest

from gateway.hooks import Address, EditList
from gateway.model.edits import AddHeader, AddRecipient, ChangeHeader, DeleteHeader, InsertHeader, ReplaceBody


def test_edits_are_collected_in_order() -> None:
    edits = EditList()
    assert not edits
    edits.add_header("X-A", "1")
    edits.insert_header(0, "X-B", "2")
    edits.change_header("Subject", "new", 2)
    edits.delete_header("X-C")
    edits.replace_body(b"body\r\n")
    edits.add_recipient(Address("a", "b.example"))
    assert edits.collected() == (
        AddHeader("X-A", "1"),
        InsertHeader(0, "X-B", "2"),
        ChangeHeader("Subject", "new", 2),
        DeleteHeader("X-C", 1),
        ReplaceBody(b"body\r\n"),
        AddRecipient(Address("a", "b.example")),
    )


@pytest.mark.parametrize("name", ["", "X A", "X:A", "X\r\nBcc", "Sübject", "X\0"])
def test_bad_header_names_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="not a header name"):
        EditList().add_header(name, "v")


@pytest.mark.parametrize("value", ["a\nBcc: x", "a\r\nBcc: x", "a\rb", "a\0b", "a\n", "a\n\nbody"])
def test_values_that_could_smuggle_a_header_are_refused(value: str) -> None:
    with pytest.raises(ValueError, match="header value"):
        EditList().add_header("X-A", value)


def test_folded_values_pass() -> None:
    edits = EditList()
    edits.add_header("X-A", "one\n\ttwo\r\n three")
    assert edits.collected() == (AddHeader("X-A", "one\n\ttwo\r\n three"),)


def test_positions_and_indexes_are_checked() -> None:
    edits = EditList()
    with pytest.raises(ValueError, match="negative"):
        edits.insert_header(-1, "X", "v")
    with pytest.raises(ValueError, match="counts from 1"):
        edits.delete_header("X", 0)


def test_envelope_is_closed_at_deliver() -> None:
    edits = EditList(may_change_envelope=False)
    with pytest.raises(ValueError, match="cannot be changed at this stage"):
        edits.add_recipient(Address("a", "b.example"))
    with pytest.raises(ValueError, match="control character"):
        EditList().change_sender(Address("a\r\nDATA", "b.example"))
