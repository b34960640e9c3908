"""Edits change what they name, and nothing else."""

from __future__ import annotations

from gateway.cleanup.draft import Draft
from gateway.cleanup.edits import edit_content, header_line, prepend, split_headers
from gateway.model.address import Address
from gateway.model.content import Content
from gateway.model.edits import (
    AddHeader,
    AddRecipient,
    ChangeHeader,
    ChangeSender,
    DeleteHeader,
    DeleteRecipient,
    InsertHeader,
    ReplaceBody,
)
from gateway.model.envelope import Envelope, Recipient

HEAD = b"Received: x\r\n\tby y\r\nSubject:  two spaces \r\nX-A: 1\r\nx-a: 2\r\nTo: \xff\xfe\r\n"


def edited(*edits: object) -> bytes:
    return edit_content(Content(HEAD, b"body\r\n"), edits).head  # type: ignore[arg-type]


def test_untouched_headers_keep_their_octets() -> None:
    assert b"".join(split_headers(HEAD)) == HEAD
    assert edited(AddHeader("X-New", "v")) == HEAD + b"X-New: v\r\n"


def test_header_edits() -> None:
    assert edited(InsertHeader(0, "X-Top", "v")).startswith(b"X-Top: v\r\nReceived: x\r\n\tby y\r\n")
    assert edited(InsertHeader(1, "X-Mid", "v")).startswith(b"Received: x\r\n\tby y\r\nX-Mid: v\r\nSubject")
    assert edited(ChangeHeader("X-A", "new", 2)) == HEAD.replace(b"x-a: 2", b"X-A: new")
    assert edited(ChangeHeader("X-None", "v")).endswith(b"X-None: v\r\n")
    assert edited(DeleteHeader("x-A")) == HEAD.replace(b"X-A: 1\r\n", b"")
    assert edited(DeleteHeader("X-A", 3)) == HEAD
    assert edited(DeleteHeader("X-A"), DeleteHeader("X-A")) == HEAD.replace(b"X-A: 1\r\nx-a: 2\r\n", b"")
    assert edited(AddHeader("X-Fold", "a\n\tb")).endswith(b"X-Fold: a\r\n\tb\r\n")
    assert edited(AddHeader("X-Raw", "\udcff")).endswith(b"X-Raw: \xff\r\n")


def test_body_is_replaced_with_crlf_line_ends() -> None:
    content = edit_content(Content(HEAD, b"old\r\n", is_headless=False), [ReplaceBody(b"a\nb\r\n")])
    assert (content.body, content.head) == (b"a\r\nb\r\n", HEAD)
    assert edit_content(Content(HEAD, b"", is_headless=True), [ReplaceBody(b"x")]).separator == b"\r\n"


def test_prepend_and_header_line() -> None:
    assert prepend(Content(b"A: 1\r\n"), header_line("X-B: 2\n c")).head == b"X-B: 2\r\n c\r\nA: 1\r\n"


def test_draft_applies_envelope_edits() -> None:
    envelope = Envelope("Q", Address.of("a@x"), [Recipient(Address.of("r@x")), Recipient(Address.of("s@x"))], 0.0)
    draft = Draft(envelope, Content(HEAD))
    draft.apply(
        [
            ChangeSender(Address.of("new@x")),
            DeleteRecipient(Address.of("r@X")),
            AddRecipient(Address.of("t@x")),
            AddHeader("X", "1"),
        ]
    )
    assert str(envelope.sender) == "new@x"
    assert [str(r.address) for r in envelope.recipients] == ["s@x", "t@x"]
    assert envelope.recipients[1].notify == ("NEVER",)
    assert draft.content.head == HEAD + b"X: 1\r\n"
