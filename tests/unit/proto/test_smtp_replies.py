"""Replies on the wire."""

from __future__ import annotations

from gateway.model.reply import Reply
from gateway.proto.smtp_replies import access_denied, bare_newline, too_many_errors, unsupported, wire


def test_one_line_and_many() -> None:
    assert wire(Reply(250, "Ok", "2.1.0")) == b"250 2.1.0 Ok\r\n"
    assert wire(Reply(220, "mx.example ESMTP")) == b"220 mx.example ESMTP\r\n"
    assert wire(Reply(554, "One\nTwo", "5.7.1")) == b"554-5.7.1 One\r\n554 5.7.1 Two\r\n"


def test_a_text_cannot_become_a_reply() -> None:
    assert wire(Reply(554, "No\r\n250 2.0.0 Ok\0")) == b"554-No?\r\n554 250 2.0.0 Ok?\r\n"
    assert wire(Reply(554, "\udcff ü%s")) == b"554 \xff \xc3\xbc%s\r\n"


def test_texts_with_values() -> None:
    assert unsupported("FOO=1").line == "555 5.5.4 Unsupported option: FOO=1"
    assert bare_newline(521, "mx.example", "CR", close=True).line == "521 5.5.2 mx.example Error: bare <CR> received"
    assert too_many_errors("mx.example").line == "421 4.7.0 mx.example Error: too many errors"
    assert access_denied("a[1.2.3.4]").line == "503 5.7.0 Error: access denied for a[1.2.3.4]"
