from __future__ import annotations

import pytest

from gateway.model.address import Address
from gateway.model.envelope import ClientInfo, Envelope, Recipient
from gateway.proto.smtp_client_commands import (
    KEYWORDS_LIMIT,
    Capabilities,
    mail_argument,
    path,
    rcpt_argument,
    xforward_arguments,
)

NOTHING = Capabilities.of("mx", [])
EVERYTHING = Capabilities.of("mx", ["PIPELINING", "SIZE 100", "8BITMIME", "SMTPUTF8", "DSN"])


def envelope(**values: object) -> Envelope:
    return Envelope("4Q", Address("a", "b.example"), [], 0.0, **values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        (Address.NULL, b"<>"),
        (Address("a", "b.example"), b"<a@b.example>"),
        (Address("a b", "c.example"), b'<"a b"@c.example>'),
        (Address('q"u\\o', "c.example"), b'<"q\\"u\\\\o"@c.example>'),
        (Address("ü", "é.example"), "<ü@é.example>".encode()),
        (Address("raw\udcff", "c.example"), b"<raw\xff@c.example>"),
    ],
)
def test_path(address: Address, expected: bytes) -> None:
    assert path(address) == expected


def test_mail_parameters_follow_the_server() -> None:
    full = envelope(encoding="8BITMIME", ret="HDRS", envid="id+1")
    assert (
        mail_argument(full.sender, full, EVERYTHING, size_bytes=99, needs_smtputf8=True)
        == b"FROM:<a@b.example> SIZE=99 BODY=8BITMIME SMTPUTF8 ENVID=id+2B1 RET=HDRS"
    )
    assert mail_argument(full.sender, full, NOTHING, size_bytes=99, needs_smtputf8=True) == b"FROM:<a@b.example>"
    plain = envelope(encoding="7BIT")
    assert mail_argument(Address.NULL, plain, EVERYTHING, size_bytes=1, needs_smtputf8=False) == b"FROM:<> SIZE=1"


def test_rcpt_parameters_follow_the_server() -> None:
    recipient = Recipient(Address("c", "d"), orcpt="rfc822;c+x@d", notify=("SUCCESS", "FAILURE"))
    assert rcpt_argument(recipient, EVERYTHING) == b"TO:<c@d> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;c+2Bx@d"
    assert rcpt_argument(recipient, NOTHING) == b"TO:<c@d>"
    assert rcpt_argument(Recipient(Address("c", "d")), EVERYTHING) == b"TO:<c@d>"


@pytest.mark.parametrize("size", ["", "abc", "-1", "1" * 20, "٣"])
def test_hostile_size(size: str) -> None:
    assert Capabilities.of("mx", [f"SIZE {size}"]).size_limit == 0


def test_keywords_are_bounded_and_case_blind() -> None:
    many = Capabilities.of("mx greets you", [f"X{at}" for at in range(1000)])
    assert len(many.keywords) == KEYWORDS_LIMIT
    assert Capabilities.of("mx", ["pipelining", " size 7"]).size_limit == 7
    assert many.name == "mx"
    assert Capabilities.of("mx", ["DSN", "SIZE 7"], {"DSN"}).keywords == {"SIZE": "7"}


def test_xforward() -> None:
    server = Capabilities.of("mx", ["XFORWARD NAME ADDR PORT PROTO HELO IDENT SOURCE"])
    client = ClientInfo("unknown", "2001:db8::1", "25", "he lo", "ESMTP", "4Q", "LOCAL")
    assert xforward_arguments(client, server) == [
        b"NAME=[UNAVAILABLE] ADDR=IPV6:2001:db8::1 PORT=25 PROTO=ESMTP HELO=he+20lo IDENT=4Q SOURCE=LOCAL"
    ]
    assert xforward_arguments(client, NOTHING) == []
    some = Capabilities.of("mx", ["XFORWARD NAME ADDR"])
    assert xforward_arguments(ClientInfo("h.example", "1.2.3.4"), some) == [b"NAME=h.example ADDR=1.2.3.4"]


def test_xforward_lines_are_bounded() -> None:
    server = Capabilities.of("mx", ["XFORWARD NAME ADDR PORT PROTO HELO IDENT SOURCE"])
    client = ClientInfo("n" * 400, "1.2.3.4", "25", "h" * 300, "ESMTP", "4Q")
    lines = xforward_arguments(client, server)
    assert len(lines) == 2
    assert all(len(line) + len("XFORWARD \r\n") <= 512 for line in lines)
