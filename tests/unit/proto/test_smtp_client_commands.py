from __future__ import annotations

import pytest

from gateway.model.address import Address
from gateway.model.envelope import ClientInfo, Envelope, Recipient
from gateway.proto.capabilities import KEYWORDS_LIMIT, Capabilities
from gateway.proto.smtp_client_commands import mail_argument, path, rcpt_argument, xforward_arguments

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


FORWARDING = Capabilities.of("mx", ["XFORWARD NAME ADDR PORT PROTO HELO IDENT SOURCE"])


def forwarded(client: ClientInfo, forward: ClientInfo | None = None, **envelope: str) -> Envelope:
    return Envelope("4Qhere", Address.NULL, [], 0.0, client=client, forward=forward, **envelope)


def test_xforward_tells_what_is_known() -> None:
    client = ClientInfo("c.example", "2001:db8::1", "25", "he lo=+", "ESMTP", source="LOCAL")
    assert xforward_arguments(forwarded(client), FORWARDING) == [
        b"NAME=c.example ADDR=IPv6:2001:db8::1 PORT=25", b"PROTO=ESMTP HELO=he+20lo=+2B IDENT=4Qhere SOURCE=LOCAL",
    ]  # fmt: skip
    assert xforward_arguments(forwarded(client), NOTHING) == []
    some = Capabilities.of("mx", ["XFORWARD ADDR HELO"])
    assert xforward_arguments(forwarded(client), some) == [b"ADDR=IPv6:2001:db8::1", b"HELO=he+20lo=+2B"]
    assert xforward_arguments(forwarded(ClientInfo("unknown", "unknown", "unknown")), FORWARDING) == [
        b"IDENT=4Qhere SOURCE=REMOTE"
    ]


def test_xforward_passes_on_what_a_filter_told() -> None:
    client = ClientInfo("localhost", "127.0.0.1", "99", "filter.example", "ESMTP", source="LOCAL")
    told = ClientInfo("o.example", "192.0.2.1", ident="4Qthere", source="REMOTE")
    assert xforward_arguments(forwarded(client, told), FORWARDING) == [
        b"NAME=o.example ADDR=192.0.2.1", b"IDENT=4Qthere SOURCE=REMOTE",
    ]  # fmt: skip
    only_ident = ClientInfo(name="", ident="4Qthere", source="")
    assert xforward_arguments(forwarded(client, only_ident), FORWARDING) == [
        b"NAME=localhost ADDR=127.0.0.1 PORT=99", b"PROTO=ESMTP HELO=filter.example IDENT=4Qthere SOURCE=LOCAL",
    ]  # fmt: skip


@pytest.mark.parametrize("origin", ["pickup", "bounce"])
def test_local_mail_has_no_client_to_tell_of(origin: str) -> None:
    envelope = forwarded(ClientInfo("localhost", "127.0.0.1"), origin=origin)
    assert xforward_arguments(envelope, FORWARDING) == [b"SOURCE=LOCAL"]


def test_xforward_values_are_cut_between_escapes() -> None:
    for length in (84, 85, 86):
        lines = xforward_arguments(forwarded(ClientInfo("n" * 400, helo="x" * (length % 3) + " " * 200)), FORWARDING)
        assert len(lines[0]) == len("NAME=") + 255
        helo = lines[1].split()[0].removeprefix(b"HELO=").lstrip(b"x")
        assert helo == b"+20" * (len(helo) // 3)
        assert all(len(line) + len("XFORWARD \r\n") <= 512 for line in lines)
