"""Splitting header block and body on octets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cleanup.head import examine, split_head, truncate_headers
from gateway.model.content import Content


def octets(content: Content) -> bytes:
    assert isinstance(content.body, bytes)
    return content.head + content.separator + content.body


@pytest.mark.parametrize(
    ("data", "head", "body", "is_headless"),
    [
        (b"A: 1\r\nB: 2\r\n\r\nbody\r\n", b"A: 1\r\nB: 2\r\n", b"body\r\n", False),
        (b"\r\nbody\r\n", b"", b"body\r\n", False),
        (b"A: 1\r\n", b"A: 1\r\n", b"", True),
        (b"A: 1\r\n folded\r\n\r\n", b"A: 1\r\n folded\r\n", b"", False),
        (b"no header here\r\n", b"", b"no header here\r\n", False),
        (b"A: 1\r\nno header\r\n\r\nB: 2\r\n", b"A: 1\r\n", b"no header\r\n\r\nB: 2\r\n", False),
        (b" folded first\r\nA: 1\r\n\r\n", b"", b" folded first\r\nA: 1\r\n\r\n", False),
        (b"A : old\r\n\r\nx", b"A : old\r\n", b"x", False),
        (b"", b"", b"", True),
    ],
)
def test_split(data: bytes, head: bytes, body: bytes, is_headless: bool) -> None:
    assert split_head(data) == Content(head, body, is_headless)


def test_beginning_of_a_long_message_is_split_at_a_line() -> None:
    content = split_head(b"A: 1\r\nB: unfini", is_whole=False)
    assert content == Content(b"A: 1\r\n", b"B: unfini", is_headless=True)
    assert octets(content) == b"A: 1\r\nB: unfini"
    assert split_head(b"A" * 50, is_whole=False) == Content(b"", b"A" * 50, is_headless=True)


@given(st.lists(st.sampled_from([b"A: 1\r\n", b" fold\r\n", b"plain\r\n", b"\r\n", b"B:\r\n"]), max_size=8))
def test_no_octet_is_lost_and_at_most_an_empty_line_is_added(lines: list[bytes]) -> None:
    data = b"".join(lines)
    assert octets(split_head(data)) in (data, _with_empty_line(data))


def _with_empty_line(data: bytes) -> bytes:
    content = split_head(data)
    return content.head + b"\r\n" + data[len(content.head) :]


def test_examine_reads_message_id_hops_and_names() -> None:
    facts = examine(b"Received: a\r\n by b\r\nRECEIVED: c\r\nMessage-ID:\r\n <x@y>\r\nSubject: s\r\n")
    assert (facts.message_id, facts.hops) == ("<x@y>", 2)
    assert facts.names == {b"received", b"message-id", b"subject"}
    assert examine(b"Message-Id: <a@b>\r\nMessage-Id: <c@d>\r\n").message_id == "<a@b>"
    assert examine(b"").message_id == ""


def test_truncate_cuts_only_what_is_too_long() -> None:
    head = b"Short: 1\r\nLong: " + b"x" * 50 + b"\r\n" + b" y" * 10 + b"\r\nNext: 2\r\n"
    cut = truncate_headers(head, 40)
    assert cut == b"Short: 1\r\nLong: " + b"x" * 34 + b"\r\nNext: 2\r\n"
    assert truncate_headers(b"A: 1\r\n b\r\n", 100) == b"A: 1\r\n b\r\n"
