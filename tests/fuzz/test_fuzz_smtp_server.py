"""Hostile clients against the session: it never raises, never grows, never sees a message that was smuggled in.

Seeds are octets as they came over the wire, in ``seeds/``; each is also cut and mixed with the others.
"""

from __future__ import annotations

import re
import tracemalloc
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.model.reply import Reply
from gateway.proto import smtp_events as events
from gateway.proto.smtp_rules import State
from gateway.proto.smtp_server import MAX_BUFFERED, ServerSession
from gateway.proto.smtp_settings import BareNewline, SmtpdSettings

SEEDS = {path.name: path.read_bytes() for path in sorted((Path(__file__).parent / "seeds").glob("smtp-*"))}
SETTINGS = SmtpdSettings(
    hostname="mx.example", message_size_limit=20_000, recipient_limit=5, recipient_overshoot_limit=5, error_sleep_s=0.0,
    xclient_allowed=True, xforward_allowed=True, hard_error_limit=1000,
)  # fmt: skip
_REPLIES = re.compile(rb"(?:[2-5][0-9]{2}[ -][^\r\n\0]*\r\n)*")
_ANSWERS = (
    Reply(250, "Ok", "2.0.0"),
    Reply(450, "Later", "4.7.1"),
    Reply(554, "No", "5.7.1"),
    Reply(421, "Bye", "4.3.0"),
)

tokens = st.one_of(
    st.sampled_from(
        [b"EHLO c\r\n", b"HELO c\r\n", b"LHLO c\r\n", b"MAIL FROM:<a@b>\r\n", b"RCPT TO:<x@y>\r\n", b"DATA\r\n", b".\r\n",
         b"RSET\r\n", b"NOOP\r\n", b"VRFY a\r\n", b"BDAT 3\r\n", b"BDAT 0 LAST\r\n", b"BDAT 19000\r\n", b"BDAT x\r\n", b"abc",
         b"XCLIENT NAME=x\r\n", b"XFORWARD ADDR=1.2.3.4\r\n", b"\r\n", b"\n", b"\r", b"\0", b"\xff", b"\r\n.\r\n", b"FOO\r\n",
         b"MAIL FROM:<a@b> SIZE=3 BODY=8BITMIME\r\n", b"RCPT TO:<x@y> ORCPT=rfc822;x NOTIFY=NEVER\r\n", b"x" * 3000]
    ),
    st.sampled_from(sorted(SEEDS)).map(SEEDS.__getitem__),
    st.binary(max_size=30),
)  # fmt: skip


def drive(session: ServerSession, octets: bytes, answers: list[int]) -> list[events.Event]:
    """Feed octets, answer questions in turn; checks what has to hold after every step."""
    session.receive_data(octets)
    seen: list[events.Event] = []
    while (event := session.next_event()) is not events.NEED_DATA:
        assert not isinstance(event, events.Wait)
        seen.append(event)
        if isinstance(event, events.Hangup):
            break
        if isinstance(event, events.QUESTIONS):
            assert session.next_event() is events.PAUSED
            is_one = not (isinstance(event, events.BodyEnd) and session.settings.is_lmtp)
            for _ in range(1 if is_one else session.recipient_count):
                if session.state is not State.CLOSED:
                    session.reply(_ANSWERS[answers[len(seen) % len(answers)]])
        if isinstance(event, events.BodyChunk):
            assert event.data
            assert b"\n" not in event.data.replace(b"\r\n", b"")
            assert b"\r" not in event.data.replace(b"\r\n", b"")
    assert _REPLIES.fullmatch(session.data_to_send())
    return seen


@settings(max_examples=250, deadline=None, derandomize=True)
@given(
    st.lists(tokens, max_size=25), st.lists(st.integers(0, 3), min_size=1, max_size=6), st.sampled_from(BareNewline),
    st.booleans(), st.booleans(),
)  # fmt: skip
def test_nothing_raises(
    pieces: list[bytes], answers: list[int], mode: BareNewline, is_lmtp: bool, is_whole: bool
) -> None:
    session = ServerSession(msgspec.structs.replace(SETTINGS, forbid_bare_newline=mode, is_lmtp=is_lmtp))
    session.greet(Reply(220, "mx.example"))
    for piece in [b"".join(pieces)] if is_whole else pieces:
        seen = drive(session, piece, answers)
        size = sum(len(event.data) for event in seen if isinstance(event, events.BodyChunk))
        assert size <= len(piece) * 2 + 5000, "content comes from what was sent"
        assert session.recipient_count <= SETTINGS.recipient_limit
        assert all(accepted <= total for accepted, total in session.counts.values())
    session.receive_eof()
    assert isinstance(drive(session, b"", answers)[-1], events.Hangup)
    assert session.state is State.CLOSED


@pytest.mark.parametrize("name", SEEDS)
def test_seeds_octet_by_octet(name: str) -> None:
    session = ServerSession(SETTINGS)
    session.greet(Reply(220, "mx.example"))
    for octet in SEEDS[name]:
        drive(session, bytes((octet,)), [0])
    assert session.state in State


almost_ends = st.lists(
    st.sampled_from([b"\r", b"\n", b".", b"\0", b"\r\n", b"..", b"a", b" ", b"\x85", b"\x0b"]), max_size=12
)


@settings(max_examples=400, deadline=None, derandomize=True)
@given(almost_ends.map(b"".join), st.integers(1, 9), st.sampled_from(BareNewline))
def test_nothing_but_the_one_sequence_ends_a_message(middle: bytes, size: int, mode: BareNewline) -> None:
    """A second transaction stands inside the content: it stays there unless CRLF.CRLF is really before it."""
    inner = b"MAIL FROM:<evil@b>\r\nRCPT TO:<x@y>\r\nDATA\r\nsmuggled"
    content = b"outer" + middle + inner
    if b"\r\n.\r\n" in content:
        return
    session = ServerSession(msgspec.structs.replace(SETTINGS, forbid_bare_newline=mode))
    session.greet(Reply(220, "mx.example"))
    for line in (b"EHLO c\r\n", b"MAIL FROM:<a@b>\r\n", b"RCPT TO:<x@y>\r\n", b"DATA\r\n"):
        drive(session, line, [0])
    octets = content + b"\r\n.\r\nNOOP\r\n"
    seen = [event for i in range(0, len(octets), size) for event in drive(session, octets[i : i + size], [0])]
    assert not any(isinstance(event, events.Mail | events.Rcpt | events.DataBegin) for event in seen)
    ends = [event for event in seen if isinstance(event, events.BodyEnd | events.Refused)]
    assert len(ends) == 1
    assert isinstance(seen[-1], events.Noop) or session.state is State.CLOSED


def held_after(octets: bytes, times: int, *, before: bytes) -> int:
    """Bytes of memory that ``times`` repetitions leave behind, the chunks thrown away."""
    session = ServerSession(msgspec.structs.replace(SETTINGS, message_size_limit=0, hard_error_limit=10_000))
    session.greet(Reply(220, "mx.example"))
    for line in before.splitlines(keepends=True):
        drive(session, line, [0])
    drive(session, octets, [0])
    tracemalloc.start()
    try:
        for _ in range(times):
            session.receive_data(octets)
            while (event := session.next_event()) is not events.NEED_DATA:
                assert not isinstance(event, events.Wait | events.Hangup)
            session.data_to_send()
        return tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()


TRANSACTION = b"EHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<x@y>\r\n"


@pytest.mark.parametrize(
    ("octets", "before"),
    [
        (b"BDAT 1\r\nx", TRANSACTION),
        (b"x", TRANSACTION + b"DATA\r\n"),
        (b".\r\n.."[:2], TRANSACTION + b"DATA\r\n"),
        (b"x", b"BDAT 5000\r\n"),
        (b"x", b""),
        (b"NOOP\r\n", b"EHLO c\r\n"),
    ],
    ids=["tiny BDAT", "octets of DATA", "dots", "refused chunk", "endless line", "NOOP"],
)
def test_memory_does_not_grow_with_time(octets: bytes, before: bytes) -> None:
    assert held_after(octets, 4500, before=before) < MAX_BUFFERED


def test_tiny_chunks_reach_the_shell_together() -> None:
    session = ServerSession(SETTINGS)
    session.greet(Reply(220, "mx.example"))
    drive(session, TRANSACTION, [0])
    chunks = [event for event in drive(session, b"BDAT 1\r\nx" * 10_000, [0]) if isinstance(event, events.BodyChunk)]
    assert 1 <= len(chunks) <= 3
