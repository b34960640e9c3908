"""Replies with values in their texts."""

from __future__ import annotations

from gateway.proto.smtp_replies import access_denied, bare_newline, too_many_errors, unsupported


def test_texts_with_values() -> None:
    assert unsupported("FOO=1").line == "555 5.5.4 Unsupported option: FOO=1"
    assert bare_newline(521, "mx.example", "CR", close=True).line == "521 5.5.2 mx.example Error: bare <CR> received"
    assert too_many_errors("mx.example").line == "421 4.7.0 mx.example Error: too many errors"
    assert access_denied("a[1.2.3.4]").line == "503 5.7.0 Error: access denied for a[1.2.3.4]"
