"""The wire under PyMySQL: where answers end, at every octet; limits; what is not sent or read twice."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable

import pytest

from gateway.maps.sql import mysql_wire
from gateway.maps.sql.mysql_wire import AnswerEnd, Wire
from gateway.maps.sql.pool import Lost, QueryError


def packets(*payloads: bytes) -> bytes:
    return b"".join(
        len(payload).to_bytes(3, "little") + bytes([number + 1]) + payload for number, payload in enumerate(payloads)
    )


EOF, EOF_MORE = b"\xfe\0\0\2\0", b"\xfe\0\0\x0a\0"
OK, OK_MORE = b"\0\0\0\2\0\0\0", b"\0\xfc\1\1\xfd\1\1\1\x0a\0\0\0"
ERROR = b"\xff\x28\x04#42000no"
ROWS = (b"\1a", b"\xfb", b"\0", b"\xfe" + b"\1" + b"\0" * 7 + b"x")

ANSWERS = {
    "ok": packets(OK),
    "error": packets(ERROR),
    "rows": packets(b"\2", b"\3def1", b"\3def2", EOF, *ROWS, EOF),
    "no rows": packets(b"\1", b"\3def", EOF, EOF),
    "rows, then ok": packets(b"\1", b"\3def", EOF, *ROWS, EOF_MORE, OK),
    "ok, then rows": packets(OK_MORE, b"\1", b"\3def", EOF, *ROWS, EOF),
    "rows twice": packets(b"\1", b"\3def", EOF, EOF_MORE, b"\1", b"\3def", EOF, b"\1a", EOF),
    "an error after a row": packets(b"\1", b"\3def", EOF, b"\1a", ERROR),
    "an error for columns": packets(b"\1", ERROR),
    "a file is wanted": packets(b"\xfb/etc/passwd"),
}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_an_answer_ends_with_its_last_octet(answer: bytes) -> None:
    data = bytearray()
    end = AnswerEnd(data)
    for octet in answer:
        assert not end.is_there()
        data.append(octet)
    assert end.is_there()
    assert AnswerEnd(bytearray(answer)).is_there()
    assert not AnswerEnd(bytearray(answer[:-1])).is_there()


@pytest.mark.parametrize("data", [b"\0\0\0\1x", b"\xff\xff\xff\1x"])
def test_packets_that_no_server_sends(data: bytes) -> None:
    with pytest.raises(QueryError, match="does not speak MySQL's protocol") as caught:
        AnswerEnd(bytearray(data)).is_there()
    assert caught.value.is_spent


def test_an_ok_that_ends_too_soon_is_an_end() -> None:
    assert AnswerEnd(bytearray(packets(b"\0\xfe"))).is_there()


def with_wire(do: Callable[[Wire, socket.socket], Awaitable[None]]) -> None:
    """Run a test with a wire that the loop watches, and the server's end."""

    async def run() -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            wire = Wire(ours, 5.0)
            wire.watch()
            try:
                await do(wire, theirs)
            finally:
                wire.close()
                wire.close()

    asyncio.run(asyncio.wait_for(run(), 20))


def test_an_answer_is_read_when_it_is_whole() -> None:
    async def do(wire: Wire, theirs: socket.socket) -> None:
        reader = wire.makefile("rb")
        for answer in ANSWERS.values():
            fetching = asyncio.ensure_future(wire.fetch(b"question", 5.0))
            await asyncio.wait([fetching], timeout=0)
            assert theirs.recv(100) == b"question"
            theirs.sendall(answer[:3])
            theirs.sendall(answer[3:])
            await fetching
            wire.settimeout(1.0)
            wire.sendall(b"question")
            with pytest.raises(OSError, match="nothing else can be sent"):
                wire.sendall(b"another")
            assert reader.read(3) + reader.read(len(answer)) == answer
            assert reader.read(1) == b""
            reader.close()
        assert not wire.is_broken

    with_wire(do)


def test_a_large_question_is_sent_in_parts() -> None:
    async def do(wire: Wire, theirs: socket.socket) -> None:
        question = b"x" * (1 << 20)
        fetching = asyncio.ensure_future(wire.fetch(question, 5.0))
        await asyncio.wait([fetching], timeout=0)
        received = b""
        while not received.endswith(question[-1:]) or len(received) < len(question):
            received += await asyncio.to_thread(theirs.recv, 1 << 16)
        assert received.endswith(question)
        theirs.sendall(ANSWERS["ok"])
        await fetching

    with_wire(do)


def test_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mysql_wire, "ANSWER_LIMIT", 10)

    async def do(wire: Wire, theirs: socket.socket) -> None:
        theirs.setblocking(False)
        fetching = asyncio.ensure_future(wire.fetch(b"q", 5.0))
        await asyncio.wait([fetching], timeout=0)
        theirs.sendall(b"\x20\0\0\1" + b"x" * 7)
        with pytest.raises(QueryError, match="the answer is larger than 10 octets") as caught:
            await fetching
        assert caught.value.is_spent
        assert wire.is_broken

    with_wire(do)


def test_too_slow() -> None:
    async def do(wire: Wire, theirs: socket.socket) -> None:
        theirs.sendall(b"")
        with pytest.raises(QueryError, match=r"no answer within 0\.01 s"):
            await wire.fetch(b"q", 0.01)
        assert wire.why == "no answer within 0.01 s"

    with_wire(do)


def test_a_connection_that_breaks() -> None:
    async def closes(wire: Wire, theirs: socket.socket) -> None:
        theirs.shutdown(socket.SHUT_WR)
        with pytest.raises(Lost, match="closed the connection"):
            await wire.fetch(b"q", 5.0)

    async def is_gone(wire: Wire, theirs: socket.socket) -> None:
        theirs.close()
        with pytest.raises(Lost):
            await wire.fetch(b"q", 5.0)

    async def nonsense(wire: Wire, theirs: socket.socket) -> None:
        fetching = asyncio.ensure_future(wire.fetch(b"q", 5.0))
        await asyncio.wait([fetching], timeout=0)
        theirs.sendall(b"\0\0\0\0\0")
        with pytest.raises(QueryError, match="protocol"):
            await fetching

    for do in (closes, is_gone, nonsense):
        with_wire(do)


@pytest.mark.parametrize("unasked", [b"", packets(ERROR)])
def test_what_a_server_says_unasked_breaks_an_idle_connection(unasked: bytes) -> None:
    async def do(wire: Wire, theirs: socket.socket) -> None:
        theirs.sendall(unasked)
        theirs.shutdown(socket.SHUT_WR)
        for _ in range(100):
            if wire.is_broken:
                break
            await asyncio.to_thread(lambda: None)
        assert wire.is_broken

    with_wire(do)


def test_before_it_is_watched_it_is_a_socket_with_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        wire = Wire(ours, 5.0)
        reader = wire.makefile("rb")
        wire.sendall(b"hello")
        assert theirs.recv(100) == b"hello"
        theirs.sendall(b"abc")
        assert (reader.read(1), reader.read(2)) == (b"a", b"bc")
        theirs.sendall(b"de")
        theirs.shutdown(socket.SHUT_WR)
        assert reader.read(3) == b"de"
        wire.close()


def test_before_it_is_watched_time_and_size_have_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    for seconds, expected in ((0.01, "no answer within 0.01 s"), (0.0, "no answer within 0 s")):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            wire = Wire(ours, seconds)
            with pytest.raises(OSError):
                wire.makefile("rb").read(1)
            assert wire.why == expected
    monkeypatch.setattr(mysql_wire, "ANSWER_LIMIT", 10)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        wire = Wire(ours, 5.0)
        theirs.sendall(b"x" * 11)
        with pytest.raises(OSError, match="larger than 10 octets"):
            wire.makefile("rb").read(20)
