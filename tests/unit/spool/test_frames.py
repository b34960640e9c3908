from __future__ import annotations

import pytest

from gateway.model.content import BodyFile, Content
from gateway.model.errors import RemoteProtocolError
from gateway.spool import frames
from gateway.spool.frames import FrameReader, decode_request, decode_response, encode_frame
from gateway.spool.requests import Answer, Result, Submit

MESSAGES = [
    Submit(1, b"envelope", b"Head: 1\r\n", b"body", False),
    Submit(2, b"", b"", BodyFile("bodies/00/x", 12, 3), True),
    Submit(3, b"e" * 70_000, b"", b"", False),
]


@pytest.mark.parametrize("step", [1, 3, 7, 1000, 1 << 20])
def test_requests_at_every_split(step: int) -> None:
    stream = b"".join(encode_frame(message) for message in MESSAGES)
    if step < 100:
        stream = stream[:200] + b""
    reader = FrameReader()
    found = [
        decode_request(payload)
        for start in range(0, len(stream), step)
        for payload in reader.feed(stream[start : start + step])
    ]
    assert found == (MESSAGES if step >= 100 else MESSAGES[:2])
    assert all(isinstance(message.content, Content) for message in found)


def test_answers() -> None:
    answers = [Answer(1), Answer(2, Result.FULL, "no room")]
    data = b"".join(encode_frame(answer) for answer in answers)
    assert [decode_response(payload) for payload in FrameReader().feed(data)] == answers


def test_the_kind_is_on_the_wire_so_that_others_can_follow() -> None:
    assert encode_frame(Answer(7))[4:6] == b"\x94\x01"


@pytest.mark.parametrize(
    "payload", [b"", b"\xc0", b"\x92\x09\x01", b"\x95\x01\xa1x\xc4\x00\xc4\x00\xc4\x00", b"\xff" * 9]
)
def test_nonsense_is_refused(payload: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        decode_request(memoryview(payload))
    with pytest.raises(RemoteProtocolError):
        decode_response(memoryview(payload))


def test_a_frame_that_is_too_large_is_refused_at_once() -> None:
    with pytest.raises(RemoteProtocolError):
        list(FrameReader(1000).feed((1001).to_bytes(4, "big")))


def test_a_message_that_is_too_large_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "MAX_FRAME_BYTES", 1000)
    with pytest.raises(OverflowError):
        encode_frame(Submit(1, b"x" * 1000, b"", b""))
