"""Content on the wire: whatever goes in, and however it is cut, nothing in it ends the message."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.proto.smtp_client_body import ContentWriter


def wire(*pieces: bytes, line_limit: int = 0) -> bytes:
    writer = ContentWriter(line_limit)
    return b"".join(writer.feed(piece) for piece in pieces) + writer.finish()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", b""),
        (b"a\r\n", b"a\r\n"),
        (b"a", b"a\r\n"),
        (b"a\r", b"a\r\n"),
        (b".", b"..\r\n"),
        (b".\r\n", b"..\r\n"),
        (b"a\r\n.\r\nb\r\n", b"a\r\n..\r\nb\r\n"),
        (b"a\r\n..b\r\n", b"a\r\n...b\r\n"),
        (b"a\n.\nb\n", b"a\r\n..\r\nb\r\n"),
        (b"a\n.\r\nb", b"a\r\n..\r\nb\r\n"),
        (b"a\r.\r\n", b"a\r.\r\n"),
        (b"\r\n", b"\r\n"),
        (b"\n.", b"\r\n..\r\n"),
        (b"\r", b"\r\n"),
    ],
)
@pytest.mark.parametrize("line_limit", [0, 998])
def test_known(content: bytes, expected: bytes, line_limit: int) -> None:
    assert wire(content, line_limit=line_limit) == expected
    for cut in range(len(content) + 1):
        assert wire(content[:cut], content[cut:], line_limit=line_limit) == expected
    assert wire(*(content[at : at + 1] for at in range(len(content))), line_limit=line_limit) == expected


HOSTILE = st.lists(st.sampled_from([b"\r", b"\n", b".", b"a", b"\r\n", b"\r\n.\r\n", b"bcdefghij"]), max_size=30)


@given(HOSTILE, st.integers(0, 60), st.sampled_from([0, 5, 8]))
def test_cuts_do_not_matter_and_nothing_ends_early(parts: list[bytes], cut: int, line_limit: int) -> None:
    content = b"".join(parts)
    whole = wire(content, line_limit=line_limit)
    assert wire(content[:cut], content[cut:], line_limit=line_limit) == whole
    assert wire(*(bytes((octet,)) for octet in content), line_limit=line_limit) == whole
    lines = whole.split(b"\r\n")
    assert lines.pop() == b"", "whole lines only"
    assert b"." not in lines
    assert all(b"\n" not in line for line in lines)
    if not line_limit:
        undone = b"".join((line[1:] if line.startswith(b".") else line) + b"\r\n" for line in lines)
        normal = content.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
        assert undone in {normal, normal.removesuffix(b"\r") + b"\r\n"}
    else:
        assert all(len(line) <= line_limit + 1 for line in lines), "one more for the doubled dot"


def test_long_lines_are_broken_as_postfix_does() -> None:
    """Octet for octet what Postfix 3.7 sends for the same lines."""
    line = b"x" * 998
    assert wire(line + b"\r\n", line_limit=998) == line + b"\r\n"
    assert wire(line + b"y\r\n", line_limit=998) == line + b"\r\n y\r\n"
    assert wire(b"x" * 2500 + b"\r\nshort\r\n", line_limit=998) == (
        b"x" * 998 + b"\r\n " + b"x" * 997 + b"\r\n " + b"x" * 505 + b"\r\nshort\r\n"
    )


def test_a_break_before_a_dot_needs_no_stuffing() -> None:
    assert wire(b"abcde.\r\n", line_limit=5) == b"abcde\r\n .\r\n"


def test_streaming_holds_back_no_more_than_a_line() -> None:
    writer = ContentWriter(998)
    sent = b"".join(writer.feed(b"x" * 1000) for _ in range(100))
    assert len(sent) > 99_000
    assert len(writer.finish()) < 1003
