"""Octets in memory up to the limit, on disk beyond it."""

from __future__ import annotations

import asyncio

import pytest

from gateway.cleanup.collector import Collector
from gateway.model.content import BodyFile, Content
from gateway.model.errors import SpoolFull


class Sink:
    """Keeps what it is given."""

    def __init__(self, *, room: int = 1 << 30) -> None:
        self.data, self.room, self.is_aborted = b"", room, False

    def write(self, data: bytes) -> None:
        if len(self.data) + len(data) > self.room:
            raise SpoolFull("no room")
        self.data += data

    async def finish(self) -> BodyFile:
        return BodyFile("bodies/x", len(self.data))

    def abort(self) -> None:
        self.is_aborted = True


def test_small_message_stays_in_memory() -> None:
    collector = Collector(100, lambda: pytest.fail("no file is needed"))
    collector.feed(b"A: 1\r\n\r")
    collector.feed(b"\nbody\r\n")
    assert collector.finish_in_memory() == Content(b"A: 1\r\n", b"body\r\n")


@pytest.mark.parametrize("piece", [1, 7, 64, 1000])
def test_large_body_goes_to_the_sink_whatever_the_pieces(piece: int) -> None:
    message = b"A: 1\r\nB: 2\r\n\r\n" + b"0123456789\r\n" * 50
    sink = Sink()
    collector = Collector(100, lambda: sink)
    for at in range(0, len(message), piece):
        collector.feed(message[at : at + piece])
    assert collector.finish_in_memory() is None
    content = asyncio.run(collector.finish())
    assert content.head + content.separator + sink.data == message
    assert content.size_bytes == len(message)


def test_endless_header_block_is_relayed_untouched() -> None:
    message = b"A: 1\r\nLong: " + b"x" * 500 + b"\r\n\r\nbody\r\n"
    sink = Sink()
    collector = Collector(100, lambda: sink)
    collector.feed(message)
    content = asyncio.run(collector.finish())
    assert content.head + content.separator + sink.data == message


def test_full_disk_is_raised_and_abort_removes() -> None:
    sink = Sink(room=150)
    collector = Collector(100, lambda: sink)
    collector.feed(b"A: 1\r\n\r\n" + b"x" * 120)
    with pytest.raises(SpoolFull):
        collector.feed(b"y" * 100)
    collector.abort()
    assert sink.is_aborted
