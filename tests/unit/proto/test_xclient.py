"""XCLIENT and XFORWARD attributes."""

from __future__ import annotations

import pytest

from gateway.proto.xclient import TEMPUNAVAIL, BadAttribute, parse_attributes


def test_values() -> None:
    assert parse_attributes(
        b"name=spike.example ADDR=IPV6:2001:DB8::1 Port=25 PROTO=esmtp HELO=a+20b LOGIN=me+2Byou "
        b"REVERSE_NAME=[tempunavail] DESTADDR=192.0.2.1 DESTPORT=[UNAVAILABLE]",
        "XCLIENT",
    ) == {
        "NAME": "spike.example", "ADDR": "2001:db8::1", "PORT": "25", "PROTO": "ESMTP", "HELO": "a?b",
        "LOGIN": "me+you", "REVERSE_NAME": TEMPUNAVAIL, "DESTADDR": "192.0.2.1", "DESTPORT": None,
    }  # fmt: skip
    assert parse_attributes(b"IDENT=x SOURCE=local PROTO=x+2Fy HELO=[IPv6:::1] ADDR=[unavailable]", "XFORWARD") == {
        "IDENT": "x", "SOURCE": "LOCAL", "PROTO": "X/Y", "HELO": "[IPv6:::1]", "ADDR": None,
    }  # fmt: skip


def test_unencoded_values_of_old_clients() -> None:
    assert parse_attributes(b"HELO=a+b=c", "XCLIENT") == {"HELO": "a+b=c"}


@pytest.mark.parametrize(
    ("raw", "command", "text"),
    [
        (b"", "XCLIENT", "Syntax: XCLIENT attribute=value..."),
        (b"NAME", "XCLIENT", "Error: attribute=value expected"),
        (b"NAME=", "XFORWARD", "Error: attribute=value expected"),
        (b"FOO=x", "XCLIENT", "Bad XCLIENT attribute name: FOO"),
        (b"LOGIN=x", "XFORWARD", "Bad XFORWARD attribute name: LOGIN"),
        (b"IDENT=x", "XCLIENT", "Bad XCLIENT attribute name: IDENT"),
        (b"NAME=-x", "XCLIENT", "Bad NAME syntax: -x"),
        (b"NAME=[TEMPUNAVAIL]", "XFORWARD", "Bad NAME syntax: [TEMPUNAVAIL]"),
        (b"ADDR=::1", "XCLIENT", "Bad ADDR syntax: ::1"),
        (b"ADDR=[192.0.2.1]", "XCLIENT", "Bad ADDR syntax: [192.0.2.1]"),
        (b"PORT=65536", "XCLIENT", "Bad PORT syntax: 65536"),
        (b"PROTO=LMTP", "XCLIENT", "Bad PROTO syntax: LMTP"),
        (b"PROTO=" + b"x" * 65, "XFORWARD", "Bad PROTO syntax: " + "x" * 65),
        (b"SOURCE=x+3C+20", "XFORWARD", "Bad SOURCE syntax: x??"),
        (b"HELO=" + b"x" * 256, "XCLIENT", "Error: attribute value too long"),
    ],
)
def test_refusals(raw: bytes, command: str, text: str) -> None:
    with pytest.raises(BadAttribute) as caught:
        parse_attributes(raw, command)
    assert str(caught.value) == text


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"x=y", "x=y"),
        (b"x+3Dy=z", "x=y=z"),
        (b"a+7F+20b", "a??b"),
        (b"a+E4b", "a?b"),
        (b"a+C3+A4", "aä"),
        (b"a+zb", "a+zb"),
    ],
)
def test_values_are_decoded_as_the_client_of_postfix_writes_them(raw: bytes, expected: str) -> None:
    assert parse_attributes(b"HELO=" + raw, "XFORWARD") == {"HELO": expected}
