from __future__ import annotations

import pytest

from gateway.model.errors import RemoteProtocolError
from gateway.proto.server_reply import ServerReply
from gateway.proto.smtp_client_reply import LINE_LIMIT, REPLY_LIMIT, ReplyReader


def read(*pieces: bytes) -> list[ServerReply]:
    reader = ReplyReader()
    return [reply for piece in pieces for reply in reader.feed(piece)]


def test_lines_are_joined() -> None:
    (reply,) = read(b"550-5.7.1 one\r\n550-5.7.1 two\r\n550 5.7.1 three\r\n")
    assert reply.code == 550
    assert reply.text == "550-5.7.1 one\n550-5.7.1 two\n550 5.7.1 three"
    assert reply.line == "550-5.7.1 one 550-5.7.1 two 550 5.7.1 three"
    assert reply.dsn == "5.7.1"


@pytest.mark.parametrize(
    ("text", "enhanced", "dsn"),
    [
        ("250 2.0.0 Ok", "2.0.0", "2.0.0"),
        ("250 Ok", "", "2.0.0"),
        ("550 5.1.1", "5.1.1", "5.1.1"),
        ("550 4.1.1 wrong class", "", "5.0.0"),
        ("450 4.7.25 x", "4.7.25", "4.7.25"),
        ("450 4.7.1234 x", "", "4.0.0"),
        ("450 4.7.1.2 address", "", "4.0.0"),
        ("250", "", "2.0.0"),
        ("550-5.1.1 a\n550 b", "", "5.0.0"),
    ],
)
def test_enhanced_status_code(text: str, enhanced: str, dsn: str) -> None:
    reply = ServerReply(int(text[:3]), text)
    assert reply.enhanced == enhanced
    assert reply.dsn == dsn


def test_hostile_octets_become_question_marks() -> None:
    (reply,) = read(b"550 \x1b[31mred\x00 \xff\xfe caf\xc3\xa9\r\n")
    assert reply.text == "550 ?[31mred? ?? café".replace("??", "\ufffd\ufffd")
    assert reply.text.isprintable()


def test_bounds() -> None:
    with pytest.raises(RemoteProtocolError):
        read(b"250 " + b"x" * (LINE_LIMIT + 1))
    with pytest.raises(RemoteProtocolError):
        read(*[b"250-" + b"x" * 1000 + b"\r\n"] * (REPLY_LIMIT // 1000 + 1))


def test_codes_without_text() -> None:
    assert [reply.code for reply in read(b"250\r\n", b"250 \r\n")] == [250, 250]
    assert read(b"250\r\n")[0].text == "250"


def test_inside() -> None:
    reader = ReplyReader()
    list(reader.feed(b"250-x\r\n"))
    assert reader.is_inside
    list(reader.feed(b"250 y\r\n"))
    assert not reader.is_inside
