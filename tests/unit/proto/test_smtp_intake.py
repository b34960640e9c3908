"""One message: limits, and which fault is told first."""

from __future__ import annotations

from gateway.proto import smtp_replies as replies
from gateway.proto.smtp_events import Bdat, BodyEnd
from gateway.proto.smtp_intake import Intake
from gateway.proto.smtp_settings import BareNewline, SmtpdSettings

LENIENT = BareNewline.NOTE


def intake(octets: bytes, **settings: object) -> Intake:
    made = Intake(SmtpdSettings(hostname="mx.example", **settings), is_bdat=False)  # type: ignore[arg-type]
    made.reader.feed(octets + b"\r\n.\r\n", 0)
    return made


def test_faults() -> None:
    assert intake(b"x").refusal is None
    assert intake(b"\0x\n", message_size_limit=2, forbid_bare_newline=LENIENT).refusal is replies.MESSAGE_TOO_BIG
    assert intake(b"\0x\ny").refusal == replies.bare_newline(550, "mx.example", "LF")
    assert intake(b"x\ry", forbid_bare_newline_reject_code=521).refusal == replies.bare_newline(521, "mx.example", "CR")
    assert intake(b"\0").refusal is replies.HAS_NUL
    assert intake(b"\0", forbid_nul=False).refusal is None
    assert intake(b"x\ny", forbid_bare_newline=LENIENT).end_event() == BodyEnd(6, has_bare_lf=True)


def test_chunks() -> None:
    chunked = Intake(SmtpdSettings(message_size_limit=10), is_bdat=True)
    assert chunked.announce(Bdat(4, False))
    chunked.reader.feed(b"1234", 0)
    assert chunked.chunk_reply is not None
    assert chunked.chunk_reply.text == "Ok: 4 bytes"
    assert not chunked.announce(Bdat(7, True))
    assert chunked.announce(Bdat(6, True))
    assert chunked.chunk_bytes == 6
    chunked.reader.feed(b"5678\r\n", 0)
    assert chunked.chunk_reply is None
    assert chunked.size_bytes == 10
    assert intake(b"x").chunk_bytes == 0
