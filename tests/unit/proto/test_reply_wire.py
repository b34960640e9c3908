"""Replies on the wire."""

from __future__ import annotations

import pytest

from gateway.model.reply import Reply
from gateway.proto.reply_wire import kept_wire, wire


def test_one_line_and_many() -> None:
    assert wire(Reply(250, "Ok", "2.1.0")) == b"250 2.1.0 Ok\r\n"
    assert wire(Reply(220, "mx.example ESMTP")) == b"220 mx.example ESMTP\r\n"
    assert wire(Reply(554, "One\nTwo", "5.7.1")) == b"554-5.7.1 One\r\n554 5.7.1 Two\r\n"


def test_a_text_cannot_become_a_reply() -> None:
    assert wire(Reply(554, "No\r\n250 2.0.0 Ok\0")) == b"554-No?\r\n554 250 2.0.0 Ok?\r\n"
    assert wire(Reply(554, "\udcff ü%s")) == b"554 \xff \xc3\xbc%s\r\n"


@pytest.mark.parametrize("text", ["", "Ok", "\n", "a\nb\nc", "a\r\n\r\n\0", "\x85\u2028"])
@pytest.mark.parametrize("enhanced", ["", "2.0.0"])
def test_every_line_has_the_code_and_only_the_last_a_space(text: str, enhanced: str) -> None:
    octets = wire(Reply(250, text, enhanced))
    assert octets == kept_wire(Reply(250, text, enhanced))
    *more, last, rest = octets.split(b"\r\n")
    assert rest == b"" and last.startswith(b"250 ") and all(line.startswith(b"250-") for line in more)
    assert octets.count(b"\n") == octets.count(b"\r") == text.count("\n") + 1
